"""The role of each column, with the reason for it and what else it could have been."""

from dataclasses import dataclass, field
from typing import Any

OPTIONS = ("id", "patient", "split", "label", "score", "model", "method", "task", "seed")
NAMED_ONLY = ("weight",)
"""Roles that a column has only if the user names it."""
SETTINGS = ("decision", "age", "groups", "ignore", "not_a_role")
"""What a user can say of columns beyond their roles."""


@dataclass
class Choice:
    """What a column was taken for.

    Parameters
    ----------
    role : str
        E.g. ``label``, ``score``, ``image id``.
    column : str
        Its name in the file, or several names.
    reason : str
        Why.
    alternatives : list of str
        Other columns that could have the role.
    """

    role: str
    column: str
    reason: str
    alternatives: list[str] = field(default_factory=list)


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
        Score columns that share one label column, by the model that they are named for.
    classes : dict of str to str
        Score columns that share one label column, by the level of that column.
    positive : str or None
        The level of the label that counts as 1, where names and content tell it.
    decision : str or None
        The column of the model's decisions.
    turned : bool
        Whether the score is the confidence in the decision, so that it is 1 - score where the
        decision is negative.
    not_groups : dict of str to str
        Columns that are no groups of patients, with the reason.
    refused : list of str
        Columns that are named like a role and are attributes, by the user's word or by content.
    named : frozenset of str
        The roles whose columns the user named.
    choices : list of Choice
        Every role, to print.
    """

    roles: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    label: str | None = None
    scores: dict[str, str] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    positive: str | None = None
    decision: str | None = None
    turned: bool = False
    not_groups: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    named: frozenset[str] = frozenset()
    choices: list[Choice] = field(default_factory=list)

    @property
    def answers(self) -> str | None:
        """The column of decisions where the file has no scores beside them."""
        score = self.roles.get("score")
        return score if score is not None and score == self.decision else None

    @property
    def taken(self) -> set[str]:
        """Columns that have a role."""
        pairs = {column for pair in self.tasks.values() for column in pair}
        several = {*self.scores.values(), *self.classes.values()}
        named = {*self.roles.values(), *pairs, *several, self.label}
        return {column for column in named if column is not None}

    @property
    def is_named(self) -> bool:
        """Whether the user named both labels and scores, so that nothing needs to be questioned."""
        return {"label", "score"} <= self.named

    def add(
        self, role: str, column: str, reason: str, alternatives: list[str] | None = None
    ) -> None:
        """Record a choice."""
        self.choices.append(Choice(role, column, reason, alternatives or []))

    def as_settings(self) -> dict[str, Any]:
        """Return the columns by role, as the user could have named them."""
        known = (*OPTIONS, *NAMED_ONLY)
        found: dict[str, Any] = {role: self.roles[role] for role in known if role in self.roles}
        if self.tasks:
            pairs = list(self.tasks.values())
            found["label"] = [label for label, _ in pairs if label is not None]
            found["score"] = [score for _, score in pairs]
        elif self.label is not None:
            found["label"] = self.label
            found["score"] = [*self.scores.values(), *self.classes.values()]
        if self.turned and self.decision:
            found["decision"] = self.decision
        if self.refused:
            found["not_a_role"] = list(self.refused)
        return found
