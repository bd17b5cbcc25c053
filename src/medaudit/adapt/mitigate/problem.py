"""What every remedy gets: embeddings, labels and groups of one task and attribute, and its points."""

from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np

from medaudit.core.seeds import generator


class Part(NamedTuple):
    """The rows of one split that have a label.

    Parameters
    ----------
    x : numpy.ndarray
        ``[n, d]``, standardised embeddings.
    y : numpy.ndarray
        ``[n]``, 1 or 0.
    group : numpy.ndarray
        ``[n]``, whole numbers from 0. A recorded level ``unknown`` is a group like any other; rows
        without a group share the last number.
    """

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray

    @property
    def cell(self) -> np.ndarray:
        """Group and class of each row as one number: ``2 * group + y``."""
        return 2 * self.group + self.y.astype(int)


class Training(TypedDict, total=False):
    """The budget of every remedy, which is that of plain training."""

    epochs: int
    batch_size: int
    learning_rate: list[float]
    weight_decay: float
    hidden: int
    configurations: int


class Point(NamedTuple):
    """One point of a remedy's search space; `strength` is NaN for a remedy that has none."""

    learning_rate: float
    strength: float


@dataclass(frozen=True)
class Problem:
    """One task and attribute of a cohort, with the training budget.

    Parameters
    ----------
    train, val : Part
        What remedies are fitted to, and what their points are selected on.
    groups : int
        Number of groups, that of rows without a group included where there are any.
    levels : int
        Number of recorded groups: `groups`, or one less.
    training : Training
        The budget.
    seeds : tuple of int
        Seeds of the random generators, one per run.
    """

    train: Part
    val: Part
    groups: int
    levels: int
    training: Training
    seeds: tuple[int, ...]

    @property
    def rngs(self) -> list[np.random.Generator]:
        """New generators, one per seed: what a remedy draws depends on no remedy before it."""
        return [np.random.default_rng(seed) for seed in self.seeds]

    def known(self, group: np.ndarray) -> np.ndarray:
        """Return groups with -1 for rows without one."""
        return np.where(group < self.levels, group, -1)


def draw_points(
    name: str,
    learning_rate: tuple[float, float],
    strength: tuple[float, float] | None,
    count: int,
) -> list[Point]:
    """Return the points of a remedy's search: the same number for every remedy.

    A Latin hypercube on logarithmic scales: each range is cut into `count` equal parts, and each
    part has one point, at its middle.

    Parameters
    ----------
    name : str
        The remedy's name; it seeds which strength goes with which learning rate.
    learning_rate, strength : tuple of float
        Lowest and highest value, above 0; a remedy without a strength has NaN.
    count : int
        Number of points.

    Examples
    --------
    >>> [round(point.learning_rate, 4) for point in draw_points("plain", (0.001, 0.1), None, 2)]
    [0.0032, 0.0316]
    """
    order = generator("mitigate", "points", name).permutation(count)
    strengths = _spread(strength, count)[order] if strength else np.full(count, np.nan)
    return [
        Point(*map(float, pair))
        for pair in zip(_spread(learning_rate, count), strengths, strict=True)
    ]


def _spread(ends: tuple[float, float], count: int) -> np.ndarray:
    low, high = np.log(ends)
    return np.exp(low + (high - low) * (np.arange(count) + 0.5) / count)
