"""Figures of models at home and elsewhere: gaps, parts of the change, repair with local patients."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medaudit.report.elsewhere.changes import GAP, find_changes
from medaudit.report.figures import fitting
from medaudit.report.figures.style import Figure, canvas, colour, marker
from medaudit.report.studies.context import Context
from medaudit.report.tables.external import ACTIONS, PARTS
from medaudit.report.wording import terms

ROW = 0.34
"""Height of one run in inches."""
RUN = ["cohort", "model", "method"]


def external_gaps(context: Context) -> Figure | None:
    """Draw each run's largest difference between groups at home and elsewhere, by measure."""
    rows = find_changes(context.evidence)
    rows = rows[(rows["kind"] == GAP) & (rows["status"] == "ok")].reset_index(drop=True)
    if rows.empty:
        return None
    rows["run"] = _runs(rows, context)
    runs, measures = list(rows["run"].unique()), list(rows["measure"].unique())
    title = "Largest difference between groups, at home and elsewhere"
    height = 1.1 + ROW * len(runs)
    figure, part = canvas(2.6 + 2.1 * len(measures), height, title, context.face)
    panels = part.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for panel, measure in zip(panels, measures, strict=True):
        _dumbbells(panel, rows[rows["measure"] == measure], runs)
        panel.set_title(fitting.label(terms.first_upper(terms.plain(measure)), 2.0), fontsize=9)
        panel.set_xlim(left=0)
        panel.set_xlabel("difference")
    panels[0].set_yticks(range(len(runs)), fitting.labels(runs, 2.4))
    panels[0].set_ylim(len(runs) - 0.5, -0.5)
    fitting.legend(part, panels[0].get_legend_handles_labels()[0][:3])
    return Figure(
        "external_gaps",
        title,
        "Open: at home; filled: elsewhere, with the same weights and thresholds. Red: a change that "
        "is shown after adjusting for all runs. The numbers are in the table 'Differences between "
        "groups at home and elsewhere'.",
        f"Dumbbell plot of the gaps of {len(runs)} runs at home and elsewhere in {len(measures)} "
        "measures.",
        rows.drop(columns="run"),
        figure,
    )


def _dumbbells(panel: Axes, rows: pd.DataFrame, runs: list[str]) -> None:
    y = np.array([runs.index(run) for run in rows["run"]], float)
    home, away = rows["home"].to_numpy(float), rows["away"].to_numpy(float)
    shown = rows["verdict"].eq("difference shown").to_numpy()
    for mask, tone in ((~shown, "#777777"), (shown, colour(1))):
        panel.hlines(y[mask], home[mask], away[mask], color=tone, lw=1.5, zorder=2)
    panel.plot(home, y, "o", mfc="white", mec=colour(0), ms=6, ls="", label="at home", zorder=3)
    for mask, tone, name in (
        (~shown, colour(0), "elsewhere"),
        (shown, colour(1), "elsewhere, change shown"),
    ):
        panel.plot(away[mask], y[mask], "o", color=tone, ms=6, ls="", label=name, zorder=4)
    panel.grid(axis="y", visible=False)


def external_parts(context: Context) -> Figure | None:
    """Draw the parts of the change of each group's sensitivity against all others."""
    rows = context.extras.shift
    if rows.empty:
        return None
    rows = rows[rows["metric"].eq("tpr") & rows["status"].eq("ok")]
    several = rows["task"].eq("mean").any()
    rows = rows[rows["task"].eq("mean") | (not several)].reset_index(drop=True)
    # With two groups, the second differs in sign only.
    first = rows.groupby([*RUN, "attribute"])["group"].transform("first")
    two = rows.groupby([*RUN, "attribute"])["group"].transform("nunique") == 2
    rows = rows[~two | rows["group"].eq(first)].reset_index(drop=True)
    if rows.empty:
        return None
    rows["run"] = _runs(rows, context)
    runs = list(rows["run"].unique())
    groups = rows[["attribute", "group"]].drop_duplicates()
    title = "Why sensitivity differs between groups elsewhere"
    height = 0.9 + 0.62 * len(runs)
    figure, part = canvas(2.6 + 2.8 * len(groups), height, title, context.face)
    panels = part.subplots(1, len(groups), sharey=True, sharex=True, squeeze=False)[0]
    for panel, group in zip(panels, groups.itertuples(), strict=True):
        own = rows[rows["attribute"].eq(group.attribute) & rows["group"].eq(group.group)]
        _parts(panel, own, runs)
        name = f"{terms.attribute(group.attribute)}: {terms.group(group.group)}"
        panel.set_title(fitting.label(f"{name} minus all others", 2.6), fontsize=9)
        panel.set_xlabel(f"change of the difference, {context.level} CI")
    panels[0].set_yticks(range(len(runs)), fitting.labels(runs, 2.4))
    panels[0].set_ylim(len(runs) - 0.5, -0.5)
    fitting.legend(part, panels[0].get_legend_handles_labels()[0][: len(PARTS) - 1])
    return Figure(
        "external_parts",
        title,
        "Change from home to elsewhere of a group's sensitivity minus that of all others, as the sum "
        "of a change of case mix, of the point at which the threshold of home cuts the scores, and "
        "of the ranking of patients. Below 0: to the group's disadvantage. Black: the whole change.",
        f"Dot plot of the parts of the change with intervals for {len(runs)} runs. The numbers are "
        "in the table 'Why rates change elsewhere'.",
        rows.drop(columns="run"),
        figure,
    )


