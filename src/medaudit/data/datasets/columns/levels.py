"""Compare the values of a column with the values that an entry lists."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd


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


def matches(text: pd.Series, listed: Sequence[Any]) -> np.ndarray:
    """Return which values of a column are listed, bool of shape (rows,); blanks are not."""
    return map_values(text, finder(listed), False).astype(bool)


def map_values(text: pd.Series, function: Callable[[str], Any], blank: Any) -> np.ndarray:
    """Return a function of each value, computed once per distinct value; objects, (rows,)."""
    codes, values = pd.factorize(text)
    table = np.empty(len(values) + 1, dtype=object)
    table[:-1] = [function(value) for value in values]
    table[-1] = blank
    return table[codes]


def level_of(levels: Mapping[str, Sequence[Any]]) -> Callable[[str], str | None]:
    """Return a function that gives the first level that lists a value; None if none does."""
    finders = {
        name: finder(listed if isinstance(listed, list) else [listed])
        for name, listed in levels.items()
    }

    def found(value: str) -> str | None:
        return next((name for name, contains in finders.items() if contains(value)), None)

    return found
