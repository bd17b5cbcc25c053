"""Compare the values of a column with the values that an entry lists."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError


def plain(value: Any) -> str:
    """Return a value as it is compared: lower case, numbers without ``.0``, decimal points."""
    text = str(value).strip().casefold()
    try:
        number = float(text.replace(",", ".")) if text[-1:].isdigit() or text[-1:] == "." else None
    except ValueError:
        return text
    return text if number is None else f"{number:.12g}"


def words(value: Any) -> list[str]:
    """Return the texts that a listed value stands for: YAML turns a bare yes into true."""
    if isinstance(value, bool):
        return ["true", "yes", "on"] if value else ["false", "no", "off"]
    return [plain(value)]


def finder(listed: Sequence[Any]) -> Callable[[str], bool]:
    """Return a function that tells whether a value is listed; ``*`` stands for any characters."""
    texts = [word for value in listed for word in words(value)]
    exact = {text for text in texts if "*" not in text}
    patterns = [text for text in texts if "*" in text]

    def found(value: str) -> bool:
        text = plain(value)
        return text in exact or any(fnmatchcase(text, pattern) for pattern in patterns)

    return found


class Distinct:
    """The distinct values of a column: what depends on the value is computed once for each.

    Parameters
    ----------
    text : pandas.Series
        Text; blanks are missing.
    """

    def __init__(self, text: pd.Series) -> None:
        codes, values = pd.factorize(text)
        self.codes: np.ndarray = codes
        self.values: list[str] = list(values)
        self.index = text.index

    @property
    def blank(self) -> np.ndarray:
        """Which rows are blank, bool of shape (rows,)."""
        return self.codes < 0

    def where(self, function: Callable[[str], bool]) -> np.ndarray:
        """Return in which rows the function of the value is true; not in blank ones."""
        return np.array([*(function(value) for value in self.values), False], bool)[self.codes]

    def numbers(self, function: Callable[[str], float]) -> np.ndarray:
        """Return a number for each row; NaN for blank ones."""
        return np.array([*(function(value) for value in self.values), np.nan], float)[self.codes]

    def texts(self, function: Callable[[str], str | None]) -> pd.Series:
        """Return a text for each row; missing for blank ones and where the function gives None."""
        made = pd.Series([function(value) for value in self.values], dtype="str").array
        return pd.Series(made.take(self.codes, allow_fill=True), index=self.index)


def matches(text: pd.Series, listed: Sequence[Any]) -> np.ndarray:
    """Return which values of a column are listed, bool of shape (rows,); blanks are not."""
    return Distinct(text).where(finder(listed))


def level_of(levels: Mapping[str, Any], key: str) -> Callable[[str], str | None]:
    """Return a function that gives the level that lists a value; None if none does.

    A value that is listed as it is comes before patterns with ``*``, and a longer pattern before a
    shorter one, so that the order of the levels does not matter.

    Raises
    ------
    MedauditError
        Two levels list the same value.
    """
    exact: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for name, values in levels.items():
        for word in (
            w for v in (values if isinstance(values, list) else [values]) for w in words(v)
        ):
            place = patterns if "*" in word else exact
            if place.setdefault(word, name) != name:
                raise MedauditError(
                    f"`{key}.levels`: {word!r} is in {place[word]} and in {name}; list it once"
                )
    ordered = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))

    def found(value: str) -> str | None:
        text = plain(value)
        if text in exact:
            return exact[text]
        return next((patterns[p] for p in ordered if fnmatchcase(text, p)), None)

    return found
