"""Gaps: one number for how differently groups are treated.

`measure` turns values by group into a gap; `GAPS` is the registry. ``docs/metrics.md`` shows the
formulas. Intervals are in `medaudit.metrics.gap_intervals`, permutation tests in
`medaudit.metrics.gap_tests`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medaudit.metrics.definitions import METRICS

OTHERS, REFERENCE = "others", "reference"
SIGNED = (OTHERS, REFERENCE)
"""Gaps with one signed difference per group."""


class GapName(NamedTuple):
    """A gap's name, read: its kind, a key of `GAPS`, and of `SIGNED` ones the group."""

    kind: str
    group: str | None = None

    def __str__(self) -> str:
        """Return the name as tables hold it, e.g. ``max_min`` or ``others:female``."""
        return self.kind if self.group is None else f"{self.kind}:{self.group}"


def parse_gap(name: str) -> GapName:
    """Read the name of a gap as tables hold it.

    Examples
    --------
    >>> parse_gap("max_min")
    GapName(kind='max_min', group=None)
    >>> parse_gap("others:female")
    GapName(kind='others', group='female')
    """
    kind, colon, group = name.partition(":")
    return GapName(kind, group if colon else None)


@dataclass(frozen=True)
class Parts:
    """What a gap is made of: values of each group, of its rest, and of all groups together.

    Parameters
    ----------
    group, rest : ndarray, shape (groups, ...)
        `rest`, all other groups together, is NaN where no gap needs it.
    whole : ndarray, shape (...)
    """

    group: np.ndarray
    rest: np.ndarray
    whole: np.ndarray


def harm(metric: str, value: np.ndarray) -> np.ndarray:
    """Return how bad values are: larger is worse.

    The distance to the metric's best value, up to a constant: value or -value; for a calibration
    slope and intercept the distance to 1 and 0. A selection rate has no best value: the group that
    is selected least counts as the worst.
    """
    if metric == "calibration_slope":
        return np.abs(value - 1)
    if metric == "calibration_intercept":
        return np.abs(value)
    return value if METRICS[metric].target == 0 else -value


def measure(gap: str, metric: str, parts: Parts) -> np.ndarray:
    """Compute a gap.

    Parameters
    ----------
    gap : {"max_min", "ratio", "worst_rest", "std", "es", "dto"}
        What to compute; formulas in ``docs/metrics.md``.
    metric : str
        Gives the direction and the target.
    parts : Parts
        Values or replicates.

    Returns
    -------
    ndarray, shape (...)
        NaN where a part is NaN or the gap is undefined for this metric.
    """
    compute = GAPS[gap].compute
    if compute is None:
        raise ValueError(f"{gap} is one gap per group, not one number")
    return compute(metric, parts)


def _max_min(metric: str, parts: Parts) -> np.ndarray:
    return parts.group.max(axis=0) - parts.group.min(axis=0)


def _ratio(metric: str, parts: Parts) -> np.ndarray:
    low, high = parts.group.min(axis=0), parts.group.max(axis=0)
    valid = (low >= 0) & (high > 0) & (not _can_be_negative(metric))
    return np.divide(low, high, out=np.full(np.shape(low), np.nan), where=valid)


def _can_be_negative(metric: str) -> bool:
    return metric in ("calibration_slope", "calibration_intercept")


def _worst_rest(metric: str, parts: Parts) -> np.ndarray:
    return (harm(metric, parts.group) - harm(metric, parts.rest)).max(axis=0)


def _std(metric: str, parts: Parts) -> np.ndarray:
    return parts.group.std(axis=0)


def _es(metric: str, parts: Parts) -> np.ndarray:
    if METRICS[metric].target != 1:
        return np.full(np.shape(parts.whole), np.nan)
    return parts.whole / (1 + np.abs(parts.group - parts.whole).sum(axis=0))


def _dto(metric: str, parts: Parts) -> np.ndarray:
    target = METRICS[metric].target
    if target is None:
        return np.full(np.shape(parts.whole), np.nan)
    return np.sqrt(((parts.group - target) ** 2).sum(axis=0))


@dataclass(frozen=True)
class Gap:
    """One way to sum up the differences between groups.

    Parameters
    ----------
    compute : callable or None
        Metric and `Parts` to the gap; None: one signed difference per group (`SIGNED`).
    label : str
        Its name in tables and figures.
    fairer_when_large : bool
        Whether a larger value is fairer.
    defined : callable
        Whether the gap is defined for a metric, by its name.
    """

    compute: Callable[[str, Parts], np.ndarray] | None
    label: str
    fairer_when_large: bool = False
    defined: Callable[[str], bool] = lambda metric: True


GAPS = {
    "max_min": Gap(_max_min, "largest difference between groups"),
    "ratio": Gap(
        _ratio,
        "smallest to largest ratio between groups",
        fairer_when_large=True,
        defined=lambda metric: not _can_be_negative(metric),
    ),
    "worst_rest": Gap(_worst_rest, "worst group against all others"),
    "others": Gap(None, "each group against all others"),
    "reference": Gap(None, "each group against the reference group"),
    "std": Gap(_std, "standard deviation between groups"),
    "es": Gap(
        _es,
        "equity-scaled value",
        fairer_when_large=True,
        defined=lambda metric: METRICS[metric].target == 1,
    ),
    "dto": Gap(
        _dto,
        "distance to the utopia point",
        defined=lambda metric: METRICS[metric].target is not None,
    ),
}
