"""The measures of the catalogue computed on a `Cube`: one record per measure, with its draws.

A record holds what identifies its row, ``n_estimable``, ``status``, whether noise alone moves the
measure away from its fair end (``noisy``), and ``values``: the value, its replicates, its null.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from medaudit.audit.dialects.catalogue import (
    CLIP_NIH,
    F1_DELTA,
    MEASURES,
    VAR_F1,
    Measure,
)
from medaudit.audit.dialects.cube import Cube
from medaudit.core.intersections import split_name
from medaudit.metrics.fairness_definitions import class_variance, crossed_difference


def group_measures(cube: Cube, task_type: str) -> Iterator[dict]:
    """Yield every measure of how the groups of an attribute or intersection are treated."""
    for measure in MEASURES:
        if task_type in measure.task_types:
            yield _measured(cube, measure)
    names = split_name(cube.attribute)
    if len(names) == 2:
        yield from _crossed(cube, names)


def measures_of(chosen: Iterable[Measure]) -> Callable[[Cube, str], Iterator[dict]]:
    """Return a function that yields these measures, of groups whose decisions are a paper's own."""
    return lambda cube, task_type: (_measured(cube, measure) for measure in chosen)


def overall_measures(cube: Cube, task_type: str) -> Iterator[dict]:
    """Yield accuracy, macro-F1, and of a multi-class task each class's F1 and their variance."""
    whole = ["all"] if cube.has_whole else cube.tasks
    head = {**_head(CLIP_NIH, "", "higher", cube), "n_groups": 1, "noisy": False}
    accuracy = cube.take("accuracy", ["all"], whole)
    if accuracy is not None:
        task = "all" if cube.has_whole else head["task"]
        summary = _estimate(accuracy[:, 0].mean(axis=0), [accuracy])
        yield {**head, "measure": "accuracy", "task": task, **summary}
    f1 = cube.take("f1", ["all"], cube.tasks)
    if f1 is None:
        return
    name = "macro F1" if len(cube.tasks) > 1 else "F1"
    yield {**head, "measure": name, **_estimate(f1[:, 0].mean(axis=0), [f1])}
    if task_type != "multiclass":
        return
    for task, row in zip(cube.tasks, f1, strict=True):
        yield {**head, "measure": "F1", "task": task, **_estimate(row[0], [row[None]])}
    summary = _estimate(class_variance(f1[:, 0]), [f1])
    yield {**head, "measure": VAR_F1, "better": "lower", "noisy": True, **summary}


def _measured(cube: Cube, measure: Measure) -> dict:
    whole = measure.average == "whole" and cube.has_whole
    tasks = ["all"] if whole else cube.tasks
    found = [cube.take(metric, cube.groups, tasks) for metric in measure.needs]
    whole_group = [cube.take(metric, ["all"], tasks) for metric in measure.needs if measure.overall]
    arrays, overall = ([a for a in part if a is not None] for part in (found, whole_group))
    head = _head(measure.dialect, measure.name, measure.better, cube)
    if len(arrays) < len(found) or len(overall) < len(whole_group):
        return {**head, **_missing()}
    alike = [cube.recentre(a, a) for a in arrays]
    if measure.average == "before":
        means = [cube.average(*pair) for pair in zip(arrays, alike, strict=True)]
        return {**head, **_estimate(measure.compute(*means), means)}
    values = measure.compute(*arrays, *(a[:, 0] for a in overall))
    # If groups were alike, everybody together would have the groups' mean as well.
    fair = measure.compute(*alike, *(cube.recentre(a, arrays[0])[:, 0] for a in overall))
    return {**head, **_estimate(cube.average_after(values, fair), arrays)}


def _crossed(cube: Cube, names: list[str]) -> Iterator[dict]:
    f1 = cube.take("f1", cube.groups, cube.tasks)
    for place, name in enumerate(names):
        head = _head(CLIP_NIH, f"{F1_DELTA} {name}", "lower", cube)
        levels = [split_name(group)[place] for group in cube.groups]
        if f1 is None:
            yield {**head, **_missing()}
        else:
            macro = cube.average(f1, cube.recentre(f1, f1))
            yield {**head, **_estimate(crossed_difference(macro, levels), [macro])}


def _head(dialect: str, measure: str, better: str, cube: Cube) -> dict:
    return {
        "dialect": dialect,
        "measure": measure,
        "better": better,
        "task": cube.tasks[0] if len(cube.tasks) == 1 else "mean",
        "n_groups": len(cube.groups),
        "draws": cube.draws,
        "noisy": True,
    }


def _missing() -> dict:
    return {"n_estimable": 0, "status": "missing", "values": None}


def _estimate(values: np.ndarray, arrays: list[np.ndarray]) -> dict:
    known = [np.isfinite(a[..., 0]).reshape(-1, a.shape[-2]).all(axis=0) for a in arrays]
    known = np.all(known, axis=0)
    status = "too_few" if np.isnan(values[0]) else "ok"
    return {"n_estimable": int(known.sum()), "status": status, "values": values}
