"""Find an owner's table and images, wherever a download or a mirror has put them."""

import logging
import os
from pathlib import Path

import pandas as pd

from medaudit.core.errors import MedauditError

_log = logging.getLogger(__name__)


def find_table(folder: Path, named: str | None, names: tuple[str, ...]) -> Path:
    """Return the path of a table in the owner's folder or one level below.

    Parameters
    ----------
    folder : Path
        The owner's folder.
    named : str or None
        The catalogue's ``table``: a path inside the folder. None: search for `names`.
    names : tuple of str
        Names (or patterns) that the owner and mirrors use, the preferred first.

    Raises
    ------
    MedauditError
        There is no such table, or there are two with the same name.
    """
    wanted = (named,) if named is not None else names
    for name in wanted:
        here = sorted(folder.glob(name)) or sorted(folder.glob(f"*/{name}"))
        if len(here) > 1:
            raise MedauditError(
                f"{folder} contains {[str(path.relative_to(folder)) for path in here]}; set `table` "
                "of the dataset to the one to use"
            )
        if here:
            return here[0]
    raise MedauditError(
        f"there is no {' or '.join(wanted)} in {folder} or one level below; set `table` of the "
        "dataset to the file's path in this folder"
    )


def locate_images(
    folder: Path, names: pd.Series, places: pd.Series, suffixes: tuple[str, ...]
) -> pd.Series:
    """Return the path of each image below `folder`, relative to it.

    Parameters
    ----------
    folder : Path
        Folder to search, with all its subfolders.
    names : pandas.Series
        File name of each image without its suffix.
    places : pandas.Series
        Path of each image in the owner's layout. It is returned for an image that is not found, so
        that the stage `images` reports it.
    suffixes : tuple of str
        Suffixes of image files in lower case, e.g. ``(".jpg",)``.
    """
    index: dict[str, str] = {}
    for place, _, files in sorted(os.walk(folder)):
        where = Path(place).relative_to(folder)
        for name in sorted(files):
            image = where / name
            if image.suffix.lower() in suffixes:
                index.setdefault(image.stem, image.as_posix())
    found = names.map(index)
    missing = int(found.isna().sum())
    if missing:
        first = names[found.isna()].iloc[0]
        _log.warning(
            "%d of %d images are not below %s, first %r", missing, len(names), folder, first
        )
    return found.where(found.notna(), places).astype("str")
