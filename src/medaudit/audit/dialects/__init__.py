"""Stage `dialects`: the same predictions measured by each paper's definition of fairness.

The words are the same and the numbers are not: "equalised odds" is a maximum in one paper, a mean
in the next, and 1 minus that mean in a third. This stage computes them side by side, with
intervals and permutation tests; `medaudit.audit.dialects.rankings` finds the runs whose order
changes with the definition.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from medaudit.audit.dialects.catalogue import (
    ARGMAX_MEASURES,
    ARGMAX_METRICS,
    METRICS_NEEDED,
    OWN_RANGE_BINS,
    OWN_RANGE_MEASURES,
    STRICT_MEASURES,
    STRICT_METRICS,
    Measure,
)
from medaudit.audit.dialects.cube import Cube
from medaudit.audit.dialects.dialect_rows import average_seeds, summarise
from medaudit.audit.dialects.measures import group_measures, measures_of, overall_measures
from medaudit.core.audit_tables import DIALECTS
from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_audited, read_table, write_array, write_table
from medaudit.metrics.audit_settings import AuditSettings, check_evaluation
from medaudit.metrics.group_metrics import ALL
from medaudit.metrics.metrics_table import rows_of, tabulate
from medaudit.metrics.permutation import permuted_values
from medaudit.metrics.replicates import bootstrap_metrics
from medaudit.metrics.sample import Sample, read_sample

Measures = Callable[[Cube, str], Iterator[dict]]


def dialects(
    settings: AuditSettings,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
    replicates: Path,
    threads: int = 1,
) -> None:
    """Measure one model and method on a cohort in every dialect.

    Parameters
    ----------
    settings : AuditSettings
        As for `medaudit.audit.evaluate`; of ``evaluation``: ``threshold``, ``bootstrap``
        (``draws``, ``level``), ``null`` (``draws``), ``minimum``, ``ece_bins``. The metrics are
        those that the dialects need, so no other list of metrics reruns this stage.
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output, replicates : Path
        Table `medaudit.core.audit_tables.DIALECTS` and, row by row, its bootstrap replicates
        (``.npy``). They come from the same draws of patients as those of
        `medaudit.audit.evaluate`, so runs of one cohort are paired.
    threads : int
        Blocks of replicates computed at once; changes no number.
    """
    table = read_audited(cohort, groups)
    sample = read_sample(read_table(predictions, PREDICTIONS), table, settings)
    found = [_measure(sample, settings, METRICS_NEEDED, group_measures, threads)]
    if not sample.multiclass:  # there, the largest score decides anyway
        for own, given, metrics, chosen in _own_rules(sample, settings):
            found.append(_measure(own, given, metrics, measures_of(chosen), threads))
    scored = pd.concat([frame for frame, _ in found], ignore_index=True)
    write_table(scored, output, DIALECTS)
    write_array(np.concatenate([drawn for _, drawn in found]), replicates)


def _own_rules(
    sample: Sample, settings: AuditSettings
) -> Iterator[tuple[Sample, AuditSettings, Sequence[str], Sequence[Measure]]]:
    """Yield the sample as single papers decide or bin it, with metrics and measures."""
    by_argmax = replace(sample, decision=(sample.score >= 0.5).astype(float))
    yield by_argmax, settings, ARGMAX_METRICS, ARGMAX_MEASURES
    assert sample.threshold is not None  # only a multi-class sample has none
    threshold = sample.threshold[:, None, :]
    above = np.where(np.isnan(threshold), np.nan, sample.score > threshold)
    yield replace(sample, decision=above), settings, STRICT_METRICS, STRICT_MEASURES
    evaluation: Evaluation = {**settings["evaluation"], "ece_bins": OWN_RANGE_BINS}
    binned: AuditSettings = {**settings, "evaluation": evaluation}
    yield replace(sample, own_range=True), binned, ["ece"], OWN_RANGE_MEASURES


def _measure(
    sample: Sample,
    settings: AuditSettings,
    metrics: Sequence[str],
    measures: Measures,
    threads: int,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Compute `metrics` of all groups, with replicates and permutations, and the measures."""
    evaluation = check_evaluation(
        {**settings, "evaluation": {**settings["evaluation"], "metrics": list(metrics)}}
    )
    settings = {**settings, "evaluation": evaluation}
    tables, replicates, nulls = [], [], []
    found = bootstrap_metrics(sample, evaluation, threads)
    for attribute, (group_metrics, _) in zip(sample.attributes, found, strict=True):
        null = np.full(
            (*group_metrics.value.shape, evaluation["null"]["draws"]), np.nan, np.float32
        )
        if attribute.name != ALL:
            own = permuted_values(group_metrics, sample, attribute, settings, threads, rest=False)
            null[:-1], null[-1] = own.group, group_metrics.value[-1, ..., None]
        table, place = tabulate(group_metrics)
        tables.append(table)
        replicates.append(rows_of(place, group_metrics.replicates))
        nulls.append(rows_of(place, null))
    run = Run(settings["cohort"], settings["model"], settings["method"], settings["task_type"])
    frame = pd.concat(tables, ignore_index=True)
    drawn, permuted = np.concatenate(replicates), np.concatenate(nulls)
    return _score(frame, drawn, permuted, run, measures, evaluation["bootstrap"]["level"])


