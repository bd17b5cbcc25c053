"""Figure: F1 of every class and run."""

import numpy as np
import pandas as pd

from medaudit.report.figures import fitting
from medaudit.report.figures.style import Figure, canvas
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import Evidence
from medaudit.report.wording import number_format


def class_f1(context: Context) -> Figure | None:
    """Draw a heat map of F1 by run and class; None if there is no F1 of single tasks."""
    rows = class_rows(context.evidence, context.cohort)
    if rows.empty:
        return None
    classes, runs = list(rows["task"].unique()), rows[["model", "method"]].drop_duplicates()
    grid = rows.pivot(index=["model", "method"], columns="task", values="value")
    grid = grid.reindex(index=pd.MultiIndex.from_frame(runs), columns=classes).to_numpy(float)
    title = f"F1 by class on {context.place}"
    width = max(6.5, 3.4 + 0.62 * len(classes))
    figure, part = canvas(width, 1.9 + 0.3 * len(runs), title, context.face)
    panel = part.subplots()
    image = panel.imshow(grid, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    part.colorbar(image, ax=panel, label="F1", shrink=0.9)
    for (row, column), value in np.ndenumerate(grid):
        text = "n.e." if np.isnan(value) else number_format.number(value, 2)
        tone = "white" if value < 0.5 else "black"
        panel.text(column, row, text, ha="center", va="center", fontsize=7, color=tone)
    labels = fitting.labels(map(context.names.run, runs.to_dict("records")), 2.6, 8)
    panel.set_yticks(range(len(runs)), labels, fontsize=8)
    names = fitting.labels(classes, 1.6, lines=1)
    panel.set_xticks(range(len(classes)), names, rotation=40, ha="right", rotation_mode="anchor")
    for border in np.flatnonzero(runs["model"] != runs["model"].shift())[1:]:
        panel.axhline(border - 0.5, color="white", lw=2)
    panel.grid(visible=False)
    return Figure(
        f"class_f1{context.suffix}",
        title,
        "Test set, all patients, mean over seeds; n.e.: not estimable. Intervals are in the table "
        "'F1 by class'.",
        f"Heat map of the F1 of {len(classes)} classes for {len(runs)} runs.",
        rows,
        figure,
    )


def class_rows(evidence: Evidence, cohort: str) -> pd.DataFrame:
    """Return the F1 of every class and run on a cohort."""
    rows = evidence.metrics
    rows = rows[
        rows["cohort"].eq(cohort)
        & rows["measure"].eq("f1")
        & rows["seed"].eq("mean")
        & rows["attribute"].eq("all")
        & rows["group"].eq("all")
        & ~rows["task"].isin(["all", "mean", "mean_of_gaps"])
    ]
    keep = ["cohort", "model", "method", "task", "value", "low", "high", "n", "n_pos", "status"]
    return rows[keep].reset_index(drop=True)
