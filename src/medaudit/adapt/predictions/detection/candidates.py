"""Name and content of a column together: truth, score, decision, or none of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.content import Content
from medaudit.adapt.predictions.detection.names import Kind, Name, parse
from medaudit.metrics.probability_sums import sum_tolerance

FEW = 20
"""Distinct whole numbers up to which a predicted column holds decisions rather than scores."""
_TIERS = {Kind.SCORE: 0, Kind.PREDICTION: 1, Kind.DECISION: 1, Kind.LOGIT: 2, Kind.CONFIDENCE: 3}


@dataclass
class Candidate:
    """A column with what its name and its content say.

    Parameters
    ----------
    name : Name
        Parsed name.
    content : Content
        What it holds.
    """

    name: Name
    content: Content

    @property
    def column(self) -> str:
        """Return the column's name in the file."""
        return self.name.text

    @cached_property
    def role(self) -> str:
        """Return ``truth``, ``score``, ``decision``, ``outcome`` or ``none``."""
        kind, content = self.name.kind, self.content
        if content.is_outcome and kind != Kind.SCORE:
            return "outcome"
        if kind == Kind.NONE or not content.n:  # a blank score is an error, which shaping raises
            return "score" if kind in (Kind.SCORE, Kind.LOGIT) else "none"
        if kind == Kind.OUTCOME:
            return "outcome"
        if kind == Kind.TRUTH:
            constant = content.n_levels < 2 and self.name.strength == 1
            return "none" if content.is_continuous or not content.levels or constant else "truth"
        if kind in (Kind.PREDICTION, Kind.DECISION):
            if not content.is_numeric:
                return "decision" if self.name.predicted or content.n_levels <= FEW else "none"
            return "score" if content.is_continuous or content.n_levels > FEW else "decision"
        return "score" if content.is_numeric else "none"

    @property
    def looks_like_score(self) -> bool:
        """Whether the content is that of a probability or a logit: numbers with fractions."""
        content = self.content
        if not content.n:
            return self.role == "score"
        return content.is_continuous and (content.is_unit or bool((content.filled < 0).any()))

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Return the order of preference among scores: probabilities before logits."""
        content = self.content
        return (not content.is_continuous, not content.is_unit, _TIERS.get(self.name.kind, 4))


def candidates(frame: pd.DataFrame, names: list[str]) -> list[Candidate]:
    """Return the columns `names` of a table as candidates."""
    return [Candidate(parse(name), Content(frame[name])) for name in names]


def same_partition(first: Content, second: Content) -> bool:
    """Return whether two columns divide the rows alike, whatever they call the levels."""
    codes = [pd.factorize(c.values)[0] for c in (first, second)]
    both = (codes[0] >= 0) & (codes[1] >= 0)
    pairs = np.unique(np.stack([c[both] for c in codes]), axis=1)
    return pairs.shape[1] == len(set(pairs[0])) == len(set(pairs[1]))


def same_order(first: Content, second: Content) -> bool:
    """Return whether two columns of numbers put the rows in the same order, ties apart."""
    a, b = first.numbers, second.numbers
    if a is None or b is None or len(a) != len(b):
        return False
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    # ties may be broken either way: the largest b of a tie must not be above the next tie's smallest
    return bool((np.diff(b)[np.diff(a) > 0] >= 0).all())


def sum_to_one(contents: list[Content]) -> bool:
    """Return whether probabilities sum to 1 in every row, within their rounding."""
    columns = [c.numbers for c in contents]
    if any(c is None for c in columns) or not all(c.is_unit for c in contents):
        return False
    table = np.stack([c for c in columns if c is not None])
    total = table.sum(axis=0)
    return bool((np.abs(total - 1)[~np.isnan(total)] <= sum_tolerance(table, len(table))).all())
