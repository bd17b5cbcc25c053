"""Figure: in which task which group fares worse, for the best run of a cohort."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from medaudit.report.figures.style import Figure, canvas, shorten
from medaudit.report.studies.evidence import Evidence, direction
from medaudit.report.wording import number_format, terms


def task_heatmap(
    evidence: Evidence, facts: pd.DataFrame, cohort: str, notes: list[str], suffix: str
) -> Figure | None:
    """Draw group less all patients, groups by tasks; None where there are no single tasks."""
    model, method = best_run(evidence, facts, cohort)
    rows = heatmap_rows(evidence, cohort, model, method)
    if rows.empty:
        return None
    lines = rows[["attribute", "group"]].drop_duplicates()
    tasks = list(rows["task"].unique())
    name = terms.measure(evidence.headline)
    title = f"{name} of groups by task: {shorten(model)} / {shorten(method)} on {cohort}"
    grid = rows.pivot(index=["attribute", "group"], columns="task", values="delta")
    grid = grid.reindex(index=pd.MultiIndex.from_frame(lines), columns=tasks)
    width = max(7.0, 2.6 + 0.62 * len(tasks))
    figure, part = canvas(width, 2.2 + 0.28 * len(lines), title, notes)
    panel = part.subplots()
    _cells(part, panel, grid.to_numpy(float), name)
    panel.set_xticks(
        range(len(tasks)),
        [shorten(task, 27) for task in tasks],
        rotation=40,
        ha="right",
        rotation_mode="anchor",
    )
    panel.set_yticks(range(len(lines)), [shorten(group, 26) for group in lines["group"]])
    for border in np.flatnonzero(lines["attribute"] != lines["attribute"].shift())[1:]:
        panel.axhline(border - 0.5, color="black", lw=0.8)
    return Figure(
        f"tasks{suffix}",
        title,
        f"Difference of each group from all patients in {name}, for the run with the best "
        f"{name}. Vermillion: worse, blue: better; n.e.: not estimable. Single cells are "
        "uncertain: their intervals are in the data behind the figure.",
        f"Heat map of {len(lines)} groups by {len(tasks)} tasks of the difference in {name} from "
        "all patients.",
        rows,
        figure,
    )


def best_run(evidence: Evidence, facts: pd.DataFrame, cohort: str) -> tuple[str, str]:
    """Return model and method of the run with the best headline measure on a cohort."""
    rows = facts[
        facts["kind"].eq("performance")
        & facts["cohort"].eq(cohort)
        & facts["measure"].eq(evidence.headline)
    ]
    rising = direction(evidence.headline) < 0
    best = rows.sort_values("value", ascending=rising, kind="stable", na_position="last").iloc[0]
    return best["model"], best["method"]


def heatmap_rows(evidence: Evidence, cohort: str, model: str, method: str) -> pd.DataFrame:
    """Return the headline measure of groups by task and its difference from all patients."""
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


def _cells(part: object, panel: Axes, grid: np.ndarray, name: str) -> None:
    tones = LinearSegmentedColormap.from_list(
        "delta", ["#D55E00", "#FFFFFF", "#0072B2"], bad="#EEEEEE"
    )
    limit = np.nanmax(np.abs(grid)) if np.isfinite(grid).any() else 1.0
    limit = max(float(limit), 0.02)
    image = panel.imshow(grid, cmap=tones, vmin=-limit, vmax=limit, aspect="auto")
    part.colorbar(image, ax=panel, label=f"{name} less all patients", shrink=0.9)
    for (row, column), value in np.ndenumerate(grid):
        text = "n.e." if np.isnan(value) else number_format.number(value, 2, signed=True)
        tone = "white" if abs(value) > 0.75 * limit else "black"
        panel.text(column, row, text, ha="center", va="center", fontsize=7, color=tone)
    panel.grid(visible=False)
