"""The registry of metrics: formula, what it needs, which way is better, its name for a reader.

A metric is computed from sums over a group's images, each of shape (groups, ..., replicates), so
that one formula serves the value, the bootstrap and the permutations. ``docs/metrics.md`` shows
the formulas. The schema of the configuration, that table and the report take their names from
here, or are tested against it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Sums = dict[str, np.ndarray]
ROUNDING = 1e-9
"""Relative curvature below which a calibration slope is not resolved by a replicate."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Parameters
    ----------
    needs : tuple of str
        Sums it is made of: ``label``, ``confusion``, ``brier``, ``absolute``, ``bins``,
        ``calibration`` (`medaudit.metrics.sorted_scores.summands`), ``pairs``, ``precision``
        (`medaudit.metrics.bootstrap_kernels`).
    counts : tuple of str
        Counts that must reach the minimum: ``n`` always, ``n_pos``, ``n_neg``, ``n_selected``,
        ``n_rejected``.
    target : float or None
        The best value: 1 or 0, or None where neither end is better.
    compute : callable
        Sums to values of shape (groups, replicates); NaN where undefined.
    label : str
        Its name in tables and figures.
    long_label : str
        Its name at first mention; empty: `label`.
    null : {"separation", "calibration", "parity"}
        Hypothesis that its gaps are tested against (`medaudit.metrics.nulls`).
    """

    needs: tuple[str, ...]
    counts: tuple[str, ...]
    target: float | None
    compute: Callable[[Sums], np.ndarray]
    label: str
    long_label: str = ""
    null: str = "separation"

    @property
    def decided(self) -> bool:
        """Whether decisions suffice, without scores."""
        return self.needs == ("confusion",)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)


def _cells(sums: Sums) -> tuple[np.ndarray, ...]:
    counts = sums["confusion"]
    return counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 3]


def _tpr(sums: Sums) -> np.ndarray:
    _, _, fn, tp = _cells(sums)
    return _divide(tp, tp + fn)


def _fpr(sums: Sums) -> np.ndarray:
    tn, fp, _, _ = _cells(sums)
    return _divide(fp, fp + tn)


def _ppv(sums: Sums) -> np.ndarray:
    _, fp, _, tp = _cells(sums)
    return _divide(tp, tp + fp)


def _npv(sums: Sums) -> np.ndarray:
    tn, _, fn, _ = _cells(sums)
    return _divide(tn, tn + fn)


def _f1(sums: Sums) -> np.ndarray:
    _, fp, fn, tp = _cells(sums)
    return np.where(tp + fn > 0, _divide(2 * tp, 2 * tp + fp + fn), np.nan)


def _accuracy(sums: Sums) -> np.ndarray:
    tn, fp, fn, tp = _cells(sums)
    return _divide(tp + tn, tn + fp + fn + tp)


def _selection_rate(sums: Sums) -> np.ndarray:
    tn, fp, fn, tp = _cells(sums)
    return _divide(tp + fp, tn + fp + fn + tp)


def _auc(sums: Sums) -> np.ndarray:
    negatives, positives = sums["label"][:, 0], sums["label"][:, 1]
    return _divide(sums["pairs"], negatives * positives)


def _average_precision(sums: Sums) -> np.ndarray:
    negatives, positives = sums["label"][:, 0], sums["label"][:, 1]
    return np.where(negatives > 0, _divide(sums["precision"], positives), np.nan)


def _brier(sums: Sums) -> np.ndarray:
    return _divide(sums["brier"][:, 0], sums["label"].sum(axis=1))


def _absolute_error(sums: Sums) -> np.ndarray:
    return _divide(sums["absolute"][:, 0], sums["label"].sum(axis=1))


def _ece(sums: Sums) -> np.ndarray:
    count, score, label = np.moveaxis(sums["bins"], 2, 0)[:3]
    return _divide(np.abs(label - score).sum(axis=1), count.sum(axis=1))


def _ece_debiased(sums: Sums) -> np.ndarray:
    bins = np.moveaxis(sums["bins"], 2, 0)
    count, score, label = bins[:3]
    effective = count if len(bins) == 3 else _divide(count**2, bins[3])
    rate, confidence = _divide(label, count), _divide(score, count)
    kept = np.where(effective > 1, count, 0)
    noise = rate * (1 - rate) / np.where(effective > 1, effective - 1, 1)
    squared = np.where(kept > 0, kept * ((rate - confidence) ** 2 - noise), 0).sum(axis=1)
    return np.sqrt(np.maximum(_divide(squared, kept.sum(axis=1)), 0))


def _slope(sums: Sums) -> np.ndarray:
    # One Newton step from the fit to all images towards the fit to the replicate's, which has the
    # same distribution to first order (the one-step bootstrap).
    fit, (start, _) = sums["calibration"], sums["fit"].T[1:, :, None]
    g0, g1, v0, v1, v2 = np.moveaxis(fit[:, :5], 1, 0)
    curvature = v0 * v2 - v1 * v1
    resolved = np.where(curvature > ROUNDING * v0 * v2, curvature, 0)
    return start + _divide(v0 * g1 - v1 * g0, resolved)


def _intercept(sums: Sums) -> np.ndarray:
    fit, start = sums["calibration"], sums["fit"][:, 2, None]
    return start + _divide(fit[:, 5], fit[:, 6])


_CONFUSION, _BOTH = ("confusion",), ("n", "n_pos", "n_neg")
_EQUAL_SCORES = {"null": "calibration"}

METRICS: dict[str, Metric] = {
    "auc": Metric(("label", "pairs"), _BOTH, 1, _auc, "AUC", "area under the ROC curve (AUC)"),
    "average_precision": Metric(
        ("label", "precision"), _BOTH, 1, _average_precision, "average precision"
    ),
    "accuracy": Metric(_CONFUSION, ("n",), 1, _accuracy, "accuracy"),
    "balanced_accuracy": Metric(
        _CONFUSION, _BOTH, 1, lambda s: (_tpr(s) + 1 - _fpr(s)) / 2, "balanced accuracy"
    ),
    "f1": Metric(_CONFUSION, ("n", "n_pos"), 1, _f1, "F1", "F1 score"),
    "tpr": Metric(_CONFUSION, ("n", "n_pos"), 1, _tpr, "TPR", "true positive rate (TPR)"),
    "fpr": Metric(_CONFUSION, ("n", "n_neg"), 0, _fpr, "FPR", "false positive rate (FPR)"),
    "tnr": Metric(_CONFUSION, ("n", "n_neg"), 1, lambda s: 1 - _fpr(s), "TNR"),
    "ppv": Metric(_CONFUSION, ("n", "n_selected"), 1, _ppv, "PPV", **_EQUAL_SCORES),
    "npv": Metric(_CONFUSION, ("n", "n_rejected"), 1, _npv, "NPV", **_EQUAL_SCORES),
    "selection_rate": Metric(
        _CONFUSION, ("n",), None, _selection_rate, "selection rate", null="parity"
    ),
    "underdiagnosis": Metric(_CONFUSION, ("n", "n_neg"), 0, _fpr, "underdiagnosis"),
    "overdiagnosis": Metric(_CONFUSION, ("n", "n_pos"), 0, lambda s: 1 - _tpr(s), "overdiagnosis"),
    "brier": Metric(("label", "brier"), ("n",), 0, _brier, "Brier score", **_EQUAL_SCORES),
    "absolute_error": Metric(
        ("label", "absolute"), ("n",), 0, _absolute_error, "absolute error", **_EQUAL_SCORES
    ),
    "ece": Metric(
        ("bins",), ("n",), 0, _ece, "ECE", "expected calibration error (ECE)", **_EQUAL_SCORES
    ),
    "ece_debiased": Metric(("bins",), ("n",), 0, _ece_debiased, "ECE, debiased", **_EQUAL_SCORES),
    "calibration_slope": Metric(
        ("calibration",), _BOTH, None, _slope, "calibration slope", **_EQUAL_SCORES
    ),
    "calibration_intercept": Metric(
        ("calibration",), _BOTH, None, _intercept, "calibration intercept", **_EQUAL_SCORES
    ),
}
DIAGNOSIS = ("underdiagnosis", "overdiagnosis")
NO_FINDING = "No Finding"
WHOLE_DECISION = ("accuracy", "ece", "ece_debiased", "absolute_error")


def needs_scores(metrics: Sequence[str]) -> np.ndarray:
    """Return whether each metric needs scores, and not only decisions."""
    return np.array([not METRICS[name].decided for name in metrics], bool)


def applies(metric: str, task: str) -> bool:
    """Return whether `metric` is reported for `task`.

    Under- and overdiagnosis are defined for the task ``No Finding`` only (Seyyed-Kalantari et al.
    2021). The multi-class decision as a whole (task ``all``) has an accuracy and, for the score of
    the chosen class, calibration errors.
    """
    if metric in DIAGNOSIS:
        return task == NO_FINDING
    return task != "all" or metric in WHOLE_DECISION
