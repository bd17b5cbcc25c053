"""Figures of a study of remedies: changes of every group, and AUC against the worst group's AUC."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from medaudit.core.audit_tables import WORST
from medaudit.core.mitigation import CONTROL, CONTROLS, PLAIN
from medaudit.report.figures import fitting
from medaudit.report.figures.style import COLOURS, Figure, canvas, colour, marker
from medaudit.report.studies.context import Context
from medaudit.report.studies.remedy_effects import CASE, first_rule, groups_of
from medaudit.report.wording import terms
from medaudit.report.wording.remedies import remedy, selected_by

MOST = 3
"""Cases (model, task and attribute) that a figure shows."""
EACH = 0.23
"""Height of a remedy's row in inches."""
SHOWN = {"tpr": "sensitivity", "fpr": "false alarms"}
POINTS = 100.0
NAMED = 8
"""Points of a front that get a name at most."""


def remedy_changes(context: Context) -> Figure | None:
    """Draw the change of each group's sensitivity and false alarms, one row per remedy."""
    found = _cases_on(context)
    if not found:
        return None
    rule = first_rule(context.extras.remedies)
    title = f"What each remedy changes on {context.place}"
    names = list(dict.fromkeys(n for _, part in found for n in part["remedy"] if n != PLAIN))
    names.sort(key=lambda name: name in CONTROLS)
    height = len(found) * (0.95 + EACH * len(names))
    figure, part = canvas(8.4, height, title, context.face)
    panels = part.subplots(len(found), 2, sharey=True, squeeze=False)
    data: list[pd.DataFrame] = []
    handles: dict[tuple[str, str], Artist] = {}
    for line, (case, rows) in zip(panels, found, strict=True):
        groups = list(groups_of(rows, "tpr")["group"].unique())
        for panel, (metric, label) in zip(line, SHOWN.items(), strict=True):
            own = groups_of(rows[rows["remedy"] != PLAIN], metric)
            _changes(panel, own, names, groups)
            panel.set_title(f"{label}, by {_case_label(context, case)}", fontsize=9)
            panel.set_xlabel("change in percentage points")
            data.append(own)
        handles |= {
            (case["attribute"], g): line[0].plot(
                [], [], ls="", marker=marker(k), color=colour(k), label=terms.group(g)
            )[0]
            for k, g in enumerate(groups)
        }
    fitting.legend(part, list(handles.values()))
    panels[0, 0].set_yticks(
        range(len(names)), fitting.labels(map(remedy, names), 2.3, 8), fontsize=8
    )
    panels[0, 0].set_ylim(len(names) - 0.5, -0.5)
    return Figure(
        f"remedy_changes{context.suffix}",
        title,
        f"Against plain training on the same test patients, {selected_by(rule)}. Bars: "
        f"{context.level} intervals that hold for all remedies and groups of a measure together, "
        "with the variation between seeds. Right of 0, more of a group's sick patients are found "
        "(left panel) or more of its healthy patients are called sick (right panel). The last rows "
        "of plain training with other seeds show what luck does.",
        f"For each of {len(names)} remedies and controls the change of each group's sensitivity and "
        "false positive rate, with intervals. The numbers are in the table 'Every remedy and every "
        "group'.",
        pd.concat(data, ignore_index=True),
        figure,
    )


def _changes(panel: Axes, rows: pd.DataFrame, names: list[str], groups: list[str]) -> None:
    panel.axvline(0, color="black", lw=1)
    for k, group in enumerate(groups):
        own = rows[rows["group"] == group]
        shift = (k - (len(groups) - 1) / 2) * min(0.25, 0.7 / len(groups))
        y = own["remedy"].map(names.index).to_numpy() + shift
        value, low, high = (POINTS * own[c].to_numpy(float) for c in ("change", "low", "high"))
        panel.hlines(y, low, high, color=colour(k), lw=1.2)
        panel.plot(value, y, ls="", marker=marker(k), color=colour(k), ms=3.5)
    panel.grid(axis="y", visible=False)


