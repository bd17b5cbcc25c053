"""Do methods differ over datasets: mean ranks, Friedman's test, then Nemenyi's (Demsar 2006)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

LEAST_BLOCKS, LEAST_METHODS = 5, 3


@dataclass(frozen=True)
class RankTest:
    """Ranks of methods and what the tests say of them.

    Parameters
    ----------
    ranks : pandas.Series
        Mean rank by method, 1 is best; ties share the mean of their ranks.
    blocks : list of str
        The datasets in which every method has a value.
    statistic, p_value : float
        Friedman's chi-square and its p-value; NaN where there is no test.
    critical : float
        Nemenyi's critical difference of mean ranks; NaN where there is no test.
    pairs : pandas.DataFrame
        Nemenyi's p-values, methods x methods; empty where there is no test.
    reason : str
        Why there is no test, or nothing.
    """

    ranks: pd.Series
    blocks: list[str]
    statistic: float = np.nan
    p_value: float = np.nan
    critical: float = np.nan
    pairs: pd.DataFrame = None
    reason: str = ""


def rank_rows(values: pd.DataFrame, sign: int) -> pd.DataFrame:
    """Return the ranks of the columns within each row without gaps; 1 is best.

    Parameters
    ----------
    values : pandas.DataFrame
        Blocks x methods; blocks with a missing value are left out.
    sign : int
        1 where more is better, -1 where less is.
    """
    whole = values.dropna()
    ranks = rankdata(-sign * whole.to_numpy(float), axis=1) if len(whole) else whole.to_numpy(float)
    return pd.DataFrame(ranks, whole.index, whole.columns)


def rank_test(values: pd.DataFrame, sign: int, level: float = 0.95) -> RankTest:
    """Rank methods over datasets and test whether they differ.

    Friedman's test by its chi-square approximation, Nemenyi's by the studentised range. Not done
    with fewer than 5 datasets or 3 methods, where the approximation says nothing.

    Parameters
    ----------
    values : pandas.DataFrame
        Datasets x methods. Attributes of one dataset are not independent and must have been
        averaged before.
    sign : int
        1 where more is better, -1 where less is.
    level : float
        1 less the level of significance of the critical difference.
    """
    import scikit_posthocs

    ranks = rank_rows(values, sign)
    blocks, methods = ranks.shape
    mean = ranks.mean() if blocks else pd.Series(np.nan, values.columns)
    if blocks < LEAST_BLOCKS or methods < LEAST_METHODS:
        said = f"{blocks} complete datasets and {methods} methods: too few for a test"
        said += f" (from {LEAST_BLOCKS} and {LEAST_METHODS} on)"
        return RankTest(mean, list(ranks.index), pairs=pd.DataFrame(), reason=said)
    if not np.ptp(ranks.to_numpy(), axis=1).any():
        return RankTest(mean, list(ranks.index), pairs=pd.DataFrame(), reason="all ranks are tied")
    statistic, p = friedmanchisquare(*ranks.to_numpy().T)
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(ranks.to_numpy())
    critical = critical_difference(methods, blocks, level)
    pairs = pd.DataFrame(pairs.to_numpy(), ranks.columns, ranks.columns)
    return RankTest(mean, list(ranks.index), float(statistic), float(p), critical, pairs)


def critical_difference(methods: int, blocks: int, level: float = 0.95) -> float:
    """Return Nemenyi's q sqrt(k (k + 1) / (6 N)), k methods, N blocks (Demsar 2006, section 3.2.2)."""
    q = studentized_range.ppf(level, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def cliques(ranks: pd.Series, critical: float) -> list[tuple[float, float]]:
    """Return the longest runs of ranks (lowest, highest) that lie within the critical difference.

    Single methods are left out.
    """
    ordered = np.sort(ranks.to_numpy(float))
    ends = [
        (low, ordered[ordered <= low + critical + 1e-12].max()) for low in dict.fromkeys(ordered)
    ]
    return [
        (low, high)
        for k, (low, high) in enumerate(ends)
        if high not in [end for _, end in ends[:k]]
        and ((ordered >= low - 1e-12) & (ordered <= high + 1e-12)).sum() > 1
    ]
