"""Figure: performance against the gap, with the Pareto front of the runs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.metrics.gaps import GAPS, parse_gap
from medaudit.report.figures import fitting
from medaudit.report.figures.style import COLOURS, Figure, canvas, colour, marker
from medaudit.report.figures.verdict_marks import FACES, verdict_handles, verdicts_of
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN, direction, has_best_end
from medaudit.report.studies.facts import headline_gaps
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import terms

CROWD = 12
"""With more runs, intervals are drawn only for those on the front."""
ACROSS = 4
"""Panels per row."""


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
    """Draw one panel per attribute; every run has its number, and its own colour and shape."""
    evidence = context.evidence
    rows = plane_rows(context)
    attributes = [name for name in evidence.attributes if name in set(rows["attribute"])]
    name = terms.measure(evidence.headline)
    side = "right" if fairer_when_large(evidence.gap) else "left"
    up = "up is better" if has_best_end(evidence.headline) else "neither end is better"
    title = f"Performance and fairness: {name} and its gap on {context.place}"
    down, across = -(-len(attributes) // ACROSS), min(len(attributes), ACROSS)
    width = max(7.0, 0.9 + 2.9 * across)
    figure, part = canvas(width, 0.4 + 3.7 * down, title, context.face)
    panels = part.subplots(down, across, sharey=True, sharex=True, squeeze=False).ravel()
    for panel, attribute in zip(panels, attributes, strict=False):
        _panel(panel, rows[rows["attribute"] == attribute])
        panel.set_title("by " + fitting.label(terms.attribute(attribute), 2.5, 10))
        panel.set_xlabel(f"gap in {name}  ({side} is fairer)")
        panel.tick_params(labelbottom=True)
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        panel.set_ylabel(f"{name}, all patients\n({up})")
        panel.label_outer(remove_inner_ticks=False)
        panel.xaxis.label.set_visible(True)
    for panel in panels[len(attributes) :]:
        panel.remove()
    panels[0].set_xlim(left=min(0, rows[["gap", "gap_low"]].min().min()))
    if direction(evidence.headline) < 0:
        panels[0].invert_yaxis()
    fitting.legend(part, _handles(panels[0], rows, context))
    return Figure(
        f"plane{context.suffix}",
        title,
        f"{terms.first_upper(up)}, {side} is fairer. The line joins the runs that no other run "
        f"beats in both (Pareto front). Filled: a difference is shown; half filled: suggestive "
        "only; open: no difference shown, or not tested. Bars: "
        f"{context.level} confidence intervals (with more than {CROWD} runs, only those on the "
        "line). Do not compare bars by eye: runs share their patients, and the table 'Differences "
        "between runs' compares them.",
        f"Scatter plot of {name} against its gap by {', '.join(attributes)} for {len(rows)} "
        "points, with intervals and the Pareto front.",
        rows.astype({"verdict": str}),
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
    found = headline_gaps(facts, headline, context.evidence.gap)
    alpha = round(1 - context.evidence.level, 9)
    gaps = found.assign(verdict=verdicts_of(found, alpha)).rename(
        columns={"gap": "kind_of_gap", "value": "gap", "low": "gap_low", "high": "gap_high"}
    )[[*RUN, "attribute", "gap", "gap_low", "gap_high", "null_q95", "verdict", "status"]]
    rows = performance.merge(gaps, on=RUN)
    rows["run"] = rows.groupby(RUN, sort=False).ngroup()
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


def _panel(panel: Axes, rows: pd.DataFrame) -> None:
    for row in rows[rows["gap"].notna() & rows["performance"].notna()].itertuples():
        tone = colour(row.run)
        if row.pareto or len(rows) <= CROWD:
            panel.hlines(row.performance, row.gap_low, row.gap_high, color=tone, lw=0.8, alpha=0.5)
            panel.vlines(row.gap, row.p_low, row.p_high, color=tone, lw=0.8, alpha=0.5)
        panel.plot(row.gap, row.performance, zorder=4, clip_on=False, **_look(row.run, row.verdict))
        inside = "white" if row.verdict == Verdict.SHOWN and tone not in PALE else "black"
        panel.annotate(
            str(row.run + 1),
            (row.gap, row.performance),
            ha="center",
            va="center_baseline",
            fontsize=5.5,
            color=inside,
            zorder=5,
        )
    front = rows[rows["pareto"]].sort_values("gap", kind="stable")
    panel.plot(front["gap"], front["performance"], color="black", lw=1, zorder=3, ds="steps-post")
    if absent := int(rows["gap"].isna().sum()):
        text = f"not estimable: {absent} of {len(rows)}"
        panel.text(0.98, 0.02, text, transform=panel.transAxes, ha="right", fontsize=7)


PALE = (COLOURS[4], COLOURS[5], COLOURS[3])
"""Colours on which a number is black."""


def _look(run: int, verdict: Verdict) -> dict[str, Any]:
    """Return colour and shape of a run, filled by the verdict."""
    face = {**FACES.get(verdict, FACES[Verdict.NOT_SHOWN]), "marker": marker(run)}
    tone = colour(run)
    face |= {"mec": tone, "mfc": "white" if face["mfc"] == "white" else tone}
    return {**face, "ls": "", "ms": 9, "mew": 1.3}


def _handles(panel: Axes, rows: pd.DataFrame, context: Context) -> list[Artist]:
    runs = rows.drop_duplicates("run")
    handles = [
        panel.plot(
            [],
            [],
            marker(row["run"]),
            color=colour(row["run"]),
            ms=7,
            label=f"{row['run'] + 1}  {context.names.run(row)}",
        )[0]
        for row in runs.to_dict("records")
    ]
    front = panel.plot([], [], color="black", lw=1, label="Pareto front")[0]
    return [*handles, front, *verdict_handles(panel, rows["verdict"])]
