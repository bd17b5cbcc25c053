"""Intervals of the procedure that chooses a threshold, not only of the threshold as chosen.

A true positive rate of .80 at a threshold chosen on 60 validation patients answers two questions.
*This threshold* finds how many ill patients? That is ``low`` to ``high``. *This model, tuned in
this way*, finds how many, on average over the validation patients that one could have had? That
also depends on the choice, and is ``procedure_low`` to ``procedure_high``.

The two errors are independent, since validation and test share no patient, so their limits combine
as those of a sum (MOVER; Zou and Donner 2008): the distance of each limit from the value is the
root of the squared distance at the threshold as chosen plus the squared error of the choice. That
error comes from a bootstrap of the validation patients: the threshold is chosen again in each
draw, and every threshold is applied to the same test images.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from medaudit.core.entry_types import Evaluation
from medaudit.metrics.definitions import METRICS, Sums
from medaudit.metrics.group_metrics import GroupBlock, GroupMetrics
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import Sample, Validation
from medaudit.metrics.sorted_scores import SortedScores
from medaudit.metrics.thresholds import choose_thresholds, value_for

CHOICES = 200
"""Draws of the validation patients."""
BLOCK = 2**22
"""Images times draws whose thresholds are chosen at once."""
ENOUGH = 0.5
"""Share of the draws in which a metric must be defined."""
DECIDED = tuple(name for name, metric in METRICS.items() if metric.needs == ("confusion",))
"""Metrics of decisions, which depend on a threshold."""


def choose_again(sample: Sample, evaluation: Evaluation) -> np.ndarray | None:
    """Choose the thresholds again in bootstrap draws of the validation patients.

    Parameters
    ----------
    sample : Sample
        Its validation split.
    evaluation : Evaluation
        ``threshold`` and ``bootstrap`` (``draws``; at most `CHOICES` are used).

    Returns
    -------
    ndarray of float, shape (seeds, tasks, draws), or None
        All seeds and tasks share the draws. NaN where a draw lacks a class. None where no
        threshold is chosen: a fixed one, or the largest score decides.
    """
    rule, validation = evaluation["threshold"], sample.validation
    if sample.threshold is None or validation is None or rule["rule"] == "fixed":
        return None
    draws = min(evaluation["bootstrap"]["draws"], CHOICES)
    chosen = np.full((*sample.threshold.shape, draws), np.nan)
    if not validation.patient.size:
        return chosen
    patients = np.zeros(validation.patient.max() + 1, int)
    size = max(BLOCK // validation.patient.size, 1)
    for start in range(0, draws, size):
        block = slice(start, min(start + size, draws))
        weights = draw_patients(patients, f"validation {validation.stream}", block)
        weights = weights[validation.patient]
        for s, t in np.ndindex(*sample.threshold.shape):
            score, y = validation.score[s, :, t], validation.y[:, t]
            known = ~np.isnan(score) & ~np.isnan(y)
            chosen[s, t, block] = choose_thresholds(
                score[known],
                y[known] == 1,
                weights[known],
                rule["rule"],
                value_for(rule, sample.tasks[t]),
            )
    return chosen


def add_procedure_limits(
    table: pd.DataFrame,
    metrics: GroupMetrics,
    blocks: Sequence[GroupBlock],
    sample: Sample,
    chosen: np.ndarray | None,
    level: float,
) -> None:
    """Add ``procedure_low`` and ``procedure_high`` to the rows of one attribute, in place.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `medaudit.core.table_io.METRICS` with ``value``, ``low``, ``high``.
    metrics, blocks
        The attribute's values and sorted scores (`medaudit.metrics.replicates`).
    sample : Sample
        The test split.
    chosen : ndarray or None
        What `choose_again` returns.
    level : float
        Confidence level, e.g. 0.95.

    Notes
    -----
    Missing for metrics that need no decision. Where no threshold is chosen, those of ``low`` and
    ``high``. Otherwise never narrower than these, in [0, 1], and missing where fewer than half of
    the drawn thresholds give the metric a value.
    """
    decided = table["metric"].isin(DECIDED).to_numpy()
    for end in ("low", "high"):
        table[f"procedure_{end}"] = table[end].where(decided)
    validation = sample.validation
    if chosen is None or validation is None:
        return
    names = [name for name in metrics.metrics if name in DECIDED]
    axes = (metrics.groups, metrics.seeds, metrics.tasks, names)
    columns = ("group", "seed", "task", "metric")
    at = [pd.Index(a).get_indexer(table[c]) for a, c in zip(axes, columns, strict=True)]
    rows = np.flatnonzero(decided & (np.array(at) >= 0).all(axis=0) & table["low"].notna())
    if not rows.size:
        return
    values = _values_by_choice(metrics, blocks, chosen, names, _reach(validation, level))
    drawn = values[tuple(place[rows] for place in at)]
    value, low, high = (table[name].to_numpy()[rows] for name in ("value", "low", "high"))
    error = _choice_error(value, drawn, level)
    # Never inside `low` to `high`, not by the rounding of the last place either.
    below, above = np.hypot(value - low, error), np.hypot(high - value, error)
    table.loc[rows, "procedure_low"] = np.clip(value - below, 0, low)
    table.loc[rows, "procedure_high"] = np.clip(value + above, high, 1)


def threshold_limits(chosen: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the thresholds themselves, of each seed and of the mean over seeds.

    Parameters
    ----------
    chosen : ndarray, shape (seeds, tasks, draws)
        What `choose_again` returns.
    level : float
        Confidence level.

    Returns
    -------
    tuple of ndarray, shape (seeds + 1, tasks)
        Quantiles of the chosen thresholds.
    """
    drawn = np.concatenate([chosen, chosen.mean(axis=0, keepdims=True)])
    tail = (1 - level) / 2
    return _quantile(drawn, tail), _quantile(drawn, 1 - tail)


