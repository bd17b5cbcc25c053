"""Test images of one group and task, at home or elsewhere, and their rates under bootstrap draws."""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics import operating_points
from medaudit.metrics.operating_points import ratio

TIE = 1e-12


@dataclass(frozen=True)
class Side(operating_points.Side):
    """Test images of a group, or of all others, in one place.

    Parameters
    ----------
    cell : numpy.ndarray
        int ``[n]``: case mix of each image, numbered alike at home and elsewhere.
    """

    cell: np.ndarray

    @property
    def prevalence(self) -> np.ndarray:
        """Share of positives in each draw, ``[draws]``."""
        return ratio(self.weights[self.positive].sum(axis=0), self.weights.sum(axis=0))

    def sensitivity_at(self, fpr: np.ndarray) -> np.ndarray:
        """Return the TPR of the ROC curve at a false positive rate, ``[draws]``.

        Straight lines join the points of the curve; where it rises at that very rate, the upper end
        counts.
        """
        order = np.argsort(-self.margin, kind="stable")
        margin, positive = self.margin[order], self.positive[order, None]
        ends = np.flatnonzero(np.append(np.diff(margin) != 0, True))
        weights = self.weights[order]
        up, down = (
            np.vstack([np.zeros(weights.shape[1]), np.cumsum(np.where(of, weights, 0.0), 0)[ends]])
            for of in (positive, ~positive)
        )
        rise, run = ratio(up, up[-1]), ratio(down, down[-1])
        columns = np.arange(weights.shape[1])
        left = np.maximum((run <= fpr + TIE).sum(axis=0) - 1, 0)
        right = np.minimum(left + 1, len(run) - 1)
        width = run[right, columns] - run[left, columns]
        share = np.where(width > 0, ratio(fpr - run[left, columns], width), 0.0)
        found = rise[left, columns] + share * (rise[right, columns] - rise[left, columns])
        return np.where(np.isnan(fpr), np.nan, found)

    def auc(self) -> np.ndarray:
        """Return the area under the ROC curve in each draw, ``[draws]``; ties count half."""
        order = np.argsort(self.margin, kind="stable")
        margin, positive = self.margin[order], self.positive[order]
        starts = np.flatnonzero(np.append(True, np.diff(margin) != 0))
        weights = self.weights[order]
        up, down = (
            np.add.reduceat(np.where(of[:, None], weights, 0.0), starts, axis=0)
            for of in (positive, ~positive)
        )
        below = np.cumsum(down, axis=0) - down / 2
        return ratio((up * below).sum(axis=0), up.sum(axis=0) * down.sum(axis=0))

    def with_mix_of(self, other: "Side", cells: int) -> tuple["Side", np.ndarray]:
        """Return these images weighted to the case mix of `other`, and how much of it they cover.

        Within each class, an image's weight is multiplied by the share of its cell in `other` over
        that here, in each draw (post-stratification). Cells that are not here cannot be made up.

        Returns
        -------
        side : Side
            The same images.
        coverage : numpy.ndarray
            Share of the images of `other` whose cell is here, ``[draws]``.
        """
        weights = np.zeros(self.weights.shape)
        covered = np.zeros(self.weights.shape[1])
        for truth in (True, False):
            own, theirs = self.positive == truth, other.positive == truth
            here = _by_cell(self.cell[own], self.weights[own], cells)
            there = _by_cell(other.cell[theirs], other.weights[theirs], cells)
            covered += np.where(here > 0, there, 0).sum(axis=0)
            factor = ratio(np.where(here > 0, there, 0), here)
            weights[own] = self.weights[own] * np.nan_to_num(factor)[self.cell[own]]
        side = Side(self.margin, self.positive, weights, self.cell)
        return side, ratio(covered, other.weights.sum(axis=0))


def _by_cell(cell: np.ndarray, weights: np.ndarray, cells: int) -> np.ndarray:
    sums = np.zeros((cells, weights.shape[1]))
    np.add.at(sums, cell, weights)
    return sums
