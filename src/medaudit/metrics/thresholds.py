"""Thresholds chosen on the validation split; a score at or above its threshold decides 1."""

import numpy as np

from medaudit.core.errors import MedauditError


def choose_threshold(
    score: np.ndarray, positive: np.ndarray, rule: str, value: float | None = None
) -> float:
    """Choose a threshold from validation scores.

    Parameters
    ----------
    score : ndarray of float, shape (n,)
        Validation scores; ``fixed`` does not use them.
    positive : ndarray of bool, shape (n,)
        Labels.
    rule : {"best_f1", "youden", "fpr", "fixed"}
        ``best_f1`` maximises F1. ``youden`` maximises the true minus the false positive rate.
        ``fpr`` takes the lowest threshold whose false positive rate is at most `value`. ``fixed``
        is `value` itself. Ties go to the highest threshold.
    value : float, optional
        Needed by ``fpr`` and ``fixed``, in [0, 1].

    Returns
    -------
    float
        One of the scores, or just above the highest, which selects nobody. NaN where the
        validation split lacks a class.

    Raises
    ------
    MedauditError
        The rule is unknown, or lacks its value.
    """
    if rule not in (*_RULES, "fixed"):
        raise MedauditError(f"threshold rule {rule!r} is unknown; known: {[*_RULES, 'fixed']}")
    if rule in ("fixed", "fpr") and value is None:
        raise MedauditError(f"the threshold rule {rule} needs a `value` in [0, 1]")
    if value is not None and rule == "fixed":
        return float(value)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # equal scores are decided alike
    tp = np.append(0, np.cumsum(positive[order])[last])
    fp = np.append(0, np.cumsum(~positive[order])[last])
    candidates = np.append(np.nextafter(score.max(), np.inf), score[order][last])
    return float(candidates[_RULES[rule](tp, fp, n_pos, n_neg, value)])


def _best_f1(tp: np.ndarray, fp: np.ndarray, n_pos: int, n_neg: int, value) -> int:
    return int(np.argmax(2 * tp / (tp + fp + n_pos)))


def _youden(tp, fp, n_pos, n_neg, value) -> int:
    return int(np.argmax(tp * n_neg - fp * n_pos))


def _fpr(tp, fp, n_pos, n_neg, value) -> int:
    return int(np.flatnonzero(fp <= value * n_neg)[-1])


_RULES = {"best_f1": _best_f1, "youden": _youden, "fpr": _fpr}
