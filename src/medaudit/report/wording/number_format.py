"""How a number, an interval, a p-value or a reason is written for a reader."""

import re

import numpy as np
import pandas as pd

REASONS = {
    "undefined:one_class": "only one class",
    "undefined:no_decision": "no decision",
    "too_few": "too few",
    "missing": "no value",
}
MINUS = "\N{MINUS SIGN}"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_AFTER_SEPARATOR = re.compile(r"([;\t]\s*)(?=[=+\-@＝＋－＠])")
"""Where a spreadsheet of another country begins a cell."""


def estimate(
    value: float, low: float, high: float, status: str, signed: bool = False, digits: int = 3
) -> str:
    """Write a value with its interval, or why there is none: never blank, never 0.

    Examples
    --------
    >>> estimate(0.81234, 0.79, 0.834, "ok")
    '0.812 (0.790 to 0.834)'
    >>> estimate(float("nan"), float("nan"), float("nan"), "too_few")
    'not estimable: too few'
    """
    if missing(value) or (isinstance(status, str) and status != "ok"):
        return f"not estimable: {reason(status)}"
    shown = number(value, digits, signed=signed)
    if missing(low) or missing(high):
        return f"{shown} (no interval)"
    return f"{shown} ({number(low, digits)} to {number(high, digits)})"


def reason(status: object) -> str:
    """Write a status for a reader."""
    return "no value" if missing(status) or status == "ok" else REASONS.get(status, str(status))


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Write a number with `digits` decimals and a true minus sign; a dash where missing.

    Examples
    --------
    >>> number(-0.0004), number(-0.25), number(0.25, signed=True)
    ('0.000', '−0.250', '+0.250')
    """
    if missing(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    zero = float(text) == 0
    sign = "" if zero else MINUS if value < 0 else "+" if signed else ""
    return sign + text


def p_value(value: float) -> str:
    """Write a p-value: three decimals, two above 0.1, ``<0.001`` below that; dash if missing."""
    if missing(value):
        return "–"
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def count(value: object) -> str:
    """Write a whole number with thin spaces between thousands; a dash where missing."""
    return "–" if missing(value) else f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def missing(value: object) -> bool:
    """Tell whether `value` is None, NaN or NA."""
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before texts that a spreadsheet would run as a formula (CWE-1236).

    Numbers stay as they are: a number that is negative is no text.
    """
    frame = frame.copy()
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = [_harmless(value) for value in frame[column]]
    return frame.rename(columns=_harmless)


def _harmless(value: object) -> object:
    if not isinstance(value, str):
        return value
    inside = _AFTER_SEPARATOR.sub(r"\1'", value)
    return "'" + inside if value.lstrip(" ").startswith(DANGEROUS) else inside
