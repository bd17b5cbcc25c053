"""Every metric of every group of the test split, with intervals from a bootstrap of patients."""

import numpy as np
import pandas as pd

from medaudit.core import table_io
from medaudit.metrics.audit_settings import AuditSettings, check_evaluation
from medaudit.metrics.group_metrics import GroupBlock, GroupMetrics, fill
from medaudit.metrics.intervals import bca_interval, inflated_interval, percentile_interval
from medaudit.metrics.metrics_table import rows_of, tabulate
from medaudit.metrics.procedure_intervals import add_procedure_limits, choose_again
from medaudit.metrics.replicates import bootstrap_metrics
from medaudit.metrics.resampling import leave_out
from medaudit.metrics.sample import read_sample
from medaudit.metrics.shrinkage import add_shrunk
from medaudit.metrics.threshold_rows import threshold_rows

DIALECT = "medaudit"
NOISY = ("ece", "ece_debiased")
"""Metrics that noise enlarges: they have `inflated_interval`, whatever the method."""


def audit(
    predictions: pd.DataFrame, cohort: pd.DataFrame, settings: AuditSettings, threads: int = 1
) -> tuple[pd.DataFrame, np.ndarray]:
    """Measure every group of the test split.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns ``image_id, split, task, seed, y, score``.
    cohort : pandas.DataFrame
        ``image_id, patient_id, split, a_<attribute>`` and perhaps ``y_<task>`` (checked) and
        ``w_<attribute>_<task>`` (importance weights, used where ``test_weights`` is not ``none``).
    settings : AuditSettings
        All keys; of ``evaluation``: ``metrics``, ``threshold`` (``rule``, ``value``),
        ``bootstrap`` (``draws``, ``level``, ``method``), ``minimum`` (``n``, ``n_pos``,
        ``n_neg``), ``ece_bins`` (15).
    threads : int
        Blocks of replicates computed at once; changes no number.

    Returns
    -------
    metrics : pandas.DataFrame
        Columns of `medaudit.core.table_io.METRICS`. Each attribute has its groups, the group
        ``all`` (those whose group is known) and, where some have no known group, ``missing``.
    replicates : ndarray of float32, shape (rows, draws)
        NaN where a row or a replicate is undefined.

    Raises
    ------
    MedauditError
        See `medaudit.metrics.sample.read_sample`.
    """
    evaluation = check_evaluation(settings)
    sample = read_sample(predictions, cohort, settings)
    bootstrap = evaluation["bootstrap"]
    tables, replicates = [], []
    jackknife, chosen = None, choose_again(sample, evaluation)
    if bootstrap["method"] == "bca":
        jackknife = leave_out(sample.stratum, settings["cohort"])
    for metrics, blocks in bootstrap_metrics(sample, evaluation, threads):
        left_out = None if jackknife is None else _leave_out(metrics, blocks, jackknife)
        table, rows = _tabulate(metrics, left_out, bootstrap["level"])
        add_procedure_limits(table, metrics, blocks, sample, chosen, bootstrap["level"])
        tables.append(table)
        replicates.append(rows)
    tables.append(threshold_rows(sample, chosen, bootstrap["level"]))
    replicates.append(np.full((len(tables[-1]), bootstrap["draws"]), np.nan, np.float32))
    frame, drawn = pd.concat(tables, ignore_index=True), np.concatenate(replicates)
    add_shrunk(frame, drawn, bootstrap["level"])
    return identify(frame, settings, table_io.METRICS), drawn


def _leave_out(metrics: GroupMetrics, blocks: list[GroupBlock], weights: np.ndarray) -> np.ndarray:
    """Return the values with one part of the patients left out each time."""
    values = np.full((*metrics.value.shape, weights.shape[1]), np.nan)
    fill(metrics, values, blocks, weights)
    return metrics.average(values)


def _tabulate(
    metrics: GroupMetrics, left_out: np.ndarray | None, level: float
) -> tuple[pd.DataFrame, np.ndarray]:
    frame, place = tabulate(metrics)
    value, rows = frame["value"].to_numpy(), rows_of(place, metrics.replicates)
    if left_out is None:
        ends = percentile_interval(rows, level)
    else:
        ends = bca_interval(value, rows, rows_of(place, left_out), level)
    noisy = frame["metric"].isin(NOISY).to_numpy()
    inflated = inflated_interval(value[noisy], rows[noisy], level)
    for end, other in zip(ends, inflated, strict=True):
        end[noisy] = other
    known = (frame["status"] == "ok").to_numpy()
    frame["low"], frame["high"] = (np.where(known, end, np.nan) for end in ends)
    return frame, rows


def identify(frame: pd.DataFrame, settings: AuditSettings, table: table_io.Table) -> pd.DataFrame:
    """Return `frame` with the run's names, in the columns of `table`."""
    names = {"cohort": settings["cohort"], "model": settings["model"]}
    frame = frame.assign(dialect=DIALECT, method=settings["method"], **names)
    return frame.reindex(columns=list(table.columns))