def _parts(panel: Axes, rows: pd.DataFrame, runs: list[str]) -> None:
    shown = [part for part in PARTS if part != "prevalence"]
    for k, part in enumerate(shown):
        own = rows[rows["part"] == part]
        y = np.array([runs.index(run) for run in own["run"]], float) + (k - 1.5) * 0.18
        tone = "#000000" if part == "change" else colour(k)
        low, high = own["gap_low"].to_numpy(float), own["gap_high"].to_numpy(float)
        panel.hlines(y, low, high, color=tone, lw=1.3, zorder=2)
        panel.plot(own["gap"], y, marker(k), color=tone, ms=5, ls="", label=PARTS[part], zorder=3)
    panel.axvline(0, color="#777777", lw=0.8, zorder=1)
    panel.grid(axis="y", visible=False)


def external_local(context: Context) -> Figure | None:
    """Draw the difference in sensitivity after each repair by the number of local patients."""
    rows = context.extras.local
    if rows.empty:
        return None
    rows = rows[rows["status"].eq("ok") & rows["attribute"].eq(rows["attribute"].iloc[0])]
    rows = rows.reset_index(drop=True)
    if rows["patients"].max() == 0 or rows.empty:
        return None
    rows["run"] = _runs(rows, context)
    runs = list(rows["run"].unique())
    across = min(3, len(runs))
    down = -(-len(runs) // across)
    attribute = terms.attribute(rows["attribute"].iloc[0])
    title = f"Difference in sensitivity by {attribute} after repair with local patients"
    figure, part = canvas(1.0 + 2.6 * across, 0.7 + 2.1 * down, title, context.face)
    panels = part.subplots(down, across, sharey=True, sharex=True, squeeze=False).ravel()
    for panel, run in zip(panels, runs, strict=False):
        _curves(panel, rows[rows["run"] == run])
        panel.set_title(fitting.label(run, 2.4), fontsize=9)
    for panel in panels[len(runs) :]:
        panel.remove()
    for panel in panels[max(0, len(runs) - across) : len(runs)]:
        panel.set_xlabel("labelled local patients")
        panel.tick_params(labelbottom=True)
    panels[0].set_ylim(bottom=0)
    for panel in panels[: len(runs) : across]:
        panel.set_ylabel("difference")
    fitting.legend(part, panels[0].get_legend_handles_labels()[0])
    return Figure(
        "external_local",
        title,
        "Mean over random samples of local patients; bands: 95 of 100 samples. Grey line: the "
        "threshold of home, without local patients. Broken line: equal enough (the declared margin, "
        "or the difference at home). The external test split is fixed.",
        f"Learning curves of four repairs for {len(runs)} runs. The numbers are in the table 'Repair "
        "with labelled local patients'.",
        rows.drop(columns="run"),
        figure,
    )


def _curves(panel: Axes, rows: pd.DataFrame) -> None:
    before = rows[rows["action"] == "carried"]
    panel.axhline(before["gap"].iloc[0], color="#777777", lw=1.5, label=ACTIONS["carried"])
    panel.axhline(before["target"].iloc[0], color="#777777", lw=1, ls="--", label="equal enough")
    for k, action in enumerate(name for name in ACTIONS if name != "carried"):
        own = rows[rows["action"] == action].sort_values("patients")
        x = own["patients"].to_numpy(float)
        low, high = own["gap_low"].to_numpy(float), own["gap_high"].to_numpy(float)
        panel.fill_between(x, low, high, color=colour(k), alpha=0.12, lw=0)
        panel.plot(x, own["gap"], marker(k), color=colour(k), ls="-", ms=4, label=ACTIONS[action])
    panel.set_xscale("log")
    ticks = [int(n) for n in sorted(rows["patients"].unique()) if n > 0]
    panel.set_xticks(ticks, [str(n) for n in ticks], fontsize=7)
    panel.minorticks_off()


def _runs(rows: pd.DataFrame, context: Context) -> list[str]:
    """Return the display name of each row's run, with the cohort if there are several."""
    several = rows["cohort"].nunique() > 1
    found = []
    for row in rows[RUN].to_dict("records"):
        name = context.names.run(row)
        found.append(f"{name}, {context.names.cohort(row['cohort'])}" if several else name)
    return found
