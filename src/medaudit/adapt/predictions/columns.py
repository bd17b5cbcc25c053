"""Find the role of each column of a predictions file: by its name, or as the user says."""

import re
from dataclasses import dataclass, field

from medaudit.core.errors import MedauditError
from medaudit.data.readers.roles import find_role

LABELS = "y_true|true_label|ground_truth|label|target|truth|true|gt|y"
SCORES = "y_score|y_prob|y_proba|y_pred|pred_prob|probability|proba|prob|logits|logit|score|prediction|pred"
OPTIONS = ("id", "patient", "split", "label", "score", "model", "method", "task", "seed")
NAMED_ONLY = ("weight",)
"""Roles that no name of a column gives: the user must name it."""


@dataclass
class Columns:
    """The role of each column of a predictions file.

    Parameters
    ----------
    roles : dict of str to str
        The column of each role in `OPTIONS` that has a single column.
    tasks : dict of str to (str or None, str)
        Label and score column of each task of a wide file.
    label : str or None
        The only label column, if there are several score columns.
    scores : dict of str to str
        Score columns that share one label column, by the class or model that they are named for.
    """

    roles: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    label: str | None = None
    scores: dict[str, str] = field(default_factory=dict)

    @property
    def taken(self) -> set[str]:
        """Columns that have a role."""
        pairs = {column for pair in self.tasks.values() for column in pair}
        named = {*self.roles.values(), *pairs, *self.scores.values(), self.label}
        return {column for column in named if column is not None}


def find_columns(
    names: list[str], given: dict[str, list[str]], where: str, needs_label: bool = True
) -> Columns:
    """Find the columns of a predictions file.

    Parameters
    ----------
    names : list of str
        Its columns.
    given : dict of str to list of str
        Columns that the user named, by role (`OPTIONS`). ``label`` and ``score`` may have several:
        equally many (tasks), or one label and several scores (classes or models).
    where : str
        The file, for messages.
    needs_label : bool
        Whether a file without labels is an error.

    Raises
    ------
    MedauditError
        A named column does not exist, or no label or score column is found.
    """
    absent = [column for chosen in given.values() for column in chosen if column not in names]
    if absent:
        raise MedauditError(f"{where} has no column {absent}; name one of {names}")
    found = Columns({role: chosen[0] for role, chosen in given.items() if len(chosen) == 1})
    for role in ("id", "patient", "split", "model", "method", "seed"):
        _detect(found, names, role)
    if any(len(given.get(role, ())) > 1 for role in ("label", "score")):
        _pair_given(found, given, where)
    else:
        _find_layout(found, names, where, needs_label)
    return found


def _detect(found: Columns, names: list[str], role: str) -> None:
    column = None if role in found.roles else find_role(names, role, found.taken)
    if column is not None:
        found.roles[role] = column


def _pair_given(found: Columns, given: dict[str, list[str]], where: str) -> None:
    labels, scores = given.get("label", []), given.get("score", [])
    for role in ("label", "score"):
        found.roles.pop(role, None)
    if len(labels) == len(scores):
        names = [_stem(label, LABELS) or label for label in labels]
        found.tasks = dict(zip(names, zip(labels, scores, strict=True), strict=True))
    elif len(labels) == 1:
        found.label = labels[0]
        found.scores = {_stem(column, SCORES) or column: column for column in scores}
    else:
        raise MedauditError(
            f"{where}: {len(labels)} label columns and {len(scores)} score columns do not pair; "
            "name equally many of each, or one label and several scores"
        )


def _find_layout(found: Columns, names: list[str], where: str, needs_label: bool) -> None:
    for role in ("label", "score", "task"):
        _detect(found, names, role)
    # A plain score column decides the layout: columns such as score_edema are then attributes.
    if "score" in found.roles and ("label" in found.roles or not needs_label):
        return
    free = [name for name in names if name not in found.taken or name == found.roles.get("label")]
    scores = {stem: n for n in free if (stem := _stem(n, SCORES))}
    labels = {stem: n for n in free if n not in scores.values() and (stem := _stem(n, LABELS))}
    pairs: dict[str, tuple[str | None, str]] = {
        stem: (labels[stem], scores[stem]) for stem in labels if stem in scores
    }
    if pairs:
        found.tasks = pairs
        found.roles.pop("label", None)
        found.roles.pop("task", None)
    elif "label" in found.roles and scores:
        found.label, found.scores = found.roles.pop("label"), scores
    elif scores and not needs_label:
        found.tasks = {stem: (None, column) for stem, column in scores.items()}
    else:
        lacking = [role for role in ("label", "score") if role not in found.roles]
        raise MedauditError(
            f"{where}: found no {' and no '.join(lacking)} column among {names}; name them with "
            "--label and --score (for several tasks, several of each)"
        )


def _stem(name: str, words: str) -> str | None:
    """Return the name without one of the `words`: ``edema`` for ``score_edema``, ``edema_score``."""
    match = re.fullmatch(rf"(?:{words})[_ .:-]+(.+)", name, re.IGNORECASE)
    match = match or re.fullmatch(rf"(.+?)[_ .:-]+(?:{words})", name, re.IGNORECASE)
    return match.group(1) if match else None
