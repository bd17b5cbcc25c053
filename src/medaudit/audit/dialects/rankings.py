"""Kendall's tau between the rankings of runs by each two measures, and the pairs that swap."""

from itertools import combinations

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import RANKINGS


def rank_measures(scored: pd.DataFrame) -> pd.DataFrame:
    """Compare the rankings of models by each two measures.

    Parameters
    ----------
    scored : pandas.DataFrame
        Columns of `medaudit.core.audit_tables.DIALECTS`; rows with seed ``mean`` are ranked.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.RANKINGS`, one row per cohort, attribute and pair of
        measures (those that some run defines): Kendall's tau-b over the runs (model / method)
        that have both, oriented so that fairer comes first; how many pairs of runs swap (strictly
        fairer by one measure, strictly less fair by the other), and which. Status ``too_few``
        below two runs, ``undefined:no_decision`` where all runs tie.
    """
    rows = scored[(scored["seed"] == "mean") & (scored["attribute"] != "all")].copy()
    rows["run"] = rows["model"] + " / " + rows["method"]
    rows["by"] = rows["dialect"] + ": " + rows["measure"]
    rows["fair"] = rows["value"].where(rows["better"] == "higher", -rows["value"])
    found = []
    for (cohort, attribute), part in rows.groupby(["cohort", "attribute"], sort=False):
        wide = part.pivot(index="run", columns="by", values="fair")[part["by"].unique()]
        wide = wide.dropna(axis=1, how="all")
        for first, second in combinations(wide.columns, 2):
            both = wide[[first, second]].dropna()
            head = {"cohort": cohort, "attribute": attribute, "first": first, "second": second}
            found.append({**head, **_agreement(both)})
    return pd.DataFrame(found, columns=list(RANKINGS.columns))


def _agreement(both: pd.DataFrame) -> dict:
    values = both.to_numpy().T
    i, j = np.triu_indices(len(both), 1)
    first, second = np.sign(values[:, i] - values[:, j])
    names, opposed = both.index.to_numpy(), np.flatnonzero(first * second < 0)
    swapped = [
        f"{names[i[k]]} > {names[j[k]]}" if first[k] > 0 else f"{names[j[k]]} > {names[i[k]]}"
        for k in opposed
    ]
    counts = {"n_runs": len(both), "n_swapped": len(swapped), "swapped": "; ".join(swapped)}
    if len(both) < 2:
        return {**counts, "status": "too_few"}
    untied = np.count_nonzero(first) * np.count_nonzero(second)
    if not untied:
        return {**counts, "tau": np.nan, "status": "undefined:no_decision"}
    return {**counts, "tau": float((first * second).sum() / np.sqrt(untied)), "status": "ok"}
