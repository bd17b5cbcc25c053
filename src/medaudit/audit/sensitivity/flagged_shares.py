"""How a difference depends on the threshold, which is named by the share of images it flags."""

from typing import NamedTuple

import numpy as np

POINTS = 401
WIDEST = 6.0
"""Thresholds from which the odds of being flagged are 1/400 to 400 times those of the chosen one."""


class Curve(NamedTuple):
    """A difference by threshold.

    Parameters
    ----------
    factor : ndarray, shape (points,)
        Rising; the odds of being flagged, divided by those at the chosen threshold.
    share, threshold, difference : ndarray, shape (points,)
        Share of the images that is flagged, threshold, difference of the groups.
    """

    factor: np.ndarray
    share: np.ndarray
    threshold: np.ndarray
    difference: np.ndarray


class Group(NamedTuple):
    """Scores of the images that a rate is about, with importance weights."""

    score: np.ndarray
    weight: np.ndarray


class Reach(NamedTuple):
    """The difference over the plausible thresholds, and the nearest threshold at which it is gone.

    Parameters
    ----------
    low, high : float
        Smallest and largest difference within the plausible shares.
    range_low, range_high : float
        The plausible shares.
    threshold_low, threshold_high : float
        Their thresholds, `threshold_low` the smaller.
    tipping, threshold_tipping : float
        Share and threshold nearest to the chosen one at which the difference is 0 or reversed,
        also outside the plausible ones; NaN: none.
    """

    low: float
    high: float
    range_low: float
    range_high: float
    threshold_low: float
    threshold_high: float
    tipping: float
    threshold_tipping: float


def factors(plausible: tuple[float, float]) -> np.ndarray:
    """Return the factors to look at, among them 1 and the ends of the plausible ones."""
    grid = np.exp(np.linspace(-WIDEST, WIDEST, POINTS))
    grid[POINTS // 2] = 1.0
    return np.unique(np.append(grid, plausible))


def follow(
    scores: np.ndarray, groups: tuple[Group, Group], factor: np.ndarray, chosen: float
) -> Curve:
    """Return the first group's share of flagged images minus the second's, by threshold.

    Parameters
    ----------
    scores : ndarray
        Of all images; a share of them is flagged.
    groups : tuple of Group
        Images of the two groups, e.g. their positives.
    factor : ndarray, shape (points,)
        See `Curve`.
    chosen : float
        The threshold that was chosen, which is used itself at factor 1.

    Returns
    -------
    Curve
        NaN where the chosen threshold flags nobody or everybody.
    """
    own = np.mean(scores >= chosen)
    if not 0 < own < 1:
        return Curve(factor, *np.full((3, factor.size), np.nan))
    odds = own / (1 - own) * factor
    share = odds / (1 + odds)
    ordered = np.sort(scores)[::-1]
    place = np.clip(np.ceil(share * ordered.size - 1e-9).astype(int) - 1, 0, ordered.size - 1)
    threshold = np.where(factor == 1, chosen, ordered[place])
    first, second = (_flagged(group, threshold) for group in groups)
    return Curve(factor, share, threshold, first - second)


def reach(curve: Curve, plausible: tuple[float, float]) -> Reach:
    """Return what the curve says about the plausible thresholds.

    Parameters
    ----------
    curve : Curve
        The difference is positive at factor 1.
    plausible : tuple of float
        Smallest and largest factor that is plausible.
    """
    inside = (curve.factor >= plausible[0]) & (curve.factor <= plausible[1])
    within = Curve(*(part[inside] for part in curve))
    gone = np.flatnonzero(curve.difference <= 0)
    at = gone[np.abs(np.log(curve.factor[gone])).argmin()] if gone.size else None
    return Reach(
        float(within.difference.min()),
        float(within.difference.max()),
        float(within.share.min()),
        float(within.share.max()),
        float(within.threshold.min()),
        float(within.threshold.max()),
        np.nan if at is None else float(curve.share[at]),
        np.nan if at is None else float(curve.threshold[at]),
    )


def _flagged(group: Group, threshold: np.ndarray) -> np.ndarray:
    order = np.argsort(group.score, kind="stable")
    below = np.append(0, np.cumsum(group.weight[order]))
    return 1 - below[np.searchsorted(group.score[order], threshold, "left")] / below[-1]
