"""Gaps between groups, with intervals, null references and smallest detectable differences."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.disparity.rows import Cell, gap_rows
from medaudit.core import table_io
from medaudit.core.audit_tables import summing
from medaudit.core.errors import MedauditError
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.definitions import applies
from medaudit.metrics.engine import rest_values
from medaudit.metrics.gaps import GAPS, OTHERS, Parts
from medaudit.metrics.group_audit import DIALECT, IDENTITY
from medaudit.metrics.group_metrics import ALL, MEAN, Scores, make_plans, score_groups, tabulate
from medaudit.metrics.permutation import permuted_values
from medaudit.metrics.replicates import (
    check_evaluation,
    draw_replicates,
    group_names,
    plan_attribute,
)
from medaudit.metrics.sample import Sample, read_sample
from medaudit.metrics.task_dependence import restore_dependence

KEY = ["seed", "task", "attribute", "group", "metric"]


def disparity(
    settings: dict,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    metrics: Path,
    replicates: Path,
    output: Path,
    null: Path,
    threads: int = 1,
) -> None:
    """Write the gaps of one model's predictions.

    Parameters
    ----------
    settings : dict
        See `medaudit.metrics.group_audit.audit`; here ``evaluation`` has ``gaps`` and ``null`` (``draws``)
        too.
    predictions, cohort, metrics, replicates : Path
        What `medaudit.audit.evaluate.evaluate` read and wrote.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.table_io.GAPS`.
    null : Path
        Array: the gaps of the permutations, one row a row of `medaudit.core.audit_tables.summing` gaps.
    threads : int
        Changes no number.
    """
    frame, permuted = find_gaps(
        table_io.read_table(predictions, table_io.PREDICTIONS),
        table_io.read_audited(cohort, groups),
        settings,
        table_io.read_table(metrics, table_io.METRICS),
        np.load(replicates, mmap_mode="r", allow_pickle=False),
        threads,
    )
    table_io.write_array(permuted, null)
    table_io.write_table(frame, output, table_io.GAPS)


def find_gaps(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    settings: dict,
    metrics: pd.DataFrame,
    replicates: np.ndarray,
    threads: int = 1,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Compute every gap of every attribute.

    Parameters
    ----------
    predictions, cohort, settings, threads
        As for `medaudit.metrics.group_audit.audit`.
    metrics, replicates
        What it returned.

    Returns
    -------
    gaps : pandas.DataFrame
        Columns of `medaudit.core.table_io.GAPS`. The task ``mean`` is the gap of the mean over tasks,
        ``mean_of_gaps`` the mean of the tasks' gaps. A gap is over the groups that are estimable:
        compare ``n_estimable`` with ``n_groups``.
    null : ndarray of float32, shape (summing rows, draws)
        The same gaps under permuted groups, of the rows that `medaudit.core.audit_tables.summing` keeps, in
        their order; NaN where undefined. All runs on a cohort permute alike; those of a mean of
        gaps are the first of its draws.

    Raises
    ------
    MedauditError
        An unknown gap, or metrics that were made from something else.
    """
    evaluation = check_evaluation(settings)
    unknown = [name for name in evaluation["gaps"] if name not in GAPS]
    if unknown:
        raise MedauditError(f"evaluation: gaps {unknown} are unknown; known: {list(GAPS)}")
    sample = read_sample(predictions, cohort, settings)
    rows = [
        {**row, "attribute": attribute.name}
        for attribute in sample.attributes
        if attribute.name != ALL
        for row in _attribute_gaps(sample, attribute, settings, metrics, replicates, threads)
    ]
    nulls = [row.pop("null") for row in rows]
    frame = pd.DataFrame(rows).assign(
        dialect=DIALECT, **{name: settings[name] for name in IDENTITY}
    )
    frame = frame.reindex(columns=list(table_io.GAPS.columns))
    kept = np.flatnonzero(summing(frame))
    null = np.full((len(kept), evaluation["null"]["draws"]), np.nan, np.float32)
    for target, row in zip(null, kept, strict=True):
        if nulls[row] is not None:
            drawn = nulls[row][: target.size]
            target[: drawn.size] = drawn
    return frame, null


def _attribute_gaps(sample, attribute, settings, metrics, replicates, threads) -> list[dict]:
    evaluation = check_evaluation(settings)
    plans = plan_attribute(sample, attribute, evaluation)
    scores = score_groups(sample, attribute, group_names(attribute), plans, evaluation)
    _attach_replicates(scores, metrics, replicates)
    with_rest = bool({"worst_rest", OTHERS} & set(evaluation["gaps"]))
    rest = _score_rest(sample, attribute, settings, threads) if with_rest else None
    null, null_rest = permuted_values(scores, sample, attribute, settings, threads, with_rest)
    if scores.tasks[-1] == MEAN and not sample.multiclass:
        _restore_means(scores, null)
        if with_rest:
            _restore_means(rest, null_rest)
    rows = []
    for s, m in np.ndindex(len(scores.seeds), len(scores.metrics)):
        tasks = [t for t in range(len(scores.tasks)) if scores.status[0, s, t, m] != ""]
        cells = [
            _cut(scores, rest, null, null_rest, sample.multiclass, (slice(None), s, t, m))
            for t in tasks
        ]
        rows += gap_rows(cells, evaluation)
    return rows


def _restore_means(scores: Scores, null: np.ndarray) -> None:
    """Make the null of the means over tasks as wide as dependent tasks make it, in place."""
    drawn = scores.replicates[: len(null), :, :-1]
    null[:, :, -1] = restore_dependence(
        null[:, :, -1], np.moveaxis(null[:, :, :-1], 2, 0), np.moveaxis(drawn, 2, 0)
    )


def _cut(scores: Scores, rest: Scores | None, null, null_rest, joint: bool, place) -> Cell:
    levels = len(scores.groups) - 1
    none = np.full(levels, np.nan)
    drawn = scores.replicates[place]
    whole = scores.value[place][-1]
    no_rest = np.broadcast_to(none[:, None], (levels, 1))
    return Cell(
        seed=scores.seeds[place[1]],
        task=scores.tasks[place[2]],
        metric=scores.metrics[place[3]],
        groups=scores.groups[:-1],
        status=scores.status[place][:-1],
        rest_status=scores.status[place][:-1] if rest is None else rest.status[place],
        value=Parts(scores.value[place][:-1], none if rest is None else rest.value[place], whole),
        drawn=Parts(drawn[:-1], no_rest if rest is None else rest.replicates[place], drawn[-1]),
        null=Parts(null[place], no_rest if null_rest is None else null_rest[place], whole),
        joint=joint,
    )


def _attach_replicates(scores: Scores, metrics: pd.DataFrame, replicates: np.ndarray) -> None:
    """Put the replicates of a metrics table beside the scores they belong to."""
    frame, place = tabulate(scores)
    rows = np.flatnonzero((metrics["attribute"] == scores.attribute).to_numpy())
    given = metrics.iloc[rows]
    same = len(rows) == len(frame) and len(metrics) == len(replicates)
    same = same and all((given[key].to_numpy() == frame[key].to_numpy()).all() for key in KEY)
    if not same or not np.allclose(
        given["value"].to_numpy(float), frame["value"], rtol=1e-4, atol=1e-8, equal_nan=True
    ):
        raise MedauditError(
            f"the metrics of the attribute {scores.attribute} were made from other predictions, "
            "another cohort or other settings; run evaluate again"
        )
    scores.replicates = np.full((scores.value.size, replicates.shape[1]), np.nan, np.float32)
    scores.replicates[place[place >= 0]] = replicates[rows[place >= 0]]
    scores.replicates = scores.replicates.reshape(*scores.value.shape, -1)


def _score_rest(sample: Sample, attribute: Attribute, settings: dict, threads: int) -> Scores:
    """Score, for each group, all other groups together, with the same draws of patients."""
    evaluation = check_evaluation(settings)
    codes = attribute.codes
    plans = [
        (
            g,
            make_plans(
                sample,
                attribute,
                np.where((codes == g) | (codes < 0), -1, 0),
                1,
                evaluation["ece_bins"],
            ),
        )
        for g in range(len(attribute.levels))
    ]
    scores = score_groups(sample, attribute, attribute.levels, plans, evaluation)
    whole = make_plans(sample, attribute, codes, len(plans), evaluation["ece_bins"])

    def compute(target: np.ndarray, weights: np.ndarray) -> None:
        for (s, t), plan in whole.items():
            others = [some[s, t] for _, some in plans]
            index = [m for m, name in enumerate(scores.metrics) if applies(name, scores.tasks[t])]
            names = [scores.metrics[m] for m in index]
            found = rest_values(plan, others, names, weights)
            target[:, s, t, index] = np.moveaxis(found, 0, 1)

    draw_replicates([scores], [compute], sample, settings, threads)
    return scores
