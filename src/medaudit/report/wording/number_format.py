"""How numbers, intervals, p-values and statuses are written for a reader."""

import re
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.statuses import Status

REASONS: dict[str, str] = {
    Status.OK: "no value",
    Status.ONE_CLASS: "only one class",
    Status.NO_DECISION: "no decision",
    Status.NO_FIT: "calibration cannot be fitted",
    Status.NO_NULL: "too few patients can exchange groups",
    Status.NO_HYPOTHESIS: "no null hypothesis is known for this metric",
    Status.NO_SCORE: "no score",
    Status.TOO_FEW: "too few",
    Status.MISSING: "no value",
}
"""Status to the reason why a value is missing; ``ok`` next to a missing value gives no reason."""

MINUS = "\N{MINUS SIGN}"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_AFTER_SEPARATOR = re.compile(r"([;\t]\s*)(?=[=+\-@＝＋－＠])")
"""Starts of cells for spreadsheets that split at a semicolon or a tab, as in many locales."""


def estimate(
    value: float, low: float, high: float, status: Any, signed: bool = False, digits: int = 3
) -> str:
    """Write a value with its interval, or why it is missing: never blank, never 0.

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


def reason(status: Any) -> str:
    """Write for a reader why a value is missing."""
    return REASONS[Status.MISSING] if missing(status) else REASONS.get(status, str(status))


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Write a number with `digits` decimals and a true minus sign; a dash if it is missing.

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


def least(value: float) -> str:
    """Write how small a gap can be found: two decimals, or one significant digit below 0.01.

    Examples
    --------
    >>> least(0.0262), least(0.0046), least(0.0)
    ('0.03', '0.005', '0.00')
    """
    return f"{max(value, 1e-4):.1g}" if 0 < value < 0.0095 else number(value, 2)


def short(value: float | None) -> str:
    """Write a number for a table on the first screen; a dash if it is missing."""
    return number(np.nan if value is None else value, 2)


def p_value(value: float) -> str:
    """Write a p-value: two decimals from 0.1 on, else three, or ``<0.001``; a dash if missing."""
    if missing(value):
        return "–"
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def count(value: Any) -> str:
    """Write a whole number with thin spaces between thousands; a dash if it is missing."""
    return "–" if missing(value) else f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def missing(value: object) -> bool:
    """Return whether `value` is None, NaN or NA."""
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """Prefix texts that a spreadsheet would run as a formula with an apostrophe (CWE-1236).

    Numbers stay as they are, also negative ones.
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
