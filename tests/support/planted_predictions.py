"""Predictions with planted sensitivities and false positive rates at equal AUC in every group."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

Rates = tuple[float, float]


def planted(
    attribute: str,
    groups: Mapping[str, Rates],
    n: int = 200,
    tasks: Mapping[str, Mapping[str, Rates]] | None = None,
    **columns: str,
) -> pd.DataFrame:
    """Return a long table: `n` patients with and `n` without the finding in each group.

    Parameters
    ----------
    attribute : str
        Column of the groups.
    groups : dict of str to (float, float)
        Group to its TPR and FPR at the threshold 0.5, for every task that is not in `tasks`. Scores
        are normal quantiles, shifted so that exactly these shares lie above 0.5; groups with the
        same distance between the normal quantiles of both rates have the same AUC.
    n : int
        Patients of each group and label.
    tasks : dict of str to dict, optional
        Tasks with rates of their own, and tasks (None) with those of `groups`.
    **columns : str
        Further columns.
    """
    rows = []
    for task, own in (tasks or {"label": None}).items():
        for group, rates in (own or groups).items():
            for label, rate in zip((1, 0), rates, strict=True):
                spread = norm.ppf((np.arange(n) + 0.5) / n)
                score = norm.cdf(spread + norm.ppf(rate))
                ids = [f"{group}-{label}-{k}" for k in range(n)]
                part = {"id": ids, "patient": ids, "task": task, "label": label, "score": score}
                rows.append(pd.DataFrame(part | {attribute: group} | columns))
    return pd.concat(rows, ignore_index=True)


def same_auc(tpr: float, like: Rates) -> Rates:
    """Return a TPR with the FPR that has the same AUC as the rates `like`."""
    apart = norm.ppf(like[0]) - norm.ppf(like[1])
    return tpr, float(norm.cdf(norm.ppf(tpr) - apart))
