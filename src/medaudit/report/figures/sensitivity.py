"""Figures: how much hangs on the learning rate and on the rank of LoRA."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures.adaptation import adaptation_rows
from medaudit.report.figures.style import Figure, canvas, colour, marker, shorten
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras

CRITERIA = {"val_loss": "validation loss", "val_auc": "validation AUC"}
ACROSS = 4
FEW = 4
"""With more models than this, only the chosen of the seeds are drawn."""


def learning_rates(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw the best validation criterion of each learning rate, one panel a method."""
    rows = rate_rows(extras.footers, cohort)
    if rows.empty:
        return None
    methods, models = list(rows["method"].unique()), list(rows["model"].unique())
    across = min(ACROSS, len(methods))
    down = -(-len(methods) // across)
    title = f"Learning rates on {cohort}"
    figure, part = canvas(max(6.5, 0.8 + 2.9 * across), 2.6 * down + 1.1, title, notes)
    panels = part.subplots(down, across, squeeze=False).ravel()
    for panel, method in zip(panels, methods, strict=False):
        _rates(panel, rows[rows["method"] == method], models)
        panel.set_title(shorten(method, 28))
    for panel in panels[len(methods) :]:
        panel.remove()
    _legend(part, panels[0], models)
    return Figure(
        f"learning_rates{suffix}",
        title,
        "Best epoch of each learning rate on the validation split: lines are means over seeds, "
        f"dots are seeds (with more than {FEW} models only those chosen), a ring is a seed's "
        "choice. A best rate at the end of the grid may lie outside it. "
        "No test image is used here.",
        f"Line charts of the validation criterion by learning rate for {len(models)} models, one "
        f"panel for each of {len(methods)} methods.",
        rows,
        figure,
    )


def rate_rows(footers: list[dict], cohort: str) -> pd.DataFrame:
    """Return ``criterion`` by model, method, seed and ``learning_rate``, from the predictions'
    footers; ``chosen`` is the rate that a seed's predictions come from."""
    rows = []
    for footer in footers:
        runs = footer.get("runs")
        if footer["cohort"] != cohort or not runs:
            continue
        names = {name: footer[name] for name in ("cohort", "model", "method")}
        for seed, rate, value, chosen in _trials(runs):
            sign = -1 if runs["select"] == "val_auc" else 1
            value = np.nan if value is None else sign * value
            rows.append(
                {**names, "select": runs["select"], "seed": seed, "learning_rate": rate}
                | {"criterion": value, "chosen": chosen}
            )
    columns = ["cohort", "model", "method", "select", "seed", "learning_rate", "criterion"]
    return pd.DataFrame(rows, columns=[*columns, "chosen"])


def _trials(runs: dict) -> list[tuple]:
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
        panel.plot(mean.index, mean.to_numpy(), color=colour(k), lw=1.2, zorder=2)
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


def lora_rank(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw how well and how fair by the rank of LoRA; None with fewer than two ranks."""
    ranks = {
        name: entry["lora"]["rank"]
        for name, entry in extras.methods.items()
        if entry.get("tune") == "lora"
    }
    rows = adaptation_rows(evidence, facts, cohort).drop(columns="gain")
    rows = rows[rows["method"].isin(ranks)]
    rows = rows.assign(rank=rows["method"].map(ranks)).sort_values("rank", kind="stable")
    if rows["rank"].nunique() < 2:
        return None
    models, quantities = list(rows["model"].unique()), list(rows["quantity"].unique())
    title = f"Rank of LoRA on {cohort}"
    figure, part = canvas(max(6.5, 0.8 + 2.7 * len(quantities)), 3.4, title, notes)
    panels = part.subplots(1, len(quantities), squeeze=False)[0]
    for panel, quantity in zip(panels, quantities, strict=True):
        _ranks(panel, rows[rows["quantity"] == quantity], models)
        panel.set_title(quantity)
    _legend(part, panels[0], models)
    return Figure(
        f"lora_rank{suffix}",
        title,
        f"Test set, with {evidence.level * 100:g} % intervals (side by side for legibility). "
        "Methods that differ in more than the rank are drawn all the same: see their entries.",
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
        panel.plot(x, value, color=colour(k), marker=marker(k), ms=4.5, lw=1)
        panel.vlines(x, low, high, color=colour(k), lw=1)
    panel.set_xticks(range(len(ranks)), [str(rank) for rank in ranks])
    panel.set_xlim(-0.5, len(ranks) - 0.5)
    panel.set_xlabel("rank")
    panel.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _legend(part, panel: Axes, models: list[str]) -> None:
    handles = [
        panel.plot([], [], marker(k), color=colour(k), ls="-", ms=5, label=shorten(name, 24))[0]
        for k, name in enumerate(models)
    ]
    ncols = min(len(models), 4)
    part.legend(handles=handles, loc="outside lower center", ncols=ncols, fontsize=8)
