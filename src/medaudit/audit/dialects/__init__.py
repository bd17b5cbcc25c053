"""Stage `dialects`: the same predictions scored in each paper's definition of fairness.

The words are the same and the numbers are not: "equalised odds" is a maximum in one paper, a mean
in the next and one minus it in a third. This stage computes them side by side, with intervals and
null references; `medaudit.audit.dialects.rankings` says which models change places with the definition.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.dialects.catalogue import ARGMAX, FAIRTUNE, METRICS_NEEDED
from medaudit.audit.dialects.cube import Cube
from medaudit.audit.dialects.dialect_rows import average_seeds, summarise
from medaudit.audit.dialects.measures import measure_everybody, measure_groups
from medaudit.audit.dialects.null import null_replicates
from medaudit.core.audit_tables import DIALECTS
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import (
    PREDICTIONS,
    read_audited,
    read_table,
    write_array,
    write_table,
)
from medaudit.metrics.group_audit import audit

EVEN = {"rule": "fixed", "value": 0.5}
"""The largest of two scores decides."""


def dialects(
    settings: dict,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
    replicates: Path,
    threads: int = 1,
) -> None:
    """Score one model and method on a cohort in every dialect.

    Parameters
    ----------
    settings : dict
        As those of `medaudit.audit.evaluate`; the metrics computed are those that the dialects need,
        whatever ``evaluation.metrics`` says.
    predictions, cohort : Path
        The tables of the run.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output, replicates : Path
        Table `medaudit.core.audit_tables.DIALECTS` and, row by row, its bootstrap replicates (``.npy``).
        They come from the patient weights of `medaudit.audit.evaluate`, so runs of one cohort are paired.
    threads : int
        Changes no number.
    """
    tables = read_table(predictions, PREDICTIONS), read_audited(cohort, groups)
    scored, moved = _score(*tables, settings, {"metrics": list(METRICS_NEEDED)}, threads)
    if settings["task_type"] != "multiclass":
        change = {"metrics": ["tpr", "fpr", "selection_rate"], "threshold": EVEN}
        again, drawn = _score(*tables, settings, change, threads)
        kept = again["dialect"].eq(FAIRTUNE) & again["measure"].isin(ARGMAX)
        named = again[kept].assign(measure=again["measure"].map(ARGMAX))
        scored = pd.concat([scored, named], ignore_index=True)
        moved = np.concatenate([moved, drawn[kept.to_numpy()]])
    write_table(scored, output, DIALECTS)
    write_array(moved, replicates)


def _score(
    predictions: pd.DataFrame, cohort: pd.DataFrame, settings: dict, change: dict, threads: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Audit a run with a changed evaluation, and score it in every dialect."""
    evaluation = {**settings["evaluation"], **change}
    evaluation["bootstrap"] = {**evaluation["bootstrap"], "method": "percentile"}
    settings = {**settings, "evaluation": evaluation}
    metrics, drawn = audit(predictions, cohort, settings, threads)
    null = null_replicates(predictions, cohort, settings, metrics, threads)
    level = evaluation["bootstrap"]["level"]
    return score_run(metrics, drawn, settings["task_type"], null, level)


def score_dialects(
    metrics: pd.DataFrame, replicates: np.ndarray, task_type: str, level: float = 0.95
) -> pd.DataFrame:
    """Score one run in every dialect, without null references; see `score_run`."""
    return score_run(metrics, replicates, task_type, None, level)[0]


def score_run(
    metrics: pd.DataFrame,
    replicates: np.ndarray,
    task_type: str,
    null: np.ndarray | None,
    level: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Score one run in every dialect.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Metrics of one cohort, model and method (`medaudit.core.table_io.METRICS`).
    replicates : numpy.ndarray
        ``[rows, draws]``, row by row those of `metrics`.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.
    null : numpy.ndarray or None
        ``[rows, permutations]``, the same with group labels permuted; None: no null reference.
    level : float
        Of the intervals, e.g. 0.95.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.DIALECTS`. Tasks are averaged as the paper does (task
        ``mean``); seed ``mean`` is the mean of the seeds' values, its interval and null reference
        those of that mean. ``se`` is the standard deviation over the bootstrap draws. Intervals
        see `medaudit.audit.dialects.dialect_rows.summarise`. ``n_estimable`` of the ``n_groups`` took part.
        Status ``missing`` where a metric was not evaluated, ``too_few`` where fewer than two
        groups can be estimated; then all numbers are missing.
    numpy.ndarray
        Replicates, float32 ``[rows, draws]``, NaN where undefined.

    Raises
    ------
    MedauditError
        `metrics` are of more than one run.
    """
    if metrics[["cohort", "model", "method"]].drop_duplicates().shape[0] != 1:
        raise MedauditError("score_dialects takes the metrics of one cohort, model and method")
    identity = metrics[["cohort", "model", "method"]].iloc[0].to_dict()
    metrics = metrics.reset_index(drop=True)
    null = np.empty((len(metrics), 0), np.float32) if null is None else null
    found = []
    for attribute, part in metrics.groupby("attribute", sort=False):
        for seed in [s for s in part["seed"].unique() if s != "mean"]:
            cube = Cube(part[part["seed"] == seed], replicates, null, task_type == "multiclass")
            measure = measure_everybody if attribute == "all" else measure_groups
            head = {"seed": seed, "attribute": attribute}
            found += [{**head, **row} for row in measure(cube, task_type)]
    draws = replicates.shape[1]
    return summarise([*found, *average_seeds(found)], identity, draws, level)
