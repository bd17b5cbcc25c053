"""Thresholds chosen on validation; a score decides 1 when it is at or above its threshold."""

import numpy as np

from medaudit.core.errors import MedauditError


def choose_threshold(
    score: np.ndarray, positive: np.ndarray, rule: str, value: float | None = None
) -> float:
    """Choose a threshold from validation scores.

    Parameters
    ----------
    score : ndarray of float, shape (n,)
        Validation scores; unused by ``fixed``.
    positive : ndarray of bool, shape (n,)
        Labels.
    rule : {"best_f1", "youden", "fpr", "fixed"}
        ``best_f1`` maximises F1, ``youden`` the difference of true and false positive rate, ``fpr``
        takes the lowest threshold whose false-positive rate is at most `value`, ``fixed`` is
        `value` itself. Ties go to the highest threshold.
    value : float, optional
        Needed by ``fpr`` and ``fixed``, in [0, 1].

    Returns
    -------
    float
        One of the scores; for ``fpr`` and ``youden`` possibly just above the highest score, which
        selects nobody. NaN where validation lacks a class that the rule needs.
    """
    if rule == "fixed":
        return float(value)
    if rule not in _RULES:
        raise MedauditError(f"threshold rule {rule!r} is unknown; known: {[*_RULES, 'fixed']}")
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    tp = np.append(0, np.cumsum(positive[order])[last])
    fp = np.append(0, np.cumsum(~positive[order])[last])
    candidates = np.append(np.nextafter(score.max(), np.inf), score[order][last])
    return float(candidates[_RULES[rule](tp, fp, n_pos, n_neg, value)])


def _best_f1(tp, fp, n_pos, n_neg, value) -> int:
    return int(np.argmax(2 * tp / (tp + fp + n_pos)))


def _youden(tp, fp, n_pos, n_neg, value) -> int:
    return int(np.argmax(tp * n_neg - fp * n_pos))


def _fpr(tp, fp, n_pos, n_neg, value) -> int:
    return int(np.flatnonzero(fp <= value * n_neg)[-1])


_RULES = {"best_f1": _best_f1, "youden": _youden, "fpr": _fpr}
