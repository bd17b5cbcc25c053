"""A decision gap split into ranking, calibration and threshold.

All groups share one threshold t. Let D be the difference of a group's TPR (or FPR) from that of
the others at t. Two other pairs of operating points are compared with it:

- *recalibrated*: each side's scores are replaced by their own calibrated risk (Platt 1999, fitted
  on validation rows of that side alone), and the shared threshold by the risk that t has in the
  pooled calibration. D_c is the difference there.
- *equal*: each side is cut where (TPR + FPR) / 2 has the same value, the mean of both sides at t.
  That is the share flagged if half of each side had the disease, so prevalence plays no part.
  D_e is the difference there, on ROC curves with straight lines between their points.

Then D = (D - D_c) + (D_c - D_e) + D_e, exactly:

- calibration, D - D_c: vanishes when scores mean the same risk on both sides;
- threshold, D_c - D_e: one threshold puts sides of different risk at different operating points,
  even when both are calibrated and ranked equally well;
- ranking, D_e: vanishes when the ROC curves coincide there; no threshold or calibration mends it.
"""

from dataclasses import dataclass

import numpy as np

BLOCK = 100
METRICS = ("tpr", "fpr")
PARTS = ("gap", "ranking", "calibration", "threshold")


@dataclass(frozen=True)
class Side:
    """The test rows of a group, or of all others.

    Parameters
    ----------
    margin : numpy.ndarray
        Score on the logit scale, ``[n]``.
    positive : numpy.ndarray
        bool ``[n]``.
    weights : numpy.ndarray
        ``[n, draws]``, the first column the rows' own weights.
    platt : tuple of float
        Intercept and slope of the side's calibration.
    """

    margin: np.ndarray
    positive: np.ndarray
    weights: np.ndarray
    platt: tuple[float, float]


def split_gap(
    group: Side, rest: Side, cut: float, pooled: tuple[float, float]
) -> dict[tuple[str, str], np.ndarray]:
    """Return the gap and its three parts by (metric, part), each ``[draws]``.

    Parameters
    ----------
    group, rest : Side
        Both sides; the gap is group minus rest, in [-1, 1].
    cut : float
        The shared threshold on the logit scale; a row is flagged at ``margin >= cut``.
    pooled : tuple of float
        Calibration of both sides together.

    Returns
    -------
    dict
        ``gap`` = ``ranking`` + ``calibration`` + ``threshold`` in every draw. NaN in draws where
        a side lacks a class, and everywhere where a side's calibration does not rise with the
        score (slope <= 0): it has no threshold.
    """
    sides = (group, rest)
    raw = [operating_point(side, cut) for side in sides]
    calibrated = [operating_point(side, equivalent_cut(side, cut, pooled)) for side in sides]
    level = sum(point.mean(axis=0) for point in raw) / 2
    equal = [roc_point(side, level) for side in sides]
    differences = [points[0] - points[1] for points in (raw, calibrated, equal)]
    found = {}
    for row, metric in enumerate(METRICS):
        d, d_calibrated, d_equal = (difference[row] for difference in differences)
        values = (d, d_equal, d - d_calibrated, d_calibrated - d_equal)
        missing = ~np.isfinite(sum(values))
        for part, value in zip(PARTS, values, strict=True):
            found[metric, part] = np.where(missing, np.nan, value)
    return found


def equivalent_cut(side: Side, cut: float, pooled: tuple[float, float]) -> float:
    """Return the cut at which the side's own risk equals the pooled risk at `cut`."""
    intercept, slope = side.platt
    return (pooled[0] + pooled[1] * cut - intercept) / slope if slope > 0 else np.nan


def operating_point(side: Side, cut: float) -> np.ndarray:
    """Return TPR and FPR at ``margin >= cut``, ``[2, draws]``; NaN where a class is absent."""
    if not np.isfinite(cut):
        return np.full((2, side.weights.shape[1]), np.nan)
    flagged = side.margin >= cut
    rates = [
        _ratio(side.weights[flagged & truth].sum(axis=0), side.weights[truth].sum(axis=0))
        for truth in (side.positive, ~side.positive)
    ]
    return np.stack(rates)


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
        tpr, fpr = (_ratio(curve, curve[-1]) for curve in curves)
        found[:, part] = _between(tpr, fpr, level[part])
    return found


def _between(tpr: np.ndarray, fpr: np.ndarray, level: np.ndarray) -> np.ndarray:
    height = (tpr + fpr) / 2
    after = np.clip((height < level).sum(axis=0), 1, len(height) - 1)
    columns = np.arange(len(level))
    low, high = height[after - 1, columns], height[after, columns]
    share = _ratio(level - low, high - low)
    return np.stack(
        [
            curve[after - 1, columns] + share * (curve[after, columns] - curve[after - 1, columns])
            for curve in (tpr, fpr)
        ]
    )


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def fit_platt(margin: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Return intercept and slope of P(y = 1) = 1 / (1 + exp(-(intercept + slope * margin))).

    Platt (1999): targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) keep the fit finite when the
    classes are separated; Newton's method on standardised margins. NaN with one class only.
    """
    n1, n0 = positive.sum(), (~positive).sum()
    spread = margin.std()
    if not (n1 and n0) or spread == 0:
        return np.nan, np.nan
    x = np.column_stack([np.ones(len(margin)), (margin - margin.mean()) / spread])
    target = np.where(positive, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    slope = _newton(x, target)
    return float(slope[0] - slope[1] * margin.mean() / spread), float(slope[1] / spread)


def _newton(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    def loss(beta):
        return (np.logaddexp(0, x @ beta) - target * (x @ beta)).sum()

    beta = np.array([np.log(target.mean() / (1 - target.mean())), 0.0])
    for _ in range(100):
        risk = 1 / (1 + np.exp(-np.clip(x @ beta, -700, 700)))
        step = np.linalg.solve(
            x.T @ (x * np.maximum(risk * (1 - risk), 1e-12)[:, None]), x.T @ (target - risk)
        )
        while loss(beta + step) > loss(beta) + 1e-12 and np.abs(step).max() > 1e-12:
            step /= 2
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return beta
