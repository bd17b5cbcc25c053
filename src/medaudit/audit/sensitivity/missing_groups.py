"""What images of unknown group could do to a difference, if they were assigned to groups adversarially.

`high` is the group with the larger value of the metric, `low` the one with the smaller; the
difference is high - low. Every image of unknown group may belong to either of them, or to another
group, whatever is worst (Manski's bounds, 1990). Images of one patient are assigned one by one,
which can only widen the bounds.
"""

from typing import NamedTuple

import numpy as np

STEPS = 256
"""Numbers of images that are tried along each class for an AUC; all of them, if there are fewer."""
ROUNDING = 1e-9


class Rate(NamedTuple):
    """Weight of the images that a rate counts above and below, e.g. true positives and positives."""

    top: float
    bottom: float


class Scores(NamedTuple):
    """Scores of a group by label, each with weights of the same shape."""

    positive: np.ndarray
    negative: np.ndarray
    positive_weight: np.ndarray
    negative_weight: np.ndarray


class Bounds(NamedTuple):
    """Smallest and largest difference, and the fewest images that make it 0 (NaN: none do)."""

    low: float
    high: float
    fewest: float


def bound_rate(high: Rate, low: Rate, unknown: tuple[int, int]) -> Bounds:
    """Bound the difference of two rates.

    Parameters
    ----------
    high, low : Rate
        The groups' rates.
    unknown : tuple of int
        Images of unknown group that count above and below (e.g. positives that are found), and
        only below (positives that are missed). Each has weight 1.

    Returns
    -------
    Bounds
        All misses to the group with the higher rate and all hits to the other one give the
        smallest difference.
    """
    hits, misses = unknown
    smallest = high.top / (high.bottom + misses) - (low.top + hits) / (low.bottom + hits)
    largest = (high.top + hits) / (high.bottom + hits) - low.top / (low.bottom + misses)
    given = np.arange(misses + 1)
    rate = high.top / (high.bottom + given)
    # (low.top + j) / (low.bottom + j) >= rate, solved for j
    short = np.maximum(rate * low.bottom - low.top, 0)
    needed = np.divide(short, 1 - rate, out=np.full(rate.size, np.inf), where=rate < 1)
    needed = np.where(short <= ROUNDING, 0, np.ceil(needed - ROUNDING))
    total = np.where(needed <= hits, given + needed, np.inf)
    return Bounds(smallest, largest, _finite(total.min()))


def bound_auc(high: Scores, low: Scores, unknown: Scores) -> Bounds:
    """Bound the difference of two AUCs.

    Parameters
    ----------
    high, low : Scores
        Scores of the groups.
    unknown : Scores
        Scores of the images of unknown group; their weights are taken as 1.

    Returns
    -------
    Bounds
        An AUC is lowest with the lowest-scoring positives and the highest-scoring negatives. How
        many of each is searched on a grid of at most 257 x 257 numbers. The two groups are bounded
        one by one, so that an image may serve both: the bounds are never too narrow.
    """
    fall, rise = _lowest(high, unknown), _lowest(_swap(low), _swap(unknown))
    up, down = _lowest(_swap(high), _swap(unknown)), _lowest(low, unknown)
    smallest = fall.value[-1] - (1 - rise.value[-1])
    largest = (1 - up.value[-1]) - down.value[-1]
    # The lower envelope falls with the number of images: the first number that suffices.
    place = np.searchsorted(-rise.value, fall.value - 1 - ROUNDING)
    found = place < rise.value.size
    total = fall.images[found] + rise.images[place[found]]
    everything = unknown.positive.size + unknown.negative.size
    total = total[total <= everything].astype(float)
    return Bounds(smallest, largest, _finite(total.min(initial=np.inf)))


def auc(scores: Scores) -> float:
    """Return the AUC of a group; a tie counts half."""
    return float(_won(scores) / (scores.positive_weight.sum() * scores.negative_weight.sum()))


class _Envelope(NamedTuple):
    """Lowest AUC (never rising) that a number of images can bring about."""

    images: np.ndarray
    value: np.ndarray


def _lowest(known: Scores, unknown: Scores) -> _Envelope:
    """Return the lowest AUC of a group by the number of images that are added to it."""
    positive = np.sort(unknown.positive)
    negative = -np.sort(-unknown.negative)
    k, m = _numbers(positive.size), _numbers(negative.size)
    order = np.argsort(known.negative, kind="stable")
    below = _weight_below(positive, known.negative[order], known.negative_weight[order])
    order = np.argsort(known.positive, kind="stable")
    above = known.positive_weight.sum() - _weight_below(
        negative, known.positive[order], known.positive_weight[order]
    )
    won = _won(known) + _sums(below, k)[:, None] + _sums(above, m)[None]
    won = won + _cross(positive, negative, k, m)
    positives = known.positive_weight.sum() + k[:, None]
    values = (won / (positives * (known.negative_weight.sum() + m))).ravel()
    images = (k[:, None] + m).ravel()
    order = np.lexsort((values, images))
    return _Envelope(images[order], np.minimum.accumulate(values[order]))


def _numbers(size: int) -> np.ndarray:
    return np.unique(np.round(np.linspace(0, size, min(size, STEPS) + 1)).astype(int))


def _sums(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.append(0, np.cumsum(values))[numbers]


def _weight_below(scores: np.ndarray, ordered: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weight of the `ordered` scores below each score; a tie counts half."""
    total = np.append(0, np.cumsum(weight))
    left, right = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (total[left] + total[right]) / 2


def _won(scores: Scores) -> float:
    order = np.argsort(scores.negative, kind="stable")
    below = _weight_below(scores.positive, scores.negative[order], scores.negative_weight[order])
    return float((scores.positive_weight * below).sum())


def _cross(positive: np.ndarray, negative: np.ndarray, k: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Return the pairs that the first k unknown positives win against the first m negatives."""
    blocks = [np.zeros(m.size)]
    for start, end in zip(k[:-1], k[1:], strict=True):
        block = positive[start:end]
        lost = _weight_below(negative, block, np.ones(block.size))
        blocks.append(_sums(block.size - lost, m))
    return np.cumsum(blocks, axis=0)


def _swap(scores: Scores) -> Scores:
    """Exchange the classes: the AUC becomes 1 - AUC."""
    return Scores(scores.negative, scores.positive, scores.negative_weight, scores.positive_weight)


def _finite(value: float) -> float:
    return float(value) if np.isfinite(value) else np.nan
