"""Figure: the gap of every run with its interval, against the gaps under its null hypothesis."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures import fitting
from medaudit.report.figures.style import BAND, COLOURS, Figure, canvas
from medaudit.report.figures.verdict_marks import FACES, PLAIN, verdict_handles, verdicts_of
from medaudit.report.studies.context import Context
from medaudit.report.studies.facts import headline_gaps
from medaudit.report.wording import nulls, number_format, terms

ACROSS = 4
"""Panels per row."""
EACH = 0.32
"""Height of a run's row in inches: its label may have two lines."""


def gaps(context: Context) -> Figure:
    """Draw one panel per attribute and one row per run; grey: gaps when groups are permuted."""
    evidence = context.evidence
    rows = headline_gaps(context.facts, evidence.headline, evidence.gap)
    rows = rows[rows["cohort"] == context.cohort]
    runs = rows[["model", "method"]].drop_duplicates().reset_index(drop=True)
    attributes = [name for name in evidence.attributes if name in set(rows["attribute"])]
    name = terms.measure(evidence.headline)
    title = f"{terms.first_upper(terms.gap(evidence.gap))} in {name} on {context.place}"
    down, across = -(-len(attributes) // ACROSS), min(len(attributes), ACROSS)
    width = max(7.0, 3.0 + 2.5 * across)
    height = 0.5 + down * (1.2 + EACH * max(len(runs), 2))
    figure, part = canvas(width, height, title, context.face)
    panels = part.subplots(down, across, sharey=True, sharex=True, squeeze=False).ravel()
    rows = rows.assign(verdict=verdicts_of(rows, round(1 - evidence.level, 9)))
    for panel, attribute in zip(panels, attributes, strict=False):
        _panel(panel, rows[rows["attribute"] == attribute], runs)
        panel.set_title("by " + fitting.label(terms.attribute(attribute), 2.0, 10))
        panel.set_xlabel(f"gap in {name},\n{context.level} CI")
        panel.tick_params(labelbottom=True)
        panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for panel in panels[len(attributes) :]:
        panel.remove()
    labels = fitting.labels(map(context.names.run, runs.to_dict("records")), 1.6, 8)
    said = nulls.hypothesis({"null": next(iter(rows["null"].dropna()), None)})
    margin = " Broken line: the margin declared before the run." if rows["margin"].any() else ""
    panels[0].set_yticks(range(len(runs)), labels, fontsize=8)
    panels[0].set_ylim(len(runs) - 0.4, -0.6)
    panels[0].set_xlim(left=min(0, panels[0].get_xlim()[0]) if rows["low"].min() < 0 else 0)
    fitting.legend(part, [*verdict_handles(panels[0], rows["verdict"]), *_handles(panels[0])])
    return Figure(
        f"gaps{context.suffix}",
        title,
        f"Grey band: 95 of 100 gaps under the hypothesis that {said}; the tick in it is their mean. "
        "Filled dot: the data contradict this, after adjusting for multiple testing; half filled: "
        "only before adjusting. Open dot: no difference shown, which is no proof of fairness. "
        f"Diamond: not tested, so there is no band.{margin}",
        f"For each of {len(runs)} runs the gap in {name} by {', '.join(attributes)} with its "
        "interval, over a grey band of gaps when groups are permuted. The numbers are in the table "
        "'Fairness'.",
        rows.drop(columns="measure").astype({"verdict": str}),
        figure,
    )


def _panel(panel: Axes, rows: pd.DataFrame, runs: pd.DataFrame) -> None:
    places = {key: k for k, key in enumerate(runs.itertuples(index=False, name=None))}
    y = np.array([places[key] for key in zip(rows["model"], rows["method"], strict=True)])
    value, low, high, mean, top = (
        rows[c].to_numpy(float) for c in ("value", "low", "high", "null_mean", "null_q95")
    )
    for margin in rows["margin"].dropna().unique():
        panel.axvline(margin, color=COLOURS[1], lw=1.2, ls="--", zorder=2)
    panel.barh(y, top, height=0.72, color=BAND, zorder=1)
    panel.vlines(mean, y - 0.36, y + 0.36, color="#777777", lw=1, zorder=2)
    panel.hlines(y, low, high, color=PLAIN, lw=1.5, zorder=3)
    for verdict, face in FACES.items():
        kept = rows["verdict"].eq(verdict).to_numpy()
        if kept.any():  # to the layout, an empty line without clipping is at the figure's corner
            panel.plot(
                value[kept], y[kept], ls="", mew=1.3, ms=5.5, zorder=4, clip_on=False, **face
            )
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
    band = panel.plot([], [], "s", color=BAND, label="null: 95 of 100", ls="", ms=9)[0]
    return [band, panel.plot([], [], "|", color="#777777", label="null: mean", ls="", ms=9)[0]]
