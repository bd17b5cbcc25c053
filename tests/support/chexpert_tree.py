"""Write CheXpert's tables and trees as its owner ships them."""

from medaudit.data.datasets.chexpert import FINDINGS

HEADER = ",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS])
ROWS = [
    ("train/patient00001/study1/view1_frontal.jpg", "Female", "68", "Frontal", "AP"),
    ("train/patient00001/study2/view1_frontal.jpg", "Female", "69", "Frontal", "PA"),
    ("train/patient00002/study1/view2_lateral.jpg", "Male", "90", "Lateral", ""),
    ("train/patient00003/study1/view1_frontal.jpg", "Unknown", "20", "Frontal", "LL"),
]
VALID = [("valid/patient64541/study1/view1_frontal.jpg", "Male", "73", "Frontal", "AP")]
LABELS = ["1.0,,-1.0,0.0" + "," * 10, "," * 13, "," * 13, "," * 12 + "1.0,-1.0"]


def write_table(path, rows, root="CheXpert-v1.0-small", labels=LABELS, header=HEADER):
    lines = [",".join([f"{root}/{row[0]}", *row[1:], labels[i]]) for i, row in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")


def touch(base, rows):
    for row in rows:
        (base / row[0]).parent.mkdir(parents=True, exist_ok=True)
        (base / row[0]).touch()


def settings_of(folder, **more):
    return {"loader": "chexpert", "name": "chexpert", "folder": str(folder), **more}
