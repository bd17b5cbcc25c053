"""Remedies after training: other decisions or scores of a trained model, fitted on validation.

They need scores, labels and groups of validation, and no training data: the same functions serve a
model of the workflow and a file of predictions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from medaudit.adapt import group_thresholds
from medaudit.adapt.recalibrate import CALIBRATORS, by_group
from medaudit.core.entry_types.evaluation import EvaluationMinimum, EvaluationThreshold
from medaudit.metrics.thresholds import choose_threshold, value_for

UNKNOWN = -1
"""Code of a group that is not known, or too small on validation for a value of its own."""

THRESHOLDS = (*group_thresholds.CONSTRAINTS, "equal_sensitivity", "one_threshold")
RECALIBRATIONS = (*CALIBRATORS, *(f"{name}_by_group" for name in CALIBRATORS))
AFTER_TRAINING = (*THRESHOLDS, *RECALIBRATIONS)
"""Names of all remedies after training."""


class Scored(NamedTuple):
    """Scores, labels and groups of one split, one task and one seed.

    Parameters
    ----------
    score : numpy.ndarray
        ``[n]``, probabilities.
    y : numpy.ndarray
        ``[n]``, 1 or 0; not read of the split that is decided.
    group : numpy.ndarray
        ``[n]``, whole numbers; `UNKNOWN` if not known.
    """

    score: np.ndarray
    y: np.ndarray
    group: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """Scores ``[n]`` and decisions ``[n]`` (1 or 0) after a remedy, and groups it left as they were."""

    score: np.ndarray
    decision: np.ndarray
    pooled: tuple[int, ...] = ()


def needs_group(name: str) -> bool:
    """Return whether a remedy after training needs the patient's group at test time."""
    return name != "one_threshold" and (name in THRESHOLDS or name.endswith("_by_group"))


def apply_after(
    name: str,
    val: Scored,
    test: Scored,
    rule: EvaluationThreshold,
    minimum: EvaluationMinimum,
    task: str,
    seed: int,
) -> Outcome | None:
    """Fit a remedy to validation, and apply it to the test images without reading their labels.

    Parameters
    ----------
    name : str
        One of `AFTER_TRAINING`.
    val, test : Scored
        Both splits. A group with fewer positives or negatives on validation than `minimum` says
        gets the threshold or calibrator of everybody.
    rule : dict
        ``evaluation.threshold``: how a score becomes a decision where the remedy does not decide.
        It also sets the sensitivity that ``equal_sensitivity`` and ``one_threshold`` aim at:
        everybody's at that rule's threshold.
    minimum : dict
        ``n_pos`` and ``n_neg``.
    task : str
        For rules with a value per task.
    seed : int
        For randomised decisions.

    Returns
    -------
    Outcome or None
        None where validation lacks a class, or fewer than two groups are large enough.
    """
    if len(np.unique(val.y)) < 2:
        return None
    fewest = max(1, minimum["n_pos"], minimum["n_neg"])
    kept, small = _large_groups(val, fewest)
    if needs_group(name) and len(kept) < 2:
        return None
    threshold = _threshold(val.score, val.y, rule, task)
    plain = (test.score >= threshold).astype(float)
    if name in RECALIBRATIONS:
        return _recalibrated(name, val, test, rule, task, fewest, small)
    if name == "one_threshold":
        target = (val.score[val.y == 1] >= threshold).mean()
        groups = np.where(np.isin(val.group, kept), val.group, UNKNOWN)
        lowest = group_thresholds.one_threshold(val.score, val.y, groups, target) if kept else None
        lowest = threshold if lowest is None else lowest
        return Outcome(test.score, (test.score >= lowest).astype(float), small)
    return Outcome(test.score, _by_group(name, val, test, kept, threshold, plain, seed), small)


def _by_group(
    name: str,
    val: Scored,
    test: Scored,
    kept: list[int],
    threshold: float,
    plain: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Return decisions by thresholds of the groups `kept`; other images keep the plain decision."""
    inside, among = np.isin(val.group, kept), np.isin(test.group, kept)
    decision = plain.copy()
    if name in group_thresholds.CONSTRAINTS:
        parts = (val.score[inside], val.y[inside], val.group[inside])
        images = (test.score[among], test.group[among])
        if among.any():
            decision[among] = group_thresholds.optimise_thresholds(name, *parts, images, seed)
        return decision
    target = float((val.score[val.y == 1] >= threshold).mean())
    own = group_thresholds.equal_sensitivity(
        val.score[inside], val.y[inside], val.group[inside], target
    )
    for code, value in own.items():
        decision[test.group == code] = test.score[test.group == code] >= value
    return decision


def _recalibrated(
    name: str,
    val: Scored,
    test: Scored,
    rule: EvaluationThreshold,
    task: str,
    fewest: int,
    small: tuple[int, ...],
) -> Outcome:
    fit = CALIBRATORS[name.removesuffix("_by_group")]
    grouped = name.endswith("_by_group")
    nobody = np.full(len(val.y), UNKNOWN)
    apply, _ = by_group(fit, val.score, val.y, val.group if grouped else nobody, fewest)
    score, before = apply(test.score, test.group), apply(val.score, val.group)
    decided = score >= _threshold(before, val.y, rule, task)
    return Outcome(score, decided.astype(float), small if grouped else ())


def _large_groups(val: Scored, fewest: int) -> tuple[list[int], tuple[int, ...]]:
    """Return the groups with enough positives and negatives on validation, and the others."""
    kept: list[int] = []
    small: list[int] = []
    for code in np.unique(val.group[val.group >= 0]).tolist():
        y = val.y[val.group == code]
        enough = min((y == 1).sum(), (y == 0).sum()) >= fewest
        (kept if enough else small).append(code)
    return kept, tuple(small)


def _threshold(score: np.ndarray, y: np.ndarray, rule: EvaluationThreshold, task: str) -> float:
    return choose_threshold(score, y == 1, rule["rule"], value_for(rule, task))