def _reach(validation: Validation, level: float) -> np.ndarray:
    """Return by how much a bootstrap of few validation patients is widened, shape (tasks,).

    The quantile of Student's t, with the patients of the rarer class minus 1 as degrees of
    freedom, over the normal quantile.
    """
    quantile = (1 + level) / 2
    degrees = []
    for y in validation.y.T:
        patients = (np.unique(validation.patient[y == label]).size for label in (0, 1))
        degrees.append(max(min(patients) - 1, 1))
    return stdtrit(np.array(degrees), quantile) / ndtri(quantile)


def _values_by_choice(
    metrics: GroupMetrics,
    blocks: Sequence[GroupBlock],
    chosen: np.ndarray,
    names: list[str],
    reach: np.ndarray,
) -> np.ndarray:
    """Return the test split's metrics at each chosen threshold, their spread times `reach`.

    The shape is (groups, seeds, tasks, len(names), draws), means over seeds and tasks included.
    """
    places = [metrics.metrics.index(name) for name in names]
    values = np.full((*metrics.value.shape[:3], len(names), chosen.shape[2]), np.nan)
    for start, sorted_scores in blocks:
        for (s, t), scores in sorted_scores.items():
            cells: Sums = {"confusion": _confusion(scores, chosen[s, t])}
            group = slice(start, start + scores.n_groups)
            for m, name in enumerate(names):
                value = metrics.value[group, s, t, places[m], None]
                found = METRICS[name].compute(cells)
                values[group, s, t, m] = value + reach[t] * (found - value)
    return metrics.average(values)


def _confusion(scores: SortedScores, thresholds: np.ndarray) -> np.ndarray:
    """Return the confusion of each group at each threshold, shape (groups, 4, thresholds)."""
    cut = np.searchsorted(scores.score, thresholds, side="left")
    counts = np.zeros((scores.n_groups, 4, thresholds.size))
    for group in range(scores.n_groups):
        for label in (0, 1):
            place = np.flatnonzero((scores.group == group) & (scores.positive == label))
            mass = np.append(0, np.cumsum(scores.factor[place]))
            rejected = mass[np.searchsorted(place, cut)]
            counts[group, 2 * label] = rejected
            counts[group, 2 * label + 1] = mass[-1] - rejected
    return np.where(np.isnan(thresholds), np.nan, counts)


def _choice_error(value: np.ndarray, drawn: np.ndarray, level: float) -> np.ndarray:
    """Return how far the choice may move each value, shape (rows,).

    The normal quantile times the root mean square distance from the value. That is larger than
    the standard deviation where the drawn thresholds are off centre, as those of few scores are,
    and covers better than quantiles do.
    """
    known = np.isfinite(drawn)
    count = known.sum(axis=1)
    squares = np.where(known, (drawn - value[:, None]) ** 2, 0).sum(axis=1)
    reach = ndtri((1 + level) / 2) * np.sqrt(squares / np.maximum(count, 1))
    return np.where(count >= ENOUGH * drawn.shape[1], reach, np.nan)


def _quantile(drawn: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile over the last axis of the values that are not NaN."""
    ordered = np.sort(drawn, axis=-1)
    last = np.maximum(np.isfinite(ordered).sum(axis=-1) - 1, 0)
    left = np.floor(share * last).astype(int)
    right = np.minimum(left + 1, last)
    ends = [np.take_along_axis(ordered, p[..., None], axis=-1)[..., 0] for p in (left, right)]
    return ends[0] + (share * last - left) * (ends[1] - ends[0])
