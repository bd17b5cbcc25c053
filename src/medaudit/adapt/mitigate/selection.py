"""Which point of a search is kept: MEDFAIR's three rules, on the AUC of validation.

Zong, Yang and Hospedales 2023, "MEDFAIR: benchmarking fairness for medical imaging"
(arXiv 2210.01725), model selection: overall performance, minimax Pareto selection, and the distance
to the optimal point (DTO).
"""

import numpy as np

from medaudit.adapt.logits import mean_auc

RULES = ("worst_group", "auc", "dto")


def group_aucs(logits: np.ndarray, y: np.ndarray, group: np.ndarray, fewest: int) -> np.ndarray:
    """Return the AUC of everybody and of each group that is large enough.

    Parameters
    ----------
    logits : numpy.ndarray
        ``[S, C, n]``, of the validation images.
    y, group : numpy.ndarray
        ``[n]``; -1 is no group.
    fewest : int
        Positives and negatives that a group needs; smaller ones are left out.

    Returns
    -------
    numpy.ndarray
        ``[S, C, 1 + groups]``; the AUC of everybody is first. NaN if validation lacks a class.
    """
    found = [_auc(logits, y)]
    for code in np.unique(group[group >= 0]):
        mask = group == code
        if min((y[mask] == 1).sum(), (y[mask] == 0).sum()) >= max(fewest, 1):
            found.append(_auc(logits[..., mask], y[mask]))
    return np.stack(found, axis=-1)


def choose(rule: str, aucs: np.ndarray) -> int:
    """Return the place of the point that a rule selects; the first of equal ones.

    Parameters
    ----------
    rule : {"auc", "worst_group", "dto"}
        ``auc``: largest AUC of everybody. ``worst_group``: of the points that no other one beats in
        every group (Pareto), the one whose worst group has the largest AUC. ``dto``: smallest
        Euclidean distance to the point that has the best AUC of each group among all points.
    aucs : numpy.ndarray
        ``[C, 1 + groups]`` of `group_aucs`. Without groups, all rules are ``auc``.

    Examples
    --------
    >>> aucs = np.array([[0.9, 0.95, 0.6], [0.8, 0.8, 0.7], [0.86, 0.9, 0.66]])
    >>> [choose(rule, aucs) for rule in ("auc", "worst_group", "dto")]
    [0, 1, 2]
    """
    groups = aucs[:, 1:]
    if rule == "auc" or not groups.shape[1]:
        return int(np.argmax(aucs[:, 0]))
    if rule == "dto":
        return int(np.argmin(((groups.max(axis=0) - groups) ** 2).sum(axis=1)))
    worst = np.where(undominated(groups), groups.min(axis=1), -np.inf)
    return int(np.argmax(worst))


def undominated(values: np.ndarray) -> np.ndarray:
    """Return which rows ``[C]`` no other row is at least as good in all columns and better in one."""
    at_least = (values[None] >= values[:, None]).all(axis=2)
    better = (values[None] > values[:, None]).any(axis=2)
    return np.logical_not(np.any(at_least & better, axis=1))


def _auc(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    return mean_auc(logits[..., None], y[:, None].astype(float), False)
