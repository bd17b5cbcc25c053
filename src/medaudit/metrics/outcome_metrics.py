"""Metrics of outcomes that are not a label and a score: means, errors of a number, quadratic kappa.

Each is a smooth function of sums over a group's images, so that one delta method gives its
variance with patients as clusters (Liang and Zeger 1986), for values and permutations alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MEAN, KAPPA = "mean", "quadratic_kappa"


@dataclass(frozen=True)
class OutcomeMetric:
    """A function of sums.

    Parameters
    ----------
    compute : callable
        Sums, shape (columns, ...), to the value; NaN where it is undefined.
    gradient : callable
        Sums to the derivatives of the value, shape as the sums.
    """

    compute: Callable[[np.ndarray], np.ndarray]
    gradient: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """One outcome of every image and the metric that sums it up.

    Parameters
    ----------
    task, metric : str
        Names in tables: of the column or finding, and of what is measured.
    kind : {"mean", "quadratic_kappa"}
        Key of `OUTCOME_METRICS`.
    columns : ndarray, shape (images, k)
        What is summed; the first column counts images (1). Rows of NaN take no part.
    bounds : tuple of float, optional
        Least and largest possible value; a mean in (0, 1) has Wilson's limits.
    better : {1, -1, 0, None}
        Larger is better, smaller is better, nearer to 0 is better, not known.
    """

    task: str
    metric: str
    kind: str
    columns: np.ndarray
    bounds: tuple[float, float] | None = None
    better: int | None = None

    @property
    def unit_bound(self) -> bool:
        """Whether it is a mean in [0, 1]."""
        return self.kind == MEAN and self.bounds == (0.0, 1.0)

    def harm(self, value: np.ndarray) -> np.ndarray:
        """Return how bad values are: larger is worse; NaN where it is not known."""
        if self.better is None:
            return np.full(np.shape(value), np.nan)
        return np.abs(value) if self.better == 0 else -self.better * np.asarray(value)


def mean_of(values: np.ndarray) -> np.ndarray:
    """Return the columns of a mean: 1 and the value; NaN in both where there is none.

    Parameters
    ----------
    values : ndarray, shape (images,)
        NaN: the image takes no part.
    """
    return np.column_stack([np.where(np.isnan(values), np.nan, 1.0), values])


def moments_of(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the columns of a quadratic kappa: 1, y, p, y^2, p^2, y p.

    Parameters
    ----------
    y, p : ndarray, shape (images,)
        True and predicted grades; NaN: takes no part.
    """
    columns = np.column_stack([np.ones(y.size), y, p, y * y, p * p, y * p])
    columns[np.isnan(columns).any(axis=1)] = np.nan
    return columns


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    return np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom > 0)


def _mean(sums: np.ndarray) -> np.ndarray:
    return _divide(sums[1], sums[0])


def _mean_gradient(sums: np.ndarray) -> np.ndarray:
    return np.stack([-_divide(_mean(sums), sums[0]), _divide(np.ones_like(sums[0]), sums[0])])


def _kappa_parts(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the means of the columns, the observed and the expected squared difference.

    Cohen (1968) with weights (i - j)^2: kappa = 1 - observed / expected, where the expected one is
    that of independent grades with the same margins, y^2 + p^2 - 2 mean(y) mean(p).
    """
    mean = _divide(sums, sums[0])
    _, y, p, yy, pp, yp = mean
    return mean, yy + pp - 2 * yp, yy + pp - 2 * y * p


def _kappa(sums: np.ndarray) -> np.ndarray:
    _, observed, expected = _kappa_parts(sums)
    return 1 - _divide(observed, np.where(expected > 1e-12, expected, 0))


def _kappa_gradient(sums: np.ndarray) -> np.ndarray:
    mean, observed, expected = _kappa_parts(sums)
    zero, one = np.zeros_like(observed), np.ones_like(observed)
    by_observed = np.stack([zero, zero, one, one, -2 * one])
    by_expected = np.stack([-2 * mean[2], -2 * mean[1], one, one, zero])
    square = np.where(expected > 1e-12, expected**2, 0)
    slope = -_divide(by_observed * expected - observed * by_expected, square)
    first = -(slope * mean[1:]).sum(axis=0)
    return _divide(np.concatenate([first[None], slope]), sums[0])


OUTCOME_METRICS = {
    MEAN: OutcomeMetric(_mean, _mean_gradient),
    KAPPA: OutcomeMetric(_kappa, _kappa_gradient),
}
