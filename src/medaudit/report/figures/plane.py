"""Figure: how well against how fair, with the runs that no other run beats in both."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures.gaps import headline_gaps
from medaudit.report.figures.style import Figure, canvas, colour, marker, shorten
from medaudit.report.studies.evidence import Evidence, direction
from medaudit.report.wording import terms

CROWD = 12
"""With more runs than this, only those on the front have their intervals drawn."""


def pareto(performance: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Tell which runs no other run beats: none has more performance and less gap.

    Parameters
    ----------
    performance, gap : numpy.ndarray
        Shape (runs,); NaN where undefined, which is never on the front.

    Returns
    -------
    numpy.ndarray
        Boolean, shape (runs,). Run j dominates i if it is at least as good in both and better
        in one.
    """
    more = performance[None, :] >= performance[:, None]
    less = gap[None, :] <= gap[:, None]
    better = (performance[None, :] > performance[:, None]) | (gap[None, :] < gap[:, None])
    defined = np.isfinite(performance) & np.isfinite(gap)
    return defined & ~(more & less & better).any(axis=1)


def fairness_plane(
    evidence: Evidence, facts: pd.DataFrame, cohort: str, notes: list[str], suffix: str
) -> Figure:
    """Draw one panel an attribute; models by colour, methods by marker."""
    rows = plane_rows(evidence, facts, cohort)
    attributes = [name for name in evidence.attributes if name in set(rows["attribute"])]
    models, methods = list(rows["model"].unique()), list(rows["method"].unique())
    name = terms.measure(evidence.headline)
    title = f"How well and how fair: {name} and its gap on {cohort}"
    figure, part = canvas(max(7.0, 0.9 + 2.9 * len(attributes)), 4.4, title, notes)
    panels = part.subplots(1, len(attributes), sharey=True, squeeze=False)[0]
    for panel, attribute in zip(panels, attributes, strict=True):
        _panel(panel, rows[rows["attribute"] == attribute], models, methods)
        panel.set_title(f"by {terms.attribute(attribute)}")
        panel.set_xlabel(f"gap in {name}  (left is fairer)")
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if direction(evidence.headline) < 0:
        panels[0].invert_yaxis()
    panels[0].set_ylabel(f"{name}, all patients  (up is better)")
    part.legend(
        handles=_handles(panels[0], models, methods),
        loc="outside lower center",
        ncols=min(6, len(models) + len(methods) + 2),
        fontsize=8,
    )
    return Figure(
        f"plane{suffix}",
        title,
        "Up is better, left is fairer. The line joins the runs that no other run beats in both. "
        f"Bars: {evidence.level * 100:g} % interval (with more than {CROWD} runs only of those on the "
        "line); overlapping bars mean that the order may be "
        "chance. The grey line marks the gap that 95 of 100 fair models stay below (the median "
        "over runs).",
        f"Scatter plot of {name} against its gap by {', '.join(attributes)} for {len(rows)} "
        "points, with intervals and the Pareto front.",
        rows,
        figure,
    )


def plane_rows(evidence: Evidence, facts: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """Return one row a run and attribute: performance, gap, and whether it is on the front."""
    key = ["cohort", "model", "method"]
    bounds = ["value", "low", "high"]
    best = facts[
        facts["kind"].eq("performance")
        & facts["cohort"].eq(cohort)
        & facts["measure"].eq(evidence.headline)
    ][[*key, *bounds]].rename(
        columns=dict(zip(bounds, ["performance", "p_low", "p_high"], strict=True))
    )
    gaps = headline_gaps(evidence, facts, cohort)[
        [*key, "attribute", *bounds, "null_q95", "status"]
    ].rename(columns=dict(zip(bounds, ["gap", "gap_low", "gap_high"], strict=True)))
    rows = best.merge(gaps, on=key)
    rows["pareto"] = False
    for _, part in rows.groupby("attribute"):
        better = direction(evidence.headline) * part["performance"].to_numpy(float)
        front = pareto(better, part["gap"].to_numpy(float))
        rows.loc[part.index, "pareto"] = front
    return rows


def _panel(panel: Axes, rows: pd.DataFrame, models: list[str], methods: list[str]) -> None:
    chance = rows["null_q95"].median()
    if np.isfinite(chance):
        panel.axvline(chance, color="#999999", lw=1.2, ls="--", zorder=1)
    for row in rows[rows["gap"].notna() & rows["performance"].notna()].itertuples():
        tone = colour(models.index(row.model))
        if row.pareto or len(rows) <= CROWD:
            panel.hlines(row.performance, row.gap_low, row.gap_high, color=tone, lw=0.8, alpha=0.5)
            panel.vlines(row.gap, row.p_low, row.p_high, color=tone, lw=0.8, alpha=0.5)
        panel.plot(
            row.gap,
            row.performance,
            marker(methods.index(row.method)),
            color=tone,
            ms=7,
            mec="black" if row.pareto else "white",
            mew=1.2 if row.pareto else 0.6,
            zorder=4,
        )
    front = rows[rows["pareto"]].sort_values("gap", kind="stable")
    panel.plot(front["gap"], front["performance"], color="black", lw=1, zorder=3, ds="steps-post")
    panel.set_xlim(left=0)
    if absent := int(rows["gap"].isna().sum()):
        text = f"not estimable: {absent} of {len(rows)}"
        panel.text(0.98, 0.02, text, transform=panel.transAxes, ha="right", fontsize=7)


def _handles(panel: Axes, models: list[str], methods: list[str]) -> list:
    by_model = [
        panel.plot([], [], "o", color=colour(k), ms=7, label=shorten(name, 24))[0]
        for k, name in enumerate(models)
    ]
    by_method = [
        panel.plot([], [], marker(k), color="#555555", ms=6, label=shorten(name, 24))[0]
        for k, name in enumerate(methods)
    ]
    front = panel.plot([], [], color="black", lw=1, marker="o", mfc="none", label="Pareto front")[0]
    chance = panel.plot([], [], color="#999999", ls="--", label="fair model, 95 of 100 below")[0]
    return [*by_model, *by_method, front, chance]
