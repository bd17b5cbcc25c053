"""Figures: groups relative to the average of all, by model and by disease."""

from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures.foundations import MEASURE, SHAPES, TONES, image_source
from medaudit.report.figures.foundations import legend as legend_of_pretraining
from medaudit.report.figures.style import Figure, canvas, colour, marker, shorten
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.group_vs_average import groups_against_average
from medaudit.report.wording import terms

ACROSS = 6
ROW, DOT = 0.27, 0.07
"""Heights in inches: of a model's row, and of a model's dot within a disease's row."""


def relative_to_average(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw each group's AUC less the average AUC, one panel a group, one row a model."""
    rows = _rows(evidence, extras, cohort, by_task=False)
    if rows.empty:
        return None
    models = list(rows["model"].unique())
    title = f"Groups relative to the average AUC on {cohort}"
    figure, part, panels = _grid(rows, ROW * (len(models) + 0.6), title, notes)
    for panel, own in panels:
        for row in own.itertuples():
            y = models.index(row.model)
            if np.isnan(row.value):
                _absent(panel, y)
                continue
            tone = TONES[row.images]
            panel.hlines(y, row.low, row.high, color=tone, lw=1.4, zorder=2)
            panel.plot(row.value, y, SHAPES[row.objective], color=tone, ms=6, zorder=3)
        _finish(panel, [shorten(name, 28) for name in models])
    legend_of_pretraining(part, panels[0][0], rows)
    return Figure(
        f"relative_to_average{suffix}",
        title,
        "AUC of the group less AUC of all whose group is known, means over tasks, in percentage "
        f"points; trained by {how_fair_models.main_method(evidence, extras)}. Right of the line: better "
        f"than average. Whiskers: {evidence.level * 100:g} % interval of the paired difference.",
        f"Dot plots of the AUC of {len(panels)} groups relative to the average for {len(models)} "
        "models.",
        rows,
        figure,
    )


def disease_by_group(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw each group's AUC less the average for every disease, one panel a group."""
    rows = _rows(evidence, extras, cohort, by_task=True)
    if rows.empty:
        return None
    models, tasks = list(rows["model"].unique()), list(rows["task"].unique())
    title = f"Groups relative to the average AUC of each task on {cohort}"
    height = len(tasks) * (DOT * len(models) + 0.14)
    figure, part, panels = _grid(rows, height, title, notes, flat=True)
    for panel, own in panels:
        for k, model in enumerate(models):
            kept = own[own["model"].eq(model) & own["value"].notna()]
            y = kept["task"].map(tasks.index).to_numpy(float)
            y = y + (k - (len(models) - 1) / 2) * 0.78 / len(models)
            panel.hlines(y, kept["low"], kept["high"], color=colour(k), lw=0.8, zorder=2)
            panel.plot(kept["value"], y, _marker(k), color=colour(k), ms=3.4, zorder=3)
        for task, part_of_task in own.groupby("task"):
            if part_of_task["value"].isna().all():
                _absent(panel, tasks.index(task))
        for border in range(1, len(tasks)):
            panel.axhline(border - 0.5, color="#CFCFCF", lw=0.6, zorder=1)
        _finish(panel, [shorten(task, 26) for task in tasks])
    first = panels[0][0]
    handles = [
        first.plot([], [], _marker(k), color=colour(k), ms=5, label=shorten(name, 28))[0]
        for k, name in enumerate(models)
    ]
    part.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    return Figure(
        f"disease_by_group{suffix}",
        title,
        "AUC of the group less AUC of all whose group is known, task by task, in percentage points; "
        "models from above in the order of the legend. Right of the line: better than average. "
        f"Whiskers: {evidence.level * 100:g} % interval of the paired difference; many are drawn, so "
        "some exclude 0 by chance.",
        f"Dot plots of the AUC of {len(panels)} groups relative to the average, for {len(tasks)} "
        f"tasks and {len(models)} models.",
        rows,
        figure,
    )


def _rows(evidence: Evidence, extras: Extras, cohort: str, by_task: bool) -> pd.DataFrame:
    rows = groups_against_average(evidence, extras, cohort, MEASURE, by_task)
    if rows.empty:
        return rows
    return rows.assign(
        objective=[how_fair_models.objective(extras, name) for name in rows["model"]],
        images=[image_source(extras, name) for name in rows["model"]],
    )


def _grid(
    rows: pd.DataFrame, height: float, title: str, notes: list[str], flat: bool = False
) -> tuple:
    """Return canvas, drawing part, and (panel, its rows): groups across, attributes down.

    `flat` puts all groups side by side, as far as they go in `ACROSS` panels.
    """
    named = rows[["attribute", "group"]].drop_duplicates()
    groups = list(named.itertuples(index=False, name=None))
    lines = [list(part) for _, part in groupby(groups, key=lambda item: item[0])]
    if flat:
        lines = [groups[k : k + ACROSS] for k in range(0, len(groups), ACROSS)]
    across = max(map(len, lines))
    size = (max(7.0, 2.2 + 2.1 * across), 1.6 + len(lines) * (height + 0.55))
    figure, part = canvas(*size, title, notes)
    panels = part.subplots(len(lines), across, sharex=True, squeeze=False)
    found = []
    for line, names in zip(panels, lines, strict=True):
        for panel, (attribute, group) in zip(line, names, strict=False):
            own = rows["attribute"].eq(attribute) & rows["group"].eq(group)
            found.append((panel, rows[own]))
            panel.set_title(f"{terms.attribute(attribute)}: {shorten(group, 20)}")
        for panel in line[len(names) :]:
            panel.remove()
    return figure, part, found


def _finish(panel: Axes, labels: list[str]) -> None:
    first = panel.get_subplotspec().colspan.start == 0
    panel.axvline(0, color="black", lw=0.9, zorder=1)
    panel.set_yticks(range(len(labels)), labels if first else [])
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(labelbottom=True)
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panel.set_xlabel("difference, points", fontsize=8)
    panel.grid(axis="y", visible=False)


def _absent(panel: Axes, y: float) -> None:
    where = panel.get_yaxis_transform()
    panel.text(0.02, y, "not estimable", transform=where, va="center", size=7)


def _marker(index: int) -> str:
    """Marker of the model at `index`; with its colour, no two of 64 are alike."""
    return marker(index + index // 8)
