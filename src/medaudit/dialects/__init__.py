"""Stage `dialects`: the same predictions scored in each paper's definition of fairness.

The words are the same and the numbers are not: "equalised odds" is a maximum in one paper, a mean
in the next and one minus it in a third. This stage computes them side by side from the metrics of
`medaudit.evaluate`, and says which models change places when the definition changes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.artefacts import DIALECTS, METRICS, RANKINGS, read_table, write_table
from medaudit.dialects.catalogue import CLIP_NIH, F1_DELTA, MEASURES, VAR_F1, Measure
from medaudit.dialects.definitions import class_variance, crossed_difference
from medaudit.dialects.rankings import rank_measures
from medaudit.errors import MedauditError
from medaudit.metrics.attributes import SEPARATOR

NO_GROUPS = ("all", "missing")


def stage(
    settings: dict,
    *,
    metrics: list[Path],
    output: Path,
    rankings: Path,
    threads: int = 1,
) -> None:
    """Score every run of a study in every dialect and compare the rankings.

    Parameters
    ----------
    settings : dict
        ``study`` (name) and ``task_types`` (by cohort).
    metrics : list of Path
        Metrics of the runs; beside ``<x>.csv`` lies ``<x>.replicates.npy``.
    output : Path
        Table of `medaudit.artefacts.DIALECTS`.
    rankings : Path
        Table of `medaudit.artefacts.RANKINGS`.
    threads : int
        Not used.
    """
    found = []
    for path in metrics:
        table = read_table(path, METRICS)
        drawn = np.load(path.with_suffix(".replicates.npy"), allow_pickle=False)
        task_type = settings["task_types"][table["cohort"].iloc[0]]
        found.append(score_dialects(table, drawn, task_type))
    scored = pd.concat(found, ignore_index=True)
    write_table(scored, output, DIALECTS)
    write_table(rank_measures(scored), rankings, RANKINGS)


def score_dialects(metrics: pd.DataFrame, replicates: np.ndarray, task_type: str) -> pd.DataFrame:
    """Score one run in every dialect.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Metrics of one cohort, model and method (`medaudit.artefacts.METRICS`).
    replicates : numpy.ndarray
        ``[rows, draws]``, row by row those of `metrics`.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.artefacts.DIALECTS`. Tasks are averaged as the paper does (task
        ``mean``); seed ``mean`` is the mean of the seeds' values. ``se`` is the standard
        deviation over the bootstrap draws: a gap is biased upwards, so that no percentile
        interval is given here (`medaudit.disparity` gives one for its gaps). ``n_estimable`` of
        the ``n_groups`` took part. Status ``missing`` where a metric was not evaluated, ``too_few``
        where fewer than two groups can be estimated.
    """
    if metrics[["cohort", "model", "method"]].drop_duplicates().shape[0] != 1:
        raise MedauditError("score_dialects takes the metrics of one cohort, model and method")
    identity = metrics[["cohort", "model", "method"]].iloc[0].to_dict()
    metrics = metrics.reset_index(drop=True)
    rows = []
    for attribute, part in metrics.groupby("attribute", sort=False):
        for seed in [s for s in part["seed"].unique() if s != "mean"]:
            cube = Cube(part[part["seed"] == seed], replicates)
            head = {"seed": seed, "attribute": attribute}
            scored = _of_everybody(cube, task_type) if attribute == "all" else _of(cube, task_type)
            rows += [{**head, **row} for row in scored]
    return _with_means(pd.DataFrame(rows)).assign(**identity)[list(DIALECTS.columns)]


class Cube:
    """Metrics of one attribute and seed as arrays ``[tasks, groups, 1 + draws]``.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of METRICS; their index is the row of `replicates`.
    replicates : numpy.ndarray
        ``[rows, draws]``.
    """

    def __init__(self, rows: pd.DataFrame, replicates: np.ndarray) -> None:
        rows = rows[rows["metric"] != "threshold"]
        self._rows, self._replicates = rows, replicates
        self.tasks = [t for t in rows["task"].unique() if t not in ("all", "mean")]
        self.groups = [g for g in rows["group"].unique() if g not in NO_GROUPS]
        self.has_whole = bool((rows["task"] == "all").any())

    def take(self, metric: str, groups: list[str], tasks: list[str]) -> np.ndarray | None:
        """Return one metric; None where it was not evaluated."""
        rows = self._rows[(self._rows["metric"] == metric) & self._rows["task"].isin(tasks)]
        rows = rows[rows["group"].isin(groups)]
        if rows.empty:
            return None
        found = np.full((len(tasks), len(groups), 1 + self._replicates.shape[1]), np.nan)
        task = pd.Index(tasks).get_indexer(rows["task"])
        group = pd.Index(groups).get_indexer(rows["group"])
        found[task, group, 0] = rows["value"]
        found[task, group, 1:] = self._replicates[rows.index]
        found[np.isnan(found[..., 0])] = np.nan
        return found


def _of(cube: Cube, task_type: str) -> Iterator[dict]:
    for measure in MEASURES:
        if task_type in measure.task_types:
            yield _measured(cube, measure)
    names = cube._rows["attribute"].iloc[0].split(SEPARATOR)
    if len(names) == 2:
        yield from _crossed(cube, names)


def _measured(cube: Cube, measure: Measure) -> dict:
    whole = measure.average == "whole" and cube.has_whole
    tasks = ["all"] if whole else cube.tasks
    arrays = [cube.take(metric, cube.groups, tasks) for metric in measure.needs]
    overall = [cube.take(metric, ["all"], tasks) for metric in measure.needs if measure.overall]
    head = _head(measure.dialect, measure.name, measure.better, cube)
    if any(array is None for array in (*arrays, *overall)):
        return {**head, "n_estimable": 0, "status": "missing"}
    if measure.average == "before":
        arrays, overall = ([a.mean(axis=0, keepdims=True) for a in x] for x in (arrays, overall))
    values = measure.compute(*arrays, *(a[:, 0] for a in overall)).mean(axis=0)
    return {**head, **_summary(values, arrays)}


def _crossed(cube: Cube, names: list[str]) -> Iterator[dict]:
    f1 = cube.take("f1", cube.groups, cube.tasks)
    for place, name in enumerate(names):
        head = _head(CLIP_NIH, f"{F1_DELTA} {name}", "lower", cube)
        levels = [group.split(SEPARATOR)[place] for group in cube.groups]
        if f1 is None:
            yield {**head, "n_estimable": 0, "status": "missing"}
        else:
            macro = f1.mean(axis=0, keepdims=True)
            yield {**head, **_summary(crossed_difference(macro, levels)[0], [macro])}


def _of_everybody(cube: Cube, task_type: str) -> Iterator[dict]:
    f1 = cube.take("f1", ["all"], cube.tasks)
    if task_type == "multiclass" and f1 is not None:
        head = _head(CLIP_NIH, VAR_F1, "lower", cube)
        summary = _summary(class_variance(f1[:, 0]), [f1])
        yield {**head, "n_groups": 1, **summary}


def _head(dialect: str, measure: str, better: str, cube: Cube) -> dict:
    return {
        "dialect": dialect,
        "measure": measure,
        "better": better,
        "task": cube.tasks[0] if len(cube.tasks) == 1 else "mean",
        "n_groups": len(cube.groups),
    }


def _summary(values: np.ndarray, arrays: list[np.ndarray]) -> dict:
    known = np.all([np.isfinite(a[..., 0]).all(axis=0) for a in arrays], axis=0)
    found = {"value": values[0], "n_estimable": int(known.sum())}
    if np.isnan(values[0]):
        return {**found, "status": "too_few"}
    drawn = values[1:][np.isfinite(values[1:])]
    return {**found, "se": drawn.std(ddof=1) if len(drawn) > 1 else np.nan, "status": "ok"}


def _with_means(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["attribute", "dialect", "measure", "better", "task", "n_groups"]
    groups = rows.reindex(columns=[*keys, "seed", "value", "se", "n_estimable", "status"]).groupby(
        keys, sort=False
    )
    means = groups.agg(
        value=("value", lambda v: v.mean(skipna=False)),
        se=("se", lambda v: v.mean(skipna=False)),
        n_estimable=("n_estimable", "min"),
        status=("status", lambda s: next((x for x in s if x != "ok"), "ok")),
    )
    return pd.concat([rows, means.reset_index().assign(seed="mean")], ignore_index=True)
