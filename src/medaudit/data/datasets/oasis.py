"""OASIS-1 cross-sectional (Marcus et al., 2007): slices of brain MRI, one session per subject."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.core.entry_types.datasets import DatasetEntrySlices
from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.oasis import write_table
from medaudit.data.readers.find_files import find_table
from medaudit.data.readers.image_containers import count_slices
from medaudit.data.readers.limits import UnreadableImage
from medaudit.data.readers.owner_table import (
    check_ages,
    check_present,
    check_unique,
    place,
    read_columns,
    translate,
)

TABLES = (
    "oasis_cross-sectional.csv",
    "oasis_cross-sectional.xlsx",
    "oasis_cross-sectional-[0-9a-f]*.xlsx",  # not -reliability-
)
VOLUME = re.compile(r"(OAS1_\d{4}_MR\d)_.*_t88_masked_gfc\.hdr")
LABELS = {
    "cdr_gt_0": ("Dementia", lambda cdr: cdr > 0),
    "cdr_eq_2": ("Moderate dementia", lambda cdr: cdr == 2),
}
PLANE = "coronal"
_SEX = {"m": "male", "f": "female"}
_GRADES = (0, 0.5, 1, 2, 3)


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read the sessions of OASIS-1 that have a Clinical Dementia Rating (CDR), one row per slice.

    Parameters
    ----------
    settings : dict
        The catalogue entry.

        ``folder`` : contains the table and, at any depth (``disc1`` ... ``disc12``, or flat), the
        volumes ``*_t88_masked_gfc.{hdr,img}``; null draws a table and images.
        ``table`` : CSV or Excel file inside the folder; null finds the owner's file.
        ``label`` : ``cdr_gt_0`` (task `Dementia`) or ``cdr_eq_2`` (task `Moderate dementia`).
        ``slices`` : ``negative`` and ``positive``: which share of the coronal slices, around the
        middle, is used of sessions without and with the label.

    Returns
    -------
    LoadedDataset
        Rows in the order of the table, slices from back to front. ``patient_id`` is the subject.
        Reliability rescans (``_MR2``) and sessions without a rating are excluded and counted.

    Raises
    ------
    MedauditError
        There is no table, a column or volume is missing, a value is unknown, or a session is
        duplicated.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: DatasetSettings) -> LoadedDataset:
    path = find_table(folder, settings.get("table"), TABLES)
    table, exclusions = _select(_read_table(path), path)
    task, positive = _label(settings)
    table = table.assign(label=positive(table["CDR"]).astype(float))
    table["volume"] = _locate(folder, table["ID"])
    rows = _spread(folder, table, settings["slices"])
    frame = pd.DataFrame(
        {
            "image_id": rows["ID"] + rows["slice"].map("_{:03d}".format),
            "patient_id": rows["ID"].str[:9],
            "path": rows["volume"] + f"#{PLANE}=" + rows["slice"].astype("str"),
            "age": rows["Age"],
            "view": PLANE,
            f"y_{task}": rows["label"],
            "a_sex": rows["M/F"],
        }
    )
    return LoadedDataset(frame, {"sessions": path}, exclusions, _notes(table, settings))


def _label(settings: DatasetSettings) -> tuple:
    if settings["label"] not in LABELS:
        raise MedauditError(
            f"dataset setting `label` is {settings['label']!r}; use one of {list(LABELS)}"
        )
    return LABELS[settings["label"]]


def _read_table(path: Path) -> pd.DataFrame:
    number = pa.float64()
    types = {"ID": pa.string(), "M/F": pa.string(), "Age": number, "CDR": number}
    table = read_columns(path, types)
    check_present(table, "ID", path)
    check_unique(table, "ID", path)
    check_ages(table["Age"].to_numpy(), "Age", path)
    frame = table.to_pandas().astype({"ID": "str"})
    _refuse(frame["ID"], ~frame["ID"].str.fullmatch(r"OAS1_\d{4}_MR\d"), "OAS1_0001_MR1", path)
    _refuse(frame["CDR"], frame["CDR"].notna() & ~frame["CDR"].isin(_GRADES), f"{_GRADES}", path)
    return frame.assign(**{"M/F": pd.Series(translate(table, "M/F", _SEX, path), dtype="str")})


def _show(value: object) -> str:
    return repr(f"{value:g}" if isinstance(value, float) else str(value)[:60])


def _refuse(column: pd.Series, wrong: pd.Series, expected: str, path: Path) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise MedauditError(
            f"{path}: column {column.name!r} has {_show(column[row])} in {place(path, row)}; "
            f"expected e.g. {expected}"
        )


def _select(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[dict]]:
    rescan, unrated = ~table["ID"].str.endswith("_MR1"), table["CDR"].isna()
    counts = {
        "session is a reliability rescan": rescan.sum(),
        "session has no Clinical Dementia Rating": (unrated & ~rescan).sum(),
    }
    kept = table[~rescan & ~unrated]
    if kept.empty:
        raise MedauditError(f"{path}: no session has a Clinical Dementia Rating (column 'CDR')")
    return kept, [{"reason": why, "count": int(n)} for why, n in counts.items() if n]


def _locate(folder: Path, sessions: pd.Series) -> pd.Series:
    volumes: dict[str, str] = {}
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if found := VOLUME.fullmatch(name):
                where = Path(parent).relative_to(folder) / name
                volumes.setdefault(found[1], where.as_posix())
    missing = sessions[~sessions.isin(volumes)]
    if len(missing):
        raise MedauditError(
            f"{len(missing)} of {len(sessions)} sessions have no *_t88_masked_gfc.hdr below "
            f"{folder}, first {missing.iloc[0]}; unpack all discs there"
        )
    return sessions.map(volumes).astype("str")


def _spread(folder: Path, table: pd.DataFrame, shares: DatasetEntrySlices) -> pd.DataFrame:
    """Return one row per slice used: those around the middle of each session's volume."""
    middles = []
    for volume, positive in zip(table["volume"], table["label"] == 1, strict=True):
        try:
            count = count_slices(folder / volume, PLANE)
        except UnreadableImage as error:
            raise MedauditError(f"{folder / volume}: {error}") from error
        share = shares["positive" if positive else "negative"]
        kept = max(1, int(share * count + 1e-9))  # 0.29 * 100 is 28.999999999999996
        middles.append((count - kept) // 2 + np.arange(kept))
    return table.assign(slice=middles).explode("slice", ignore_index=True).astype({"slice": int})


def _notes(table: pd.DataFrame, settings: DatasetSettings) -> list[str]:
    shares = settings["slices"]
    notes = [
        f"Each image is a coronal slice: of a session without the label the middle "
        f"{shares['negative']:.0%} of the slices, with the label the middle {shares['positive']:.0%}. "
        "FairTune's Table 13 has 25 % of the slices of all sessions except two, which the paper does "
        "not name (12,156 slices; all: 12,220)."
    ]
    if settings["label"] == "cdr_eq_2":
        notes.append(
            f"The label is CDR = 2, as in FairTune's text: {int(table['label'].sum())} of {len(table)} "
            "subjects have it, too few for any estimate. The counts of its Table 13 are those of "
            "CDR > 0."
        )
    return notes
