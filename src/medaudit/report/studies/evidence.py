"""The merged metrics, gaps and cohort cards of one study: input of all tables and figures."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from medaudit.config.grids import names_of
from medaudit.core.audit_tables import has_permutations
from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import Evaluation, MethodEntry, StudyEntry
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.core.table_io import GAPS, METRICS, read_json, read_table
from medaudit.metrics.definitions import METRICS as METRIC_DEFINITIONS

RUN = ["cohort", "model", "method"]
"""Columns that together name a run."""

PLAIN = "medaudit"
"""The dialect that is not named to a reader."""

LEAD = ("tpr", "fpr", "auc")
"""Measures that answers lead with, unless a study names others: a missed finding harms first."""

CALIBRATION = ("ece_debiased", "ece", "absolute_error", "brier")
"""Measures of calibration; the first one that was computed follows the leading measures."""


class _StudySettings(TypedDict):
    study: str
    entry: StudyEntry
    evaluation: Evaluation


class CompareSettings(_StudySettings, total=False):
    """Settings of the stage `compare`: the study, and facts about its methods and models."""

    methods: dict[str, MethodEntry]
    models: dict[str, dict]
    cohorts: dict[str, dict]


@dataclass(frozen=True)
class Evidence:
    """The merged tables of one study; each row of `metrics` has the place of its replicates.

    Parameters
    ----------
    study : str
        The study's name.
    entry : StudyEntry
        The study's entry in the configuration.
    evaluation : Evaluation
        The evaluation settings.
    metrics, gaps : pandas.DataFrame
        Rows of `METRICS` and `GAPS` of all runs in the study's order. Both have a column
        ``measure``: the metric, followed by its dialect in brackets unless that is `PLAIN`.
        ``file`` and ``row`` locate the bootstrap replicates of a row of `metrics`, and the
        permutations of a row of `gaps`; there ``row`` is -1 where none are stored
        (`medaudit.core.audit_tables.has_permutations`).
    cards : dict of str to CohortCard
        Cohort cards by cohort.
    files : list of Path or numpy.ndarray
        Replicates, in files or in memory; ``file`` in `metrics` is an index into this list.
    nulls : list of Path or numpy.ndarray
        Permutations; ``file`` in `gaps` is an index into this list.
    """

    study: str
    entry: StudyEntry
    evaluation: Evaluation
    metrics: pd.DataFrame
    gaps: pd.DataFrame
    cards: dict[str, CohortCard]
    files: list[Path | np.ndarray] = field(default_factory=list)
    nulls: list[Path | np.ndarray] = field(default_factory=list)

    @property
    def level(self) -> float:
        """Level of the intervals, e.g. 0.95."""
        return float(self.evaluation.get("bootstrap", {}).get("level", 0.95))

    @property
    def measures(self) -> list[str]:
        """Measures that were computed: the configured ones in their order, then the others."""
        return ordered(self.metrics["measure"], self.evaluation.get("metrics", []))

    @property
    def headline(self) -> str:
        """Headline measure: the first configured one that was computed."""
        return self.measures[0]

    @property
    def lead(self) -> list[str]:
        """Measures that the answers lead with: the study's, or those of `LEAD` that were computed.

        The headline where none of them was computed.
        """
        wanted = self.entry.get("lead") or LEAD
        return [name for name in wanted if name in self.measures] or [self.headline]

    @property
    def answered(self) -> list[str]:
        """Measures that answers are about: the leading ones, then one of calibration."""
        then = [name for name in CALIBRATION if name in self.measures and name not in self.lead]
        return [*self.lead, *then[:1]]

    @property
    def gap(self) -> str:
        """Headline kind of gap: ``max_min`` if it was computed, else the first configured one."""
        return ordered(self.gaps["gap"], ["max_min", *self.evaluation.get("gaps", [])])[0]

    @property
    def runs(self) -> pd.DataFrame:
        """One row per (cohort, model, method), in the study's order."""
        return self.metrics[RUN].drop_duplicates().reset_index(drop=True)

    @property
    def attributes(self) -> list[str]:
        """Attributes with gaps, single ones before intersections."""
        found = [name for name in self.gaps["attribute"].unique() if name != "all"]
        return sorted(found, key=lambda name: name.count(SEPARATOR))

    def replicates(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the replicates of `rows` of `metrics`, float64, shape (rows, draws)."""
        return _read_rows(self.files, rows)

    def permutations(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the permutations of `rows` of `gaps`, float64, shape (rows, draws)."""
        return _read_rows(self.nulls, rows)


def _read_rows(files: list[Path | np.ndarray], rows: pd.DataFrame) -> np.ndarray:
    parts = np.empty(len(rows), dtype=object)
    for file, places in rows.reset_index(drop=True).groupby("file"):
        found = files[file]
        in_memory = isinstance(found, np.ndarray)
        array = found if in_memory else np.load(found, mmap_mode="r", allow_pickle=False)
        parts[places.index] = list(np.asarray(array[places["row"].to_numpy()], dtype=float))
    return np.stack(list(parts)) if len(rows) else np.empty((0, 0))


def gather(
    settings: CompareSettings, metrics: list[Path], gaps: list[Path], cards: list[Path]
) -> Evidence:
    """Read and merge the metrics, gaps and cohort cards of a study.

    Raises
    ------
    MedauditError
        Two files hold the same run, a run has metrics without gaps or the reverse, a cohort has no
        card, or the replicates do not match the rows.
    """
    entry = settings["entry"]
    found = [_read_metrics(path, number) for number, path in enumerate(metrics)]
    merged = _sorted(pd.concat(found, ignore_index=True), entry)
    found_gaps = [_read_gaps(path, number) for number, path in enumerate(gaps)]
    gap_rows = _sorted(pd.concat(found_gaps, ignore_index=True), entry)
    by_cohort: dict[str, CohortCard] = {card["name"]: card for card in map(read_json, cards)}
    _check_runs(merged, gap_rows, by_cohort, found)
    return Evidence(
        study=settings["study"],
        entry=entry,
        evaluation=settings["evaluation"],
        metrics=merged,
        gaps=gap_rows,
        cards={name: by_cohort[name] for name in merged["cohort"].unique()},
        files=[replicates_of(path) for path in metrics],
        nulls=[null_of(path) for path in gaps],
    )


def replicates_of(path: Path) -> Path:
    """Return the path of the bootstrap replicates of a metrics table, next to it."""
    return path.with_name(path.name.removesuffix(".csv") + ".replicates.npy")


def null_of(path: Path) -> Path:
    """Return the path of the permutations of a table of gaps, next to it."""
    return path.with_name(path.name.removesuffix(".csv") + ".null.npy")


def ordered(values: Iterable[str], first: Iterable[str] = ()) -> list[str]:
    """Return the distinct `values`: those in `first` in its order, then the others."""
    present = list(dict.fromkeys(values))
    first = [value for value in first if value in present]
    return [*first, *(value for value in present if value not in first)]


def direction(measure: str) -> int:
    """Return 1 if higher values of a measure are better, -1 if lower ones are.

    A measure without a best end (`has_best_end`) counts as 1, so that runs still have an order.
    """
    metric = METRIC_DEFINITIONS.get(measure.partition(" (")[0])
    return -1 if metric is not None and metric.target == 0 else 1


def has_best_end(measure: str) -> bool:
    """Return whether higher or lower values of a measure are better, unlike a selection rate's."""
    metric = METRIC_DEFINITIONS.get(measure.partition(" (")[0])
    return metric is None or metric.target is not None


def overall(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the summary rows: the mean over seeds, and one task per cohort and measure.

    That task is ``all`` (one decision over all classes), else ``mean`` (the mean over tasks),
    else the only task. A measure with several single tasks and no summary is left out.
    """
    rows = rows[rows["seed"] == "mean"]
    rank = rows["task"].map({"all": 0, "mean": 1}).fillna(2)
    rank = rank.mask(rows["task"] == "mean_of_gaps", 3)
    best = rank.groupby([rows["cohort"], rows["measure"]]).transform("min")
    kept = rows[(rank == best) & (rank < 3)]
    several = kept.groupby(["cohort", "measure"])["task"].transform("nunique") > 1
    return kept[~several]


def _read_metrics(path: Path, number: int) -> pd.DataFrame:
    frame = read_table(path, METRICS)
    _check_rows(replicates_of(path), path, len(frame), "evaluate")
    # A threshold as chosen is a number without error; its interval is that of the choice.
    chosen = frame["metric"].eq("threshold")
    for end in ("low", "high"):
        frame[end] = frame[end].mask(chosen, frame[f"procedure_{end}"])
    return frame.assign(file=number, row=np.arange(len(frame)))


def _read_gaps(path: Path, number: int) -> pd.DataFrame:
    frame = read_table(path, GAPS)
    kept = has_permutations(frame)
    _check_rows(null_of(path), path, int(kept.sum()), "disparity")
    return frame.assign(file=number, row=np.where(kept, kept.cumsum() - 1, -1))


def _check_rows(array: Path, path: Path, rows: int, stage: str) -> None:
    if not array.is_file():
        raise MedauditError(f"{array.name} is missing next to {path}: run {stage} again")
    shape = np.load(array, mmap_mode="r", allow_pickle=False).shape
    if len(shape) != 2 or shape[0] != rows:
        raise MedauditError(
            f"{array} has shape {shape}, but {path} has {rows} rows with such values; row i of one "
            f"must belong to row i of the other: run {stage} again for this run"
        )


def _sorted(frame: pd.DataFrame, entry: StudyEntry) -> pd.DataFrame:
    """Sort rows by the study's cohorts, models and methods; the order within a run stays."""
    ranks = {
        column: frame[column].map(
            {v: i for i, v in enumerate(ordered(frame[column], names_of(entry, f"{column}s")))}
        )
        for column in RUN
    }
    order = pd.DataFrame(ranks).sort_values(RUN, kind="stable").index
    plain = frame["dialect"].isin([PLAIN])
    measure = frame["metric"].where(plain, frame["metric"] + " (" + frame["dialect"] + ")")
    return frame.assign(measure=measure).loc[order].reset_index(drop=True)


def _check_runs(
    metrics: pd.DataFrame,
    gaps: pd.DataFrame,
    cards: dict[str, CohortCard],
    files: list[pd.DataFrame],
) -> None:
    runs = [set(frame[RUN].itertuples(index=False, name=None)) for frame in (metrics, gaps)]
    if runs[0] != runs[1]:
        raise MedauditError(
            "metrics and gaps are not of the same runs (cohort, model, method): only one of the "
            f"two was given for {sorted(runs[0] ^ runs[1])}; pass both files of each run"
        )
    each = [set(frame[RUN].itertuples(index=False, name=None)) for frame in files]
    if sum(map(len, each)) != len(runs[0]):
        raise MedauditError(
            f"two metrics files hold the same run; the runs are {sorted(runs[0])}: "
            "pass one --metrics file per run"
        )
    if lacking := set(metrics["cohort"]) - set(cards):
        raise MedauditError(f"the cards of cohorts {sorted(lacking)} are missing: pass --cards")
