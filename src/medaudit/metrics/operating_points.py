"""Points of ROC curves under bootstrap draws: at a threshold, and where both curves flag as many.

Scores are on a scale on which decisions are made: the logit, or for classes the lead of a class
over the best other one.
"""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics.calibration import EPSILON, logit
from medaudit.metrics.sample import Sample

BLOCK = 100


@dataclass(frozen=True)
class Side:
    """Test rows to compare with others.

    Parameters
    ----------
    margin : numpy.ndarray
        Score on the scale of the decisions, ``[n]``.
    positive : numpy.ndarray
        bool ``[n]``.
    weights : numpy.ndarray
        ``[n, draws]``; the first column holds the rows' own weights.
    """

    margin: np.ndarray
    positive: np.ndarray
    weights: np.ndarray


def decision_margins(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return the test scores ``[seeds, rows, tasks]`` and cuts ``[seeds, tasks]`` on that scale."""
    if sample.threshold is None:
        return lead(sample.score), np.zeros((len(sample.seeds), len(sample.tasks)))
    return logit(sample.score), logit(sample.threshold)


def lead(score: np.ndarray) -> np.ndarray:
    """Return log p of each class minus the largest log p of the others, ``[..., classes]``."""
    logs = np.log(np.maximum(score, EPSILON))
    ordered = np.sort(logs, axis=2)
    best, second = ordered[..., -1:], ordered[..., -2:-1]
    return logs - np.where(logs == best, second, best)


def operating_point(side: Side, cut: float | np.ndarray) -> np.ndarray:
    """Return TPR and FPR at ``margin >= cut``, ``[2, draws]``; NaN where a class is absent.

    Parameters
    ----------
    side : Side
        The rows.
    cut : float or numpy.ndarray
        One for all draws, or one per draw; NaN gives NaN.
    """
    cut = np.broadcast_to(cut, side.weights.shape[1:])
    rates = []
    for truth in (side.positive, ~side.positive):
        weights = side.weights[truth]
        flagged = side.margin[truth, None] >= cut
        chosen = np.einsum("nd,nd->d", weights, flagged, dtype=float)
        rates.append(ratio(chosen, weights.sum(axis=0)))
    return np.where(np.isnan(cut), np.nan, np.stack(rates))


def roc_point(side: Side, level: np.ndarray) -> np.ndarray:
    """Return TPR and FPR where (TPR + FPR) / 2 = `level` on the ROC curve, ``[2, draws]``."""
    order = np.argsort(-side.margin, kind="stable")
    margin, positive = side.margin[order], side.positive[order, None]
    ends = np.flatnonzero(np.append(np.diff(margin) != 0, True))
    found = np.empty((2, len(level)))
    for start in range(0, len(level), BLOCK):
        part = slice(start, start + BLOCK)
        weights = side.weights[order, part]
        curves = [
            np.vstack([np.zeros(weights.shape[1]), np.cumsum(np.where(of, weights, 0.0), 0)[ends]])
            for of in (positive, ~positive)
        ]
        tpr, fpr = (ratio(curve, curve[-1]) for curve in curves)
        found[:, part] = _between(tpr, fpr, level[part])
    return found


def _between(tpr: np.ndarray, fpr: np.ndarray, level: np.ndarray) -> np.ndarray:
    height = (tpr + fpr) / 2
    after = np.clip((height < level).sum(axis=0), 1, len(height) - 1)
    columns = np.arange(len(level))
    low, high = height[after - 1, columns], height[after, columns]
    share = ratio(level - low, high - low)
    return np.stack(
        [
            curve[after - 1, columns] + share * (curve[after, columns] - curve[after - 1, columns])
            for curve in (tpr, fpr)
        ]
    )


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return top / bottom, NaN where bottom is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)
