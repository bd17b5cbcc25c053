"""Which verdict is worse: the worst of several measures is the verdict on an attribute."""

from collections.abc import Iterable
from typing import TypeVar

from medaudit.report.equivalence import Equivalence
from medaudit.report.verdicts import Verdict

Given = Verdict | Equivalence

WORST_FIRST: tuple[Given, ...] = (
    Equivalence.UNFAIR,
    Verdict.SHOWN,
    Verdict.HINT,
    Equivalence.UNDECIDED,
    Verdict.UNTESTED,
    Equivalence.NOT_ESTIMABLE,
    Verdict.UNKNOWN,
    Verdict.NOT_SHOWN,
    Equivalence.FAIR,
)
"""What is not known counts as worse than what is not shown: silence is no good news."""

FOUND = WORST_FIRST[:3]
"""Verdicts that say that there is, or may be, a difference."""

Item = TypeVar("Item")


def rank(verdict: Given) -> int:
    """Return the place of a verdict; 0 is the worst."""
    return next(k for k, one in enumerate(WORST_FIRST) if one is verdict)


def named(kind: str) -> Given:
    """Return the verdict with this name.

    Examples
    --------
    >>> named("SHOWN")
    <Verdict.SHOWN: 'difference shown'>
    """
    return next(verdict for verdict in WORST_FIRST if verdict.name == kind)


def worst(items: Iterable[tuple[Given, Item]]) -> tuple[Given, Item]:
    """Return the item with the worst verdict; of several, the first."""
    return min(items, key=lambda pair: rank(pair[0]))
