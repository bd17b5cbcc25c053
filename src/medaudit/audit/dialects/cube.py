"""The metrics of one attribute as arrays over tasks, groups and draws."""

import numpy as np
import pandas as pd

from medaudit.metrics.task_dependence import couple_tasks, restore_dependence

NO_GROUPS = ("all", "missing")


class Cube:
    """Metrics of one attribute and seed as arrays ``[tasks, groups, 1 + draws + permutations]``.

    Along the last axis the value itself comes first, then its bootstrap replicates, then its
    values under permuted groups, so that one call computes a measure for all of them.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of METRICS; their index is the row of `replicates` and `null`.
    replicates, null : numpy.ndarray
        ``[all rows, draws]`` and ``[all rows, permutations]``.
    joint : bool
        Whether tasks share their permutations: classes do, tasks of a multi-label sample do not.
    """

    def __init__(
        self, rows: pd.DataFrame, replicates: np.ndarray, null: np.ndarray, joint: bool
    ) -> None:
        rows = rows[rows["metric"] != "threshold"]
        self._rows, self._replicates, self._null = rows, replicates, null
        self.draws, self.joint = replicates.shape[1], joint
        self.attribute = rows["attribute"].iloc[0] if len(rows) else ""
        self.tasks = [t for t in rows["task"].unique() if t not in ("all", "mean")]
        self.groups = [g for g in rows["group"].unique() if g not in NO_GROUPS]
        self.has_whole = bool((rows["task"] == "all").any())

    def take(self, metric: str, groups: list[str], tasks: list[str]) -> np.ndarray | None:
        """Return one metric of some groups and tasks; None where it was not evaluated."""
        rows = self._rows[(self._rows["metric"] == metric) & self._rows["task"].isin(tasks)]
        rows = rows[rows["group"].isin(groups)]
        if rows.empty:
            return None
        size = 1 + self.draws + self._null.shape[1]
        found = np.full((len(tasks), len(groups), size), np.nan)
        task = pd.Index(tasks).get_indexer(rows["task"])
        group = pd.Index(groups).get_indexer(rows["group"])
        found[task, group, 0] = rows["value"]
        found[task, group, 1 : 1 + self.draws] = self._replicates[rows.index]
        found[task, group, 1 + self.draws :] = self._null[rows.index]
        found[np.isnan(found[..., 0])] = np.nan
        return found

    def average(self, tasks: np.ndarray, alike: np.ndarray) -> np.ndarray:
        """Return the mean over tasks of a metric, with the null as wide as dependent tasks make it.

        Parameters
        ----------
        tasks : numpy.ndarray
            ``[tasks, groups, 1 + draws + permutations]``.
        alike : numpy.ndarray
            The same if all groups were alike (see `recentre`): its replicates show how the tasks
            depend on each other.
        """
        mean = tasks.mean(axis=0)
        if self._joint(tasks):
            return mean
        for group in np.flatnonzero(np.isfinite(mean[:, 0])):
            kept = np.flatnonzero(np.isfinite(mean[group, 1 + self.draws :])) + 1 + self.draws
            if kept.size:
                drawn = alike[:, group, 1 : 1 + self.draws]
                own = tasks[:, group, kept]
                mean[group, kept] = restore_dependence(mean[group, kept], own, drawn)
        return mean

    def average_after(self, tasks: np.ndarray, alike: np.ndarray) -> np.ndarray:
        """Return the mean over tasks of a measure, ``[tasks, 1 + draws + permutations]``.

        Where tasks are permuted independently, the null has as many values as there are
        replicates, reordered by `couple_tasks`; NaN where a replicate is undefined.
        """
        mean = tasks.mean(axis=0)
        if self._joint(tasks) or np.isnan(mean[0]):
            return mean
        drawn = alike[:, 1 : 1 + self.draws]
        kept = np.isfinite(drawn).all(axis=0)
        null = np.full(self.draws, np.nan)
        if kept.any():
            null[kept] = couple_tasks(tasks[:, 1 + self.draws :], drawn)
        return np.append(mean[: 1 + self.draws], null)

    def _joint(self, tasks: np.ndarray) -> bool:
        """Return whether there is no dependence between tasks to restore."""
        return self.joint or len(tasks) < 2 or tasks.shape[-1] == 1 + self.draws

    def recentre(self, values: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Move `values` so that all groups have the mean of `groups`, ``[tasks, groups, ...]``."""
        known = np.isfinite(groups[..., :1])
        total = np.where(known, groups[..., :1], 0).sum(axis=1, keepdims=True)
        count = known.sum(axis=1, keepdims=True)
        level = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return values - values[..., :1] + level
