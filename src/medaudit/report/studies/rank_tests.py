"""Tests of methods over datasets: mean ranks, Friedman's test, then Nemenyi's (Demsar 2006)."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

LEAST_BLOCKS, LEAST_METHODS = 5, 3


@dataclass(frozen=True)
class RankTest:
    """Mean ranks of methods, and the tests of their differences.

    Parameters
    ----------
    ranks : pandas.Series
        Mean rank by method, 1 is best; tied methods share the mean of their ranks.
    blocks : list of str
        The datasets in which every method has a value.
    statistic, p_value : float
        Friedman's chi-square and its p-value; NaN without a test.
    critical : float
        Nemenyi's critical difference of mean ranks; NaN without a test.
    pairs : pandas.DataFrame
        Nemenyi's p-values, methods x methods; empty without a test.
    reason : str
        Why there is no test; empty if there is one.
    """

    ranks: pd.Series
    blocks: list[str]
    statistic: float = np.nan
    p_value: float = np.nan
    critical: float = np.nan
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    reason: str = ""


def rank_rows(values: pd.DataFrame, sign: int) -> pd.DataFrame:
    """Return the ranks of the columns within each complete row; 1 is best.

    Parameters
    ----------
    values : pandas.DataFrame
        Datasets x methods; rows with a missing value are left out.
    sign : int
        1 if higher is better, -1 if lower is.
    """
    whole = values.dropna()
    ranks = rankdata(-sign * whole.to_numpy(float), axis=1) if len(whole) else whole.to_numpy(float)
    return pd.DataFrame(ranks, whole.index, whole.columns)


def rank_test(values: pd.DataFrame, sign: int, level: float = 0.95) -> RankTest:
    """Rank methods over datasets and test whether they differ.

    Friedman's test uses the chi-square approximation, Nemenyi's the studentised range. There is no
    test with fewer than 5 datasets or 3 methods, where the approximation does not hold.

    Parameters
    ----------
    values : pandas.DataFrame
        Datasets x methods. Average the attributes of one dataset first: they are not independent.
    sign : int
        1 if higher is better, -1 if lower is.
    level : float
        1 minus the level of significance of the critical difference.
    """
    import scikit_posthocs

    ranks = rank_rows(values, sign)
    blocks, methods = ranks.shape
    mean = ranks.mean() if blocks else pd.Series(np.nan, values.columns)
    if blocks < LEAST_BLOCKS or methods < LEAST_METHODS:
        reason = f"{blocks} complete datasets and {methods} methods: too few for a test"
        reason += f" (it needs at least {LEAST_BLOCKS} and {LEAST_METHODS})"
        return RankTest(mean, list(ranks.index), reason=reason)
    if not np.ptp(ranks.to_numpy(), axis=1).any():
        return RankTest(mean, list(ranks.index), reason="all ranks are tied")
    statistic, p = friedmanchisquare(*ranks.to_numpy().T)
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(ranks.to_numpy())
    critical = critical_difference(methods, blocks, level)
    pairs = pd.DataFrame(pairs.to_numpy(), ranks.columns, ranks.columns)
    return RankTest(mean, list(ranks.index), float(statistic), float(p), critical, pairs)


def critical_difference(methods: int, blocks: int, level: float = 0.95) -> float:
    """Return Nemenyi's critical difference of mean ranks (Demsar 2006, section 3.2.2).

    q sqrt(k (k + 1) / (6 N)) for k methods and N blocks.
    """
    # Demsar's q is the studentised range over sqrt(2), at infinitely many degrees of freedom.
    q = studentized_range.ppf(level, methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def cliques(ranks: pd.Series, critical: float) -> list[tuple[float, float]]:
    """Return the (lowest, highest) ranks of each largest set within the critical difference.

    Sets of one method are left out.
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
