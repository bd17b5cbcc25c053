"""Figure: difference of each group from all patients by task, for the best run of a cohort."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import SubFigure

from medaudit.report.figures import fitting
from medaudit.report.figures.groups import group_labels
from medaudit.report.figures.style import Figure, canvas
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.facts import best_run
from medaudit.report.wording import number_format, terms


def tasks(context: Context) -> Figure | None:
    """Draw each group minus all patients, groups by tasks; None if there are no single tasks."""
    evidence, cohort = context.evidence, context.cohort
    best = best_run(context.facts, evidence.headline, cohort, evidence.entry)
    if best is None:
        return None
    model, method = best["model"], best["method"]
    rows = heatmap_rows(evidence, cohort, model, method)
    if rows["task"].nunique() < 2 or rows["delta"].isna().all():
        return None  # one task is the figure of groups; nothing to show without a value
    lines = rows[["attribute", "group"]].drop_duplicates()
    columns = list(rows["task"].unique())
    name = terms.measure(evidence.headline)
    title = f"{name} of groups by task: {context.names.run(best)} on {context.place}"
    grid = rows.pivot(index=["attribute", "group"], columns="task", values="delta")
    grid = grid.reindex(index=pd.MultiIndex.from_frame(lines), columns=columns)
    width = max(7.0, 3.4 + 0.62 * len(columns))
    figure, part = canvas(width, 1.5 + 0.28 * len(lines) + 0.5, title, context.face)
    panel = part.subplots()
    _cells(part, panel, grid.to_numpy(float), name)
    panel.set_xticks(
        range(len(columns)),
        fitting.labels(columns, 1.6, lines=1),
        rotation=40,
        ha="right",
        rotation_mode="anchor",
    )
    panel.set_yticks(range(len(lines)), group_labels(lines))
    for border in np.flatnonzero(lines["attribute"] != lines["attribute"].shift())[1:]:
        panel.axhline(border - 0.5, color="black", lw=0.8)
    return Figure(
        f"tasks{context.suffix}",
        title,
        f"Difference of each group from all patients in {name}, for the run with the best "
        f"{name}. Vermillion: worse; blue: better; n.e.: not estimable. Single cells are "
        "uncertain: their intervals are in the data of the figure.",
        f"Heat map of {len(lines)} groups by {len(columns)} tasks of the difference in {name} "
        "from all patients.",
        rows,
        figure,
    )


def heatmap_rows(evidence: Evidence, cohort: str, model: str, method: str) -> pd.DataFrame:
    """Return the headline measure by group and task, and its difference from all patients."""
    rows = evidence.metrics
    rows = rows[
        rows["cohort"].eq(cohort)
        & rows["model"].eq(model)
        & rows["method"].eq(method)
        & rows["seed"].eq("mean")
        & rows["measure"].eq(evidence.headline)
        & ~rows["task"].isin(["all", "mean", "mean_of_gaps"])
    ]
    whole = rows[rows["attribute"].eq("all")].set_index("task")["value"]
    rank = {name: k for k, name in enumerate(evidence.attributes)}
    rows = rows[rows["attribute"].isin(rank) & rows["group"].ne("all")]
    rows = rows.assign(
        rank=rows["attribute"].map(rank), delta=rows["value"] - rows["task"].map(whole)
    ).sort_values(["rank", "attribute", "group"], kind="stable")
    keep = ["cohort", "model", "method", "measure", "attribute", "group", "task", "value", "low"]
    return rows[[*keep, "high", "delta", "n", "n_pos", "n_patients", "status"]]


def _cells(part: SubFigure, panel: Axes, grid: np.ndarray, name: str) -> None:
    tones = LinearSegmentedColormap.from_list(
        "delta", ["#D55E00", "#FFFFFF", "#0072B2"], bad="#EEEEEE"
    )
    limit = np.nanmax(np.abs(grid)) if np.isfinite(grid).any() else 1.0
    limit = max(float(limit), 0.02)
    image = panel.imshow(grid, cmap=tones, vmin=-limit, vmax=limit, aspect="auto")
    part.colorbar(image, ax=panel, label=f"{name}, group minus all patients", shrink=0.9)
    for (row, column), value in np.ndenumerate(grid):
        text = "n.e." if np.isnan(value) else number_format.number(value, 2, signed=True)
        tone = "white" if abs(value) > 0.75 * limit else "black"
        panel.text(column, row, text, ha="center", va="center", fontsize=7, color=tone)
    panel.grid(visible=False)
