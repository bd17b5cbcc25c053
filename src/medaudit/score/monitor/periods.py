"""From a column of dates to periods: months, quarters, weeks or years."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError

LENGTHS = {"month": "M", "quarter": "Q", "week": "W", "year": "Y"}
"""Length of a period to its code in pandas."""

FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m")
"""Formats that are tried, after the time of day is cut off."""

MOST = 600
"""Periods between the first and the last date; more is a wrong date or too short a period."""


@dataclass(frozen=True)
class Periods:
    """The periods of a file.

    Parameters
    ----------
    labels : list of str
        All periods from the first date to the last, also those without an image.
    codes : ndarray of int, shape (images,)
        Index into `labels`; -1 where an image has no date.
    format : str
        How the dates were read.
    """

    labels: list[str]
    codes: np.ndarray
    format: str


def cut_periods(dates: pd.Series, length: str, date_format: str | None, where: str) -> Periods:
    """Return the period of each date.

    Parameters
    ----------
    dates : pandas.Series
        Dates, or their text; blank is missing.
    length : str
        A key of `LENGTHS`.
    date_format : str, optional
        Of `datetime.strptime`; default: the only one of `FORMATS` that fits every date.
    where : str
        File and column, for messages.

    Raises
    ------
    MedauditError
        No format fits all dates, several do and give other dates, or there are too many periods.
    """
    if pd.api.types.is_datetime64_any_dtype(dates):
        found, used = dates.dt.tz_localize(None), "dates"
    else:
        found, used = _parse(dates, date_format, where)
    if not found.notna().any():
        raise MedauditError(f"{where} has no date: name the column of dates with --date")
    periods = found.dt.to_period(LENGTHS[length])
    first, last = periods.min(), periods.max()
    count = (last - first).n + 1
    if count > MOST:
        raise MedauditError(
            f"{where}: the dates go from {found.min():%Y-%m-%d} to {found.max():%Y-%m-%d}, which is "
            f"{count} periods; correct the dates, or use longer periods (--by)"
        )
    codes = np.array([-1 if pd.isna(p) else (p - first).n for p in periods])
    labels = [_name(first + k, length) for k in range(count)]
    return Periods(labels, codes, used)


def baseline_periods(labels: list[str], baseline: str) -> int:
    """Return how many first periods are the baseline, from a number or its last period's name.

    Raises
    ------
    MedauditError
        There is no such period, or nothing would be left to watch.
    """
    if baseline in labels:
        count = labels.index(baseline) + 1
    elif baseline.isdigit():
        count = int(baseline)
    else:
        raise MedauditError(
            f"--baseline {baseline}: give the number of first periods, or the last one's name, one of "
            f"{', '.join(labels[:12])}{' ...' if len(labels) > 12 else ''}"
        )
    if not 0 < count < len(labels):
        raise MedauditError(
            f"--baseline {baseline}: the file has {len(labels)} periods ({labels[0]} to {labels[-1]}); "
            "the baseline needs at least one, and one must be left to watch"
        )
    return count


def _name(period: pd.Period, length: str) -> str:
    if length == "week":
        return f"{period.start_time:%Y-%m-%d}"
    return str(period).replace("Q", "-Q")


def _parse(dates: pd.Series, given: str | None, where: str) -> tuple[pd.Series, str]:
    text = dates.astype("string").str.strip().replace("", pd.NA)
    fitting = {}
    for one in [given] if given else FORMATS:
        # the time of day is cut off: everything from a T or a space after the digits of the date
        short = text if given else text.str.replace(r"[T ]\d{1,2}:.*$", "", regex=True)
        read = pd.to_datetime(short, format=one, errors="coerce")
        if read.notna().equals(text.notna()):
            fitting[one] = read
    if not fitting:
        wrong = text.dropna().iloc[0] if text.notna().any() else ""
        if given is None:
            read = pd.to_datetime(text, format=FORMATS[0], errors="coerce")
            bad = text[read.isna() & text.notna()]
            wrong = bad.iloc[0] if len(bad) else wrong
        raise MedauditError(
            f"{where}: not all dates have one format, e.g. {wrong!r}; give --date-format, e.g. "
            "'%Y-%m-%d', and correct the others"
        )
    first, result = next(iter(fitting.items()))
    other = next((one for one, read in fitting.items() if not read.equals(result)), None)
    if other is not None:
        raise MedauditError(
            f"{where}: the dates fit {first} and {other}, e.g. {text.dropna().iloc[0]!r}; say which "
            f"with --date-format '{first}'"
        )
    return result, first
