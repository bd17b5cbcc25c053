"""Every metric of every group of the test split, with intervals and bootstrap replicates."""

import numpy as np
import pandas as pd

from medaudit.core import table_io
from medaudit.metrics.audit_settings import AuditSettings, check_evaluation
from medaudit.metrics.group_intervals import group_intervals
from medaudit.metrics.group_metrics import ALL, GroupBlock, GroupMetrics
from medaudit.metrics.metrics_table import rows_of, tabulate
from medaudit.metrics.replicates import bootstrap_metrics
from medaudit.metrics.sample import Sample, read_sample

DIALECT = "medaudit"


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
        ``bootstrap`` (``draws``, ``level``), ``minimum`` (``n``, ``n_pos``,
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
    for metrics, blocks in bootstrap_metrics(sample, evaluation, threads):
        table, rows = _tabulate(metrics, blocks, bootstrap["level"])
        tables.append(table)
        replicates.append(rows)
    tables.append(_thresholds(sample))
    replicates.append(np.full((len(tables[-1]), bootstrap["draws"]), np.nan, np.float32))
    frame = pd.concat(tables, ignore_index=True)
    return identify(frame, settings, table_io.METRICS), np.concatenate(replicates)


def _tabulate(
    metrics: GroupMetrics, blocks: list[GroupBlock], level: float
) -> tuple[pd.DataFrame, np.ndarray]:
    frame, place = tabulate(metrics)
    rows = rows_of(place, metrics.replicates)
    intervals = group_intervals(metrics, blocks, level)
    known = (frame["status"] == "ok").to_numpy()
    for name, ends in (("low", intervals.low), ("high", intervals.high)):
        frame[name] = np.where(known, rows_of(place, ends[..., None])[:, 0], np.nan)
    return frame, rows


def _thresholds(sample: Sample) -> pd.DataFrame:
    if sample.threshold is None:
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


def identify(frame: pd.DataFrame, settings: AuditSettings, table: table_io.Table) -> pd.DataFrame:
    """Return `frame` with the run's names, in the columns of `table`."""
    names = {"cohort": settings["cohort"], "model": settings["model"]}
    frame = frame.assign(dialect=DIALECT, method=settings["method"], **names)
    return frame.reindex(columns=list(table.columns))
