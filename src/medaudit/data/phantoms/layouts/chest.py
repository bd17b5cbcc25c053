"""Tables of MIMIC-CXR-JPG, CheXpert Plus, PadChest, VinDr-CXR, BRAX and MIDRC."""

import json
from pathlib import Path

import numpy as np

from medaudit.data.datasets.chexpert import FINDINGS
from medaudit.data.phantoms.layouts.drawing import (
    draw,
    flags,
    numbers,
    pick,
    write_csv,
    write_dicom,
)

CODES = {"1.0": 0.25, "0.0": 0.25, "-1.0": 0.08, "": 0.42}
VINDR = (
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture"),
    *("Consolidation", "Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity"),
    *("Lung cavity", "Lung cyst", "Mediastinal shift", "Nodule/Mass", "Pleural effusion"),
    *("Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture", "Other lesion"),
    *("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", "Other disease", "No finding"),
)
PADCHEST = {
    "['normal']": 0.4,
    "['COPD signs', 'cardiomegaly']": 0.15,
    "['pleural effusion', 'atelectasis basal']": 0.15,
    "['pneumonia', 'infiltrates']": 0.1,
    "['multiple nodules', 'unchanged']": 0.1,
    "['pneumothorax']": 0.09,
    "": 0.01,
}


def write_mimic_cxr(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write metadata, split and CheXpert labels of MIMIC-CXR-JPG, and two tables of MIMIC-IV."""
    subject, rows = numbers(rng, n, 10_000_000, 20_000_000), np.repeat(np.arange(n), 2)
    study, m = numbers(rng, n, 50_000_000, 60_000_000)[rows], 2 * n
    image = [f"{k:08x}-{v:08x}" for k, v in enumerate(rng.integers(1 << 32, size=m))]
    year = rng.integers(2110, 2200, n)
    name = "mimic-cxr-2.0.0-{}.csv.gz".format
    write_csv(
        folder / name("metadata"),
        {
            "dicom_id": image,
            "subject_id": subject[rows],
            "study_id": study,
            "PerformedProcedureStepDescription": "CHEST (PA AND LAT)",
            "ViewPosition": np.where(np.arange(m) % 2, "LATERAL", draw(rng, m, {"AP": 6, "PA": 4})),
            "Rows": 3056,
            "Columns": 2544,
            "StudyDate": (year[rows] + 2) * 10_000 + 506,
            "StudyTime": 213014.531,
        },
    )
    split = draw(rng, n, {"train": 0.7, "validate": 0.1, "test": 0.2})[rows]
    ids = {"dicom_id": image, "study_id": study, "subject_id": subject[rows]}
    write_csv(folder / name("split"), {**ids, "split": split})
    labels = {finding: draw(rng, n, CODES) for finding in sorted(FINDINGS)}
    write_csv(folder / name("chexpert"), {"subject_id": subject, "study_id": study[::2], **labels})
    write_csv(
        folder / "patients.csv.gz",
        {
            "subject_id": subject,
            "gender": pick(rng, n, F=1, M=1),
            "anchor_age": draw(rng, n, {31: 1, 58: 2, 63: 2, 77: 2, 91: 1}),
            "anchor_year": year,
            "anchor_year_group": "2011 - 2013",
        },
    )
    _write_admissions(folder, subject, rng)


def _write_admissions(folder: Path, subject: np.ndarray, rng: np.random.Generator) -> None:
    """Write two admissions per patient; the race of a tenth of the patients differs."""
    n = len(subject)
    levels = {"WHITE": 6, "BLACK/AFRICAN AMERICAN": 2, "ASIAN - CHINESE": 1, "UNKNOWN": 1}
    race, other = draw(rng, n, levels), rng.random(n) < 0.1
    insurance = draw(rng, n, {"Medicare": 2, "Medicaid": 1, "Private": 2})
    write_csv(
        folder / "admissions.csv.gz",
        {
            "subject_id": np.repeat(subject, 2),
            "hadm_id": np.arange(2 * n) + 20_000_000,
            "insurance": np.repeat(insurance, 2),
            "language": np.repeat(draw(rng, n, {"English": 9, "Spanish": 1}), 2),
            "race": np.stack([race, np.where(other, "OTHER", race)], axis=1).ravel(),
        },
    )


def write_chexpert_plus(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of CheXpert Plus and its labels, one JSON object per line."""
    rows = np.repeat(np.arange(n), 2)
    paths = [f"train/patient{k + 1:05d}/study1/view{v + 1}_{s}.jpg" for k in range(n)
             for v, s in enumerate(("frontal", "lateral"))]  # fmt: skip
    lateral = np.array(["lateral" in path for path in paths])
    write_csv(
        folder / "df_chexpert_plus_240401.csv",
        {
            "path_to_image": paths,
            "path_to_dcm": [path.replace(".jpg", ".dcm") for path in paths],
            "frontal_lateral": np.where(lateral, "Lateral", "Frontal"),
            "ap_pa": np.where(lateral, "", pick(rng, n, AP=3, PA=1)[rows]),
            "deid_patient_id": [f"patient{k + 1:05d}" for k in rows],
            "patient_report_date_order": 1,
            "age": rng.integers(18, 91, n)[rows],
            "sex": pick(rng, n, Male=1, Female=1)[rows],
            "race": draw(rng, n, {"White": 6, "Black or African American": 1, "Asian": 2, "": 1})[
                rows
            ],
            "ethnicity": draw(rng, n, {"Non-Hispanic/Non-Latino": 8, "Hispanic/Latino": 2})[rows],
            "interpreter_needed": pick(rng, n, No=9, Yes=1)[rows],
            "insurance_type": pick(rng, n, Medicare=2, Medicaid=1, Private=2)[rows],
            "split": "train",
            "report": 'EXAM: CHEST, "two views"\nIMPRESSION: none',
        },
    )
    labels = {finding: draw(rng, n, CODES) for finding in FINDINGS}
    lines = [
        {"path_to_image": path}
        | {name: float(codes[k]) if codes[k] else None for name, codes in labels.items()}
        for path, k in zip(paths, rows, strict=True)
    ]
    target = folder / "chexbert_labels" / "impression_fixed.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(map(json.dumps, lines)) + "\n")


def write_padchest(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write PadChest's table."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    birth = np.where(rng.random(n) < 0.02, np.nan, rng.integers(1920, 1996, n))
    write_csv(
        folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz",
        {
            "": np.arange(m),
            "ImageID": [f"{k + 20_536_686_640_136_348:030d}_{k:02d}.png" for k in range(m)],
            "ImageDir": rng.integers(0, 55, m),
            "StudyDate_DICOM": rng.integers(2010, 2016, n)[rows] * 10_000 + 915,
            "PatientID": [f"{v:027d}" for v in numbers(rng, n, 1, 10**9)[rows]],
            "PatientBirth": birth[rows],
            "PatientSex_DICOM": pick(rng, n, M=10, F=10, O=1)[rows],
            "Projection": pick(rng, m, PA=6, L=3, AP_horizontal=1, AP=1),
            "Pediatric": pick(rng, n, No=30, PED=1)[rows],
            "Manufacturer_DICOM": pick(
                rng, n, ImagingDynamicsCompanyLtd=5, PhilipsMedicalSystems=4
            )[rows],
            "MethodLabel": pick(rng, m, RNN_model=3, Physician=1),
            "Labels": draw(rng, m, PADCHEST),
        },
    )


def write_vindr_cxr(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write VinDr-CXR's labels, three readers per training image, and its DICOM files."""
    image = np.array([f"{v:032x}" for v in numbers(rng, n, 1 << 40, 1 << 41)])
    test = np.arange(n) < n // 5
    truth = {name: flags(rng, n, 0.2) for name in VINDR}
    read = np.repeat(np.flatnonzero(~test), 3)
    wrong = {name: flags(rng, len(read), 0.1) for name in VINDR}
    readers = [f"R{v}" for v in np.concatenate([rng.permutation(17)[:3] + 1 for _ in image[~test]])]
    labels = {name: truth[name][read] ^ wrong[name] for name in VINDR}
    renamed = {name.replace("Other disease", "Other diseases"): v for name, v in labels.items()}
    write_csv(
        folder / "annotations" / "image_labels_train.csv",
        {"image_id": image[read], "rad_id": readers, **renamed},
    )
    write_csv(
        folder / "annotations" / "image_labels_test.csv",
        {"image_id": image[test], **{name: truth[name][test] for name in VINDR}},
    )
    ages = draw(rng, n, {"": 2, "058Y": 3, "031Y": 2, "000Y": 1})
    sexes = draw(rng, n, {"F": 3, "M": 3, "O": 1, "": 1})
    for k, name in enumerate(image):
        place = folder / ("test" if test[k] else "train") / f"{name}.dicom"
        write_dicom(place, PatientAge=ages[k], PatientSex=sexes[k])


def write_brax(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write BRAX's table, with ages in the owner's groups of five years."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    patient = [f"id_{v:08x}" for v in numbers(rng, n, 1 << 30, 1 << 31)]
    path = [f"{{}}/{patient[k]}/Study_{k:05d}.1/Series_{v:05d}.2/image-{v:05d}.{{}}"
            for v, k in enumerate(rows)]  # fmt: skip
    view = np.where(np.arange(m) % 2, "L", draw(rng, m, {"AP": 3, "PA": 4, "RL": 1}))
    write_csv(
        folder / "master_spreadsheet_update.csv",
        {
            "DicomPath": [p.format("Anonymized_DICOMs", "dcm") for p in path],
            "PngPath": [p.format("images", "png") for p in path],
            "PatientID": np.array(patient)[rows],
            "PatientSex": pick(rng, n, F=1, M=1)[rows],
            "PatientAge": draw(rng, n, {"35": 1, "60": 2, "75": 2, "85 or more": 1})[rows],
            "AccessionNumber": rows,
            "StudyDate": "2014-05-06",
            **{finding: draw(rng, n, CODES)[rows] for finding in FINDINGS},
            "ViewPosition": view,
            "Rows": 2500,
            "Columns": 2048,
            "Manufacturer": pick(rng, n, SIEMENS=2, Philips=1)[rows],
        },
    )


def write_midrc(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write MIDRC's table of cases, and the DICOM files of each case below its name."""
    case = [f"10000364-{v:06d}" for v in numbers(rng, n, 1, 999_999)]
    write_csv(
        folder / "MIDRC_Cases_table.tsv",
        {
            "submitter_id": case,
            "sex": draw(rng, n, {"Female": 5, "Male": 5, "Not Reported": 1}),
            "race": draw(rng, n, {"White": 5, "Black or African American": 3, "Asian": 1, "": 1}),
            "ethnicity": draw(
                rng, n, {"Not Hispanic or Latino": 7, "Hispanic or Latino": 2, "": 1}
            ),
            "age_at_index": np.where(rng.random(n) < 0.05, np.nan, rng.integers(18, 90, n)),
            "covid19_positive": pick(rng, n, Yes=1, No=1),
            "zip": "606",
        },
    )
    maker = pick(rng, n, Carestream=1, SIEMENS=1)
    for k, name in enumerate(case):
        for number, kind in enumerate(("DX", "CR", "CT")[: 2 + k % 2]):
            series = folder / name / f"1.2.{k}.1" / f"1.2.{k}.1.{number}"
            write_dicom(
                series / f"1.2.{k}.1.{number}.7.dcm",
                **{"PatientID": name, "Modality": kind, "Manufacturer": maker[k]},
                ViewPosition="AP",
            )
