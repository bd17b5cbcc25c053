"""Any table and pictures, read as an entry of the catalogue describes them: no code is needed.

Inside: `tables` reads, joins and filters, `source` holds the rows with the line of each value,
`labels`, `groups`, `ages` and `paths` make the columns of a manifest, `readers` combines several
rows of one image.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset, dataset_folder
from medaudit.data.datasets.columns.ages import ages
from medaudit.data.datasets.columns.groups import group, owner_split
from medaudit.data.datasets.columns.labels import label
from medaudit.data.datasets.columns.paths import MIXED, check_unique, file_formats, paths
from medaudit.data.datasets.columns.readers import combine_rows, keep_readers
from medaudit.data.datasets.columns.source import Source, listed
from medaudit.data.datasets.columns.tables import DICOM, named_tables, open_source

SPLIT = "official_split"
"""Attribute that holds the owner's split."""


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read a dataset as its entry describes it.

    Parameters
    ----------
    settings : dict
        The catalogue entry. ``folder`` : where tables and pictures are. ``table`` : a file in it,
        or ``(dicom)`` for the headers of the DICOM files; or ``tables``, with the same columns.
        ``join``, ``keep``, ``unpivot``, ``missing_values`` : see `tables.open_source`.
        ``columns`` : ``path``, ``patient``, ``image``, ``age``, ``view``, ``split``. ``labels`` :
        see `labels.label`. ``groups`` : see `groups.group`. ``readers`` : see
        `readers.combine_rows`.

    Returns
    -------
    LoadedDataset
        One row per image in the order of the table; ``a_official_split`` is the owner's split, and
        ``a_file_format`` tells DICOM from other files if there are both.

    Raises
    ------
    MedauditError
        A table, column or value is not as described: file, line, value, and what to do.
    """
    folder = dataset_folder(settings)
    entry = cast(dict[str, Any], settings)
    if folder is None:
        raise MedauditError(
            f"dataset {entry.get('name', 'columns')}: the loader `columns` needs `folder`: the "
            "folder that holds the table and the pictures"
        )
    source = open_source(entry, folder)
    keep_readers(source, entry.get("readers"))
    frame = _manifest(source, entry, folder)
    if entry.get("readers"):
        frame = combine_rows(source, frame, entry["readers"])
    _, name = _image_template(entry)
    check_unique(source, frame["image_id"], "columns.image", _column_of(source, name))
    if DICOM not in named_tables(entry):
        _warn_of_formats(source, frame)
    notes = [*listed(entry.get("notes")), *source.notes]
    unit = "patient" if (entry.get("columns") or {}).get("patient") else "image"
    return LoadedDataset(frame, source.tables, source.exclusions, notes, unit)


def _manifest(source: Source, entry: Mapping[str, Any], folder: Path) -> pd.DataFrame:
    columns = entry["columns"]
    path = paths(source, entry, folder)
    template, _ = _image_template(entry)
    image = path if template is None else source.texts(template, "columns.image")
    blank = pd.Series(pd.NA, index=path.index, dtype="str")
    parts: dict[str, Any] = {
        "image_id": image,
        "patient_id": _patients(source, columns.get("patient"), image),
        "path": path,
        "age": ages(source, columns.get("age")),
        "view": group(source, "view", columns["view"], "columns.view")
        if columns.get("view")
        else blank,
    }
    for name, spec in entry["labels"].items():
        parts[f"y_{name}"] = label(source, name, spec)
    for name, spec in (entry.get("groups") or {}).items():
        parts[f"a_{name}"] = group(source, name, spec, f"groups.{name}")
    if columns.get("split"):
        parts[f"a_{SPLIT}"] = owner_split(source, columns["split"])
    return pd.DataFrame(parts)


def _image_template(entry: Mapping[str, Any]) -> tuple[str | None, str]:
    template = entry["columns"].get("image")
    return template, template or entry["columns"]["path"]


def _column_of(source: Source, template: str) -> str:
    """Return the column that a template starts with, for the lines of an error."""
    field = template.partition("{")[2].partition("}")[0].partition(":")[0]
    return template if template in source.frame else field


def _patients(source: Source, template: str | None, image: pd.Series) -> pd.Series:
    if template is None:
        source.notes.append(
            "The table does not identify patients: every image counts as a patient of its own, so "
            "a person may be in two splits and intervals may be too narrow."
        )
        return image
    patient = source.texts(template, "columns.patient")
    blank = patient.isna().to_numpy()
    if blank.any():
        name = _column_of(source, template)
        source.fail(
            name,
            blank,
            "so the patient is not known",
            f"fill it in, or leave such rows out: `keep: [{{column: {name}}}]`",
        )
    return patient


def _warn_of_formats(source: Source, frame: pd.DataFrame) -> None:
    """Note that DICOM and other files are mixed, which makes brightness depend on the format."""
    formats = file_formats(frame["path"])
    dicom = int((formats == "DICOM").sum())
    if not MIXED * len(frame) <= dicom <= (1 - MIXED) * len(frame):
        return
    frame["a_file_format"] = formats
    source.notes.append(
        f"{dicom} images are DICOM files, shown through the window in their headers, and "
        f"{len(frame) - dicom} are not: the two may differ in brightness, so the file format can "
        "stand for the site or scanner. The attribute file_format compares them."
    )


def image_path(folder: Path, path: str) -> Path:
    """Return the file of a row's ``path``."""
    return folder / path
