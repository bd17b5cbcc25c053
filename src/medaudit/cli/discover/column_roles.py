"""What the columns of an unknown table mean: by their names, and by their values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from medaudit.data.datasets.columns.ages import UNITS, parse_age
from medaudit.data.datasets.columns.groups import SPLITS
from medaudit.data.datasets.columns.labels import NEGATIVE, POSITIVE
from medaudit.data.datasets.columns.levels import plain as level
from medaudit.data.readers.roles import find_role, plain

MOST_LEVELS = 20
MOST_LABELS = 20
MOST_WORDS = 8
SEX = {
    "female": ("f", "female", "w", "woman", "weiblich", "femenino", "feminino", "fem"),
    "male": ("m", "male", "man", "männlich", "maennlich", "masculino"),
    "unknown": ("u", "unknown", "o", "other", "x", "d", "divers", "not known"),
}
SEX_NAMES = {"sex", "gender", "geschlecht", "sexo"}
AGE_NAMES = {"age", "alter", "edad", "idade"}
BIRTH_NAMES = {"birth", "dob", "birthdate", "birthday", "geburtsdatum", "geburt"}
STUDY_NAMES = {"study", "exam", "scan", "acquisition", "visit", "image", "imaging", "content"}
VIEW_NAMES = {"view", "projection", "viewposition", "proj"}
PATIENT_NAMES = {"patient", "mrn", "subject", "person", "case", "participant"}
ID_NAMES = {"id", "no", "nr", "num", "number", "code", "key", "uid", "mrn", "dicom"}
GROUP_NAMES = (
    *("race", "ethnic", "ethnicity", "ethnicgroup", "skin", "insurance", "language", "marital"),
    *("site", "hospital", "institution", "center", "centre", "country", "region", "scanner"),
    *("manufacturer", "device", "vendor", "model", "religion", "laterality", "fitzpatrick"),
)
UNCERTAIN = {"-1", "uncertain", "u", "maybe", "equivocal", "indeterminate"}
_DATE = re.compile(r"\d{4}[-/.]?\d{2}[-/.]?\d{2}.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*")


@dataclass
class Roles:
    """The parts of an entry that were found, and what was not sure.

    Parameters
    ----------
    columns, labels, groups : dict
        Parts of the entry.
    unsure : list of str
        Sentences for the user.
    others : list of str
        Lines of YAML that the user may take: further groups.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def find_roles(frame: pd.DataFrame, taken: Iterable[str], keys: Iterable[str]) -> Roles:
    """Return what the columns of a table mean.

    Parameters
    ----------
    frame : pandas.DataFrame
        The joined rows, one per picture, as text.
    taken : iterable of str
        Columns that have a role: those of the path.
    keys : iterable of str
        Columns by which tables were joined, which may be the patient.
    """
    found, hidden = Roles(), set(taken)
    free = [str(n) for n in frame.columns if n not in hidden and frame[n].notna().any()]
    used: set[str] = {"(table)"}
    _find_patient(found, frame, [*dict.fromkeys([*keys, *free])], used)
    _find_age(found, frame, free, used)
    _find_sex(found, frame, free, used)
    _find_view(found, frame, free, used)
    _find_split(found, frame, free, used)
    used |= {name for name in keys if frame[name].nunique() > MOST_LEVELS}
    rest = [name for name in free if name not in used and _levels(frame[name])]
    for name in rest:
        _place(found, name, frame[name])
    _limit_labels(found)
    return found


def words_of(name: str) -> set[str]:
    """Return the words of a column's name in lower case; also all of them joined."""
    text = plain(name.rpartition(".")[2] or name)
    return {*text.split("_"), text.replace("_", "")}


def _levels(column: pd.Series) -> list[str]:
    return [str(value) for value in column.dropna().unique()[:5000]]


def _find_patient(found: Roles, frame: pd.DataFrame, names: list[str], used: set[str]) -> None:
    names = [name for name in names if frame[name].notna().all()]
    column = find_role(names, "patient", used)
    named = [n for n in names if _names_patient(n) and frame[n].nunique() > 1]
    repeated = [n for n in names if 0.1 < frame[n].nunique() / len(frame) < 0.95]
    column = column or next(iter(named), None)
    if column is None and repeated:
        column = repeated[0]
        found.unsure.append(
            f"columns.patient: {column} repeats ({frame[column].nunique()} values in {len(frame)} "
            "rows), so it may be the patient; a wrong choice puts patients into two splits"
        )
    if column is None:
        found.unsure.append(
            "columns.patient: no column identifies patients; with null, each picture counts as one"
        )
    else:
        used.add(column)
    found.columns["patient"] = column


def _names_patient(name: str) -> bool:
    """Return whether a name is that of a patient's identifier: not PatientSex."""
    parts = set(plain(name.rpartition(".")[2] or name).split("_"))
    return bool(parts & PATIENT_NAMES) and bool(len(parts) == 1 or parts & ID_NAMES)


def _find_age(found: Roles, frame: pd.DataFrame, names: list[str], used: set[str]) -> None:
    named = [n for n in names if words_of(n) & AGE_NAMES and n not in used]
    for name in named:
        values = _levels(frame[name])
        ages = [parse_age(value) for value in values]
        wrong = [v for v, a in zip(values, ages, strict=True) if not 0 <= a.years <= 120]
        if values and len(wrong) < 0.2 * len(values):
            spec: dict[str, Any] = {"column": name}
            unit = next((u for u in UNITS if words_of(name) & {u, u[:-1]}), "years")
            spec |= {"unit": unit} if unit != "years" else {}
            if wrong:
                spec["impossible"] = "missing"
                found.unsure.append(f"columns.age: {wrong[:5]} become missing")
            found.columns["age"] = spec if len(spec) > 1 else name
            used.add(name)
            return
    dates = [n for n in names if n not in used and _is_date(frame[n])]
    birth = next((n for n in dates if words_of(n) & BIRTH_NAMES or "birth" in plain(n)), None)
    others = [n for n in dates if n != birth]
    study = next((n for n in others if words_of(n) & STUDY_NAMES), next(iter(others), None))
    used.update(dates)
    if birth and study:
        found.columns["age"] = {"birth": birth, "study": study}
    else:
        found.unsure.append("columns.age: no column of ages was found; age_group needs one")


