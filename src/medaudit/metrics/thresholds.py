"""Thresholds chosen on the validation split; a score at or above its threshold decides 1."""

from collections.abc import Mapping

import numpy as np

from medaudit.core.entry_types.evaluation import EvaluationThreshold
from medaudit.core.errors import MedauditError

NEEDS_VALUE = ("fixed", "fpr", "sensitivity", "specificity")
"""Rules that have a ``value``: the threshold itself, or the rate to reach."""
ROUNDING = 1e-9
"""Share of the images by which a rate may miss its target: 0.95 x 20 is not 19 in binary."""


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
    rule : {"best_f1", "youden", "fpr", "specificity", "sensitivity", "fixed"}
        ``best_f1`` maximises F1 and ``youden`` the true minus the false positive rate; ties go to
        the highest threshold. ``fpr`` takes the lowest threshold whose false positive rate is at
        most `value`, ``specificity`` the lowest whose specificity is at least `value`,
        ``sensitivity`` the highest whose sensitivity is at least `value`. ``fixed`` is `value`.
    value : float, optional
        Needed by the rules of `NEEDS_VALUE`, in [0, 1].

    Returns
    -------
    float
        One of the scores, or just above the highest, which selects nobody. NaN where the
        validation split lacks a class.

    Raises
    ------
    MedauditError
        The rule is unknown, or lacks its value.

    Examples
    --------
    >>> score, positive = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True])
    >>> choose_threshold(score, positive, "sensitivity", 0.95)
    0.4
    >>> choose_threshold(score, positive, "specificity", 0.95)
    0.9
    """
    weights = np.ones((score.size, 1), np.uint8)
    return float(choose_thresholds(score, positive, weights, rule, value)[0])


def choose_thresholds(
    score: np.ndarray,
    positive: np.ndarray,
    weights: np.ndarray,
    rule: str,
    value: float | None = None,
) -> np.ndarray:
    """Choose a threshold from each of several draws of the validation images.

    Parameters
    ----------
    score, positive, rule, value
        As for `choose_threshold`.
    weights : ndarray of int, shape (n, draws)
        How often each image was drawn.

    Returns
    -------
    ndarray of float, shape (draws,)
        What `choose_threshold` returns for the images of each draw: candidates are the scores of
        drawn images.
    """
    if rule not in (*_RULES, "fixed"):
        raise MedauditError(f"threshold rule {rule!r} is unknown; known: {[*_RULES, 'fixed']}")
    if rule in NEEDS_VALUE and value is None:
        raise MedauditError(f"the threshold rule {rule} needs a `value` in [0, 1]")
    draws = weights.shape[1]
    if value is not None and rule == "fixed":
        return np.full(draws, float(value))
    if not score.size:
        return np.full(draws, np.nan)
    order = np.argsort(-score, kind="stable")
    ordered, label, drawn = score[order], positive[order], weights[order].astype(np.int64)
    last = np.append(np.diff(ordered) != 0, True)  # equal scores are decided alike
    tp, fp = (
        np.vstack([np.zeros((1, draws), np.int64), np.cumsum(part, axis=0)[last]])
        for part in (drawn * label[:, None], drawn * ~label[:, None])
    )
    candidates = np.append(np.nextafter(ordered[0], np.inf), ordered[last])
    # The first of equal values is the highest threshold. A candidate that no drawn image has
    # selects the same images as the one before it, so it is never the first.
    chosen = _RULES[rule](tp, fp, value).argmax(axis=0)
    # Just above the highest drawn score, not above that of an image that was not drawn.
    none = (tp + fp)[chosen, np.arange(draws)] == 0
    highest = candidates[((tp + fp) > 0).argmax(axis=0)]
    threshold = np.where(none, np.nextafter(highest, np.inf), candidates[chosen])
    return np.where((tp[-1] > 0) & (fp[-1] > 0), threshold, np.nan)


def value_for(rule: EvaluationThreshold, task: str) -> float | None:
    """Return the value of a rule for one task; ``value`` is one number, or one for each task.

    Raises
    ------
    MedauditError
        The rule has values by task and none for this one.

    Examples
    --------
    >>> value_for({"rule": "fixed", "value": {"Edema": 0.3}}, "Edema")
    0.3
    """
    value = rule.get("value")
    if not isinstance(value, Mapping):
        return value
    if task not in value:
        raise MedauditError(
            f"threshold: the rule {rule['rule']} has values for {sorted(value)} and none for the "
            f"task {task!r}; add it to `value`"
        )
    return float(value[task])


def describe_rule(rule: EvaluationThreshold) -> str:
    """Return a rule in words.

    Examples
    --------
    >>> describe_rule({"rule": "sensitivity", "value": 0.95})
    'sensitivity of at least 0.95'
    >>> describe_rule({"rule": "fixed", "value": {"Edema": 0.3, "Effusion": 0.5}})
    'fixed at 0.3 for Edema, 0.5 for Effusion'
    """
    text, value = _WORDS[rule["rule"]], rule.get("value")
    if isinstance(value, Mapping):
        shown = ", ".join(f"{number:g} for {task}" for task, number in value.items())
    else:
        shown = "" if value is None else f"{value:g}"
    return text.format(shown)


_WORDS = {
    "best_f1": "largest F1",
    "youden": "largest Youden index",
    "fpr": "false positive rate of at most {}",
    "specificity": "specificity of at least {}",
    "sensitivity": "sensitivity of at least {}",
    "fixed": "fixed at {}",
}


def _best_f1(tp: np.ndarray, fp: np.ndarray, value) -> np.ndarray:
    return 2 * tp / np.maximum(tp + fp + tp[-1], 1)


def _youden(tp: np.ndarray, fp: np.ndarray, value) -> np.ndarray:
    return tp * fp[-1] - fp * tp[-1]


def _fpr(tp: np.ndarray, fp: np.ndarray, value) -> np.ndarray:
    allowed = fp <= value * fp[-1] + ROUNDING * fp[-1]
    return np.where(allowed, tp + fp, -1)


def _specificity(tp: np.ndarray, fp: np.ndarray, value) -> np.ndarray:
    return _fpr(tp, fp, 1 - value)


def _sensitivity(tp: np.ndarray, fp: np.ndarray, value) -> np.ndarray:
    return tp >= value * tp[-1] - ROUNDING * tp[-1]


_RULES = {
    "best_f1": _best_f1,
    "youden": _youden,
    "fpr": _fpr,
    "specificity": _specificity,
    "sensitivity": _sensitivity,
}
