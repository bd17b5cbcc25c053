"""Every metric of every group of the test split, with intervals from a bootstrap of patients."""

from functools import partial

import numpy as np
import pandas as pd

from medaudit.core import table_io
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.group_metrics import ALL, Scores, fill, score_groups, tabulate
from medaudit.metrics.intervals import bca_interval, inflated_interval, percentile_interval
from medaudit.metrics.replicates import (
    check_evaluation,
    draw_replicates,
    group_names,
    plan_attribute,
)
from medaudit.metrics.resampling import leave_out
from medaudit.metrics.sample import Sample, read_sample

DIALECT = "medaudit"


IDENTITY = ("cohort", "model", "method")


def audit(
    predictions: pd.DataFrame, cohort: pd.DataFrame, settings: dict, threads: int = 1
) -> tuple[pd.DataFrame, np.ndarray]:
    """Score every group of the test split.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns ``image_id, split, task, seed, y, score``.
    cohort : pandas.DataFrame
        ``image_id, patient_id, split, a_<attribute>`` and perhaps ``y_<task>`` (checked) and
        ``w_<attribute>_<task>`` (importance weights, used where ``test_weights`` is not ``none``).
    settings : dict
        ``cohort``, ``model``, ``method`` : names.
        ``task_type`` : ``binary``, ``multilabel`` or ``multiclass``.
        ``tasks`` : list of str, optional.
        ``attributes`` : list of names, or of lists of names for intersections.
        ``test_weights`` : ``none`` (default), ``equal_prevalence``, ``resample``.
        ``evaluation`` : ``metrics``, ``threshold`` (``rule``, ``value``), ``bootstrap``
        (``draws``, ``level``, ``method``), ``minimum`` (``n``, ``n_pos``, ``n_neg``),
        ``ece_bins`` (15).
    threads : int
        Blocks of replicates computed at once; changes no number.

    Returns
    -------
    metrics : pandas.DataFrame
        Columns of `medaudit.core.table_io.METRICS`. Each attribute has its groups, the group ``all``
        (those of them whose group is known) and, where some have no known group, ``missing``.
    replicates : ndarray of float32, shape (rows, draws)
        NaN where a row or a replicate is undefined.

    Raises
    ------
    MedauditError
        See `medaudit.metrics.sample.read_sample`.
    """
    evaluation = check_evaluation(settings)
    sample = read_sample(predictions, cohort, settings)
    everything = [(a, plan_attribute(sample, a, evaluation)) for a in sample.attributes]
    scored = [score_groups(sample, a, group_names(a), plans, evaluation) for a, plans in everything]
    plans = [_own_plans(sample, a, plans) for a, plans in everything]
    computes = [partial(_fill, *pair) for pair in zip(scored, plans, strict=True)]
    draw_replicates(scored, computes, sample, settings, threads)
    _share_everybody(scored, sample)
    left_out = _jackknife(scored, [plans for _, plans in everything], sample, settings)
    tables = [
        _tabulate(scores, part, evaluation["bootstrap"])
        for scores, part in zip(scored, left_out, strict=True)
    ]
    frame = pd.concat([table for table, _ in tables] + [_thresholds(sample)], ignore_index=True)
    drawn = np.full((len(frame), evaluation["bootstrap"]["draws"]), np.nan, np.float32)
    done = 0
    for table, rows in tables:
        drawn[done : done + len(table)] = rows
        done += len(table)
    return _identify(frame, settings, table_io.METRICS), drawn


def _is_everybody(sample: Sample, attribute: Attribute) -> bool:
    """Return whether the group ``all`` of an attribute is that of the attribute ``all``."""
    weighted = any(name == attribute.name for name, _ in sample.weights)
    return attribute.name != ALL and not weighted and bool((attribute.codes >= 0).all())


def _own_plans(sample: Sample, attribute: Attribute, plans: list) -> list:
    return plans[:1] if _is_everybody(sample, attribute) else plans


def _share_everybody(scored: list[Scores], sample: Sample) -> None:
    for scores, attribute in zip(scored, sample.attributes, strict=True):
        if _is_everybody(sample, attribute):
            scores.replicates[-1] = scored[0].replicates[0]


def _fill(scores: Scores, plans: list, target: np.ndarray, weights: np.ndarray) -> None:
    fill(scores, target, plans, weights)


def _jackknife(scored, plans, sample: Sample, settings: dict) -> list[np.ndarray | None]:
    if settings["evaluation"]["bootstrap"]["method"] != "bca":
        return [None] * len(scored)
    weights = leave_out(sample.stratum, settings["cohort"])
    found = []
    for scores, some in zip(scored, plans, strict=True):
        values = np.full((*scores.value.shape, weights.shape[1]), np.nan)
        fill(scores, values, some, weights)
        found.append(scores.average(values))
    return found


def _tabulate(scores: Scores, left_out, bootstrap: dict) -> tuple[pd.DataFrame, np.ndarray]:
    frame, place = tabulate(scores)
    drawn = scores.replicates.reshape(-1, bootstrap["draws"])
    rows = np.where((place >= 0)[:, None], drawn[place], np.float32(np.nan))
    if left_out is None:
        ends = percentile_interval(rows, bootstrap["level"])
    else:
        parts = left_out.reshape(-1, left_out.shape[-1])[place]
        ends = bca_interval(frame["value"].to_numpy(), rows, parts, bootstrap["level"])
    noisy = frame["metric"].isin(("ece", "ece_debiased")).to_numpy()
    inflated = inflated_interval(frame["value"].to_numpy()[noisy], rows[noisy], bootstrap["level"])
    for end, other in zip(ends, inflated, strict=True):
        end[noisy] = other
    known = (frame["status"] == "ok").to_numpy()
    frame["low"], frame["high"] = (np.where(known, end, np.nan) for end in ends)
    return frame, rows


def _thresholds(sample: Sample) -> pd.DataFrame:
    if sample.multiclass:
        return pd.DataFrame()
    s, t = (axis.reshape(-1) for axis in np.indices(sample.threshold.shape))
    value = sample.threshold.reshape(-1)
    return pd.DataFrame(
        {
            "seed": np.array(sample.seeds, object)[s],
            "task": np.array(sample.tasks, object)[t],
            "attribute": ALL,
            "group": ALL,
            "metric": "threshold",
            "value": value,
            "low": np.nan,
            "high": np.nan,
            "n": sample.val_counts[0, t],
            "n_pos": pd.array(sample.val_counts[1, t], "Int64"),
            "n_patients": sample.val_counts[2, t],
            "status": np.where(np.isnan(value), "undefined:one_class", "ok"),
        }
    )


def _identify(frame: pd.DataFrame, settings: dict, table: table_io.Table) -> pd.DataFrame:
    frame = frame.assign(dialect=DIALECT, **{name: settings[name] for name in IDENTITY})
    return frame[list(table.columns)]
