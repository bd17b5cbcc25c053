"""Figure: accuracy and gaps from one stage of adaptation to the next, a waterfall for each model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.config.grids import names_of
from medaudit.report.figures.style import COLOURS, Figure, canvas, shorten
from medaudit.report.studies.evidence import Evidence, direction, ordered
from medaudit.report.studies.extras import Extras
from medaudit.report.wording import terms

ACROSS = 4
STEADY, BETTER, WORSE = "#8C8C8C", COLOURS[0], COLOURS[1]


def adaptation(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw one column a model, one row a quantity; bars go from the stage before to this one."""
    rows = adaptation_rows(evidence, facts, cohort)
    stages = stages_among(evidence, extras, rows["method"])
    rows = with_stage_before(rows[rows["method"].isin(stages)])
    models, quantities = list(rows["model"].unique()), list(rows["quantity"].unique())
    if len(stages) < 2:
        return None
    blocks, across = -(-len(models) // ACROSS), min(len(models), ACROSS)
    name = terms.measure(measure_of(evidence))
    title = f"From stage to stage: {name} and its gaps on {cohort}"
    width = max(6.5, 1.1 + across * max(1.2, 0.22 * len(stages) + 0.35))
    height = blocks * (1.35 * len(quantities) + 0.9) + 0.5
    figure, part = canvas(width, height, title, notes)
    down = blocks * len(quantities)
    panels = part.subplots(down, across, sharey="row", sharex=True, squeeze=False)
    for k in range(blocks * across):
        column = panels[k // across * len(quantities) :, k % across][: len(quantities)]
        if k >= len(models):
            for panel in column:
                panel.remove()
            continue
        column[0].set_title(shorten(models[k], 20), fontsize=9)
        for panel, quantity in zip(column, quantities, strict=True):
            kept = rows[rows["model"].eq(models[k]) & rows["quantity"].eq(quantity)]
            _waterfall(panel, kept, stages)
        column[-1].tick_params(labelbottom=True)
    for row, panel in enumerate(panels[:, 0]):
        panel.set_ylabel(quantities[row % len(quantities)].replace(" by ", "\nby "), fontsize=8)
    part.legend(handles=_handles(panels[0, 0]), loc="outside lower center", ncols=3, fontsize=8)
    return Figure(
        f"adaptation{suffix}",
        title,
        "The first bar is the first stage's value, each further one leads from the stage before "
        f"to its own. Whiskers: {evidence.level * 100:g} % interval of the stage's value. The "
        "stages are separate trainings, not steps of one; paired intervals of the changes stand "
        "in the table 'What adaptation changes'.",
        f"Waterfall charts of {', '.join(quantities)} over {len(stages)} stages for each of "
        f"{len(models)} models.",
        rows,
        figure,
    )


def measure_of(evidence: Evidence) -> str:
    """Return the measure of how well that the picture shows: accuracy, else the headline."""
    return "accuracy" if "accuracy" in evidence.measures else evidence.headline


def adaptation_rows(evidence: Evidence, facts: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """Return value and interval of each model, method and quantity."""
    measure = measure_of(evidence)
    rows = facts[facts["cohort"].eq(cohort) & facts["measure"].eq(measure)]
    gaps = rows["kind"].eq("gap") & rows["gap"].eq("max_min") & rows["task"].ne("mean_of_gaps")
    rows = rows[rows["kind"].eq("performance") | (gaps & ~rows["attribute"].str.contains(" & "))]
    name = terms.measure(measure)
    by = f"gap in {name} by " + rows["attribute"].map(terms.attribute)
    rows = rows.assign(quantity=by.where(rows["kind"] == "gap", name))
    rows = rows.assign(gain=direction(measure) * np.where(rows["kind"] == "gap", 0, 1))
    rows["gain"] = rows["gain"].where(rows["kind"] != "gap", -1)
    keep = ["cohort", "model", "method", "quantity", "gain", "value", "low", "high", "status"]
    return rows[keep].reset_index(drop=True)


def stages_among(evidence: Evidence, extras: Extras, methods: pd.Series) -> list[str]:
    """Return the methods that are stages, in the study's order: of the zero-shot ones the first.

    Other prompt formats are no steps on the way but alternatives.
    """
    found = ordered(methods, names_of(evidence.entry, "methods"))
    prompts = [name for name in found if extras.kind(name) == "zero_shot"]
    return [name for name in found if name not in prompts[1:]]


def with_stage_before(rows: pd.DataFrame) -> pd.DataFrame:
    """Add ``before``: the value of the stage before, of the same model and quantity."""
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
    panel.set_xticks(
        range(len(stages)),
        [shorten(stage, 20) for stage in stages],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
        fontsize=7,
    )
    panel.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    panel.set_ylim(bottom=0)
    panel.set_xlim(-0.6, len(stages) - 0.4)
    panel.grid(axis="x", visible=False)


def _handles(panel: Axes) -> list:
    named = {"first stage": STEADY, "better than the stage before": BETTER, "worse": WORSE}
    return [
        panel.plot([], [], "s", color=tone, label=name, ms=8)[0] for name, tone in named.items()
    ]
