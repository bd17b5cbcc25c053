"""The images of the groups and strata that are compared, as columns of a standardised value."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medaudit.audit.conditional_gaps.columns import (
    AucColumn,
    Column,
    label_of,
    rate_columns,
)
from medaudit.audit.conditional_gaps.strata import find_profiles
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import ECE_BINS
from medaudit.metrics.group_metrics import Column as ScoreColumn
from medaudit.metrics.group_metrics import importance_weights, task_columns
from medaudit.metrics.nulls import find_units
from medaudit.metrics.sample import Sample
from medaudit.metrics.sorted_scores import sort_images


@dataclass(frozen=True)
class Strata:
    """Images cut into strata: those that are compared, one of them, or all as one (crude).

    Parameters
    ----------
    name : str
    of_image : ndarray of int, shape (images,)
        -1: not compared.
    groups : ndarray of int
        Codes of the groups that are compared.
    tested : bool
        Whether the gap has a permutation test.
    """

    name: str
    of_image: np.ndarray
    groups: np.ndarray
    tested: bool


class ComparedImages:
    """The images of one attribute and their units (`medaudit.metrics.nulls.find_units`)."""

    def __init__(self, sample: Sample, attribute: Attribute) -> None:
        self.sample, self.attribute = sample, attribute
        self.units = find_units(sample, attribute)

    def share(self, t: int, strata: np.ndarray, size: int) -> np.ndarray:
        """Return the share of each stratum among the images of known group, stratum and label."""
        y = self.sample.y[:, t] if t < len(self.sample.tasks) else self.sample.y.sum(axis=1)
        factor = importance_weights(self.sample, self.attribute, t)
        known = (strata >= 0) & (self.attribute.codes >= 0) & ~np.isnan(y)
        total = np.bincount(strata[known], factor[known], minlength=size)
        return total / total.sum() if total.sum() > 0 else total

    def columns(self, strata: Strata, tasks: Sequence[int], metric: str) -> list[Column]:
        """Return the columns of a metric: every seed of the tasks."""
        size = int(strata.of_image.max(initial=0)) + 1
        kept = np.where(np.isin(self.attribute.codes, strata.groups), strata.of_image, -1)
        found: list[Column] = []
        for column in task_columns(self.sample):
            if column.task not in tasks:
                continue
            stratum = np.where(np.isnan(column.y), -1, kept)
            factor = importance_weights(self.sample, self.attribute, column.task)
            weight = self.share(column.task, strata.of_image, size)
            if metric == "auc":
                found.append(self._auc(column, stratum, factor, weight))
                continue
            decision = np.zeros(stratum.size) if column.decision is None else column.decision
            arrays = (np.nan_to_num(column.y), decision, np.nan_to_num(column.score))
            found += rate_columns(metric, arrays, factor, (stratum, self.units.of_image), weight)
        return found

    def _auc(
        self, column: ScoreColumn, stratum: np.ndarray, factor: np.ndarray, weight: np.ndarray
    ) -> AucColumn:
        images = sort_images(
            unit=self.units.of_image,
            group=stratum,
            n_groups=weight.size,
            positive=column.y == 1,
            score=np.nan_to_num(column.score),
            decision=None,
            factor=factor,
            bins=ECE_BINS,
        ).images
        return AucColumn(images, images.group, weight)

    def profiles(self, strata: Strata, tasks: Sequence[int], metric: str) -> np.ndarray:
        """Return which units exchange groups: those alike in the strata and labels of their images.

        Labels count for a single task: a true positive rate takes the patients with a positive
        image, an AUC keeps every group's number of patients with each label. For a mean over
        tasks, patients are alike whatever their labels.
        """
        kept = (strata.of_image >= 0) & np.isin(self.attribute.codes, strata.groups)
        label = None
        if len(tasks) == 1:
            kept &= importance_weights(self.sample, self.attribute, tasks[0]) > 0
        if len(tasks) == 1 and tasks[0] < len(self.sample.tasks):
            y, only = self.sample.y[:, tasks[0]], label_of(metric)
            kept &= ~np.isnan(y) if only is None else y == only
            label = y[kept].astype(int) if metric in ("auc", "balanced_accuracy") else None
        unit, stratum = self.units.of_image[kept], strata.of_image[kept]
        return find_profiles(unit, stratum, label, self.units.group.size)
