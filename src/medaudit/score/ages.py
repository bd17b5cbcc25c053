"""The column of ages, whatever it is called and however it is written."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.names import key_of, words_of
from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.ages import OLDEST, YEAR, parse_age
from medaudit.data.group_levels import cut_bands, name_bands
from medaudit.data.readers.sheet import as_text

GROUPED = {"group", "groups", "grp", "band", "bands", "bin", "bins", "cat", "category", "range", "decade"}  # fmt: skip
AGE_WORDS = {
    *("age", "ages", "approx", "approximate", "years", "year", "yrs", "yr", "y", "old", "in", "at"),
    *("study", "exam", "scan", "cxr", "xray", "image", "imaging", "acquisition", "visit", "time"),
    *("diagnosis", "dx", "patient", "patients", "pt", "subject", "person", "anchor", "baseline"),
    *("admission", "entry", "enrollment", "enrolment", "inclusion", "index", "of", "the", "biopsy"),
}
FUSED = {"patientage", "ageyears", "ageinyears", "ageatscan", "ageatstudy", "ageyrs", "ageatexam"}
MOST_UNREADABLE = 0.2
"""Share of values that are no ages, above which a column is not one of ages."""
GROUP = "age_group"


@dataclass
class Ages:
    """Ages, and the candidates for groups.

    Parameters
    ----------
    years : pandas.Series
        NaN where unknown.
    candidates : pandas.DataFrame
        Columns that may be groups; with ``age_group`` where ages were cut.
    notes : list of str
        What was decided.
    """

    years: pd.Series
    candidates: pd.DataFrame
    notes: list[str]


def find_ages(
    frame: pd.DataFrame, named: str | None, limits: float | list[float], where: str
) -> Ages:
    """Return ages in years and ``age_group``, cut at the limits.

    A column is one of ages if its name says so and its values can be read: ``58``, ``058Y``,
    ``011M``, ``46 years``; ``>89`` counts as 90 and ``90+`` as 90. Bands (``41-60``) stay levels.
    What is no age is missing and counted; a column with many of them is no column of ages. The
    file's own ``age_group`` is kept.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per image.
    named : str, optional
        The column that the user named.
    limits : float or list of float
        Years at which ages are cut.
    where : str
        The file, for messages.

    Raises
    ------
    MedauditError
        The named column is not there or holds no ages.
    """
    notes: list[str] = []
    unknown = pd.Series(np.full(len(frame), np.nan))
    if named is not None and named not in frame:
        raise MedauditError(f"{where} has no column {named!r}; --age names one of {list(frame)}")
    for column in [named] if named else _columns(frame):
        years = _years(frame[column], column, notes)
        if years is not None:
            return _cut(frame, column, years, limits, notes)
    if named:
        raise MedauditError(
            f"{where}: {named} holds no ages: {', '.join(notes)}; name another column with --age, "
            f"or compare its values as groups with --attributes {named}"
        )
    return Ages(unknown, frame, notes)


def _is_own_group(name: str) -> bool:
    words = set(words_of(name))
    return bool("age" in words and words & GROUPED) or key_of(name).startswith("agegroup")


def _columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that are named for an age, the shortest names first."""
    named = []
    for column in map(str, frame.columns):
        words = set(words_of(column))
        is_age = words & {"age", "ages"} and words <= AGE_WORDS
        if is_age or key_of(column) in FUSED:
            named.append(column)
    return sorted(named, key=len)


def _years(column: pd.Series, name: str, notes: list[str]) -> pd.Series | None:
    """Return ages in years, or None if the column holds bands or no ages."""
    if pd.api.types.is_timedelta64_dtype(column):
        return (column.dt.total_seconds() / (YEAR * 86400)).reset_index(drop=True)
    text = as_text(column).str.strip().reset_index(drop=True)
    counts = text.value_counts()
    if counts.empty:
        return None
    parsed = {value: parse_age(str(value)) for value in counts.index}
    wrong = [v for v, age in parsed.items() if not 0 <= age.years <= OLDEST]
    bands = [v for v, age in parsed.items() if age.kind == "band" and v not in wrong]
    opened = [v for v, age in parsed.items() if age.kind == "open" and v not in wrong]
    if bands and counts[bands].sum() + counts[opened].sum() > 0.5 * counts.sum():
        notes.append(f"{name} holds bands of age ({bands[0]}): its values are the groups")
        return None
    if counts[wrong].sum() > MOST_UNREADABLE * counts.sum():
        notes.append(f"{name} is not read as ages: {counts[wrong].sum()} values such as {wrong[0]!r}")  # fmt: skip
        return None
    for values, what in ((wrong, "are no ages and count as missing"), (bands, "are bands and count as their middle"), (opened, "are open and count as their lowest year")):  # fmt: skip
        if values:
            notes.append(f"{name}: {counts[values].sum()} values {what}, e.g. {values[0]!r}")
    years = {v: age.years for v, age in parsed.items() if v not in wrong}
    return text.map(years).astype(float)


def _cut(
    frame: pd.DataFrame,
    column: str,
    years: pd.Series,
    limits: float | list[float],
    notes: list[str],
) -> Ages:
    bounds = sorted(limits) if isinstance(limits, list) else [limits]
    rest = frame.drop(columns=column)
    own = [name for name in map(str, rest.columns) if _is_own_group(name)]
    if own:
        notes.append(
            f"{column} is not cut, since the file has {own[0]}; to cut it: --ignore {own[0]}"
        )
        # the lint would stop a run whose own groups overlap in age
        overlap = pd.DataFrame({"age": years, "group": rest[own[0]].to_numpy()}).dropna()
        if overlap.drop_duplicates().duplicated("age").any():
            years = pd.Series(np.full(len(frame), np.nan))
        return Ages(years, rest, notes)
    notes.append(f"{column} cut into {GROUP}: {' and '.join(name_bands(bounds))}")
    return Ages(years, rest.assign(**{GROUP: cut_bands(years, bounds)}), notes)
