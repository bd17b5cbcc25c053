"""A decision gap split into ranking, calibration and threshold.

All groups share one threshold t. Let D be the difference of a group's TPR (or FPR) from that of
the others at t. Two other pairs of operating points are compared with it:

- *recalibrated*: each side's scores are replaced by their own calibrated risk (Platt 1999, fitted
  on the validation rows of that side only), and the shared threshold by the risk that t has in the
  pooled calibration. D_c is the difference there.
- *equal*: each side is cut where (TPR + FPR) / 2 has the same value, the mean of both sides at t.
  That is the share flagged if half of each side had the disease, so prevalence has no influence.
  D_e is the difference there, on ROC curves with straight lines between their points.

Then D = (D - D_c) + (D_c - D_e) + D_e, exactly:

- calibration, D - D_c: vanishes when scores mean the same risk on both sides;
- threshold, D_c - D_e: one threshold puts sides of different risk at different operating points,
  even when both are calibrated and ranked equally well;
- ranking, D_e: vanishes when the ROC curves coincide there; no threshold or calibration removes it.
"""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics.calibration import fit_platt, platt_targets
from medaudit.metrics.operating_points import Side as OperatingSide
from medaudit.metrics.operating_points import operating_point, roc_point

METRICS = ("tpr", "fpr")
PART_NAMES = ("gap", "ranking", "calibration", "threshold")


@dataclass(frozen=True)
class Side(OperatingSide):
    """The test rows of a group, or of all others.

    Parameters
    ----------
    platt : numpy.ndarray
        Intercept and slope of the side's calibration, ``[2, draws]`` (see `draw_platt`).
    """

    platt: np.ndarray


def split_gap(
    group: Side, rest: Side, cut: float, pooled: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    """Return the gap and its three parts by (metric, part), each ``[draws]``.

    Parameters
    ----------
    group, rest : Side
        Both sides; the gap is group minus rest, in [-1, 1].
    cut : float
        The shared threshold on the logit scale; a row is flagged at ``margin >= cut``.
    pooled : numpy.ndarray
        Calibration of both sides together, ``[2, draws]``.

    Returns
    -------
    dict
        ``gap`` = ``ranking`` + ``calibration`` + ``threshold`` in every draw. NaN in draws where
        a side lacks a class or its calibration does not rise with the score (slope <= 0): it has
        no threshold.
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
        for part, value in zip(PART_NAMES, values, strict=True):
            found[metric, part] = np.where(missing, np.nan, value)
    return found


def equivalent_cut(side: Side, cut: float, pooled: np.ndarray) -> np.ndarray:
    """Return the cuts at which the side's own risk equals the pooled risk at `cut`, ``[draws]``."""
    intercept, slope = side.platt
    rising = np.where(slope > 0, slope, np.nan)
    return (pooled[0] + pooled[1] * cut - intercept) / rising


def draw_platt(margin: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return intercept and slope of `fit_platt` in each draw of the validation rows.

    One Newton step from the fit to all rows towards the fit to the drawn rows, which has the same
    distribution to first order (the one-step bootstrap).

    Parameters
    ----------
    margin, positive : numpy.ndarray
        Of the validation rows, ``[n]``.
    weights : numpy.ndarray
        How often each row was drawn, ``[n, draws]``.

    Returns
    -------
    numpy.ndarray
        ``[2, draws]``; where all weights of a draw are 1, the fit itself.
    """
    fit = fit_platt(margin, positive)
    if np.isnan(fit).any():
        return np.full((2, weights.shape[1]), np.nan)
    risk = 1 / (1 + np.exp(-np.clip(fit[0] + fit[1] * margin, -700, 700)))
    residual, curve = platt_targets(positive) - risk, risk * (1 - risk)
    rows = np.stack([residual, residual * margin, curve, curve * margin, curve * margin**2])
    g0, g1, h00, h01, h11 = rows @ weights.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / (h00 * h11 - h01**2)
    return np.array(fit)[:, None] + steps
