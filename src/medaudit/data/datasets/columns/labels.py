"""Labels of an entry: 1, 0 or missing for each row, from levels, lists of words or thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.levels import Distinct, finder
from medaudit.data.datasets.columns.source import Source, listed

POSITIVE = ("1", "yes", "true", "positive", "pos", "present", "y", "t", "+")
NEGATIVE = ("0", "no", "false", "negative", "neg", "absent", "n", "f")
LIMITS = {
    "above": np.greater,
    "at_least": np.greater_equal,
    "below": np.less,
    "at_most": np.less_equal,
}
POLICIES = {"ignore": np.nan, "zeros": 0.0, "ones": 1.0}
_QUOTES = " \t'\"[](){}"


def label(source: Source, name: str, spec: str | Mapping[str, Any]) -> np.ndarray:
    """Return a label of each row: 1, 0 or NaN.

    Parameters
    ----------
    source : Source
        The rows.
    name : str
        The label's name, for messages.
    spec : str or dict
        A column, or ``column`` (one, or several with ``rule``) and

        - ``positive`` and ``negative``: lists of values, ``negative: rest`` for all others; without
          them 1 / 0, yes / no, true / false, positive / negative, present / absent;
        - or ``contains``: words, one of which the cell must have between its ``separator``
          (without a separator: anywhere in the text);
        - or one or two of ``above``, ``at_least``, ``below``, ``at_most``: limits of a number.

        ``uncertain``: values that ``uncertain_as`` makes ``ignore`` (missing, the default),
        ``zeros`` or ``ones``; ``blank``: ``ignore`` (default) or ``zeros``. ``rule`` combines
        several columns, e.g. of readers: ``any``, ``all`` or ``majority``.

    Raises
    ------
    MedauditError
        A column does not exist, or a value has no meaning.
    """
    parts: Mapping[str, Any] = {"column": spec} if isinstance(spec, str) else spec
    key = f"labels.{name}"
    columns = listed(parts.get("column"))
    if not columns:
        raise MedauditError(f"`{key}` names no column; write `column: NAME`")
    if len(columns) > 1 and "rule" not in parts:
        raise MedauditError(f"`{key}` has several columns; say how to combine them: `rule: any`")
    values = np.stack([_one(source, column, parts, key) for column in columns], axis=1)
    if len(columns) == 1:
        return values[:, 0]
    return combine(values, parts["rule"])


def combine(values: np.ndarray, rule: str) -> np.ndarray:
    """Combine labels along the second axis; missing ones do not count.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, labels)
        1, 0 or NaN.
    rule : {"any", "all", "majority"}
        ``majority`` is NaN where as many are 1 as 0. All are NaN where nothing is known.
    """
    ones, zeros = np.nansum(values == 1, axis=1), np.nansum(values == 0, axis=1)
    return decide(ones, zeros, rule)


def decide(ones: np.ndarray, zeros: np.ndarray, rule: str) -> np.ndarray:
    """Return the label of rows with so many votes for 1 and for 0 (see `combine`)."""
    if rule == "any":
        found = (ones > 0).astype(float)
    elif rule == "all":
        found = (zeros == 0).astype(float)
    else:
        found = np.where(ones == zeros, np.nan, (ones > zeros).astype(float))
    return np.where(ones + zeros > 0, found, np.nan)


def _one(source: Source, column: str, spec: Mapping[str, Any], key: str) -> np.ndarray:
    text = Distinct(source.column(column, f"{key}.column"))
    uncertain = text.where(finder(listed(spec.get("uncertain"))))
    known = ~uncertain & ~text.blank
    if "contains" in spec:
        values = text.where(_word_finder(spec)).astype(float)
    elif set(spec) & set(LIMITS):
        values = _by_limits(source, column, spec, known, key)
    else:
        values = _by_levels(source, column, text, spec, known, key)
    values = np.where(uncertain, POLICIES[spec.get("uncertain_as", "ignore")], values)
    return np.where(text.blank, POLICIES[spec.get("blank", "ignore")], values)


def _word_finder(spec: Mapping[str, Any]):
    words, separators = listed(spec["contains"]), listed(spec.get("separator"))
    if not separators:
        texts = [str(word).casefold() for word in words]
        return lambda value: any(text in value.casefold() for text in texts)
    found = finder(words)

    def contains(value: str) -> bool:
        for separator in separators[1:]:
            value = value.replace(separator, separators[0])
        return any(found(part.strip(_QUOTES)) for part in value.split(separators[0]))

    return contains


def _by_limits(
    source: Source, column: str, spec: Mapping[str, Any], known: np.ndarray, key: str
) -> np.ndarray:
    frame = source.frame
    source.frame = frame.assign(**{column: frame[column].where(known)})  # uncertain: any text
    try:
        numbers = source.numbers(column, f"{key}.column")
    finally:
        source.frame = frame
    held = [compare(numbers, spec[limit]) for limit, compare in LIMITS.items() if limit in spec]
    return np.logical_and.reduce(held).astype(float)


def _by_levels(
    source: Source,
    column: str,
    text: Distinct,
    spec: Mapping[str, Any],
    known: np.ndarray,
    key: str,
) -> np.ndarray:
    negative = spec.get("negative", NEGATIVE if "positive" not in spec else [])
    is_one = text.where(finder(listed(spec.get("positive", POSITIVE))))
    is_zero = ~is_one if negative == "rest" else text.where(finder(listed(negative)))
    both = is_one & is_zero & known
    if both.any():
        source.fail(column, both, f"both positive and negative in `{key}`", "list it once")
    wrong = known & ~is_one & ~is_zero
    if wrong.any():
        source.fail(
            column,
            wrong,
            f"which `{key}` does not mention",
            f"list it in `positive`, `negative` or `uncertain` of `{key}`, or write "
            "`negative: rest` if every other value is negative",
        )
    if known.any() and not (is_one & known).any() and "positive" in spec:
        some = source.frame[column][known].unique()[:5].tolist()
        raise MedauditError(
            f"{source.sheets[source.origin.get(column, 0)].where}: no value of column {column!r} is "
            f"in `positive` of `{key}`; the values are {some}"
        )
    return is_one.astype(float)