def _is_date(column: pd.Series) -> bool:
    values = _levels(column)[:200]
    return bool(values) and all(_DATE.fullmatch(value) for value in values)


def _find_sex(found: Roles, frame: pd.DataFrame, names: list[str], used: set[str]) -> None:
    known = {word: name for name, words in SEX.items() for word in words}
    for name in names:
        values = _levels(frame[name])
        if name in used or not 1 < len(values) <= 6:
            continue
        named = bool(words_of(name) & SEX_NAMES)
        if all(level(v) in known for v in values) and (named or {known[level(v)] for v in values} >= {"female", "male"}):  # fmt: skip
            levels = {n: [v for v in values if known[level(v)] == n] for n in SEX}
            found.groups["sex"] = {"column": name, "levels": {n: v for n, v in levels.items() if v}}
        elif named:
            found.groups["sex"] = name
            found.unsure.append(
                f"groups.sex: which of {sorted(values)} is female? Write {{column: {name}, levels: "
                '{female: ["..."], male: ["..."]}}'
            )
        else:
            continue
        used.add(name)
        return


def _find_view(found: Roles, frame: pd.DataFrame, names: list[str], used: set[str]) -> None:
    named = (n for n in names if n not in used and words_of(n) & VIEW_NAMES)
    column = next((n for n in named if 1 <= frame[n].nunique() <= MOST_LEVELS), None)
    if column:
        found.columns["view"] = column
        found.groups["view"] = column
        used.add(column)


def _find_split(found: Roles, frame: pd.DataFrame, names: list[str], used: set[str]) -> None:
    column = find_role(names, "split", used)
    if column is None:
        return
    known = {word: name for name, words in SPLITS.items() for word in words}
    splits = {known.get(level(value)) for value in _levels(frame[column])}
    if splits == set(SPLITS):
        found.columns["split"] = column
        used.add(column)
    elif splits & set(SPLITS):
        found.unsure.append(
            f"columns.split: {column} has {_levels(frame[column])[:5]}; an audit needs train, val and "
            "test, so patients are split at random"
        )
        used.add(column)


def _place(found: Roles, name: str, column: pd.Series) -> None:
    """Take a column as a label, a group, or a group that the user may want."""
    values = _levels(column)
    plain_values = {level(value) for value in values}
    binary = plain_values - UNCERTAIN
    if 1 < len(values) <= 4 and len(binary) == 2 and _is_binary(binary):
        found.labels[name.strip(" ?!:") or name] = _binary(name, values)
    elif words := _split_words(values, column):
        separator, counts = words
        for word in counts[:MOST_WORDS]:
            found.labels.setdefault(
                word, {"column": name, "contains": [word], "separator": separator}
            )
    elif 2 <= len(values) <= MOST_LEVELS and not _is_number(values):
        named = words_of(name) & set(GROUP_NAMES)
        key = _key(name)
        if named:
            found.groups[key] = name
        else:
            found.others.append(f"{key}: {name}    # {', '.join(sorted(values)[:6])}")
    elif _is_number(values) and len(values) > 3:
        found.others.append(f"{_key(name)}: {{column: {name}, quantiles: 4}}")


def _key(name: str) -> str:
    return plain(name) or "group"


def _is_binary(values: set[str]) -> bool:
    return bool(values & set(POSITIVE)) and bool(values & set(NEGATIVE))


def _binary(name: str, values: list[str]) -> Any:
    uncertain = sorted(v for v in values if level(v) in UNCERTAIN)
    return {"column": name, "uncertain": uncertain} if uncertain else name


def _split_words(values: list[str], column: pd.Series) -> tuple[str, list[str]] | None:
    """Return separator and words, the most frequent first, of a column of lists of words."""
    for separator in ("|", ";", ","):
        share = sum(separator in value for value in values) / max(len(values), 1)
        if share < 0.2:
            continue
        words = column.dropna().str.split(separator, regex=False).explode()
        words = words.str.strip(" \t'\"[](){}")
        counts = words[words != ""].value_counts()
        if 2 <= len(counts) <= max(50, len(values) // 2) and words.str.len().max() < 60:
            none = {"no finding", "normal", "none", "nan", "no findings"}
            return separator, [str(word) for word in counts.index if level(word) not in none]
    return None


def _is_number(values: list[str]) -> bool:
    return bool(
        pd.to_numeric(pd.Series(values).str.replace(",", "."), errors="coerce").notna().all()
    )


def _limit_labels(found: Roles) -> None:
    if len(found.labels) > 1:
        found.unsure.append(
            "labels: every column with yes and no, or with a list of words, was taken; remove those "
            "that are no finding to predict, here and in `tasks` of the cohort"
        )
    extra = list(found.labels)[MOST_LABELS:]
    if extra:
        found.unsure.append(
            f"labels: {', '.join(extra)} were left out; the first {MOST_LABELS} stand"
        )
        found.labels = {name: found.labels[name] for name in list(found.labels)[:MOST_LABELS]}
