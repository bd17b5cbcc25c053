"""The metrics of one attribute as arrays over tasks, groups and draws."""

import numpy as np
import pandas as pd

NO_GROUPS = ("all", "missing")


class Cube:
    """Metrics of one attribute and seed as arrays ``[tasks, groups, 1 + draws + permutations]``.

    The first of the last axis is the value itself, then come its bootstrap replicates, then its
    values under permuted groups, so that one walk computes a measure for all of them.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of METRICS; their index is the row of `replicates` and `null`.
    replicates, null : numpy.ndarray
        ``[rows, draws]`` and ``[rows, permutations]``.
    """

    def __init__(self, rows: pd.DataFrame, replicates: np.ndarray, null: np.ndarray) -> None:
        rows = rows[rows["metric"] != "threshold"]
        self._rows, self._replicates, self._null = rows, replicates, null
        self.draws = replicates.shape[1]
        self.attribute = rows["attribute"].iloc[0] if len(rows) else ""
        self.tasks = [t for t in rows["task"].unique() if t not in ("all", "mean")]
        self.groups = [g for g in rows["group"].unique() if g not in NO_GROUPS]
        self.has_whole = bool((rows["task"] == "all").any())

    def take(self, metric: str, groups: list[str], tasks: list[str]) -> np.ndarray | None:
        """Return one metric; None where it was not evaluated."""
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
