"""The AUC from ranks: cheap where one score meets many labellings."""

import numpy as np
import pandas as pd


def rank_auc(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the AUC of a score for each labelling; ties count half.

    The Mann-Whitney statistic: the rank sum of the positives minus its smallest possible value,
    over the number of pairs of a positive and a negative.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Larger is more positive.
    positive : ndarray of bool, shape (n,) or (n, labellings)
        Labels.

    Returns
    -------
    ndarray, shape () or (labellings,)
        NaN where a class is absent.
    """
    n_pos = positive.sum(axis=0)
    pairs = n_pos * (len(positive) - n_pos)
    # `scipy.stats.rankdata` gives the same, but loading it takes longer than reading a file
    ranks = pd.Series(score).rank().to_numpy()
    won = ranks @ positive - n_pos * (n_pos + 1) / 2
    return np.divide(won, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)
