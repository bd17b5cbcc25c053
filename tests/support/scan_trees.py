"""Write the tables of OL3I, OASIS-1 and Harvard-GF3300, and volumes, as their owners ship them."""

from pathlib import Path

import numpy as np
import pandas as pd
from nibabel import AnalyzeImage


def settings(loader: str, folder: Path | None, **more) -> dict:
    place = None if folder is None else str(folder.resolve())
    return {"name": loader, "loader": loader, "folder": place, **more}


OL3I_ROWS = """sex,label_5y,anon_id,bmi,label_1y,age,set_1y,set_5y
male,0,A1,25.1,0,55,train,train
Female,1,A2,,1,61,val,train
unknown,0,A3,30,0.0,60,test,val
,1,A4,22,1.0,,train,test
male,1,A5,22,,70,,train
"""


def write_ol3i(folder: Path, name: str = "clinical_data.csv", text: str = OL3I_ROWS) -> dict:
    (folder / name).write_text(text)
    return settings("ol3i", folder)


OASIS_ROWS = [  # ID, M/F, Age, CDR
    ("OAS1_0001_MR1", "F", 74, "0"),
    ("OAS1_0002_MR1", "M", 28, ""),
    ("OAS1_0003_MR1", "F", 76, "0.5"),
    ("OAS1_0031_MR1", "M", 88, "2"),
    ("OAS1_0004_MR1", "M", 75, "1"),
    ("OAS1_0002_MR2", "M", 28, ""),
    ("OAS1_0001_MR2", "F", 74, "0"),
]


def write_oasis(
    folder: Path, rows=OASIS_ROWS, name="oasis_cross-sectional.csv", flat=False
) -> None:
    """Write the table (columns in another order) and volumes of 8 x 40 x 8 voxels."""
    columns = {
        "CDR": [row[3] for row in rows],
        "Hand": "R",
        "ID": [row[0] for row in rows],
        "Age": [row[2] for row in rows],
        "M/F": [row[1] for row in rows],
        "Delay": "N/A",
    }
    table = pd.DataFrame(columns)
    if name.endswith(".csv"):
        table.to_csv(folder / name, index=False)
    else:
        table.assign(CDR=pd.to_numeric(table["CDR"])).to_excel(
            folder / name, index=False, sheet_name="oasis_cross-sectional"
        )
    for number, (session, *_) in enumerate(rows):
        place = folder if flat else folder / f"disc{number % 3 + 1}" / session
        place = place if flat else place / "PROCESSED/MPRAGE/T88_111"
        place.mkdir(parents=True, exist_ok=True)
        voxels = (
            np.ones((8, 40, 8, 1), np.int16) * np.arange(1, 41, dtype=np.int16)[None, :, None, None]
        )
        for kind in ("t88_gfc", "t88_masked_gfc", "t88_masked_gfc_fseg"):
            image = AnalyzeImage(voxels, np.eye(4))
            image.to_filename(place / f"{session}_mpr_n{3 + number % 2}_anon_111_{kind}.hdr")


GF_ROWS = """filename,age,gender,race,ethnicity,language,maritalstatus,glaucoma,use
data_0001.npz,43.31,male,asian,non-hispanic,english,single,no,training
data_0002.npz,60.0,Female,black,hispanic,unknown,unknown,yes,validation
data_0003.npz,71.2,,white,,other languages,,yes,test
data_0004.npz,,female,White,non-hispanic,spanish,divorced,,training
"""


def write_gf(folder: Path, text: str = GF_ROWS) -> dict:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data_summary.csv").write_text(text)
    return settings("harvard_gf3300", folder, window=[-2, 350])
