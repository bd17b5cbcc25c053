"""Find an owner's tables and pictures wherever a download or a mirror has put them."""

import logging
import os
from pathlib import Path

import pandas as pd

from medaudit.core.errors import MedauditError

_log = logging.getLogger(__name__)


def find_table(folder: Path, named: str | None, names: tuple[str, ...]) -> Path:
    """Return a table of the owner's folder or of one level below.

    Parameters
    ----------
    folder : Path
        The owner's folder.
    named : str or None
        The catalogue's ``table``: a path inside the folder; None looks for `names`.
    names : tuple of str
        The names (or patterns) that the owner and mirrors give it, the best first.

    Raises
    ------
    MedauditError
        There is none, or the same name stands in two places.
    """
    wanted = (named,) if named is not None else names
    for name in wanted:
        here = sorted(folder.glob(name)) or sorted(folder.glob(f"*/{name}"))
        if len(here) > 1:
            raise MedauditError(
                f"{folder} holds {[str(path.relative_to(folder)) for path in here]}; set `table` "
                "of the dataset to the one to use"
            )
        if here:
            return here[0]
    raise MedauditError(
        f"there is no {' or '.join(wanted)} in {folder} or its folders; set `table` of the dataset "
        "to the file's name"
    )


def locate_pictures(
    folder: Path, names: pd.Series, places: pd.Series, suffixes: tuple[str, ...]
) -> pd.Series:
    """Return the path of each picture below `folder`, relative to it.

    Parameters
    ----------
    folder : Path
        Searched in full, once.
    names : pandas.Series
        Name of each picture without its suffix.
    places : pandas.Series
        Where the owner puts it: the path of one that is not found, so that the stage that reads
        images reports it.
    suffixes : tuple of str
        Of the files that are pictures, in lower case, e.g. ``(".jpg",)``.
    """
    index: dict[str, str] = {}
    for place, _, files in sorted(os.walk(folder)):
        where = Path(place).relative_to(folder)
        for name in sorted(files):
            picture = where / name
            if picture.suffix.lower() in suffixes:
                index.setdefault(picture.stem, picture.as_posix())
    found = names.map(index)
    lacking = int(found.isna().sum())
    if lacking:
        first = names[found.isna()].iloc[0]
        _log.warning(
            "%d of %d pictures are not below %s, first %r", lacking, len(names), folder, first
        )
    return found.where(found.notna(), places).astype("str")
