"""Figure: mean ranks of methods over datasets, and which do not differ (Demsar 2006)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medaudit.report.figures import fitting
from medaudit.report.figures.style import Figure, canvas
from medaudit.report.studies.context import Context
from medaudit.report.studies.fairtune_comparisons import RESULTS, comparisons
from medaudit.report.studies.fairtune_outcomes import QUANTITIES, Outcomes
from medaudit.report.studies.rank_tests import RankTest, cliques
from medaudit.report.tables.fairtune import rank_methods
from medaudit.report.wording import number_format

SHOWN = QUANTITIES[:3]
STEP, BAR = 0.24, 0.13
"""Distances in inches: between labels, and between bars."""


def critical_difference(context: Context) -> Figure | None:
    """Draw a critical-difference diagram of AUC, the worst group's AUC and the gap."""
    evidence, extras = context.evidence, context.extras
    parts = [part for part in comparisons(evidence, extras) if part.name == RESULTS]
    methods = parts[0].on_all_cohorts["label"].nunique() if parts else 0
    if methods < 2:
        return None
    outcomes = Outcomes(evidence, extras)
    found = [rank_methods(parts[0], outcomes, quantity) for quantity in SHOWN]
    tests = [test if len(test.blocks) else None for test in found]
    if all(test is None or test.reason for test in tests):
        return None  # nothing was tested: a line with ranks would look like a result
    alpha = round(1 - evidence.level, 9)
    bars = [_bars(test, alpha) if test else [] for test in tests]
    half = -(-methods // 2)
    sizes = [0.75 + BAR * len(lines) + STEP * half for lines in bars]
    title = "Mean ranks over datasets"
    figure, part = canvas(8.2, sum(sizes) + 0.45, title, context.face)
    panels = part.subplots(len(SHOWN), 1, squeeze=False, height_ratios=sizes)[:, 0]
    for panel, quantity, test, lines, size in zip(panels, SHOWN, tests, bars, sizes, strict=True):
        panel.set_title(quantity.label, loc="left", fontweight="bold")
        _diagram(panel, test, lines, size)
    return Figure(
        "critical_difference",
        title,
        "Left is better (rank 1). The blocks are datasets, whose attributes are averaged first. "
        "Bars join methods whose ranks differ by less than Nemenyi's critical difference (CD): no "
        "difference between them is shown. If Friedman's test shows no difference at all, one bar "
        "joins all methods. The tests are in the table 'Do the methods differ?'.",
        "Diagrams of mean ranks on a line, with bars that join methods without a shown difference: "
        + "; ".join(_list_ranks(q.label, t) for q, t in zip(SHOWN, tests, strict=True) if t),
        pd.DataFrame(
            {"quantity": quantity.label, "method": name, "mean_rank": rank}
            | {"datasets": len(test.blocks), "critical": test.critical, "friedman_p": test.p_value}
            for quantity, test in zip(SHOWN, tests, strict=True)
            if test
            for name, rank in test.ranks.items()
        ),
        figure,
    )


def _bars(test: RankTest, alpha: float) -> list[tuple[float, float]]:
    """Return (lowest, highest) rank of each bar."""
    if test.reason:
        return []
    if test.p_value > alpha:
        return [(float(test.ranks.min()), float(test.ranks.max()))]
    return cliques(test.ranks, test.critical)


def _list_ranks(label: str, test: RankTest) -> str:
    order = test.ranks.sort_values(kind="stable")
    return f"{label}: {', '.join(f'{name} {rank:.1f}' for name, rank in order.items())}"


def _diagram(
    panel: Axes, test: RankTest | None, bars: list[tuple[float, float]], size: float
) -> None:
    panel.axis("off")
    if test is None:
        panel.text(0.5, 0.5, "no dataset in which every method has a value", ha="center")
        return
    ranks = test.ranks.sort_values(kind="stable")
    count = len(ranks)
    span = count - 1 or 1
    panel.set_xlim(1 - 0.62 * span, count + 0.62 * span)
    panel.set_ylim(-(size - 0.45), 0.3)
    panel.hlines(0, 1, count, color="black", lw=1.2)
    for tick in range(1, count + 1):
        panel.vlines(tick, 0, 0.06, color="black", lw=1)
        panel.text(tick, 0.09, str(tick), ha="center", va="bottom", fontsize=8)
    for k, (low, high) in enumerate(bars):
        y = -0.1 - BAR * k
        panel.hlines(y, low - 0.03 * span, high + 0.03 * span, color="black", lw=4)
    _label_ranks(panel, ranks, 0.12 + BAR * len(bars), span)
    panel.set_title(_describe_test(test), loc="right", fontsize=8)


def _label_ranks(panel: Axes, ranks: pd.Series, depth: float, span: float) -> None:
    """Write the better half of the methods on the left and the others on the right."""
    count = len(ranks)
    half = -(-count // 2)
    for k, (name, rank) in enumerate(ranks.items()):
        left = k < half
        place = k if left else count - 1 - k
        y = -(depth + STEP * (place + 0.4))
        end = 1 - 0.05 * span if left else count + 0.05 * span
        panel.plot([rank, rank, end], [0, y, y], color="#555555", lw=0.9)
        shown = fitting.fit(name, 1.75, 8.5)
        text = f"{shown}  {rank:.2f}" if left else f"{rank:.2f}  {shown}"
        shift = -0.01 * span if left else 0.01 * span
        panel.text(end + shift, y, text, ha="right" if left else "left", va="center", fontsize=8.5)


def _describe_test(test: RankTest) -> str:
    if test.reason:
        return f"no test: {test.reason.partition(':')[0]}"
    p = number_format.p_value(test.p_value)
    text = f"{len(test.blocks)} datasets; Friedman p {p if p.startswith('<') else '= ' + p}"
    return f"{text}\nCD = {test.critical:.2f}" if np.isfinite(test.critical) else text
