"""Figure: the gap of every run with its interval, against the gaps under its null hypothesis."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures.style import BAND, COLOURS, Figure, canvas, shorten
from medaudit.report.studies.context import Context
from medaudit.report.studies.facts import headline_gaps
from medaudit.report.wording import nulls, number_format, terms


def gaps(context: Context) -> Figure:
    """Draw one panel per attribute and one row per run; grey: gaps when groups are permuted."""
    evidence = context.evidence
    rows = headline_gaps(context.facts, evidence.headline, evidence.gap)
    rows = rows[rows["cohort"] == context.cohort]
    runs = rows[["model", "method"]].drop_duplicates().reset_index(drop=True)
    attributes = [name for name in evidence.attributes if name in set(rows["attribute"])]
    name = terms.measure(evidence.headline)
    title = f"{terms.first_upper(terms.gap(evidence.gap))} in {name} on {context.cohort}"
    width = max(7.0, 2.4 + 2.7 * len(attributes))
    figure, part = canvas(width, 1.55 + 0.24 * len(runs), title, context.notes)
    panels = part.subplots(1, len(attributes), sharey=True, sharex=True, squeeze=False)[0]
    for panel, attribute in zip(panels, attributes, strict=True):
        _panel(panel, rows[rows["attribute"] == attribute], runs, 1 - evidence.level)
        panel.set_title(f"by {terms.attribute(attribute)}")
        panel.set_xlabel(f"gap in {name}, {context.level} CI")
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    labels = [shorten(f"{run.model} / {run.method}", 34) for run in runs.itertuples()]
    said = nulls.hypothesis({"null": next(iter(rows["null"].dropna()), None)})
    margin = " Broken line: the margin declared before the run." if rows["margin"].any() else ""
    panels[0].set_yticks(range(len(runs)), labels)
    panels[0].set_ylim(len(runs) - 0.4, -0.6)
    panels[0].set_xlim(left=0)
    part.legend(handles=_handles(panels[0]), loc="outside lower center", ncols=4, fontsize=8)
    return Figure(
        f"gaps{context.suffix}",
        title,
        f"Grey band: 95 of 100 gaps under the hypothesis that {said}; the tick in it is their mean. "
        "Filled dot: the data contradict this, after adjusting for multiple testing. Open dot: no difference shown, "
        f"which is no proof of fairness, or no test (then there is no band).{margin}",
        f"For each of {len(runs)} runs the gap in {name} by {', '.join(attributes)} with its "
        "interval, over a grey band of gaps when groups are permuted. The numbers are in the table "
        "'Fairness'.",
        rows.drop(columns="measure"),
        figure,
    )


def _panel(panel: Axes, rows: pd.DataFrame, runs: pd.DataFrame, alpha: float) -> None:
    places = {key: k for k, key in enumerate(runs.itertuples(index=False, name=None))}
    y = np.array([places[key] for key in zip(rows["model"], rows["method"], strict=True)])
    value, low, high, mean, top, p = (
        rows[c].to_numpy(float)
        for c in ("value", "low", "high", "null_mean", "null_q95", "p_adjusted")
    )
    for margin in rows["margin"].dropna().unique():
        panel.axvline(margin, color=COLOURS[1], lw=1.2, ls="--", zorder=2)
    panel.barh(y, top, height=0.72, color=BAND, zorder=1)
    panel.vlines(mean, y - 0.36, y + 0.36, color="#777777", lw=1, zorder=2)
    panel.hlines(y, low, high, color=COLOURS[0], lw=1.5, zorder=3)
    clear = p <= alpha
    for filled in (True, False):
        kept = clear == filled
        face = COLOURS[1] if filled else "white"
        edge = COLOURS[1] if filled else COLOURS[0]
        panel.plot(value[kept], y[kept], "o", mfc=face, mec=edge, mew=1.3, ms=5.5, zorder=4)
    for place, status in zip(y[np.isnan(value)], rows["status"][np.isnan(value)], strict=True):
        panel.annotate(
            f"not estimable: {number_format.reason(status)}",
            (0.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
        )
    panel.grid(axis="y", visible=False)


def _handles(panel: Axes) -> list:
    return [
        panel.plot([], [], "o", mfc=face, mec=edge, ls="", ms=5.5, mew=1.3, label=label)[0]
        for face, edge, label in (
            (COLOURS[1], COLOURS[1], "difference shown"),
            ("white", COLOURS[0], "not shown, or not tested"),
        )
    ] + [
        panel.plot([], [], "s", color=BAND, label="null: 95 of 100", ls="", ms=9)[0],
        panel.plot([], [], "|", color="#777777", label="null: mean", ls="", ms=9)[0],
    ]
