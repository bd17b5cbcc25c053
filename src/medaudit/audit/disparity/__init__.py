"""Stage `disparity`: gaps between groups, with intervals, permutation tests, detectable gaps."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.disparity.cells import Cells
from medaudit.audit.disparity.gap_rows import gap_rows
from medaudit.core import table_io
from medaudit.core.audit_tables import has_permutations
from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import AuditSettings, check_evaluation, hash_inputs
from medaudit.metrics.engine import rest_values
from medaudit.metrics.gaps import GAPS, OTHERS
from medaudit.metrics.group_audit import identify
from medaudit.metrics.group_intervals import group_intervals
from medaudit.metrics.group_metrics import (
    ALL,
    GroupBlock,
    GroupMetrics,
    count_groups,
    empty_metrics,
    group_names,
    measure_groups,
    sort_attribute,
    sort_scores,
)
from medaudit.metrics.metrics_table import read_values
from medaudit.metrics.permutation import permuted_values
from medaudit.metrics.replicates import draw_replicates
from medaudit.metrics.sample import Sample, read_sample


def disparity(
    settings: AuditSettings,
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
    settings : AuditSettings
        As for `medaudit.audit.evaluate`; ``evaluation`` also has ``gaps`` and ``null``
        (``draws``).
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    metrics, replicates : Path
        What `medaudit.audit.evaluate` made of them: ``values`` and ``replicates``.
    output : Path
        Table `medaudit.core.table_io.GAPS`.
    null : Path
        Array: the gaps of the permutations, one row per row that
        `medaudit.core.audit_tables.has_permutations` keeps.
    threads : int
        Blocks of replicates computed at once; changes no number.

    Raises
    ------
    MedauditError
        See `find_gaps`.
    """
    own = hash_inputs(settings, predictions=predictions, cohort=cohort, groups=groups)
    made_of = table_io.read_metadata(metrics).get("made_of", {})
    if other := [name for name, value in own.items() if made_of.get(name) != value]:
        raise MedauditError(f"{metrics} was made from other {', '.join(other)}; run evaluate again")
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
    settings: AuditSettings,
    metrics: pd.DataFrame,
    replicates: np.ndarray,
    threads: int = 1,
    sample: Sample | None = None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Compute every gap of every attribute.

    Parameters
    ----------
    predictions, cohort, settings, threads, sample
        As for `medaudit.metrics.group_audit.audit`.
    metrics, replicates
        What it returned.

    Returns
    -------
    gaps : pandas.DataFrame
        Columns of `medaudit.core.table_io.GAPS`. The task ``mean`` is the gap of the mean over
        tasks, ``mean_of_gaps`` the mean of the tasks' gaps. A gap is over the groups that are
        estimable: compare ``n_estimable`` with ``n_groups``.
    null : ndarray of float32, shape (rows, draws)
        The same gaps under permuted groups, of the rows that
        `medaudit.core.audit_tables.has_permutations` keeps, in their order; NaN where undefined. All runs
        on a cohort are permuted alike. Of a mean of gaps, the first draws are kept.

    Raises
    ------
    MedauditError
        A gap is unknown, or the metrics were made from something else.
    """
    evaluation = check_evaluation(settings)
    unknown = [name for name in evaluation["gaps"] if name not in GAPS]
    if unknown:
        raise MedauditError(f"evaluation: gaps {unknown} are unknown; known: {list(GAPS)}")
    sample = sample or read_sample(predictions, cohort, settings)
    run = _Run(sample, {**settings, "evaluation": evaluation}, threads)
    rows = [
        {**row, "attribute": attribute.name}
        for attribute in sample.attributes
        if attribute.name != ALL
        for row in run.attribute_gaps(attribute, metrics, replicates)
    ]
    nulls = [row.pop("draws") for row in rows]
    frame = identify(pd.DataFrame(rows), settings, table_io.GAPS)
    return frame, _keep_nulls(frame, nulls, evaluation["null"]["draws"])


def find_reference(attribute: Attribute, evaluation: Evaluation) -> str | None:
    """Return the reference group of an attribute; None where none was named.

    Raises
    ------
    MedauditError
        The attribute has no such group.
    """
    named = evaluation.get("reference", {}).get(attribute.name)
    if named is not None and named not in attribute.levels:
        raise MedauditError(
            f"evaluation.reference: {attribute.name} has no group {named!r}; name one of "
            f"{', '.join(attribute.levels)}"
        )
    return named


def _keep_nulls(frame: pd.DataFrame, nulls: list[np.ndarray | None], draws: int) -> np.ndarray:
    kept = np.flatnonzero(has_permutations(frame))
    null = np.full((len(kept), draws), np.nan, np.float32)
    for target, row in zip(null, kept, strict=True):
        drawn = nulls[row]
        if drawn is not None:
            drawn = drawn[:draws]
            target[: drawn.size] = drawn
    return null


REST_DRAWS = 400
"""Replicates of rests at most: they only give variances, and the dependence between tasks."""


class _Run:
    """The gaps of one run, attribute by attribute."""

    def __init__(self, sample: Sample, settings: AuditSettings, threads: int) -> None:
        self.sample, self.settings, self.threads = sample, settings, threads
        self.evaluation = settings["evaluation"]
        self.needs_rest = bool({"worst_rest", OTHERS} & set(self.evaluation["gaps"]))

    def attribute_gaps(
        self, attribute: Attribute, table: pd.DataFrame, replicates: np.ndarray
    ) -> list[dict]:
        """Return the rows of one attribute; see `gap_rows`."""
        names, wanted = group_names(attribute), self.evaluation["metrics"]
        reference = find_reference(attribute, self.evaluation)
        metrics = empty_metrics(self.sample, attribute, names, wanted)
        read_values(metrics, table, replicates)
        blocks = sort_attribute(self.sample, attribute, self.evaluation["ece_bins"])
        count_groups(metrics, blocks)
        level = self.evaluation["bootstrap"]["level"]
        own = group_intervals(metrics, blocks, level)
        rest, rest_limits = None, None
        if self.needs_rest:
            rest, others = self._measure_rest(attribute)
            rest_limits = group_intervals(rest, others, level, own.design)
        permuted = permuted_values(
            metrics,
            self.sample,
            attribute,
            self.settings,
            self.threads,
            self.needs_rest,
            own.design,
        )
        cells = Cells(metrics, own, rest, rest_limits, permuted, self.sample.multiclass)
        several = len(self.sample.seeds) > 1
        seeds = range(len(metrics.seeds)) if several else [len(metrics.seeds) - 1]
        rows = [
            row
            for s in seeds
            for m in range(len(metrics.metrics))
            for row in gap_rows(cells.of(s, m), self.evaluation, reference)
        ]
        # The mean over one seed is that seed.
        return rows if several else [{**row, "seed": metrics.seeds[0]} for row in rows] + rows

    def _measure_rest(self, attribute: Attribute) -> tuple[GroupMetrics, list[GroupBlock]]:
        """Measure, for each group, all other groups together, with the same draws of patients."""
        sample, codes = self.sample, attribute.codes
        bins, size = self.evaluation["ece_bins"], len(attribute.levels)
        blocks = []
        for g in range(size):
            others = np.where((codes == g) | (codes < 0), -1, 0)
            blocks.append(GroupBlock(g, sort_scores(sample, attribute, others, 1, bins)))
        metrics = measure_groups(sample, attribute, attribute.levels, blocks, self.evaluation)
        whole = sort_scores(sample, attribute, codes, size, bins)

        def compute(target: np.ndarray, weights: np.ndarray) -> None:
            for (s, t), scores in whole.items():
                places, names = metrics.metrics_of(t)
                others = [block.scores[s, t] for block in blocks]
                found = rest_values(scores, others, names, weights)
                target[:, s, t, places] = np.moveaxis(found, 0, 1)

        draws = min(self.evaluation["bootstrap"]["draws"], REST_DRAWS)
        draw_replicates([metrics], [compute], sample, draws, self.threads)
        return metrics, blocks
