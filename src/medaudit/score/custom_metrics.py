"""Metrics that a user gives as functions: values and gaps with intervals by the patient bootstrap.

No null hypothesis is known for them (which patients could exchange their groups depends on the
metric), so their gaps have no test: status ``undefined:no_hypothesis``.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.statuses import Status
from medaudit.core.table_io import GAPS, METRICS
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.intervals import percentile_interval
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import Sample

SCORED = ("y_score", "y_prob", "y_proba", "probas_pred", "scores")
DECIDED = ("y_pred", "y_decision", "decisions")


@dataclass(frozen=True)
class CustomMetric:
    """A metric as a function.

    Parameters
    ----------
    function : callable
        ``f(y_true, y_pred)`` gets 0/1 decisions, ``f(y_true, y_score)`` scores, as the name of its
        second parameter says; with a parameter ``sample_weight`` it also gets the weights. Of
        several classes it gets the names of the true and the chosen class, or scores of shape
        (n, classes). It returns a number; an error or NaN means that the value is not defined.
    name : str
        Name in tables; default: the function's.
    greater_is_better : bool, optional
        Needed to name the worst group; default: not known.

    Examples
    --------
    >>> from sklearn.metrics import matthews_corrcoef
    >>> CustomMetric(matthews_corrcoef).name, CustomMetric(matthews_corrcoef).takes
    ('matthews_corrcoef', 'decision')
    """

    function: Callable[..., Any]
    name: str = ""
    greater_is_better: bool | None = None

    def __post_init__(self) -> None:
        """Take the function's name if there is no other, and check what it takes."""
        if not self.name:
            found = getattr(self.function, "__name__", "")
            if not found or found == "<lambda>":
                raise MedauditError("a metric without a name: write metrics={'name': function}")
            object.__setattr__(self, "name", found)
        _ = self.takes

    @property
    def takes(self) -> str:
        """``decision`` or ``score``, from the name of the second parameter."""
        names = list(inspect.signature(self.function).parameters)
        second = names[1] if len(names) > 1 else ""
        if second in DECIDED:
            return "decision"
        if second in SCORED:
            return "score"
        raise MedauditError(
            f"metric {self.name!r}: its second parameter is {second!r}, so it is not clear whether "
            "it takes decisions or scores; wrap it: lambda y_true, y_pred: ... (or y_score)"
        )

    @property
    def weighted(self) -> bool:
        """Whether it takes weights."""
        return "sample_weight" in inspect.signature(self.function).parameters


@dataclass(frozen=True)
class Custom:
    """Values and gaps of custom metrics, in the columns of the audit's tables, and replicates.

    Parameters
    ----------
    metrics, gaps : pandas.DataFrame
        Columns of `medaudit.core.table_io.METRICS` and `GAPS`.
    replicates : ndarray, shape (rows of metrics, draws)
    """

    metrics: pd.DataFrame
    gaps: pd.DataFrame
    replicates: np.ndarray


def measure_custom(
    sample: Sample, metrics: Sequence[CustomMetric], evaluation: Evaluation, names: dict[str, str]
) -> Custom:
    """Return values, intervals and gaps of custom metrics for every group.

    Parameters
    ----------
    sample : Sample
        The test split of one run; of several seeds the first counts.
    metrics : sequence of CustomMetric
        Functions.
    evaluation : Evaluation
        ``bootstrap`` and ``minimum``.
    names : dict
        ``cohort``, ``model``, ``method``.
    """
    draws, level = evaluation["bootstrap"]["draws"], evaluation["bootstrap"]["level"]
    counts = draw_patients(sample.stratum, sample.stream, slice(0, draws), sample.identity)
    rows, drawn, gaps = [], [], []
    for metric in metrics:
        for task, data in _data(sample, metric):
            for attribute in sample.attributes:
                own, replicates = _groups(metric, data, sample, attribute, counts, evaluation)
                head = {"seed": "mean", "task": task, "attribute": attribute.name}
                head |= {"metric": metric.name, "dialect": "medaudit", **names}
                low, high = percentile_interval(replicates, level)
                for k, row in enumerate(own):
                    ends = {"low": low[k], "high": high[k]} if row["status"] == "ok" else {}
                    rows.append({**head, **row, **ends})
                drawn.append(replicates)
                if attribute.name != "all":
                    gaps.append({**head, **_gap(metric, own, replicates, level)})
    return Custom(
        pd.DataFrame(rows).reindex(columns=list(METRICS.columns)),
        pd.DataFrame(gaps).reindex(columns=list(GAPS.columns)),
        np.concatenate(drawn),
    )


@dataclass(frozen=True)
class _Data:
    """What a function gets: labels, decisions or scores, weights, and which images take part."""

    y: np.ndarray
    other: np.ndarray
    weight: np.ndarray | None
    used: np.ndarray