def remedy_front(context: Context) -> Figure | None:
    """Draw the AUC of everybody against that of the worst group, with the front of the remedies."""
    found = _cases_on(context)
    if not found:
        return None
    rule = first_rule(context.extras.remedies)
    title = f"AUC and the worst group's AUC on {context.place}"
    figure, part = canvas(max(6.4, 4.2 * len(found)), 4.4, title, context.face)
    panels = part.subplots(1, len(found), squeeze=False)[0]
    data = []
    for panel, (case, rows) in zip(panels, found, strict=True):
        points = _points(rows)
        handles = _front(panel, points)
        if len(found) == 1:
            fitting.legend(part, handles, 2)
        else:
            panel.legend(
                handles=handles, fontsize=6.5, loc="upper center", bbox_to_anchor=(0.5, -0.16)
            )
        panel.set_title("by " + _case_label(context, case), fontsize=9)
        panel.set_xlabel("AUC, all patients")
        panel.set_ylabel("AUC, worst group")
        data.append(points.assign(**case))
    return Figure(
        f"remedy_front{context.suffix}",
        title,
        f"{terms.first_upper(selected_by(rule))}. Up and to the right is better. Remedies that keep the scores of "
        "plain training (thresholds) are at its place and are not drawn. The line joins the remedies "
        "that no other one beats in both. The percentage is the share of bootstrap draws of the "
        "test patients in which that is so: how sure the front is. Bars: where a remedy's interval of "
        "the change against plain training lies. Grey: controls.",
        "Scatter plot of AUC against the worst group's AUC for "
        f"{sum(map(len, data))} remedies and controls, with the front.",
        pd.concat(data, ignore_index=True),
        figure,
    )


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per remedy that changes scores: both AUCs, their bars, and its front share."""
    sides = []
    for group, axis in (("all", "x"), (WORST, "y")):
        own = rows[rows["metric"].eq("auc") & rows["group"].eq(group)].set_index("remedy")
        side = pd.DataFrame({axis: own["value"]})
        for end in ("low", "high"):
            side[f"{axis}_{end}"] = own["plain"] + own[end]
        sides.append(side)
    points = (
        sides[0].join(sides[1]).join(rows.drop_duplicates("remedy").set_index("remedy")["front"])
    )
    points["kind"] = rows.drop_duplicates("remedy").set_index("remedy")["kind"]
    moved = rows[rows["metric"].eq("auc") & rows["change"].abs().gt(0)]["remedy"]
    kept = points.index.isin([*moved, PLAIN]) & points[["x", "y"]].notna().all(axis=1)
    return points[kept].reset_index()


def _front(panel: Axes, points: pd.DataFrame) -> list[Artist]:
    x, y = points["x"].to_numpy(float), points["y"].to_numpy(float)
    plain = points["remedy"].eq(PLAIN).to_numpy()
    control = points["kind"].eq(CONTROL).to_numpy() & ~plain
    beaten = ((x[None] >= x[:, None]) & (y[None] >= y[:, None])) & (
        (x[None] > x[:, None]) | (y[None] > y[:, None])
    )
    front = ~beaten[:, ~control].any(axis=1) & ~control
    order = np.flatnonzero(front)[np.argsort(x[front], kind="stable")]
    panel.plot(x[order], y[order], color=COLOURS[0], lw=1, zorder=2)
    for k in order:
        ends = points.iloc[k]
        panel.hlines(y[k], ends["x_low"], ends["x_high"], color=COLOURS[0], lw=0.8, alpha=0.5)
        panel.vlines(x[k], ends["y_low"], ends["y_high"], color=COLOURS[0], lw=0.8, alpha=0.5)
    rest = ~front & ~control & ~plain
    panel.plot(x[rest], y[rest], "o", ms=4, mfc="white", color=COLOURS[0])
    panel.plot(x[front & ~plain], y[front & ~plain], "o", ms=5, color=COLOURS[0])
    panel.plot(x[control], y[control], "s", ms=4, color="#8C8C8C")
    panel.plot(x[plain], y[plain], "D", ms=7, color=COLOURS[1])
    named = [*order[:NAMED], *np.flatnonzero(plain & ~front)]
    handles: list[Artist] = []
    for number, k in enumerate(named, 1):
        share = POINTS * points["front"].iloc[k]
        label = f"{number}: {remedy(points['remedy'].iloc[k])}, on the front in {share:.0f} %"
        panel.annotate(str(number), (x[k], y[k]), xytext=(4, 4), textcoords="offset points")
        shape, shade = ("D", COLOURS[1]) if plain[k] else ("o", COLOURS[0])
        handles.append(panel.plot([], [], ls="", marker=shape, color=shade, label=label)[0])
    return handles


def _cases_on(context: Context) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """Return the first cases on the figure's cohort, selected by the leading rule."""
    rows = context.extras.remedies
    if rows.empty:
        return []
    rows = rows[rows["cohort"].eq(context.cohort) & rows["rule"].eq(first_rule(rows))]
    parts = list(rows.groupby(CASE, sort=False))
    usable = [(names, part) for names, part in parts if len(groups_of(part, "tpr"))]
    return [(dict(zip(CASE, map(str, n), strict=True)), part) for n, part in usable[:MOST]]


def _case_label(context: Context, case: dict[str, str]) -> str:
    rows = context.extras.remedies
    more = [context.names.model(case["model"])] if rows["model"].nunique() > 1 else []
    more += [case["task"]] if rows["task"].nunique() > 1 else []
    return fitting.label(", ".join([terms.attribute(case["attribute"]), *more]), 3.2, 9)
