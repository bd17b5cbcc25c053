"""Schemas, readers and writers of the files that one stage writes and another reads.

A `Table` names its columns, their types and its key. `write_table` and `read_table` check them, so
that a broken table is found where it is made. Every write is atomic (`medaudit.core.atomic`). The
file's suffix chooses the format: ``.parquet`` or ``.csv``.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medaudit.core.atomic import atomic
from medaudit.core.errors import MedauditError
from medaudit.core.statuses import ImageStatus, Status

FLOAT_FORMAT = "%.6g"


@dataclass(frozen=True)
class Table:
    """The schema of one kind of table.

    Parameters
    ----------
    name : str
        Shown in errors.
    columns : dict of str to pyarrow.DataType
        Required columns in their order.
    key : tuple of str
        Columns that together identify a row.
    prefixes : dict of str to pyarrow.DataType
        Types of further columns by the start of their names, e.g. ``y_`` and ``a_``.
    required : tuple of str
        Columns in which no value may be missing, in addition to those of the key.
    statuses : enum
        The values that a column ``status`` may have.
    """

    name: str
    columns: dict[str, pa.DataType]
    key: tuple[str, ...]
    prefixes: dict[str, pa.DataType] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    statuses: type[StrEnum] = Status


TEXT, REAL, WHOLE = pa.string(), pa.float64(), pa.int64()

MANIFEST = Table(
    "manifest",
    {"image_id": TEXT, "patient_id": TEXT, "path": TEXT, "age": REAL, "view": TEXT},
    key=("image_id",),
    prefixes={"y_": REAL, "a_": TEXT},
    required=("patient_id", "path"),
)
COHORT = Table(
    "cohort",
    {"image_id": TEXT, "patient_id": TEXT, "path": TEXT, "age": REAL, "view": TEXT, "split": TEXT},
    key=("image_id",),
    prefixes={"y_": REAL, "a_": TEXT, "w_": REAL},
    required=("patient_id", "path", "split"),
)
GROUPS = Table(
    "groups",
    {"image_id": TEXT},
    key=("image_id",),
    prefixes={"a_": TEXT, "w_": REAL},
)
IMAGES = Table(
    "image index",
    {"image_id": TEXT, "row": WHOLE, "status": TEXT, "error": TEXT},
    key=("image_id",),
    prefixes={"stored_": WHOLE},  # height and width in pixels, where images differ in size
    required=("row", "status"),
    statuses=ImageStatus,
)
EMBEDDINGS = Table(
    "embeddings",
    {"image_id": TEXT, "embedding": pa.list_(pa.float32())},
    key=("image_id",),
    required=("embedding",),
)
PREDICTIONS = Table(
    "predictions",
    {"image_id": TEXT, "split": TEXT, "task": TEXT, "seed": WHOLE, "y": REAL, "score": REAL},
    key=("image_id", "task", "seed"),
    required=("split", "score"),
)
RUN_KEY = ("cohort", "model", "method", "seed", "task", "attribute")
METRICS = Table(
    "metrics",
    {
        **dict.fromkeys((*RUN_KEY, "group", "metric"), TEXT),
        **dict.fromkeys(("value", "low", "high"), REAL),
        **dict.fromkeys(("procedure_low", "procedure_high"), REAL),
        **dict.fromkeys(("shrunk", "shrunk_low", "shrunk_high"), REAL),
        **dict.fromkeys(("n", "n_pos", "n_patients"), WHOLE),
        **dict.fromkeys(("dialect", "status"), TEXT),
    },
    key=(*RUN_KEY, "group", "metric", "dialect"),
    required=("n", "status"),
)
GAPS = Table(
    "gaps",
    {
        **dict.fromkeys((*RUN_KEY, "gap", "metric"), TEXT),
        **dict.fromkeys(
            ("value", "low", "high", "upper", "null_mean", "null_q95", "p_value"),
            REAL,
        ),
        "smallest_detectable": REAL,
        **dict.fromkeys(("worst", "best", "null", "null_status"), TEXT),
        **dict.fromkeys(("n_groups", "n_estimable", "n_movable", "n_patients"), WHOLE),
        **dict.fromkeys(("dialect", "status"), TEXT),
    },
    key=(*RUN_KEY, "gap", "metric", "dialect"),
    required=("n_groups", "n_estimable", "status"),
)


def check_table(frame: pd.DataFrame, table: Table, where: str) -> pa.Table:
    """Return `frame` as an Arrow table with the columns, order and types of its schema.

    Raises
    ------
    MedauditError
        A column is missing or unknown, a value has the wrong type, a required value is missing, a
        status is unknown, or a key is duplicate; the message shows the first such row.
    """
    problems = list(_problems(frame, table))
    if problems:
        raise MedauditError(f"{where} is not a valid {table.name} table: " + "; ".join(problems))
    try:
        arrow = pa.Table.from_pandas(frame, schema=_schema(frame, table), preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise MedauditError(f"{where} is not a valid {table.name} table: {error}") from error
    return arrow.replace_schema_metadata(None)


def write_table(frame: pd.DataFrame, path: Path, table: Table, **metadata: object) -> None:
    """Check `frame` against `table` and write it to `path` atomically.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows; their order is kept.
    path : Path
        Ends in ``.parquet`` or ``.csv`` (numbers as ``%.6g``).
    table : Table
        Its schema.
    **metadata : object
        JSON values stored in a Parquet file's footer (see `read_metadata`).
    """
    arrow = check_table(frame, table, str(path))
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            footer = {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}
            pq.write_table(arrow.replace_schema_metadata(footer), temporary, compression="zstd")
        else:
            arrow.to_pandas().to_csv(
                temporary,
                index=False,
                float_format=FLOAT_FORMAT,
                lineterminator="\n",
                quoting=csv.QUOTE_MINIMAL,
            )


def read_table(path: Path, table: Table, columns: list[str] | None = None) -> pd.DataFrame:
    """Read `path` and check it against `table`; with `columns`, read only these, unchecked."""
    try:
        if path.suffix == ".parquet":
            frame = pq.read_table(path, columns=columns).to_pandas()
        else:
            frame = _read_csv(path, table, columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MedauditError(f"cannot read the {table.name} table {path}: {error}") from error
    if columns is None:
        check_table(frame, table, str(path))
    return frame


def read_audited(cohort: Path, groups: Path | None) -> pd.DataFrame:
    """Read a cohort with the groups and weights of its images.

    Parameters
    ----------
    cohort : Path
        Table `COHORT`.
    groups : Path or None
        Table `GROUPS` of that cohort; None where the cohort's own ``a_`` columns are to be used.
    """
    frame = read_table(cohort, COHORT)
    return frame if groups is None else join_groups(frame, read_table(groups, GROUPS))


def join_groups(cohort: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return the cohort's rows with the columns of `groups`, which replace its own.

    Raises
    ------
    MedauditError
        The two tables do not have the same images.
    """
    indexed = groups.set_index("image_id")
    place = indexed.index.get_indexer(cohort["image_id"])
    if len(indexed) != len(cohort) or (place < 0).any():
        raise MedauditError(
            f"the table of groups has {len(indexed)} images, the cohort {len(cohort)}, and they "
            "are not the same: run the stage `groups` again"
        )
    added = indexed.iloc[place].set_index(cohort.index)
    kept = [column for column in cohort.columns if column not in added.columns]
    return pd.concat([cohort[kept], added], axis=1)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON metadata that `write_table` stored in a Parquet file."""
    footer = pq.read_schema(path).metadata or {}
    return {
        key.decode(): json.loads(value)
        for key, value in footer.items()
        if not key.startswith((b"ARROW", b"pandas"))
    }


def write_json(value: object, path: Path) -> None:
    """Write `value` as readable JSON with sorted keys, atomically; NaN is refused."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_array(array: np.ndarray, path: Path) -> None:
    """Write a NumPy array as ``.npy``, atomically; object arrays are refused."""
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def _type_of(column: str, table: Table) -> pa.DataType | None:
    by_prefix = (kind for prefix, kind in table.prefixes.items() if column.startswith(prefix))
    return table.columns.get(column) or next(by_prefix, None)


