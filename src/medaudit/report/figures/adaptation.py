"""Figure: accuracy and gaps from one stage of adaptation to the next, one waterfall per model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from medaudit.config.grids import names_of
from medaudit.core.intersections import SEPARATOR
from medaudit.report.figures import fitting
from medaudit.report.figures.style import COLOURS, Figure, canvas
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import Evidence, direction, ordered
from medaudit.report.wording import terms

ACROSS = 4
"""Panels per row."""

STEADY, BETTER, WORSE = "#8C8C8C", COLOURS[0], COLOURS[1]


def adaptation(context: Context) -> Figure | None:
    """Draw one column per model and one row per quantity; bars connect consecutive stages."""
    rows = adaptation_rows(context)
    stages = stages_among(context, rows["method"])
    rows = with_stage_before(rows[rows["method"].isin(stages)])
    models, quantities = list(rows["model"].unique()), list(rows["quantity"].unique())
    if len(stages) < 2:
        return None
    across = min(len(models), ACROSS)
    name = terms.measure(measure_of(context.evidence))
    title = f"From stage to stage: {name} and its gaps on {context.place}"
    figure, part, panels = _panels(len(models), len(stages), len(quantities), title, context.face)
    each = max(1.0, 0.22 * len(stages) + 0.2)
    titles = fitting.labels(map(context.names.model, models), each)
    labels = fitting.labels(map(context.names.method, stages), 1.1, 7, lines=1)
    for k in range(panels.size // len(quantities)):
        column = panels[k // across * len(quantities) :, k % across][: len(quantities)]
        if k >= len(models):
            for panel in column:
                panel.remove()
            continue
        own = rows[rows["model"].eq(models[k])]
        _draw_model(column, own, quantities, stages, labels)
        column[0].set_title(titles[k], fontsize=9)
    for row, panel in enumerate(panels[:, 0]):
        # The panels of a row share their axis, and a limit set early would stop it from growing.
        own = rows[rows["quantity"].eq(quantities[row % len(quantities)])]
        panel.set_ylim(0, own[["value", "high"]].max().max() * 1.06 or 1.0)
        quantity = terms.first_upper(quantities[row % len(quantities)])
        panel.set_ylabel(fitting.label(quantity, 1.25, 8, lines=3), fontsize=8)
    fitting.legend(part, _handles(panels[0, 0]))
    return Figure(
        f"adaptation{context.suffix}",
        title,
        "The first bar is the value of the first stage; each further bar leads from the value of "
        f"the stage before to its own. Whiskers: {context.level} confidence intervals. The stages "
        "are separate trainings, not steps of one; paired intervals of the changes are in the "
        "table 'What adaptation changes'.",
        f"Waterfall charts of {', '.join(quantities)} over {len(stages)} stages for each of "
        f"{len(models)} models.",
        rows,
        figure,
    )


def _panels(
    models: int, stages: int, quantities: int, title: str, notes: list[str]
) -> tuple[Canvas, SubFigure, np.ndarray]:
    """Return canvas, drawing part and panels: blocks of `ACROSS` models, one below another."""
    blocks, across = -(-models // ACROSS), min(models, ACROSS)
    width = max(6.5, 1.1 + across * max(1.2, 0.22 * stages + 0.35))
    height = blocks * (1.35 * quantities + 1.1) + 0.4
    figure, part = canvas(width, height, title, notes)
    down = blocks * quantities
    panels = part.subplots(down, across, sharey="row", sharex=True, squeeze=False)
    return figure, part, panels


def _draw_model(
    column: np.ndarray,
    rows: pd.DataFrame,
    quantities: list[str],
    stages: list[str],
    labels: list[str],
) -> None:
    for panel, quantity in zip(column, quantities, strict=True):
        _waterfall(panel, rows[rows["quantity"].eq(quantity)], stages)
        panel.set_xticks(
            range(len(stages)),
            labels,
            rotation=60,
            ha="right",
            rotation_mode="anchor",
            fontsize=7,
        )
    column[-1].tick_params(labelbottom=True)


def measure_of(evidence: Evidence) -> str:
    """Return the measure of performance: accuracy if it was computed, else the headline."""
    return "accuracy" if "accuracy" in evidence.measures else evidence.headline


def adaptation_rows(context: Context) -> pd.DataFrame:
    """Return value and interval by model, method and quantity; ``gain`` 1: higher is better."""
    measure, facts = measure_of(context.evidence), context.facts
    rows = facts[facts["cohort"].eq(context.cohort) & facts["measure"].eq(measure)]
    gaps = rows["kind"].eq("gap") & rows["gap"].eq("max_min") & rows["task"].ne("mean_of_gaps")
    rows = rows[
        rows["kind"].eq("performance") | (gaps & ~rows["attribute"].str.contains(SEPARATOR))
    ]
    name = terms.measure(measure)
    by = f"gap in {name} by " + rows["attribute"].map(terms.attribute)
    rows = rows.assign(quantity=by.where(rows["kind"] == "gap", name))
    rows = rows.assign(gain=direction(measure) * np.where(rows["kind"] == "gap", 0, 1))
    rows["gain"] = rows["gain"].where(rows["kind"] != "gap", -1)
    keep = ["cohort", "model", "method", "quantity", "gain", "value", "low", "high", "status"]
    return rows[keep].reset_index(drop=True)


def stages_among(context: Context, methods: pd.Series) -> list[str]:
    """Return the methods that are stages, in the study's order.

    Of the zero-shot methods only the first counts: other prompt formats are alternatives to it.
    """
    found = ordered(methods, names_of(context.evidence.entry, "methods"))
    prompts = [name for name in found if context.extras.kind(name) == "zero_shot"]
    return [name for name in found if name not in prompts[1:]]


def with_stage_before(rows: pd.DataFrame) -> pd.DataFrame:
    """Add ``before``: the value of the same model and quantity at the stage before."""
    before = rows.groupby(["model", "quantity"], sort=False)["value"].transform(
        lambda values: values.ffill().shift()
    )
    return rows.assign(before=before)


def _waterfall(panel: Axes, rows: pd.DataFrame, stages: list[str]) -> None:
    for row in rows.itertuples():
        x = stages.index(row.method)
        if np.isnan(row.value):
            panel.text(x, 0.02, "n.e.", transform=panel.get_xaxis_transform(), ha="center", size=7)
            continue
        start = 0 if np.isnan(row.before) else row.before
        step = (row.value - start) * row.gain
        tone = STEADY if np.isnan(row.before) else BETTER if step > 0 else WORSE
        panel.bar(x, row.value - start, bottom=start, width=0.62, color=tone, zorder=2)
        panel.hlines(row.value, x - 0.31, x + 0.31, color="black", lw=1.2, zorder=3)
        panel.vlines(x, row.low, row.high, color="black", lw=0.9, zorder=3)
        if x + 1 < len(stages):
            panel.hlines(row.value, x + 0.31, x + 0.69, color="#777777", lw=0.7, ls=":")
    panel.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    panel.set_xlim(-0.6, len(stages) - 0.4)
    panel.grid(axis="x", visible=False)


def _handles(panel: Axes) -> list:
    tones = {"first stage": STEADY, "better than the stage before": BETTER, "worse": WORSE}
    return [
        panel.plot([], [], "s", color=tone, label=name, ms=8)[0] for name, tone in tones.items()
    ]
