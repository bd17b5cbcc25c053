"""Whether the predictions of a file are about synthetic images, as their footer says."""

from collections.abc import Iterable
from pathlib import Path

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_metadata


def is_synthetic(files: Iterable[Path]) -> bool:
    """Return whether a Parquet file bears the mark of phantoms that every stage passes on."""
    return any(_footer(path).get("phantom") is True for path in files if path.suffix == ".parquet")


def _footer(path: Path) -> dict:
    try:
        return read_metadata(path)
    except (MedauditError, ValueError):  # another writer's footer need not be JSON
        return {}
