"""Match the image ids of somebody else's file with those of a cohort.

The same image is ``00000003_000.png`` in one table, ``images/00000003_000.png`` in another and
``00000003_000`` in a third; CheXpert's ids are paths whose file names repeat. So several rules are
tried, the strictest first, and the first one under which any id matches is used for all of them. A
rule under which two images of the cohort have the same key is never used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

MOST_PARTS = 5
"""Parts of a path, from its end, that are compared at most."""

_NO_WORD = re.compile(r"[^0-9a-z]+")
_SUFFIX = re.compile(r"(\.(dcm|dicom|png|jpe?g|tiff?|bmp|webp|npy|npz|nii|gz|h5|tfrecords?))+$")


@dataclass(frozen=True)
class IdMatch:
    """Which id of a list belongs to which image of a cohort.

    Parameters
    ----------
    rule : str or None
        The rule in words; None if no id matches.
    place : numpy.ndarray
        For each image of the cohort the position of its first id in the list, int64; -1 if it has
        none.
    extra : numpy.ndarray
        Positions of the ids of the list that belong to no image of the cohort.
    repeated : numpy.ndarray
        Positions of the ids that belong to an image which already has one, after the first.
    owner : numpy.ndarray
        For each of `repeated` the image's row in the cohort.
    """

    rule: str | None
    place: np.ndarray
    extra: np.ndarray
    repeated: np.ndarray
    owner: np.ndarray


def match_ids(ids: np.ndarray, cohort: pd.DataFrame) -> IdMatch:
    """Match `ids` with the images of a cohort.

    Parameters
    ----------
    ids : numpy.ndarray
        Text, ``[n]``: names or paths of images as the list has them.
    cohort : pandas.DataFrame
        ``image_id`` and ``path``.

    Returns
    -------
    IdMatch
        By the first rule that matches any id.
    """
    given = pd.Series(np.asarray(ids, dtype=object), dtype="str")
    for rule, theirs, ours in _rules(given, cohort):
        index = pd.Index(ours)
        if not index.is_unique:
            continue
        image = np.where(theirs == "", -1, index.get_indexer(pd.Index(theirs)))
        if (image >= 0).any():
            return _matched(rule, image, len(cohort))
    nobody = np.full(len(cohort), -1, np.int64)
    nothing = np.array([], np.int64)
    return IdMatch(None, nobody, np.arange(len(given)), nothing, nothing)


def _matched(rule: str, image: np.ndarray, count: int) -> IdMatch:
    known = np.flatnonzero(image >= 0)
    place = np.full(count, -1, np.int64)
    place[image[known][::-1]] = known[::-1]  # of several, the first is written last
    repeated = known[place[image[known]] != known]
    return IdMatch(rule, place, np.flatnonzero(image < 0), repeated, image[repeated])


def _rules(given: pd.Series, cohort: pd.DataFrame) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    """Yield the rules, the strictest first: name, keys of the list, keys of the cohort."""
    columns = [("image_id", cohort["image_id"]), ("path", cohort["path"].astype("str"))]
    for name, column in columns:
        yield f"the {name}", given, column
    # A list can have a million ids: what is derived from them is derived once.
    plain, keys = _plain(given), dict[int | None, pd.Series]()

    def theirs(count: int | None) -> pd.Series:
        if count not in keys:
            keys[count] = _key(plain, count)
        return keys[count]

    ours = [(name, _plain(column)) for name, column in columns]
    for name, own in ours:
        yield f"the {name} without suffix and punctuation", theirs(None), _key(own, None)
    for count in range(MOST_PARTS, 0, -1):
        last = f"the last {count} parts" if count > 1 else "the file name without its suffix"
        for name, own in ours:
            yield f"{last} of the {name}", theirs(count), _key(own, count)
            yield f"{last} of the {name}", theirs(None), _key(own, count)


def _plain(paths: pd.Series) -> list[str]:
    """Return each path in lower case, with slashes and without its suffix; missing ones are empty."""
    texts = ("" if path is None or path != path else str(path) for path in paths.tolist())
    lower = (text.casefold().replace("\\", "/").strip().removeprefix("./") for text in texts)
    return [_SUFFIX.sub("", text).strip("/") for text in lower]


def _key(paths: list[str], count: int | None) -> pd.Series:
    """Return the last `count` parts (None: all) of each path as words joined by one underscore."""
    parts = paths if count is None else ["/".join(p.rsplit("/", count)[-count:]) for p in paths]
    return pd.Series([_NO_WORD.sub("_", part).strip("_") for part in parts], dtype="str")
