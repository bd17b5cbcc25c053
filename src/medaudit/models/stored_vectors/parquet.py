"""Parquet: a column of lists, or one column per number."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medaudit.core.errors import MedauditError
from medaudit.models.stored_vectors.opened import (
    ID_NAMES,
    VECTOR_NAMES,
    Opened,
    as_ids,
    choose,
    reshaped,
)

_NUMBERED = re.compile(r"(.*?)_?(\d+)")


def open_parquet(path: Path, entry: Mapping[str, Any]) -> Opened:
    """Open a table with one row per image."""
    try:
        file = pq.ParquetFile(path)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MedauditError(f"{path} is not a readable Parquet file: {error}") from error
    lists = [field.name for field in schema if _is_list(field.type)]
    texts = [field.name for field in schema if _is_id(field.type)]
    wide = _wide(schema)
    wanted = entry.get("array")
    if lists and wanted not in wide:
        array = choose(lists, wanted, VECTOR_NAMES, "array")
        return _of_lists(path, schema, rows, array, _ids(texts, schema, entry), entry)
    array = choose(wide, wanted, VECTOR_NAMES, "array")
    texts = [name for name in texts if name not in wide[array]]
    return _of_columns(path, schema, rows, wide[array], array, _ids(texts, schema, entry), entry)


def _ids(texts: list[str], schema: pa.Schema, entry: Mapping[str, Any]) -> str:
    if not texts and entry.get("ids") is None:
        raise MedauditError(f"no column can hold ids; the columns are {schema.names[:8]}")
    return choose(texts, entry.get("ids"), ID_NAMES, "ids")


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _is_id(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    return text or pa.types.is_string_view(kind) or pa.types.is_integer(kind)


def _wide(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the columns that are numbered, in the order of their numbers, by their common name."""
    found = [
        (match[1], int(match[2]), field.name)
        for field in schema
        if _is_number(field.type) and (match := _NUMBERED.fullmatch(field.name))
    ]
    counts = Counter(start for start, _, _ in found)
    return {
        start or "columns": [
            name for own, _, name in sorted(found, key=lambda f: f[1]) if own == start
        ]
        for start, count in counts.items()
        if count > 1
    }


def _of_columns(
    path: Path,
    schema: pa.Schema,
    rows: int,
    columns: list[str],
    array: str,
    ids: str,
    entry: Mapping[str, Any],
) -> Opened:
    shape = reshaped((rows, len(columns)), entry, f"{path}: {array}")
    kind = np.result_type(*(schema.field(name).type.to_pandas_dtype() for name in columns))

    def load() -> tuple[np.ndarray, np.ndarray]:
        table = pq.read_table(path, columns=[ids, *columns])
        vectors = np.empty((rows, len(columns)), kind)
        for place, name in enumerate(columns):
            vectors[:, place] = table[name].to_numpy()
        return _text(table, ids, path), vectors.reshape(shape)

    return Opened(shape, kind, array, load)


def _of_lists(
    path: Path, schema: pa.Schema, rows: int, array: str, ids: str, entry: Mapping[str, Any]
) -> Opened:
    first = pq.ParquetFile(path).iter_batches(1, columns=[array])
    one = next(first, None)
    length = _nested_shape(one[array][0].as_py(), f"{path}: {array}") if one else (0,)
    kind = schema.field(array).type
    while _is_list(kind):
        kind = kind.value_type
    shape = reshaped((rows, *length), entry, f"{path}: {array}")

    def load() -> tuple[np.ndarray, np.ndarray]:
        table = pq.read_table(path, columns=[ids, array])
        flat = table[array].combine_chunks()
        flat = pa.concat_arrays(flat.chunks) if isinstance(flat, pa.ChunkedArray) else flat
        if flat.null_count:
            raise MedauditError(f"{path}: {flat.null_count} rows of {array} have no vector")
        for expected in length:
            sizes = np.unique(np.asarray(flat.value_lengths()))
            if sizes.tolist() != [expected]:
                raise MedauditError(
                    f"{path}: the vectors of {array} have the lengths {sizes[:5].tolist()}; all must "
                    "have one length"
                )
            flat = flat.flatten()
        numbers = flat.to_numpy(zero_copy_only=False)
        return _text(table, ids, path), numbers.reshape(shape)

    return Opened(shape, np.dtype(kind.to_pandas_dtype()), array, load)


def _nested_shape(value: Any, where: str) -> tuple[int, ...]:
    """Return the shape of nested lists, from the first of each."""
    if value is None:
        raise MedauditError(f"{where}: the first row has no vector")
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _text(table: pa.Table, ids: str, path: Path) -> np.ndarray:
    column = table[ids]
    if column.null_count:
        raise MedauditError(f"{path}: {column.null_count} rows have no id in {ids}; fill it")
    return as_ids(np.asarray(column.to_pylist(), dtype=object), f"{path}: {ids}")