def _data(sample: Sample, metric: CustomMetric) -> Iterator[tuple[str, _Data]]:
    arrays = sample.decision if metric.takes == "decision" else sample.score
    if sample.multiclass:
        names = np.array(sample.tasks, object)
        known = ~np.isnan(sample.y).any(axis=1)
        other = arrays[0] if metric.takes == "score" else names[arrays[0].argmax(axis=1)]
        truth = names[np.nan_to_num(sample.y).argmax(axis=1)]
        yield "all", _Data(truth, other, _weights(sample, metric, "all"), known)
        return
    for t, task in enumerate(sample.tasks):
        other, y = arrays[0, :, t], sample.y[:, t]
        used = ~np.isnan(y) & ~np.isnan(other)
        yield task, _Data(np.nan_to_num(y).astype(int), other, _weights(sample, metric, task), used)


def _weights(sample: Sample, metric: CustomMetric, task: str) -> np.ndarray | None:
    found = sample.weights.get(("all", task))
    if found is not None and not metric.weighted:
        raise MedauditError(
            f"metric {metric.name!r} takes no sample_weight, but the audit has weights; give it that "
            "parameter"
        )
    return found


def _groups(
    metric: CustomMetric,
    data: _Data,
    sample: Sample,
    attribute: Attribute,
    counts: np.ndarray,
    evaluation: Evaluation,
) -> tuple[list[dict], np.ndarray]:
    """Return the rows of an attribute's groups and of all of them together, with replicates."""
    levels = [] if attribute.name == "all" else list(enumerate(attribute.levels))
    masks = [(level, data.used & (attribute.codes == k)) for k, level in levels]
    masks.append(("all", data.used & (attribute.codes >= 0)))
    rows, drawn = [], np.full((len(masks), counts.shape[1]), np.nan)
    for k, (group, mask) in enumerate(masks):
        own = np.flatnonzero(mask)
        patients = np.unique(sample.patient[own]).size
        row = {"group": group, "n": own.size, "n_patients": patients, "status": "too_few"}
        if own.size >= evaluation["minimum"]["n"]:
            value = (_call_once if group == "all" else _call)(metric, data, own)
            row["value"] = value
            row["status"] = "ok" if np.isfinite(value) else str(Status.NO_DECISION)
        if row["status"] == "ok" and patients > 1:
            for b in range(counts.shape[1]):
                drawn[k, b] = _call(metric, data, np.repeat(own, counts[sample.patient[own], b]))
        rows.append(row)
    return rows, drawn


def _call_once(metric: CustomMetric, data: _Data, rows: np.ndarray) -> float:
    """Call a function on all patients: what fails there is a fault of the function."""
    extra = {} if data.weight is None else {"sample_weight": data.weight[rows]}
    try:
        return float(metric.function(data.y[rows], data.other[rows], **extra))
    except Exception as error:
        raise MedauditError(
            f"metric {metric.name!r} fails on all patients: {type(error).__name__}: {error}"
        ) from error


def _call(metric: CustomMetric, data: _Data, rows: np.ndarray) -> float:
    if not rows.size:
        return np.nan
    extra = {} if data.weight is None else {"sample_weight": data.weight[rows]}
    try:
        return float(metric.function(data.y[rows], data.other[rows], **extra))
    except (ValueError, ZeroDivisionError, FloatingPointError):  # e.g. one class in a small group
        return np.nan


def _gap(metric: CustomMetric, rows: list[dict], drawn: np.ndarray, level: float) -> dict:
    """Return the row of the largest difference between an attribute's groups."""
    groups = rows[:-1]
    known = [k for k, row in enumerate(groups) if row["status"] == "ok"]
    found: dict[str, Any] = {"gap": "max_min", "n_groups": len(groups), "n_estimable": len(known)}
    found |= {"null_status": str(Status.NO_HYPOTHESIS), "n_patients": rows[-1]["n_patients"]}
    if len(known) < 2:
        bad = next(row["status"] for row in groups if row["status"] != "ok")
        return {**found, "status": bad}
    values = np.array([groups[k]["value"] for k in known])
    found |= {"value": float(np.ptp(values)), "status": "ok"}
    # The largest of all pairs: its replicates are too large where groups are alike, so the limits
    # are those of the pairs, taken together.
    pairs = [(a, b) for a in range(len(known)) for b in range(len(known)) if a != b]
    differences = np.array([drawn[known[a]] - drawn[known[b]] for a, b in pairs])
    alone = round((1 - level) / max(len(pairs) // 2, 1), 12)
    low = percentile_interval(differences, 1 - alone)[0].max()
    high = percentile_interval(differences, level)[1].max()
    found |= {"low": max(float(low), 0.0), "high": float(high)}
    if metric.greater_is_better is not None:
        order = [groups[k]["group"] for k in np.array(known)[np.argsort(values)]]
        found["worst"], found["best"] = order if len(order) == 2 else (order[0], order[-1])
        if not metric.greater_is_better:
            found["worst"], found["best"] = found["best"], found["worst"]
    return found
