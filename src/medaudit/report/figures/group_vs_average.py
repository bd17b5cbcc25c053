"""Figures: each group against the average of all patients, by model and by disease."""

from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures import fitting
from medaudit.report.figures.pretraining_style import (
    MEASURE,
    SHAPES,
    TONES,
    image_source,
    pretraining_legend,
)
from medaudit.report.figures.style import Figure, canvas, colour, marker
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.context import Context
from medaudit.report.studies.group_vs_average import groups_against_average
from medaudit.report.wording import terms

ACROSS = 6
"""Panels per row."""

ROW, DOT = 0.3, 0.07
"""Heights in inches: a model's row, and a model's dot within a disease's row."""

Panels = list[tuple[Axes, pd.DataFrame]]
"""Panels, each with the rows that it shows."""


def relative_to_average(context: Context) -> Figure | None:
    """Draw each group's AUC minus the average AUC, one panel per group and one row per model."""
    rows = _rows(context, by_task=False)
    if rows.empty:
        return None
    models = list(rows["model"].unique())
    title = f"Groups relative to the average AUC on {context.place}"
    figure, part, panels = _grid(rows, ROW * (len(models) + 0.6), title, context.face)
    for panel, own in panels:
        for row in own.itertuples():
            y = models.index(row.model)
            if np.isnan(row.value):
                _absent(panel, y)
                continue
            tone = TONES[row.images]
            panel.hlines(y, row.low, row.high, color=tone, lw=1.4, zorder=2)
            panel.plot(row.value, y, SHAPES[row.objective], color=tone, ms=6, zorder=3)
        _finish(panel, fitting.labels(map(context.names.model, models), 2.1, 8))
    pretraining_legend(part, panels[0][0], rows)
    method = how_fair_models.main_method(context.evidence, context.extras)
    return Figure(
        f"relative_to_average{context.suffix}",
        title,
        "AUC of the group minus AUC of all patients whose group is known, means over tasks, in "
        f"percentage points; trained with {method}. Right of the line: better than average. "
        f"Whiskers: {context.level} confidence intervals of the paired differences.",
        f"Dot plots of the AUC of {len(panels)} groups relative to the average for {len(models)} "
        "models.",
        rows,
        figure,
    )


def disease_by_group(context: Context) -> Figure | None:
    """Draw each group's AUC minus the average for every disease, one panel per group."""
    rows = _rows(context, by_task=True)
    if rows.empty:
        return None
    models, tasks = list(rows["model"].unique()), list(rows["task"].unique())
    title = f"Groups relative to the average AUC of each task on {context.place}"
    height = len(tasks) * (DOT * len(models) + 0.14)
    figure, part, panels = _grid(rows, height, title, context.face, flat=True)
    for panel, own in panels:
        _diseases(panel, own, models, tasks)
        _finish(panel, fitting.labels(tasks, 2.1, 8))
    first = panels[0][0]
    handles = [
        first.plot([], [], marker(k), color=colour(k), ms=5, label=context.names.model(name))[0]
        for k, name in enumerate(models)
    ]
    fitting.legend(part, handles)
    return Figure(
        f"disease_by_group{context.suffix}",
        title,
        "AUC of the group minus AUC of all patients whose group is known, task by task, in "
        "percentage points; models from top to bottom in the order of the legend. Right of the "
        f"line: better than average. Whiskers: {context.level} confidence intervals of the paired "
        "differences; of so many intervals, some exclude 0 by chance.",
        f"Dot plots of the AUC of {len(panels)} groups relative to the average, for {len(tasks)} "
        f"tasks and {len(models)} models.",
        rows,
        figure,
    )


def _diseases(panel: Axes, rows: pd.DataFrame, models: list[str], tasks: list[str]) -> None:
    for k, model in enumerate(models):
        own = rows[rows["model"].eq(model) & rows["value"].notna()]
        y = own["task"].map(tasks.index).to_numpy(float)
        y = y + (k - (len(models) - 1) / 2) * 0.78 / len(models)
        panel.hlines(y, own["low"], own["high"], color=colour(k), lw=0.8, zorder=2)
        panel.plot(own["value"], y, marker(k), color=colour(k), ms=3.4, zorder=3)
    for task, part in rows.groupby("task"):
        if part["value"].isna().all():
            _absent(panel, tasks.index(str(task)))
    for border in range(1, len(tasks)):
        panel.axhline(border - 0.5, color="#CFCFCF", lw=0.6, zorder=1)


def _rows(context: Context, by_task: bool) -> pd.DataFrame:
    extras = context.extras
    rows = groups_against_average(context.evidence, extras, context.cohort, MEASURE, by_task)
    if rows.empty:
        return rows
    return rows.assign(
        objective=[how_fair_models.objective(extras, name) for name in rows["model"]],
        images=[image_source(extras, name) for name in rows["model"]],
    )


def _grid(
    rows: pd.DataFrame, height: float, title: str, notes: list[str], flat: bool = False
) -> tuple[Canvas, SubFigure, Panels]:
    """Return canvas, drawing part and panels: one row of panels per attribute.

    With `flat`, the groups of all attributes are in one sequence, `ACROSS` panels per row.
    """
    distinct = rows[["attribute", "group"]].drop_duplicates()
    groups = list(distinct.itertuples(index=False, name=None))
    lines = [list(part) for _, part in groupby(groups, key=lambda item: item[0])]
    if flat:
        lines = [groups[k : k + ACROSS] for k in range(0, len(groups), ACROSS)]
    across = max(map(len, lines))
    size = (max(7.0, 2.4 + 2.1 * across), 0.6 + len(lines) * (height + 0.85))
    figure, part = canvas(*size, title, notes)
    panels = part.subplots(len(lines), across, sharex=True, squeeze=False)
    found = []
    for line, names in zip(panels, lines, strict=True):
        for panel, (attribute, group) in zip(line, names, strict=False):
            own = rows["attribute"].eq(attribute) & rows["group"].eq(group)
            found.append((panel, rows[own]))
            name = f"{terms.attribute(attribute)}: {terms.group(group)}"
            panel.set_title(fitting.label(name, 1.95, 9), fontsize=9)
        for panel in line[len(names) :]:
            panel.remove()
    return figure, part, found


def _finish(panel: Axes, labels: list[str]) -> None:
    place = panel.get_subplotspec()
    first = place is not None and place.colspan.start == 0
    panel.axvline(0, color="black", lw=0.9, zorder=1)
    panel.set_yticks(range(len(labels)), labels if first else [], fontsize=8)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(labelbottom=True)
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panel.set_xlabel("difference in points", fontsize=8)
    panel.grid(axis="y", visible=False)


def _absent(panel: Axes, y: float) -> None:
    where = panel.get_yaxis_transform()
    panel.text(0.02, y, "not estimable", transform=where, va="center", size=7)
