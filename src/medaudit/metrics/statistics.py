"""Statistics across metrics: DeLong, corrections for many tests, ranks of methods, variance."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError


def delong(
    positive: np.ndarray, scores: np.ndarray, patient: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUCs of several models on the same images and their covariance.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Labels.
    scores : ndarray of float, shape (models, n)
        Ties count half.
    patient : ndarray, shape (n,), optional
        The patient of each image; without it, or where every patient has one image, the
        covariance is that of DeLong et al. (1988), else the clustered one of Obuchowski (1997).

    Returns
    -------
    auc : ndarray, shape (models,)
    covariance : ndarray, shape (models, models)
        NaN where fewer than two patients have a positive, or a negative.

    Raises
    ------
    MedauditError
        A class is absent.
    """
    positive = np.asarray(positive, bool)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        raise MedauditError(
            f"DeLong needs both classes; there are {n_pos} positives of {n_pos + n_neg}"
        )
    parts = [_placements(row[positive], row[~positive]) for row in np.atleast_2d(scores)]
    above, below = (np.array(part) for part in zip(*parts, strict=True))
    auc = above.mean(axis=1)
    owner = np.arange(positive.size) if patient is None else pd.factorize(patient)[0]
    size = owner.max() + 1
    ones = np.bincount(owner[positive], minlength=size)
    zeros = np.bincount(owner[~positive], minlength=size)
    by_pos = _sum_by(owner[positive], above, size) - ones * auc[:, None]
    by_neg = _sum_by(owner[~positive], below, size) - zeros * auc[:, None]
    with_pos, with_neg = int((ones > 0).sum()), int((zeros > 0).sum())
    if min(with_pos, with_neg) < 2:
        return auc, np.full((len(auc), len(auc)), np.nan)
    s10 = with_pos / ((with_pos - 1) * n_pos) * by_pos @ by_pos.T
    s01 = with_neg / ((with_neg - 1) * n_neg) * by_neg @ by_neg.T
    s11 = size / (size - 1) * by_pos @ by_neg.T
    return auc, s10 / n_pos + s01 / n_neg + (s11 + s11.T) / (n_pos * n_neg)


