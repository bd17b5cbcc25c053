"""Every metric of every group of the test split, with intervals and bootstrap replicates."""

import numpy as np
import pandas as pd

from medaudit.core import table_io
from medaudit.metrics.audit_settings import AuditSettings, check_evaluation
from medaudit.metrics.group_intervals import group_intervals
from medaudit.metrics.group_metrics import GroupBlock, GroupMetrics
from medaudit.metrics.metrics_table import rows_of, tabulate
from medaudit.metrics.procedure_intervals import add_procedure_limits, choose_again
from medaudit.metrics.replicates import bootstrap_metrics
from medaudit.metrics.sample import Sample, read_sample
from medaudit.metrics.shrinkage import add_shrunk
from medaudit.metrics.threshold_rows import threshold_rows

DIALECT = "medaudit"


def audit(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    settings: AuditSettings,
    threads: int = 1,
    sample: Sample | None = None,
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
    sample : Sample, optional
        What `read_sample` makes of the tables and settings; default: it is read here.

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
    sample = sample or read_sample(predictions, cohort, settings)
    bootstrap = evaluation["bootstrap"]
    tables, replicates = [], []
    chosen = choose_again(sample, evaluation)
    for metrics, blocks in bootstrap_metrics(sample, evaluation, threads):
        table, rows = _tabulate(metrics, blocks, bootstrap["level"])
        add_procedure_limits(table, metrics, blocks, sample, chosen, bootstrap["level"])
        tables.append(table)
        replicates.append(rows)
    tables.append(threshold_rows(sample, chosen, bootstrap["level"]))
    replicates.append(np.full((len(tables[-1]), bootstrap["draws"]), np.nan, np.float32))
    frame, drawn = pd.concat(tables, ignore_index=True), np.concatenate(replicates)
    add_shrunk(frame, drawn, bootstrap["level"])
    return identify(frame, settings, table_io.METRICS), drawn


def _tabulate(
    metrics: GroupMetrics, blocks: list[GroupBlock], level: float
) -> tuple[pd.DataFrame, np.ndarray]:
    frame, place = tabulate(metrics)
    rows = rows_of(place, metrics.replicates)
    intervals = group_intervals(metrics, blocks, level)
    known = (frame["status"] == "ok").to_numpy()
    ends_and_size = {"low": intervals.low, "high": intervals.high, "size": intervals.sizes.size}
    for name, ends in ends_and_size.items():
        frame[name] = np.where(known, rows_of(place, ends[..., None])[:, 0], np.nan)
    return frame, rows


def identify(frame: pd.DataFrame, settings: AuditSettings, table: table_io.Table) -> pd.DataFrame:
    """Return `frame` with the run's names, in the columns of `table`."""
    names = {"cohort": settings["cohort"], "model": settings["model"]}
    frame = frame.assign(dialect=DIALECT, method=settings["method"], **names)
    return frame.reindex(columns=list(table.columns))