def _schema(frame: pd.DataFrame, table: Table) -> pa.Schema:
    extra = [column for column in frame.columns if column not in table.columns]
    return pa.schema([(column, _type_of(column, table)) for column in [*table.columns, *extra]])


def _problems(frame: pd.DataFrame, table: Table) -> Iterator[str]:
    lacking = [column for column in table.columns if column not in frame.columns]
    unknown = [column for column in frame.columns if _type_of(column, table) is None]
    if lacking:
        yield f"the columns {lacking} are missing (it has {list(frame.columns)})"
    if unknown:
        yield f"the columns {unknown} are unknown"
    for column in (*table.key, *table.required):
        missing = frame[column].isna() if column in frame.columns else pd.Series(dtype=bool)
        if missing.any():
            yield f"{column} is missing in {missing.sum()} rows, first in row {missing.idxmax()}"
    yield from _status_problems(frame, table)
    if not lacking and frame.duplicated(list(table.key)).any():
        shared = frame.loc[frame.duplicated(list(table.key), keep=False), list(table.key)]
        yield f"{len(shared)} rows have a duplicate key, e.g. {shared.iloc[0].to_dict()}"


def _status_problems(frame: pd.DataFrame, table: Table) -> Iterator[str]:
    if "status" in table.columns and "status" in frame.columns:
        unknown = sorted(set(frame["status"].dropna()) - set(table.statuses), key=str)
        if unknown:
            known = ", ".join(table.statuses)
            yield f"the statuses {unknown} are unknown; known: {known}"


def _read_csv(path: Path, table: Table, columns: list[str] | None) -> pd.DataFrame:
    # Text stays text: a group may be called "NA", and ids may look like numbers.
    header = pd.read_csv(path, nrows=0).columns
    kinds = {column: _type_of(column, table) for column in header}
    text = {column: "str" for column, kind in kinds.items() if kind == TEXT}
    frame = pd.read_csv(path, usecols=columns, dtype=text, keep_default_na=False, na_values=[""])
    return frame.astype({c: "Int64" for c in frame.columns if kinds.get(c) == WHOLE})
