"""Figures: one measure in every group, one panel per model."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures import fitting
from medaudit.report.figures.style import Figure, canvas, colour, marker
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import Evidence, overall
from medaudit.report.wording import number_format, terms

ACROSS = 4
"""Panels per row."""


def groups(context: Context) -> Figure:
    """Draw the headline measure in every group."""
    return _group_figure("groups", context, context.evidence.headline)


def group_f1(context: Context) -> Figure | None:
    """Draw the macro-F1 of every group."""
    if "f1" not in context.evidence.measures:
        return None
    return _group_figure("group_f1", context, "f1")


def _group_figure(name: str, context: Context, measure: str) -> Figure:
    """Draw each group's value with its interval; methods by colour, models by panel."""
    rows = group_rows(context.evidence, context.cohort, measure)
    models, methods = list(rows["model"].unique()), list(rows["method"].unique())
    lines = rows[["attribute", "group"]].drop_duplicates().reset_index(drop=True)
    across = min(ACROSS, len(models))
    down = -(-len(models) // across)
    height = down * (0.95 + len(lines) * (0.17 + 0.08 * len(methods))) + 0.4
    label = terms.measure(measure)
    title = f"{label} by group on {context.place}"
    figure, part = canvas(max(5.5, 2.2 + 2.35 * across), height, title, context.face)
    panels = part.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    titles = fitting.labels(map(context.names.model, models), 2.1, 10)
    for panel, model, shown in zip(panels, models, titles, strict=False):
        _panel(panel, rows[rows["model"] == model], lines, methods)
        panel.set_title(shown)
    for panel in panels[len(models) :]:
        panel.remove()
    for panel in panels[max(0, len(models) - across) : len(models)]:
        panel.set_xlabel(f"{label}, {context.level} CI")
        panel.tick_params(labelbottom=True)
    handles = [
        panels[0].plot([], [], marker(k), color=colour(k), ms=5, label=context.names.method(m))[0]
        for k, m in enumerate(methods)
    ]
    fitting.legend(part, handles)
    keep = ["cohort", "model", "method", "attribute", "group", "measure", "value", "low", "high"]
    return Figure(
        f"{name}{context.suffix}",
        title,
        "Each dot is the mean over tasks and seeds on the test set, with its "
        f"{context.level} confidence interval; a dotted line is the value over all patients.",
        f"Dot plot of {label} with intervals for {len(lines)} groups, one panel for each of "
        f"{len(models)} models and one colour for each of {len(methods)} methods. The numbers are "
        "in the table 'Performance by group'.",
        rows[[*keep, "n", "n_patients", "status"]],
        figure,
    )


def group_rows(evidence: Evidence, cohort: str, measure: str) -> pd.DataFrame:
    """Return the values of a measure on a cohort, over all patients and by group."""
    rows = overall(evidence.metrics)
    rows = rows[rows["cohort"].eq(cohort) & rows["measure"].eq(measure)]
    of_all = rows["attribute"].eq("all")
    rank = rows["attribute"].map({name: k for k, name in enumerate(evidence.attributes, 1)})
    rows = rows.assign(rank=rank.mask(of_all, 0))
    rows = rows[rows["rank"].notna() & (of_all | rows["group"].ne("all"))]
    order = ["rank", "attribute", "group"]
    by_group = rows.sort_values(order, kind="stable")
    return by_group.reset_index(drop=True)


def _panel(panel: Axes, rows: pd.DataFrame, lines: pd.DataFrame, methods: list[str]) -> None:
    places = {key: k for k, key in enumerate(lines.itertuples(index=False, name=None))}
    step = 0.7 / max(len(methods), 1)
    for k, method in enumerate(methods):
        found = rows[rows["method"] == method]
        y = np.array([places[key] for key in zip(found["attribute"], found["group"], strict=True)])
        y = y + (k - (len(methods) - 1) / 2) * step
        _dots(panel, found, y, k)
        base = found.loc[found["attribute"] == "all", "value"]
        if len(methods) <= 2 and len(base) and np.isfinite(base.iloc[0]):
            panel.axvline(base.iloc[0], color=colour(k), lw=0.8, ls=":", zorder=1)
    _not_estimable(panel, rows[rows["value"].isna()], places, len(methods))
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panel.set_yticks(range(len(lines)), group_labels(lines), fontsize=8)
    panel.set_ylim(len(lines) - 0.5, -0.5)
    for border in np.flatnonzero(lines["attribute"] != lines["attribute"].shift())[1:]:
        panel.axhline(border - 0.5, color="#999999", lw=0.6)
    panel.grid(axis="y", visible=False)


def _dots(panel: Axes, rows: pd.DataFrame, y: np.ndarray, k: int) -> None:
    value, low, high = (rows[c].to_numpy(float) for c in ("value", "low", "high"))
    panel.hlines(y, low, high, color=colour(k), lw=1.3, zorder=2)
    panel.plot(value, y, marker(k), color=colour(k), ms=4.2, zorder=3)


def _not_estimable(
    panel: Axes, rows: pd.DataFrame, places: dict[tuple[Any, ...], int], methods: int
) -> None:
    """Write the reason where a group has no value, and for which methods if not for all."""
    for key, found in rows.groupby(["attribute", "group"]):
        reasons = " / ".join(dict.fromkeys(found["status"].map(number_format.reason)))
        which = "" if len(found) == methods else f" ({', '.join(found['method'])})"
        panel.annotate(
            f"not estimable: {reasons}{which}",
            (0.02, places[key]),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            bbox={"fc": "white", "ec": "none", "pad": 0.5},
        )


def group_labels(lines: pd.DataFrame) -> list[str]:
    """Return the label of each row of ``attribute`` and ``group``: ``sex: female``."""
    texts = [
        "all patients"
        if attribute == "all"
        else f"{terms.attribute(attribute)}: {terms.group(group)}"
        for attribute, group in lines[["attribute", "group"]].itertuples(index=False, name=None)
    ]
    return fitting.labels(texts, 2.6, 8, lines=1)