class Run(NamedTuple):
    """Names of what was measured, and its task type."""

    cohort: str
    model: str
    method: str
    task_type: str


def score_dialects(
    metrics: pd.DataFrame, replicates: np.ndarray, task_type: str, level: float = 0.95
) -> pd.DataFrame:
    """Measure one run in every dialect, without permutation tests; see `score_run`."""
    return score_run(metrics, replicates, task_type, None, level)[0]


def score_run(
    metrics: pd.DataFrame,
    replicates: np.ndarray,
    task_type: str,
    null: np.ndarray | None,
    level: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Measure one run in every dialect.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Metrics of one cohort, model and method (`medaudit.core.table_io.METRICS`).
    replicates : numpy.ndarray
        ``[rows, draws]``, row by row those of `metrics`.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.
    null : numpy.ndarray or None
        ``[rows, permutations]``, the same with group labels permuted; None: no permutation test.
    level : float
        Confidence level of the intervals, e.g. 0.95.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.DIALECTS`. Tasks are averaged as the paper does (task
        ``mean``); seed ``mean`` is the mean of the seeds' values, its interval and null reference
        those of that mean. ``se`` is the standard deviation over the bootstrap draws. For
        intervals see `medaudit.audit.dialects.dialect_rows.summarise`. ``n_estimable`` of the
        ``n_groups`` took part. Status ``missing`` where a metric was not evaluated, ``too_few``
        where fewer than two groups can be estimated; then all numbers are missing.
    numpy.ndarray
        Replicates, float32 ``[rows, draws]``, NaN where undefined.

    Raises
    ------
    MedauditError
        `metrics` are of more than one run.
    """
    names = metrics[["cohort", "model", "method"]].drop_duplicates()
    if len(names) != 1:
        raise MedauditError(
            f"score_dialects takes the metrics of one run, not of {len(names)}: call it once per "
            "cohort, model and method"
        )
    null = np.empty((len(metrics), 0), np.float32) if null is None else null
    cohort, model, method = names.iloc[0]
    run = Run(cohort, model, method, task_type)
    return _score(metrics.reset_index(drop=True), replicates, null, run, group_measures, level)


def _score(
    metrics: pd.DataFrame,
    replicates: np.ndarray,
    null: np.ndarray,
    run: Run,
    measures: Measures,
    level: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    found = []
    for attribute, part in metrics.groupby("attribute", sort=False):
        for seed in [s for s in part["seed"].unique() if s != "mean"]:
            cube = Cube(part[part["seed"] == seed], replicates, null, run.task_type == "multiclass")
            head = {"seed": seed, "attribute": attribute}
            rows = (overall_measures if attribute == ALL else measures)(cube, run.task_type)
            found += [{**head, **row} for row in rows]
    identity = {"cohort": run.cohort, "model": run.model, "method": run.method}
    return summarise([*found, *average_seeds(found)], identity, replicates.shape[1], level)
