"""Draft an entry of the loader `columns` for tables and pictures that no loader knows."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.cli.discover.column_roles import Roles, find_roles, words_of
from medaudit.cli.discover.joins import find_joins
from medaudit.cli.discover.pictures import SUFFIXES, PathColumn, find_path, index_pictures
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError
from medaudit.data import datasets
from medaudit.data.datasets.columns.source import as_text
from medaudit.data.datasets.columns.tables import DICOM, key_columns, open_source
from medaudit.data.readers.dicom_headers import KEYWORDS, find_dicom, read_headers
from medaudit.data.readers.sheet import read_sheet

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".xlsx", ".parquet", ".csv.gz", ".tsv.gz", ".txt")
MOST_TABLES = 20
LARGEST = 1 << 30
"""Bytes of a table that is read for a draft."""

ATTRIBUTES = 4
PEOPLE = {"race", "ethnic", "ethnicity", "insurance", "language", "skin", "fitzpatrick"}
"""Words of attributes of patients, which are audited before those of devices."""

SIDE = 64
"""Side of the stored pictures for a first report."""


@dataclass
class Draft:
    """An entry for tables that no loader knows.

    Parameters
    ----------
    name : str
        Of the dataset and of its cohort.
    entry, cohort : dict
        For the catalogues of datasets and cohorts.
    images : int
        Rows of the manifest; 0 if the entry cannot be read yet.
    seen, sampled : int
        Sampled pictures that exist, and pictures looked for.
    unsure : list of str
        Sentences: what the user has to decide.
    others : list of str
        Lines of YAML for further groups.
    """

    name: str
    entry: dict[str, Any]
    cohort: dict[str, Any]
    images: int = 0
    seen: int = 0
    sampled: int = 0
    unsure: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def draft_dataset(root: Path, files: list[Path], config: Config) -> tuple[Draft | None, list[str]]:
    """Return an entry for the tables among `files`, and sentences on tables that are not used.

    Parameters
    ----------
    root : Path
        The folder; it becomes the dataset's.
    files : list of Path
        Below it.
    config : dict
        The checked configuration: a name that it has is not used again.
    """
    name = _name(root, config)
    tables, problems = _read_tables(root, files)
    pictures = index_pictures(root)
    ways = {table: find_path(frame, pictures) for table, frame in tables.items()}
    found = {table: way for table, way in ways.items() if way is not None}
    if found:
        base = max(found, key=lambda table: (round(found[table].share, 2), len(tables[table])))
        way = found[base]
    elif tables and find_dicom(root):
        base, way = DICOM, PathColumn("File", "as_given", ("File",), 1.0, 0, True)
        tables[DICOM] = read_headers(root, {"name": name}).frame
    else:
        return None, [*problems, *_explain(root, tables, len(pictures.paths))]
    rows = tables.pop(base)
    joins, unused = find_joins(rows, tables)
    problems += [f"{root / table}: {why}" for table, why in unused.items()]
    draft = _compose(name, root, base, way, joins, [*rows.columns, *_names(tables)])
    return draft, problems


def _name(root: Path, config: Config) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", root.name).strip("_.-") or "ours"
    taken = {*config["datasets"], *config["cohorts"]}
    return next(n for n in (name, *(f"{name}_{k}" for k in range(2, 99))) if n not in taken)


def _names(tables: dict[str, pd.DataFrame]) -> list[str]:
    return [str(column) for frame in tables.values() for column in frame.columns]


def _read_tables(root: Path, files: list[Path]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    found, problems = {}, []
    tables = [path for path in files if path.name.lower().endswith(TABLE_SUFFIXES)]
    for path in tables[:MOST_TABLES]:
        if path.stat().st_size > LARGEST:
            problems.append(f"{path} was not read: it is larger than {LARGEST >> 20} MiB")
            continue
        try:
            frame = read_sheet(path).frame
        except MedauditError as error:
            problems.append(str(error))
            continue
        plain = [n for n in frame.columns if _is_scalar(frame[n])]
        found[path.relative_to(root).as_posix()] = pd.DataFrame(
            {name: as_text(frame[name]) for name in plain}
        )
    problems += [f"{path} was not read: only {MOST_TABLES} are" for path in tables[MOST_TABLES:]]
    return found, problems


def _is_scalar(column: pd.Series) -> bool:
    return column.dtype != object or not column.map(lambda v: isinstance(v, list | dict | np.ndarray)).any()  # fmt: skip


def _explain(root: Path, tables: dict[str, pd.DataFrame], pictures: int) -> list[str]:
    if not tables:
        return []
    return [
        f"the tables {list(tables)} below {root} have no column with the names of pictures there "
        f"({pictures:,} files ending in {', '.join(SUFFIXES)}): put the pictures below this folder, "
        "or write the entry yourself (docs/your-data.md)"
    ]


def _compose(
    name: str,
    root: Path,
    base: str,
    way: PathColumn,
    joins: list[dict[str, Any]],
    names: list[str],
) -> Draft:
    entry: dict[str, Any] = {"loader": "columns", "folder": str(root.absolute()), "table": base}
    if joins:
        entry["join"] = joins
    roles = _roles(name, root, entry, way, names)
    if base != DICOM and way.dicom and not ("sex" in roles.groups and "age" in roles.columns):
        entry["join"] = [*joins, {"table": DICOM, "on": {way.template: "File"}}]
        roles = _roles(name, root, entry, way, [*names, *KEYWORDS])
    entry["columns"] = {"path": way.template, **roles.columns}
    if way.locate != "as_given":
        entry["locate"] = way.locate
    entry["labels"], entry["groups"] = roles.labels, roles.groups
    draft = Draft(name, entry, _cohort(name, roles), unsure=roles.unsure, others=roles.others)
    if not _attributes(roles):
        draft.unsure.append(
            "groups: no column with groups of patients was found; name one, e.g. {site: NAME}"
        )
        entry["groups"] = {"group": roles.columns["patient"] or way.columns[0]}
        draft.cohort["attributes"] = ["group"]
    if not roles.labels:
        draft.unsure.append(
            "labels: no column with yes and no, 1 and 0 or the like was found; name the one to "
            'predict, e.g. {Effusion: {column: NAME, positive: ["..."], negative: rest}}'
        )
        entry["labels"] = {"label": names[-1]}
        draft.cohort["tasks"] = ["label"]
    _try(draft)
    return draft


def _roles(
    name: str, root: Path, entry: dict[str, Any], way: PathColumn, names: list[str]
) -> Roles:
    """Return the roles of an entry's columns; those of DICOM headers include the technique."""
    source = open_source({**entry, "name": name, "columns_to_read": names}, root)
    joins = entry.get("join", [])
    keys = [key for join in joins for key in key_columns(join["on"]) if key in source.frame]
    headers = DICOM in (entry["table"], *(join["table"] for join in joins))
    hidden = _DICOM_FACTS if headers else ()
    roles = find_roles(source.frame, [*way.columns, *hidden], keys)
    if headers:
        _add_dicom(roles, source.frame)
    return roles


