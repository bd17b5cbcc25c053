"""Figure: performance against the gap, with the Pareto front of the runs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.metrics.gaps import GAPS, parse_gap
from medaudit.report.figures.style import Figure, canvas, colour, marker, shorten
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN, direction, has_best_end
from medaudit.report.studies.facts import headline_gaps
from medaudit.report.wording import terms

CROWD = 12
"""With more runs, intervals are drawn only for those on the front."""


def pareto(performance: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return which runs are on the Pareto front: no other run dominates them.

    Parameters
    ----------
    performance, gap : numpy.ndarray
        Shape (runs,). Runs with a NaN are never on the front.

    Returns
    -------
    numpy.ndarray
        Boolean, shape (runs,). Run j dominates run i if it is at least as good in both and better
        in one.
    """
    more = performance[None, :] >= performance[:, None]
    less = gap[None, :] <= gap[:, None]
    better = (performance[None, :] > performance[:, None]) | (gap[None, :] < gap[:, None])
    defined = np.isfinite(performance) & np.isfinite(gap)
    return defined & ~(more & less & better).any(axis=1)


def plane(context: Context) -> Figure:
    """Draw one panel per attribute; models by colour, methods by marker."""
    evidence = context.evidence
    rows = plane_rows(context)
    attributes = [name for name in evidence.attributes if name in set(rows["attribute"])]
    models, methods = list(rows["model"].unique()), list(rows["method"].unique())
    name = terms.measure(evidence.headline)
    side = "right" if fairer_when_large(evidence.gap) else "left"
    up = "up is better" if has_best_end(evidence.headline) else "neither end is better"
    title = f"Performance and fairness: {name} and its gap on {context.cohort}"
    figure, part = canvas(max(7.0, 0.9 + 2.9 * len(attributes)), 4.4, title, context.notes)
    panels = part.subplots(1, len(attributes), sharey=True, squeeze=False)[0]
    for panel, attribute in zip(panels, attributes, strict=True):
        _panel(panel, rows[rows["attribute"] == attribute], models, methods)
        panel.set_title(f"by {terms.attribute(attribute)}")
        panel.set_xlabel(f"gap in {name}  ({side} is fairer)")
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if direction(evidence.headline) < 0:
        panels[0].invert_yaxis()
    panels[0].set_ylabel(f"{name}, all patients  ({up})")
    part.legend(
        handles=_handles(panels[0], models, methods),
        loc="outside lower center",
        ncols=min(6, len(models) + len(methods) + 2),
        fontsize=8,
    )
    return Figure(
        f"plane{context.suffix}",
        title,
        f"{terms.first_upper(up)}, {side} is fairer. The line joins the runs that no other run "
        f"beats in both (Pareto front). Bars: {context.level} confidence intervals (with more than "
        f"{CROWD} runs, only those on the line). Do not compare bars by eye: runs share their "
        "patients, and the table 'Differences between runs' compares them. The grey line marks the "
        "gap that 95 of 100 permutations of the groups stay below (median over runs).",
        f"Scatter plot of {name} against its gap by {', '.join(attributes)} for {len(rows)} "
        "points, with intervals and the Pareto front.",
        rows,
        figure,
    )


def plane_rows(context: Context) -> pd.DataFrame:
    """Return one row per run and attribute: performance, gap, and whether it is on the front."""
    headline = context.evidence.headline
    facts = context.facts[context.facts["cohort"] == context.cohort]
    kept = facts["kind"].eq("performance") & facts["measure"].eq(headline)
    performance = facts.loc[kept, [*RUN, "value", "low", "high"]].rename(
        columns={"value": "performance", "low": "p_low", "high": "p_high"}
    )
    gaps = headline_gaps(facts, headline, context.evidence.gap).rename(
        columns={"gap": "kind_of_gap", "value": "gap", "low": "gap_low", "high": "gap_high"}
    )[[*RUN, "attribute", "gap", "gap_low", "gap_high", "null_q95", "status"]]
    rows = performance.merge(gaps, on=RUN)
    rows["pareto"] = False
    for _, part in rows.groupby("attribute"):
        better = direction(headline) * part["performance"].to_numpy(float)
        sign = -1 if fairer_when_large(context.evidence.gap) else 1
        front = pareto(better, sign * part["gap"].to_numpy(float))
        rows.loc[part.index, "pareto"] = front & has_best_end(headline)
    return rows


def fairer_when_large(gap: str) -> bool:
    """Return whether a larger gap of this kind is fairer, as a ratio is."""
    kind = parse_gap(gap).kind
    return kind in GAPS and GAPS[kind].fairer_when_large


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
    chance = panel.plot([], [], color="#999999", ls="--", label="null: 95 of 100 below")[0]
    return [*by_model, *by_method, front, chance]
