"""Figures: sensitivity to the learning rate and to the rank of LoRA."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from medaudit.core.documents import PredictionsFooter
from medaudit.report.figures import fitting
from medaudit.report.figures.adaptation import adaptation_rows
from medaudit.report.figures.style import Figure, canvas, colour, dash, marker
from medaudit.report.studies.context import Context
from medaudit.report.wording import terms

CRITERIA = {"val_loss": "validation loss", "val_auc": "validation AUC"}
ACROSS = 4
"""Panels per row."""

SPAN = 0.05
"""Least range of a criterion's axis."""
FEW = 4
"""With more models, dots are drawn only for the selected learning rate of each seed."""


def learning_rates(context: Context) -> Figure | None:
    """Draw the best validation criterion of each learning rate, one panel per method."""
    rows = rate_rows(context.extras.footers, context.cohort)
    if rows.empty:
        return None
    methods, models = list(rows["method"].unique()), list(rows["model"].unique())
    across = min(ACROSS, len(methods))
    down = -(-len(methods) // across)
    title = f"Learning rates on {context.place}"
    width, height = max(6.5, 0.8 + 2.9 * across), 2.7 * down + 0.4
    figure, part = canvas(width, height, title, context.face)
    panels = part.subplots(down, across, squeeze=False).ravel()
    for panel, method in zip(panels, methods, strict=False):
        _rates(panel, rows[rows["method"] == method], models)
        panel.set_title(fitting.label(context.names.method(method), 2.4, 10))
        _widen(panel)
    for panel in panels[len(methods) :]:
        panel.remove()
    _legend(part, panels[0], models, context)
    return Figure(
        f"learning_rates{context.suffix}",
        title,
        "Best epoch of each learning rate on the validation split. Lines: means over seeds; dots: "
        f"seeds (with more than {FEW} models, only at the selected rate); rings: the rate selected "
        "for a seed. If the best rate is at the end of the grid, a better one may lie outside it. "
        "No test image is used here.",
        f"Line charts of the validation criterion by learning rate for {len(models)} models, one "
        f"panel for each of {len(methods)} methods.",
        rows,
        figure,
    )


def rate_rows(footers: list[PredictionsFooter], cohort: str) -> pd.DataFrame:
    """Return the ``criterion`` by model, method, seed and ``learning_rate``.

    It comes from the footers of predictions; ``chosen`` marks the selected rate of each seed.
    """
    rows = []
    for footer in footers:
        runs = footer.get("runs")
        if footer["cohort"] != cohort or not runs:
            continue
        # The criterion is minimised: a validation AUC is stored with a minus sign.
        sign = -1 if runs["select"] == "val_auc" else 1
        names = {"cohort": cohort, "model": footer["model"], "method": footer["method"]}
        for seed, rate, value, chosen in _trials(runs):
            value = np.nan if value is None else sign * value
            rows.append(
                {**names, "select": runs["select"], "seed": seed, "learning_rate": rate}
                | {"criterion": value, "chosen": chosen}
            )
    columns = ["cohort", "model", "method", "select", "seed", "learning_rate", "criterion"]
    return pd.DataFrame(rows, columns=[*columns, "chosen"])


def _trials(runs: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return (seed, rate, criterion, chosen) of each trial of a fine-tuning or a probe."""
    best = {run["seed"]: run["learning_rate"] for run in runs["chosen"]}
    if runs.get("trials"):
        only = next(iter(best))
        found = [(t.get("seed", only), t["learning_rate"], t["criterion"]) for t in runs["trials"]]
    else:
        found = [
            (run["seed"], rate, value)
            for run in runs["chosen"]
            for rate, value in zip(
                runs.get("learning_rates", []), run.get("best_by_learning_rate", []), strict=True
            )
        ]
    return [(seed, rate, value, best[seed] == rate) for seed, rate, value in found]


def _rates(panel: Axes, rows: pd.DataFrame, models: list[str]) -> None:
    for model, part in rows.groupby("model", sort=False):
        k = models.index(model)
        mean = part.groupby("learning_rate")["criterion"].mean()
        panel.plot(mean.index, mean.to_numpy(), color=colour(k), ls=dash(k), lw=1.2, zorder=2)
        x, y = part["learning_rate"].to_numpy(float), part["criterion"].to_numpy(float)
        own = part["chosen"].to_numpy(bool)
        shown = own | (len(models) <= FEW)
        panel.plot(x[shown], y[shown], marker(k), color=colour(k), ms=3.5, zorder=3, ls="")
        panel.plot(x[own], y[own], "o", mfc="none", mec="black", ms=8, mew=0.9, zorder=4)
    rates = sorted(rows["learning_rate"].unique())
    panel.set_xscale("log")
    panel.set_xticks(rates, [f"{rate:g}" for rate in rates], rotation=40, ha="right", fontsize=7)
    panel.set_xticks([], minor=True)
    panel.set_xlabel("learning rate")
    select = rows["select"].iloc[0]
    panel.set_ylabel(CRITERIA.get(select, select))


def _widen(panel: Axes) -> None:
    """Show at least `SPAN` of the criterion, so that noise does not look like a slope."""
    low, high = panel.get_ylim()
    if high - low < SPAN:
        middle = (low + high) / 2
        panel.set_ylim(middle - SPAN / 2, middle + SPAN / 2)


def lora_rank(context: Context) -> Figure | None:
    """Draw performance and gaps by the rank of LoRA; None with fewer than two ranks."""
    ranks = {
        name: entry["lora"]["rank"]
        for name, entry in context.extras.methods.items()
        if entry.get("tune") == "lora"
    }
    rows = adaptation_rows(context).drop(columns="gain")
    rows = rows[rows["method"].isin(ranks)]
    rows = rows.assign(rank=rows["method"].map(ranks)).sort_values("rank", kind="stable")
    if rows["rank"].nunique() < 2:
        return None
    models, quantities = list(rows["model"].unique()), list(rows["quantity"].unique())
    title = f"Rank of LoRA on {context.place}"
    figure, part = canvas(max(6.5, 0.8 + 2.7 * len(quantities)), 3.4, title, context.face)
    panels = part.subplots(1, len(quantities), squeeze=False)[0]
    for panel, quantity in zip(panels, quantities, strict=True):
        _ranks(panel, rows[rows["quantity"] == quantity], models)
        panel.set_title(fitting.label(terms.first_upper(quantity), 2.4, 9), fontsize=9)
        panel.set_ylabel(quantity.partition(" by ")[0], fontsize=8)
    _legend(part, panels[0], models, context)
    return Figure(
        f"lora_rank{context.suffix}",
        title,
        f"Test set, with {context.level} confidence intervals; models are shifted sideways for "
        "legibility. Methods may differ in more than the rank: see their entries.",
        f"Line charts of {', '.join(quantities)} by the rank of LoRA for {len(models)} models.",
        rows,
        figure,
    )


def _ranks(panel: Axes, rows: pd.DataFrame, models: list[str]) -> None:
    ranks = sorted(rows["rank"].unique())
    for model, part in rows.groupby("model", sort=False):
        k = models.index(model)
        x = np.array([ranks.index(rank) for rank in part["rank"]], float)
        x += (k - (len(models) - 1) / 2) * 0.5 / max(len(models), 1)
        value, low, high = (part[name].to_numpy(float) for name in ("value", "low", "high"))
        panel.plot(x, value, color=colour(k), ls=dash(k), marker=marker(k), ms=4.5, lw=1)
        panel.vlines(x, low, high, color=colour(k), lw=1)
    panel.set_xticks(range(len(ranks)), [str(rank) for rank in ranks])
    panel.set_xlim(-0.5, len(ranks) - 0.5)
    panel.set_xlabel("rank")
    panel.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _legend(part: SubFigure, panel: Axes, models: list[str], context: Context) -> None:
    handles = [
        panel.plot(
            [], [], marker(k), color=colour(k), ls=dash(k), ms=5, label=context.names.model(name)
        )[0]
        for k, name in enumerate(models)
    ]
    fitting.legend(part, handles)