_DICOM_FACTS = (
    *("Stem", "Rows", "Columns", "NumberOfFrames", "WindowCenter", "WindowWidth", "Modality"),
    *("PhotometricInterpretation", "PixelSpacing", "ImagerPixelSpacing", "KVP", "StudyDate"),
    *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "BurnedInAnnotation"),
    *("Laterality", "ImageLaterality", "BodyPartExamined", "StationName"),
)
"""Columns of DICOM headers that are no groups of patients, or only on request."""


def _add_dicom(roles: Roles, frame: pd.DataFrame) -> None:
    """Offer what the headers have beyond patients: technique and burnt-in annotation."""
    for name in ("StationName", "ImageLaterality", "BodyPartExamined", "BurnedInAnnotation"):
        if 1 < frame[name].nunique() <= 20:
            roles.others.append(f"{name}: {name}")
    for name in ("KVP", "PixelSpacing"):
        if frame[name].nunique() > 3:
            roles.others.append(f"{name}: {{column: {name}, quantiles: 3}}")


def _attributes(roles: Roles) -> list[str]:
    ages = ["age_group"] if "age" in roles.columns else []
    return [*roles.groups, *ages]


def _cohort(name: str, roles: Roles) -> dict[str, Any]:
    """Return a first cohort: all pictures with a label, split by patient."""
    tasks = list(roles.labels)
    offered = _attributes(roles)
    people = [name for name in roles.groups if words_of(name) & PEOPLE]
    first = [a for a in ("sex", "age_group") if a in offered]
    wanted: list[str | list[str]] = []
    wanted += list(dict.fromkeys([*first, *people, *offered]))[:ATTRIBUTES]
    if {"sex", "age_group"} <= set(wanted):
        wanted.append(["sex", "age_group"])
    split: dict[str, Any] = {"kind": "shares", "train": 0.5, "val": 0.2, "test": 0.3}
    if "split" in roles.columns:
        split = {"kind": "official", "attribute": "official_split"}
    return {
        "dataset": name,
        "builder": "subjects",
        "task_type": "binary" if len(tasks) < 2 else "multilabel",
        "tasks": tasks,
        "split": split,
        **({"age_threshold": 60, "age_rule": "ge"} if "age" in roles.columns else {}),
        "attributes": wanted,
        "image_size": SIDE,
        "on_error": "fail",
        "seed": 1,
    }


def _try(draft: Draft) -> None:
    """Read the dataset by the draft, and count the pictures that are there."""
    try:
        frame = datasets.load({**draft.entry, "name": draft.name}).frame
    except MedauditError as error:
        draft.unsure.append(f"it cannot be read yet: {error}")
        return
    draft.images = len(frame)
    rows = np.unique(np.linspace(0, len(frame) - 1, min(200, len(frame))).astype(int))
    files = frame["path"].iloc[rows].str.partition("#")[0]
    folder = Path(draft.entry["folder"])
    draft.seen, draft.sampled = sum((folder / name).is_file() for name in files), len(files)
    labels = frame[[f"y_{task}" for task in draft.cohort["tasks"]]]
    lost = int(labels.isna().any(axis=1).sum())
    if lost:
        draft.unsure.append(
            f"cohorts.{draft.name}.tasks: {lost} of {len(frame)} pictures lack one of the labels and "
            "are left out; audit fewer tasks, or set `uncertain_as` and `blank` of the labels"
        )
