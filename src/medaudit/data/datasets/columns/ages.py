"""Ages in years, from numbers, texts such as 058Y or 40-49, or dates."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.levels import Distinct
from medaudit.data.datasets.columns.source import Source

OLDEST = 120
YEAR = 365.2425  # days
UNITS = {"years": 1.0, "months": 1 / 12, "weeks": 7 / YEAR, "days": 1 / YEAR}
DATES = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_TIME = r"[T ]\d{1,2}:\d{2}.*$|\.0$|(?<=^\d{8})\d{4,}.*$"
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_UNIT = r"(?:\s*(y|m|w|d)[a-z]*\.?)?(?: old)?"
_EXACT = re.compile(rf"{_NUMBER}{_UNIT}")
_OPEN = re.compile(
    rf"(>=?|≥|over |above )?\s*{_NUMBER}{_UNIT}\s*(\+|and older|and over|or older|or more)?"
)
_BAND = re.compile(rf"[\[(]?\s*{_NUMBER}\s*(?:-|–|to|_|,|/)\s*{_NUMBER}{_UNIT}\s*([\])])?")
_BELOW = re.compile(rf"(?:<=?|≤|under |below )\s*{_NUMBER}{_UNIT}")


class _Age(NamedTuple):
    years: float
    kind: str
    """``exact``, ``open`` (90+), ``band`` (40-49) or ``wrong``."""


def ages(source: Source, spec: str | Mapping[str, Any] | None) -> np.ndarray:
    """Return the age of each row in years, NaN where it is not known.

    Parameters
    ----------
    source : Source
        The rows.
    spec : str, dict or None
        A column, or

        - ``column`` with numbers or texts: ``58``, ``058Y``, ``003M``, ``010W``, ``020D``, ``58
          years``; ``90+`` or ``>89`` counts as 90; a band, ``40-49``, counts as its middle, 45.
          ``unit``: ``years`` (default), ``months``, ``weeks`` or ``days`` of plain numbers.
        - ``birth`` and ``study``: columns of dates (``format``: as in strptime, if it cannot be
          told); the age is that of the last birthday.
        - ``column``, ``year`` and ``study``: an age in a reference year, as MIMIC's
          ``anchor_age``: the year of ``study`` minus ``year`` is added.

        ``oldest``: largest possible age, 120 by default; ``impossible``: ``error`` (default) or
        ``missing``, which also counts texts that are no age.

    Raises
    ------
    MedauditError
        A value is no age, or not between 0 and `OLDEST`.
    """
    if spec is None:
        return np.full(len(source), np.nan)
    parts: Mapping[str, Any] = {"column": spec} if isinstance(spec, str) else spec
    if "birth" in parts:
        name = parts["birth"]
        found = _between(source, parts)
    elif "column" in parts:
        name = parts["column"]
        found = _from_texts(source, parts)
    else:
        raise MedauditError("`columns.age` needs `column`, or `birth` and `study`")
    return _check(source, name, found, parts)


def _check(source: Source, name: str, age: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
    oldest = spec.get("oldest", OLDEST)
    wrong = (age < 0) | (age > oldest)
    if wrong.any():
        if spec.get("impossible") != "missing":
            at = float(age[wrong][0])
            source.fail(
                name,
                wrong,
                f"an age of {at:g} years"
                if "birth" in spec or "year" in spec
                else "no possible age",
                f"ages go from 0 to {oldest:g}: correct it, leave it blank, or set "
                "`columns.age.impossible: missing`",
            )
        source.exclude(f"age is not between 0 and {oldest:g}: set to missing", int(wrong.sum()))
    return np.where(wrong, np.nan, age)


def _from_texts(source: Source, spec: Mapping[str, Any]) -> np.ndarray:
    name = spec["column"]
    text = source.column(name, "columns.age")
    unit = UNITS[spec.get("unit", "years")]
    distinct = Distinct(text)
    parsed = {value: parse_age(value, unit) for value in distinct.values}
    kind = np.array([*(one.kind for one in parsed.values()), "exact"])[distinct.codes]
    _check_texts(source, name, kind == "wrong", spec)
    if (kind == "open").any():
        source.notes.append(
            f"{int((kind == 'open').sum())} ages are open, e.g. "
            f"{text[kind == 'open'].iloc[0]!r}: they count as their lowest year."
        )
    if (kind == "band").any():
        source.notes.append(
            f"{int((kind == 'band').sum())} ages are bands, e.g. {text[kind == 'band'].iloc[0]!r}: "
            "they count as the middle of the band, which decides about the age group."
        )
    age = distinct.numbers(lambda value: parsed[value].years)
    if "year" in spec:
        year = source.numbers(spec["year"], "columns.age.year")
        return age + _dates(source, spec["study"], spec, "columns.age.study")["year"] - year
    return age


def _check_texts(source: Source, name: str, wrong: np.ndarray, spec: Mapping[str, Any]) -> None:
    if not wrong.any():
        return
    if spec.get("impossible") == "missing":
        source.exclude("age is not readable: set to missing", int(wrong.sum()))
        return
    source.fail(
        name,
        wrong,
        "not an age",
        "write years (58), 058Y, 003M, 90+ or 40-49, list the value in `missing_values`, or set "
        "`columns.age.impossible: missing`",
    )


def parse_age(text: str, unit: float = 1.0) -> _Age:
    """Return the age in years that a text means; `unit`: years per number without a unit."""
    value = text.strip().casefold()
    if value.startswith("-") and _EXACT.fullmatch(value[1:]):
        return _Age(-_years(value[1:], None, 1.0), "exact") if value[1:].isdigit() else _WRONG
    if match := _EXACT.fullmatch(value):
        return _Age(_years(match[1], match[2], unit), "exact")
    if (match := _OPEN.fullmatch(value)) and (match[1] or match[4]):
        above = 1.0 if match[1] and match[1].strip() in (">", "over", "above") else 0.0
        return _Age(_years(str(float(_point(match[2])) + above), match[3], unit), "open")
    if match := _BAND.fullmatch(value):
        # 40-49 in whole years is [40, 50); [40, 50) says so itself
        end = float(_point(match[2])) + (0.0 if match[4] == ")" else 1.0)
        middle = (float(_point(match[1])) + end) / 2
        return _Age(_years(str(middle), match[3], unit), "band") if middle >= 0 else _WRONG
    if match := _BELOW.fullmatch(value):
        return _Age(_years(match[1], match[2], unit) / 2, "band")
    return _WRONG


_WRONG = _Age(np.nan, "wrong")


def _point(number: str) -> str:
    return number.replace(",", ".")


def _years(number: str, unit: str | None, default: float) -> float:
    scale = {"y": 1.0, "m": UNITS["months"], "w": UNITS["weeks"], "d": UNITS["days"]}
    return float(_point(number)) * (scale[unit] if unit else default)


def _between(source: Source, spec: Mapping[str, Any]) -> np.ndarray:
    """Return full years from one date to another."""
    if "study" not in spec:
        raise MedauditError(
            "`columns.age.birth` needs `study`, the column of the date of the image"
        )
    birth = _dates(source, spec["birth"], spec, "columns.age.birth")
    study = _dates(source, spec["study"], spec, "columns.age.study")
    later = (study["month"] > birth["month"]) | (
        (study["month"] == birth["month"]) & (study["day"] >= birth["day"])
    )
    age = study["year"] - birth["year"] - np.where(later, 0, 1)
    # Of years, the birthday is taken to be on July 1; newborns seen before it are 0, not -1.
    same_year = birth["year"] == study["year"]
    age = np.where(same_year & birth["guessed"], np.maximum(age, 0), age)
    return np.where(np.isnan(birth["year"] + study["year"]), np.nan, age)


def _dates(source: Source, name: str, spec: Mapping[str, Any], key: str) -> dict[str, np.ndarray]:
    """Return year, month and day of each row; a year alone has month 7, day 1."""
    text = source.column(name, key)
    known = text.notna().to_numpy()
    if known.any() and text.dropna().str.fullmatch(r"[12]\d{3}(\.0)?").all():
        year = source.numbers(name, key)
        middle = {"month": np.full(len(year), 7), "day": np.full(len(year), 1)}
        return {"year": year, **middle, "guessed": np.full(len(year), True)}
    dates = find_dates(source, name, text, spec.get("format"), key)
    wrong = dates.isna().to_numpy() & known
    if wrong.any():
        source.fail(
            name, wrong, "not a date", f"set `columns.age.format` (for {key}), e.g. %d.%m.%Y"
        )
    parts = {part: getattr(dates.dt, part).to_numpy(float) for part in ("year", "month", "day")}
    return {**parts, "guessed": np.full(len(dates), False)}


def find_dates(
    source: Source, name: str, text: pd.Series, given: str | None, key: str
) -> pd.Series:
    """Return a column as dates, in the one format that reads the most values."""
    values = pd.Series(text.dropna().unique(), dtype="str")
    formats = (given,) if given else DATES
    dates = values if given else values.str.replace(_TIME, "", regex=True)
    read = {form: pd.to_datetime(dates, format=form, errors="coerce") for form in formats}
    best = max(read, key=lambda form: read[form].notna().sum())
    if best in ("%d/%m/%Y", "%m/%d/%Y"):
        both = read["%d/%m/%Y"].notna().sum() == read["%m/%d/%Y"].notna().sum()
        if both and not read["%d/%m/%Y"].equals(read["%m/%d/%Y"]):
            source.fail(
                name,
                text.notna().to_numpy(),
                "a date whose day and month cannot be told apart",
                "set `columns.age.format` to %d/%m/%Y or %m/%d/%Y",
            )
    return text.map(dict(zip(values, read[best], strict=True))).astype("datetime64[us]")
