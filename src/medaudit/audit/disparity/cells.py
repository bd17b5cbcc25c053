"""One metric of one task and seed, for all groups of an attribute: what gaps are made of."""

from dataclasses import dataclass, replace

import numpy as np

from medaudit.metrics.definitions import METRICS
from medaudit.metrics.gap_intervals import Limits
from medaudit.metrics.gap_statistics import Contrasts, against_rest, all_pairs
from medaudit.metrics.gaps import Parts


@dataclass(frozen=True)
class Cell:
    """One metric of one task and seed for all groups of an attribute.

    Parameters
    ----------
    seed, task, metric : str
    groups : tuple of str
    status, rest_status : ndarray of str, shape (groups,)
        Of each group, and of all others together.
    value, drawn, null : Parts
        Values, bootstrap replicates and permutations.
    limits : ndarray, shape (5, 2, groups)
        Estimate, effective size, lower and upper limit, and the standard errors between them, of
        each group and of its rest.
    null_size : ndarray, shape (2, groups, permutations)
        Effective sizes under permutation.
    whole : tuple of float
        Value and limits of all groups together.
    movable : tuple of (int, int, bool)
        Patients who can exchange groups, all patients, and whether they are enough for a test.
    joint : bool
        Whether tasks were permuted jointly.
    """

    seed: str
    task: str
    metric: str
    groups: tuple[str, ...]
    status: np.ndarray
    rest_status: np.ndarray
    value: Parts
    drawn: Parts
    null: Parts
    limits: np.ndarray
    null_size: np.ndarray
    whole: tuple[float, float, float]
    movable: tuple[int, int, bool]
    joint: bool

    def take(self, kept: np.ndarray) -> "Cell":
        """Return the cell of some of its groups."""
        parts = (self.value, self.drawn, self.null)
        value, drawn, null = (Parts(p.group[kept], p.rest[kept], p.whole) for p in parts)
        return replace(
            self,
            groups=tuple(group for group, keep in zip(self.groups, kept, strict=True) if keep),
            status=self.status[kept],
            rest_status=self.rest_status[kept],
            value=value,
            drawn=drawn,
            null=null,
            limits=self.limits[:, :, kept],
            null_size=self.null_size[:, kept],
        )

    @property
    def upward(self) -> bool:
        """Whether larger is worse."""
        return METRICS[self.metric].target == 0 or self.folded

    @property
    def folded(self) -> bool:
        """Whether harm is a distance from the best value, which lies inside the range."""
        return self.metric in BEST

    def pairs(self) -> Contrasts:
        """Return all ordered pairs of groups."""
        return all_pairs(len(self.groups))

    def rests(self) -> Contrasts:
        """Return each group against its rest, the worse first."""
        return against_rest(len(self.groups), self.upward)

    def rows(self, folded: bool = False) -> tuple[Limits, np.ndarray, np.ndarray]:
        """Return limits, permuted values and permuted sizes: of groups, after them of rests.

        Parameters
        ----------
        folded : bool
            Whether as distances from the best value, where that lies inside the range.
        """
        value, size, low, high, reach = self.limits.reshape(5, -1)
        raw = np.append(self.value.group, self.value.rest)
        null = np.concatenate([self.null.group, self.null.rest])
        if folded and self.folded:
            best = BEST[self.metric]
            across = (low <= best) & (best <= high)
            ends = np.sort(np.abs(np.stack([low, high]) - best), axis=0)
            low, high = np.where(across, 0, ends[0]), ends[1]
            value, raw, null = (np.abs(a - best) for a in (value, raw, null))
        known = reach[np.isfinite(reach)]
        limits = Limits(value, size, low, high, float(known.max(initial=1.959964)), raw)
        return limits, null, np.concatenate(self.null_size)


BEST = {"calibration_slope": 1.0, "calibration_intercept": 0.0}
"""Best values that lie inside a metric's range."""
