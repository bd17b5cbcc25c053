"""What identifies a row: image, patient, split, and task, model, method, seed or fold."""

from itertools import combinations

import pandas as pd

from medaudit.adapt.predictions.detection.choices import Columns
from medaudit.adapt.predictions.detection.content import Content
from medaudit.adapt.predictions.detection.names import words_of
from medaudit.adapt.predictions.splits import KNOWN
from medaudit.data.readers.roles import SYNONYMS, plain

FOLD = {"fold", "folds", "kfold", "cv"}
ID_WORDS = {
    *("image", "img", "file", "filename", "path", "dicom", "sop", "accession", "scan", "slide"),
    *("isic", "hash", "uid", "id", "exam", "study", "case", "sample", "instance", "md5hash"),
}
DISTINGUISHING = ("task", "model", "method", "seed")
_LABELLIKE = {"class", "condition", "disease", "finding", "pathology"}


def find_row_roles(frame: pd.DataFrame, found: Columns, free: list[str]) -> None:
    """Find the columns that identify a row, and record the reason for each.

    Parameters
    ----------
    frame : pandas.DataFrame
        The predictions.
    found : Columns
        The roles so far; more are added.
    free : list of str
        Columns that may have a role.
    """
    _find_split_and_fold(frame, found, free)
    _find_patient(frame, found, free)
    _find_id(frame, found, free)
    _tell_rows_apart(frame, found, free)


def _untaken(found: Columns, names: list[str]) -> list[str]:
    return [n for n in names if n not in found.taken and n not in found.not_groups]


def by_name(names: list[str], role: str) -> list[str]:
    """Return the columns whose name is a usual one for `role`, the most usual first."""
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(plain(name), []).append(name)
    return [name for word in SYNONYMS[role].split() for name in known.get(word, [])]


def _find_split_and_fold(frame: pd.DataFrame, found: Columns, free: list[str]) -> None:
    if "split" not in found.roles:
        for name in by_name(_untaken(found, free), "split"):
            content = Content(frame[name])
            known = content.folded & set(KNOWN)
            if content.is_whole:
                _mark_fold(found, name)
            elif known or (plain(name) == "split" and content.n_levels):
                found.roles["split"] = name
                levels = ", ".join(content.levels[:4])
                found.add("split", name, f"named like a split; holds {levels}")
                break
            else:
                _refuse(
                    found, name, f"named like a split, but holds {', '.join(content.levels[:3])}"
                )
    for name in _untaken(found, free):
        if set(words_of(name)) & FOLD and Content(frame[name]).n_levels > 1:
            _mark_fold(found, name)


def _mark_fold(found: Columns, name: str) -> None:
    found.not_groups[name] = "a fold of cross-validation, no group of patients"


def _refuse(found: Columns, name: str, reason: str) -> None:
    found.refused.append(name)
    found.add("attribute", name, reason)


def _find_patient(frame: pd.DataFrame, found: Columns, free: list[str]) -> None:
    if "patient" in found.roles:
        return
    named = by_name(_untaken(found, free), "patient")
    if named:
        found.roles["patient"] = named[0]
        n = frame[named[0]].nunique()
        found.add("patient", named[0], f"named like a patient; {n:,} patients", named[1:])


def _find_id(frame: pd.DataFrame, found: Columns, free: list[str]) -> None:
    if "id" in found.roles:
        return
    names = _untaken(found, free)
    named = [n for n in by_name(names, "id") if not Content(frame[n]).is_continuous]
    # a name that is not in the list is an id only if its content is: every value once
    if not named:
        named = [n for n in names if _names_id(n) and _is_id(frame[n])]
    if named:
        found.roles["id"] = named[0]
        n = frame[named[0]].nunique()
        found.add("image id", named[0], f"named like an id; {n:,} values in {len(frame):,} rows", named[1:])  # fmt: skip


def _names_id(name: str) -> bool:
    """Return whether a name has a word for an id; a saved index has no name at all."""
    unnamed = not name.strip() or name.casefold().startswith("unnamed")
    return unnamed or bool(set(words_of(name)) & ID_WORDS)


def _is_id(column: pd.Series) -> bool:
    content = Content(column)
    return content.is_unique and not content.is_continuous


def _tell_rows_apart(frame: pd.DataFrame, found: Columns, free: list[str]) -> None:
    """Give task, model, method, seed only to columns that are needed, or that hold one value."""
    keys = [found.roles["id"]] if "id" in found.roles else []
    keys += [found.roles[role] for role in DISTINGUISHING if role in found.roles]
    rest = [role for role in DISTINGUISHING if role not in found.roles]
    named = {role: by_name(_untaken(found, free), role) for role in rest}
    options = [(role, name) for role in rest for name in named[role]]
    folds = [name for name in found.not_groups if set(words_of(name)) & FOLD]
    options += [("seed", name) for name in folds if "seed" in rest]
    varying = [(role, name) for role, name in options if frame[name].nunique() > 1]
    needed = _smallest(frame, keys, varying) if keys else []
    for role, name in needed:
        found.roles[role] = name
        found.add(role, name, f"named like a {role}; tells the rows of an image apart")
    _place_rest(frame, found, options, bool(keys))


def _smallest(
    frame: pd.DataFrame, keys: list[str], varying: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return the fewest columns that, with the keys, are different in every row."""
    if not frame.duplicated(keys).any():
        return []
    for size in range(1, len(DISTINGUISHING) + 1):
        for chosen in combinations(varying, size):
            if len({role for role, _ in chosen}) < size:
                continue
            if not frame.duplicated([*keys, *(name for _, name in chosen)]).any():
                return list(chosen)
    # Some rows are duplicates: shaping says so. Columns that vary within an image are roles.
    within = frame.groupby(keys, sort=False, dropna=False)
    found: dict[str, str] = {}
    for role, name in varying:
        if role not in found and (within[name].nunique() > 1).any():
            found[role] = name
    return list(found.items())


def _place_rest(
    frame: pd.DataFrame, found: Columns, options: list[tuple[str, str]], has_keys: bool
) -> None:
    keys = [found.roles[r] for r in ("id", *DISTINGUISHING) if r in found.roles]
    for role, name in options:
        if name in found.taken or name in found.refused or name in found.not_groups:
            continue
        if role in found.roles:
            continue
        constant = frame[name].nunique() == 1 and frame[name].notna().all()
        labels = set(words_of(name)) & _LABELLIKE
        if constant and not labels:
            found.roles[role] = name
            found.add(role, name, f"named like a {role}; one value")
        elif _names_run(frame, found, role, name):
            found.roles[role] = name
            found.add(role, name, f"named like a {role}; belongs to a model")
        elif frame[name].nunique() > 1 and not has_keys and not labels:
            found.roles[role] = name
            found.add(role, name, f"named like a {role}")
        elif frame[name].nunique() > 1 and has_keys and name not in keys and not labels & {"class"}:
            _refuse(found, name, f"named like a {role}, but the rows are told apart without it")


def _names_run(frame: pd.DataFrame, found: Columns, role: str, name: str) -> bool:
    """Return whether a method or seed column belongs to the model: one value per model."""
    model = found.roles.get("model")
    if role not in ("method", "seed") or model is None or frame[model].nunique() < 2:
        return False
    return bool((frame.groupby(model, sort=False)[name].nunique() <= 1).all())
