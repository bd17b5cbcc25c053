"""Find the role of each column of a predictions file: by name and content, or as the user says."""

import pandas as pd

from medaudit.adapt.predictions.detection.candidates import candidates
from medaudit.adapt.predictions.detection.choices import (
    NAMED_ONLY,
    OPTIONS,
    SETTINGS,
    Choice,
    Columns,
)
from medaudit.adapt.predictions.detection.decisions import find_decision
from medaudit.adapt.predictions.detection.lacking import shown
from medaudit.adapt.predictions.detection.layouts import Layouts
from medaudit.adapt.predictions.detection.names import parse
from medaudit.adapt.predictions.detection.row_roles import find_row_roles
from medaudit.core.errors import MedauditError

__all__ = ["NAMED_ONLY", "OPTIONS", "SETTINGS", "Choice", "Columns", "find_columns"]


class Undecided(MedauditError):
    """The roles cannot all be told; ``choices`` holds those that could."""

    def __init__(self, message: str, choices: list[Choice]) -> None:
        super().__init__(message)
        self.choices = choices


def find_columns(
    frame: pd.DataFrame,
    given: dict[str, list[str]],
    where: str,
    needs_label: bool = True,
    positive: str | None = None,
    classes: list[str] | None = None,
) -> Columns:
    """Find the columns of a predictions file.

    Every column is judged by the words of its name and by what it holds, and all roles are given
    together: a truth stays the truth, whatever else is in the file; what the model said
    (predicted, correct, TP) is neither truth nor group; probabilities are preferred to logits and
    both to decisions; a column that is named like a role but tells no rows apart is an attribute.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table.
    given : dict of str to list of str
        Columns that the user named, by role (`OPTIONS`). ``label`` and ``score`` may have several:
        equally many (tasks), or one label and several scores (classes or models). ``not_a_role``
        and ``ignore``: columns that have none; ``decision``: the model's own decisions.
    where : str
        The file, for messages.
    needs_label : bool
        Whether a file without labels is an error.
    positive : str, optional
        The level of the label that the user called positive.
    classes : list of str, optional
        Names of the classes in the order of the label's codes 0, 1, 2 ...

    Raises
    ------
    MedauditError
        A named column does not exist; no label or score column is found; or two readings are
        possible. The message names the option that decides.
    """
    names = [str(name) for name in frame.columns]
    _check_given(given, names, where)
    found = Columns(
        {role: given[role][0] for role in (*OPTIONS, *NAMED_ONLY) if len(given.get(role, ())) == 1},
        named=frozenset(role for role, chosen in given.items() if chosen),
        refused=list(given.get("not_a_role", [])),
        decision=next(iter(given.get("decision", [])), None),
    )
    for role, column in found.roles.items():
        found.add({"id": "image id"}.get(role, role), column, "named by you")
    ignored = {*given.get("ignore", []), *found.refused, *given.get("age", [])}
    free = [name for name in names if name not in ignored]
    try:
        find_row_roles(frame, found, _not_label_or_score(free, given))
        if any(len(given.get(role, ())) > 1 for role in ("label", "score")):
            _pair_given(frame, found, given, where)
        if not found.tasks and not found.scores:
            search = Layouts(frame, found, free, where, needs_label, positive)
            search.names_of_codes = classes or []
            search.find()
        find_decision(frame, found, free, where)
    except MedauditError as error:
        raise Undecided(str(error), found.choices) from error
    _mark_model_columns(frame, found, names)
    return found


def _check_given(given: dict[str, list[str]], names: list[str], where: str) -> None:
    absent = [c for chosen in given.values() for c in chosen if c not in names]
    if absent:
        raise MedauditError(f"{where} has no column {shown(absent)}; name one of {shown(names)}")


def _not_label_or_score(free: list[str], given: dict[str, list[str]]) -> list[str]:
    named = {c for role in ("label", "score", "decision") for c in given.get(role, [])}
    return [name for name in free if name not in named]


def _pair_given(
    frame: pd.DataFrame, found: Columns, given: dict[str, list[str]], where: str
) -> None:
    labels, scores = given.get("label", []), given.get("score", [])
    if not labels:  # one label, and a score of each class or model
        free = [name for name in map(str, frame.columns) if name not in scores]
        label = Layouts(frame, found, free, where, True, None).label()
        labels = [] if label is None else [label]
    for role in ("label", "score"):
        found.roles.pop(role, None)
    if len(labels) == len(scores):
        stems = [_stem(label) for label in labels]
        names = stems if len(set(stems)) == len(stems) else labels
        found.tasks = dict(zip(names, zip(labels, scores, strict=True), strict=True))
        for name, (label, score) in found.tasks.items():
            found.add(f"task {name}", f"{label} / {score}", "named by you")
    elif len(labels) == 1:
        _place_scores(frame, found, labels[0], scores)
    else:
        raise MedauditError(
            f"{where}: {len(labels)} label columns and {len(scores)} score columns do not pair; "
            "name equally many of each, or one label and several scores"
        )


def _place_scores(frame: pd.DataFrame, found: Columns, label: str, scores: list[str]) -> None:
    """Leave named scores of classes to the search, and take others as one per model."""
    found.roles["label"] = label
    search = Layouts(frame, found, scores, "", True, None)
    stems = search.stems(search.scores)
    levels = {level.casefold() for level in candidates(frame, [label])[0].content.levels}
    if len(levels) >= 2 and levels <= set(stems):
        return
    found.roles.pop("label")
    found.label = label
    found.scores = {_stem(column): column for column in scores}
    found.add("label", label, "named by you")
    for name, column in found.scores.items():
        found.add(f"score of {name}", column, "named by you; one model per column")


def _stem(name: str) -> str:
    return parse(name).stem or name


def _mark_model_columns(frame: pd.DataFrame, found: Columns, names: list[str]) -> None:
    """Note which columns tell something about the model, so that they are no groups of patients."""
    for candidate in candidates(frame, [n for n in names if n not in found.taken]):
        column, role = candidate.column, candidate.role
        if column in found.not_groups or column in found.refused:
            continue
        if role == "outcome":
            found.not_groups[column] = "says whether the model is right"
        elif role == "decision" or (candidate.name.predicted and role != "truth"):
            found.not_groups[column] = "the model's own answer"
        elif role == "score" and candidate.looks_like_score:
            found.not_groups[column] = "another score"
        elif role == "truth" and candidate.name.strength > 1 and candidate.name.plain:
            found.not_groups[column] = "another label"
