"""Figures of training and search: AUC of groups by epoch, and best value by trial and by time."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.core.documents import PredictionsFooter
from medaudit.report.figures import fitting
from medaudit.report.figures.style import Figure, canvas, colour, dash, marker
from medaudit.report.studies.context import Context
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.fairtune_comparisons import FAIRTUNE, FULL, arm_of
from medaudit.report.wording import terms

SPLITS = {"train": "training images", "val": "validation images"}
METRICS = {"auc_min": "worst group's AUC", "auc": "AUC", "auc_gap": "gap in AUC"}
METRICS |= {"eoddsd": "EOddsD", "dpd": "DPD", "dto": "distance to AUC 1"}
MINUTE = 60


def group_curves(context: Context) -> Figure | None:
    """Draw each group's AUC by epoch on training and validation (figures 1 and 3 of the paper).

    Shown are full fine-tuning and the searched mask, if their refits recorded it
    (``group_curves``).
    """
    extras = context.extras
    shown = [f for f in extras.footers if _arm(extras, f["method"]) in (FULL, FAIRTUNE)]
    rows = curve_rows(shown, context.cohort)
    if rows.empty:
        return None
    runs, groups = list(rows["run"].unique()), list(rows["group"].unique())
    title = f"Groups by epoch on {context.place}"
    figure, part = canvas(7.4, 0.8 + 1.9 * len(runs), title, context.face)
    panels = part.subplots(len(runs), 2, sharex="row", sharey=True, squeeze=False)
    for line, run in zip(panels, runs, strict=True):
        for panel, split in zip(line, SPLITS, strict=True):
            own = rows[rows["run"].eq(run) & rows["split"].eq(split)]
            _curves(panel, own, groups)
        name = fitting.label(_run_name(own, context), 1.5, 8)
        line[0].set_ylabel(f"{name}\nAUC", fontsize=8)
    for panel, text in zip(panels[0], SPLITS.values(), strict=True):
        panel.set_title(text)
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    handles = [
        panels[0, 0].plot([], [], color=colour(k), marker=marker(k), ms=4, label=terms.group(g))[0]
        for k, g in enumerate(groups)
    ]
    ring = panels[0, 0].plot([], [], "o", mfc="none", mec="black", ms=8, label="selected epoch")
    fitting.legend(part, [*handles, *ring])
    return Figure(
        f"group_curves{context.suffix}",
        title,
        "AUC of each group after every epoch of the refits: thick lines are means over seeds, thin "
        "lines are single seeds. A difference on validation that is absent on training arose in "
        "generalisation. Rings: the epoch that was selected for each seed on validation, so its "
        "validation value is optimistic.",
        f"Line charts of the AUC of {len(groups)} groups by epoch on training and validation, for "
        f"{len(runs)} runs.",
        rows,
        figure,
    )


def _run_name(rows: pd.DataFrame, context: Context) -> str:
    first = rows.iloc[0]
    method = context.names.method(first["method"])
    shown = first["run"] != first["method"]  # the models differ
    return f"{method}, {context.names.model(first['model'])}" if shown else method


def _arm(extras: Extras, method: str) -> str | None:
    searched = extras.kind(method) == "search"
    return arm_of(extras.methods[method]) if searched else None


def curve_rows(footers: list[PredictionsFooter], cohort: str) -> pd.DataFrame:
    """Return ``auc`` by run, seed, split, group and epoch; ``kept`` marks the selected epoch."""
    found = [f for f in footers if f["cohort"] == cohort and f.get("runs")]
    several = len({footer["model"] for footer in found}) > 1
    rows = []
    for footer in found:
        names = (footer["model"], footer["method"])
        run = f"{names[1]}, {names[0]}" if several else names[1]
        for chosen in footer["runs"]["chosen"]:
            for epoch, splits in enumerate(chosen.get("groups", []), 1):
                head = (run, *names, chosen["seed"], epoch, epoch == chosen["epoch"])
                rows += [
                    (*head, split, group, np.nan if auc is None else auc)
                    for split, groups in splits.items()
                    for group, auc in groups.items()
                ]
    columns = ["run", "model", "method", "seed", "epoch", "kept", "split", "group", "auc"]
    return pd.DataFrame(rows, columns=columns)


def _curves(panel: Axes, rows: pd.DataFrame, groups: list[str]) -> None:
    for group, own in rows.groupby("group", sort=False):
        k = groups.index(group)
        mean = own.groupby("epoch")["auc"].mean()
        step = max(1, len(mean) // 8)
        look: dict[str, Any] = {"color": colour(k), "marker": marker(k), "ms": 3.5}
        panel.plot(mean.index, mean.to_numpy(), lw=1.8, zorder=3, markevery=step, **look)
        if own["seed"].nunique() > 1:
            for _, seed in own.groupby("seed"):
                panel.plot(seed["epoch"], seed["auc"], color=colour(k), lw=0.6, alpha=0.6)
        kept = own[own["kept"]]
        panel.plot(kept["epoch"], kept["auc"], "o", mfc="none", mec="black", ms=8, zorder=4)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def search_trajectories(context: Context) -> Figure | None:
    """Draw the best validation objective so far, by trial and by CPU time (figure 5)."""
    rows = trajectory_rows(context.extras.searches, context.cohort)
    if rows.empty:
        return None
    parts = [part for _, part in rows.groupby(["model", "metric"], sort=False)]
    methods, several = list(rows["method"].unique()), rows["model"].nunique() > 1
    sizes = [2.8 if part["method"].nunique() > 1 else 1.6 for part in parts]
    title = f"The searches on {context.place}"
    figure, drawing = canvas(8.0, 0.7 + sum(sizes), title, context.face)
    shape = (len(parts), 2)
    panels = drawing.subplots(*shape, sharey="row", squeeze=False, height_ratios=sizes)
    for line, own in zip(panels, parts, strict=True):
        for panel, axis in zip(line, ("trial", "minutes"), strict=True):
            _trajectories(panel, own, axis, methods)
        metric = METRICS.get(own["metric"].iloc[0], own["metric"].iloc[0])
        model = context.names.model(own["model"].iloc[0])
        shown = fitting.label(model, 1.5, 8) + "\n" if several else ""
        line[0].set_ylabel(f"{shown}best {metric}", fontsize=8)
        line[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panels[-1, 0].set_xlabel("finished trials")
    panels[-1, 1].set_xlabel("CPU minutes")
    handles = [
        panels[0, 0].plot([], [], label=context.names.method(name), **_look(k))[0]
        for k, name in enumerate(methods)
    ]
    fitting.legend(drawing, handles)
    return Figure(
        f"search_trajectories{context.suffix}",
        title,
        "Best validation objective of a complete trial so far. Trials are in the order of the "
        "search, which with several workers is not exactly the order in time; CPU time is summed "
        "over the trials so far. A line begins with the first trial that was not pruned. There is "
        "one search per line: another seed would give another line.",
        f"Step charts of the best validation objective by trial and CPU time for {len(methods)} "
        "methods.",
        rows,
        figure,
    )


def trajectory_rows(searches: list[dict], cohort: str) -> pd.DataFrame:
    """Return the best value so far of each search on a cohort, one row per counted trial.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``method``, ``metric``, ``trial`` (counted from 1), ``minutes`` (processor time
        so far), ``state``, ``value``, ``best`` (NaN before the first complete trial).
    """
    parts = []
    for one in (one for one in searches if one["cohort"] == cohort):
        table = one["table"].sort_values("number", kind="stable")
        table = table[table["state"].isin(["complete", "pruned"])].reset_index(drop=True)
        whole = table["value"].where(table["state"] == "complete").astype(float)
        rising = one["objective"]["direction"] == "maximize"
        parts.append(
            pd.DataFrame(
                {"model": one["model"], "method": one["method"]}
                | {"metric": one["objective"]["metric"], "trial": np.arange(1, len(table) + 1)}
                | {"minutes": table["processor_seconds"].fillna(0).cumsum() / MINUTE}
                | {"state": table["state"], "value": table["value"].astype(float)}
                | {"best": (whole.cummax() if rising else whole.cummin()).ffill()}
            )
        )
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=["model"])


def _trajectories(panel: Axes, rows: pd.DataFrame, axis: str, methods: list[str]) -> None:
    for method, own in rows.groupby("method", sort=False):
        marks = [*range(0, len(own), max(1, len(own) // 6)), len(own) - 1]
        look = _look(methods.index(method))
        panel.plot(own[axis], own["best"], drawstyle="steps-post", markevery=marks, **look)


def _look(k: int) -> dict[str, Any]:
    return {"color": colour(k), "ls": dash(k), "marker": marker(k), "ms": 4.5, "lw": 1.4}