def _placements(pos: np.ndarray, neg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives below each positive, and of positives above each negative."""
    lower, upper = np.sort(neg), np.sort(pos)
    above = np.searchsorted(lower, pos, "left") + np.searchsorted(lower, pos, "right")
    below = np.searchsorted(upper, neg, "left") + np.searchsorted(upper, neg, "right")
    return above / 2 / neg.size, 1 - below / 2 / pos.size


def _sum_by(owner: np.ndarray, rows: np.ndarray, size: int) -> np.ndarray:
    return np.array([np.bincount(owner, row, minlength=size) for row in rows])


def adjust_p_values(p_values: pd.Series, family: pd.Series, method: str = "holm") -> pd.Series:
    """Adjust p-values within declared families.

    Parameters
    ----------
    p_values : pandas.Series
        Missing ones stay missing and do not count.
    family : pandas.Series
        Which family each belongs to, e.g. a text of metric and attribute.
    method : {"holm", "bh"}
        Holm (1979) bounds the chance of any false finding, Benjamini and Hochberg (1995) the
        expected share of false ones.

    Returns
    -------
    pandas.Series
    """
    from statsmodels.stats.multitest import multipletests

    kinds = {"holm": "holm", "bh": "fdr_bh"}
    if method not in kinds:
        raise MedauditError(f"correction {method!r} is unknown; known: {list(kinds)}")
    adjusted = pd.Series(np.nan, p_values.index, dtype=float)
    known = p_values.notna()
    for _, part in p_values[known].groupby(family[known], sort=False):
        adjusted[part.index] = multipletests(part.to_numpy(), method=kinds[method])[1]
    return adjusted


def paired_difference(
    value: float, other: float, drawn: np.ndarray, other_drawn: np.ndarray, level: float = 0.95
) -> dict[str, float]:
    """Compare two models on the same patients.

    Parameters
    ----------
    value, other : float
        The two values.
    drawn, other_drawn : ndarray, shape (draws,)
        Their replicates of one cohort, which use the same draws of patients.
    level : float
        E.g. 0.95.

    Returns
    -------
    dict
        ``difference``, percentile ``low`` and ``high``, and ``p_value``: twice the smaller share of
        replicates on one side of 0, add-one; NaN where fewer than 90 % are defined.
    """
    moved = np.asarray(drawn, float) - np.asarray(other_drawn, float)
    kept = moved[np.isfinite(moved)]
    result = {"difference": value - other, "low": np.nan, "high": np.nan, "p_value": np.nan}
    if kept.size >= max(0.9 * moved.size, 2):
        result["low"], result["high"] = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
        tail = 1 + min((kept <= 0).sum(), (kept >= 0).sum())
        result["p_value"] = min(1.0, 2 * tail / (1 + kept.size))
    return {name: float(number) for name, number in result.items()}


@dataclass(frozen=True)
class Ranking:
    """Methods ranked over blocks (datasets).

    Parameters
    ----------
    statistic, p_value : float
        Friedman's test.
    mean_rank : pandas.Series
        By method; 1 is best, ties share ranks.
    pairwise : pandas.DataFrame
        Nemenyi p-values, methods x methods.
    critical_difference : float
        Mean ranks that differ by at least this differ at 5 % (Demšar 2006).
    """

    statistic: float
    p_value: float
    mean_rank: pd.Series
    pairwise: pd.DataFrame
    critical_difference: float


def rank_methods(table: pd.DataFrame, larger_is_better: bool = True) -> Ranking:
    """Rank methods over datasets: Friedman first, then Nemenyi (Demšar 2006).

    Parameters
    ----------
    table : pandas.DataFrame
        One row a block, one column a method, no missing value. Attributes of one dataset are not
        independent blocks: average them first.
    larger_is_better : bool
        Direction of the values.

    Raises
    ------
    MedauditError
        Fewer than 3 methods or 2 blocks, or a missing value.
    """
    import scikit_posthocs
    from scipy.stats import friedmanchisquare, studentized_range

    blocks, methods = table.shape
    if methods < 3 or blocks < 2 or table.isna().any(axis=None):
        raise MedauditError(
            f"ranking needs at least 3 methods and 2 datasets without gaps; there are {methods} "
            f"methods, {blocks} datasets and {int(table.isna().sum().sum())} missing values"
        )
    statistic, p_value = friedmanchisquare(*(table[name] for name in table))
    ranks = table.rank(axis=1, ascending=not larger_is_better)
    pairwise = scikit_posthocs.posthoc_nemenyi_friedman(ranks.to_numpy())
    pairwise.index = pairwise.columns = table.columns
    studentized = studentized_range.ppf(0.95, methods, np.inf) / np.sqrt(2)
    difference = studentized * np.sqrt(methods * (methods + 1) / (6 * blocks))
    return Ranking(float(statistic), float(p_value), ranks.mean(), pairwise, float(difference))


def split_variance(metrics: pd.DataFrame, replicates: np.ndarray) -> pd.DataFrame:
    """Split the uncertainty of each metric in that of sampling patients and of repeating training.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Rows of a metrics table.
    replicates : ndarray, shape (rows, draws)
        Their replicates.

    Returns
    -------
    pandas.DataFrame
        One row a (cohort, model, method, task, attribute, group, metric, dialect): ``n_seeds``,
        ``sampling`` (the mean over seeds of the replicates' variance) and ``seeds`` (variance of
        the seeds' values, ddof 1; missing for one seed).
    """
    key = ["cohort", "model", "method", "task", "attribute", "group", "metric", "dialect"]
    single = (metrics["seed"] != "mean").to_numpy() & (metrics["status"] == "ok").to_numpy()
    rows = metrics.loc[single, [*key, "value"]]
    drawn = np.asarray(replicates[single], float)
    count = np.isfinite(drawn).sum(axis=1)
    spread = np.full(len(drawn), np.nan)
    spread[count > 1] = np.nanvar(drawn[count > 1], axis=1, ddof=1)
    grouped = rows.assign(sampling=spread).groupby(key, sort=False)
    found = grouped.agg(
        n_seeds=("value", "size"), sampling=("sampling", "mean"), seeds=("value", "var")
    )
    return found.reset_index()
