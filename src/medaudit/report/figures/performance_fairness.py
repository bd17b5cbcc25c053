"""Figure: performance and fairness of foundation models, by pretraining."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from medaudit.core.intersections import SEPARATOR
from medaudit.report.figures import fitting
from medaudit.report.figures.pretraining_style import (
    MEASURE,
    SHAPES,
    TONES,
    image_source,
    pretraining_legend,
)
from medaudit.report.figures.style import Figure, canvas
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN
from medaudit.report.wording import terms

POINTS = 100
NUMBERS = ("value", "low", "high")
ROW = 0.3
"""Height of a model's row in inches."""


def performance_fairness(context: Context) -> Figure | None:
    """Draw AUC and the fairness score by attribute, one row of panels per architecture family."""
    rows = fairness_rows(context, [context.cohort])
    if rows["model"].nunique() < 2:
        return None
    quantities = list(rows["quantity"].unique())
    title = f"Performance and fairness by pretraining on {context.place}"
    figure, part, panels = family_grid(rows, quantities, title, context)
    for line, (_, own) in zip(panels, rows.groupby("family", sort=False), strict=True):
        for panel, quantity in zip(line, quantities, strict=True):
            kept = own[own["quantity"] == quantity]
            scratch = kept.loc[kept["images"] == "none", "value"].dropna()
            for value in scratch:
                panel.axvline(value, color=TONES["none"], lw=1, ls="--", zorder=1)
            draw_models(panel, kept)
    first, scratch = panels[0, 0], "none" in set(rows["images"])
    line = first.plot([], [], color=TONES["none"], lw=1, ls="--", label="level from scratch")
    pretraining_legend(part, first, rows, line if scratch else ())
    method = how_fair_models.main_method(context.evidence, context.extras)
    return Figure(
        f"performance_fairness{context.suffix}",
        title,
        f"Trained with {method}; further right is better in every panel. {score_caption(context)} "
        "Dashed line: a model of the same architecture family trained from scratch.",
        f"Dot plot of AUC and fairness scores with intervals for {rows['model'].nunique()} models.",
        rows,
        figure,
    )


def fairness_rows(context: Context, cohorts: list[str]) -> pd.DataFrame:
    """Return AUC and fairness scores of the main models that ran on all `cohorts`.

    The score of model i is max_j gap_j + 1 - gap_i in percentage points (Khan et al., equation 1),
    with j over all rows of the attribute that are returned: it is valid only for this comparison.

    Returns
    -------
    pandas.DataFrame
        `RUN`, ``family``, ``objective``, ``images``, ``quantity``, ``attribute``, ``value``,
        ``low``, ``high`` (drawn), ``gap``, ``gap_low``, ``gap_high`` (empty for AUC), ``status``.
    """
    evidence, facts, extras = context.evidence, context.facts, context.extras
    each = [how_fair_models.own_models(evidence, extras, name) for name in cohorts]
    order = [name for name in each[0] if all(name in other for other in each)]
    rows = facts[facts["measure"].eq(MEASURE) & facts["cohort"].isin(cohorts)]
    rows = rows[rows["method"].eq(how_fair_models.main_method(evidence, extras))]
    rows = rows[rows["model"].isin(order)]
    gaps = rows["kind"].eq("gap") & rows["gap"].eq("max_min") & rows["task"].ne("mean_of_gaps")
    gaps &= ~rows["attribute"].str.contains(SEPARATOR)
    rows = rows[rows["kind"].eq("performance") | gaps]
    found = [_score(part) for _, part in rows.groupby("attribute", sort=False)]
    frame = pd.concat(found) if found else rows
    frame = frame.assign(
        family=[how_fair_models.family(extras, name) for name in frame["model"]],
        objective=[how_fair_models.objective(extras, name) for name in frame["model"]],
        images=[image_source(extras, name) for name in frame["model"]],
        place=frame["model"].map({name: k for k, name in enumerate(order)}),
        column=frame["attribute"].map({a: k for k, a in enumerate(["all", *evidence.attributes])}),
        which=frame["cohort"].map({name: k for k, name in enumerate(cohorts)}),
    ).sort_values(["column", "place", "which"], kind="stable")
    keep = [*RUN, "family", "objective", "images", "quantity", "attribute", *NUMBERS]
    keep += ["gap", "gap_low", "gap_high", "status"]
    return frame.reindex(columns=keep).reset_index(drop=True)


def _score(rows: pd.DataFrame) -> pd.DataFrame:
    attribute = rows["attribute"].iloc[0]
    value, low, high = (rows[name].to_numpy(float) * POINTS for name in NUMBERS)
    if rows["kind"].iloc[0] == "performance":
        empty = dict.fromkeys(("gap", "gap_low", "gap_high"), np.nan)
        return rows.assign(quantity="AUC", value=value, low=low, high=high, **empty)
    scores = fairness_score(value)
    return rows.assign(
        quantity=f"fairness by {terms.attribute(attribute)}",
        **{"gap": value, "gap_low": low, "gap_high": high},
        value=scores,
        low=scores + value - high,
        high=scores + value - low,
    )


def fairness_score(gaps: np.ndarray) -> np.ndarray:
    """Return max_j gap_j + 1 - gap_i (Khan et al., equation 1); NaN if a gap is undefined.

    Parameters
    ----------
    gaps : numpy.ndarray
        In percentage points, shape (models,).
    """
    return (np.nanmax(gaps) if np.isfinite(gaps).any() else np.nan) + 1 - gaps


def family_grid(
    rows: pd.DataFrame, quantities: list[str], title: str, context: Context, each: float = ROW
) -> tuple[Canvas, SubFigure, np.ndarray]:
    """Return canvas, drawing part and panels: one row per family, one column per quantity.

    In each panel, the models are at 0, 1, ... from the top, in the order of `rows`; `each` is the
    height of a model's row in inches.
    """
    families = {
        name: list(part["model"].unique()) for name, part in rows.groupby("family", sort=False)
    }
    sizes = [len(models) + 0.6 for models in families.values()]
    height = 1.1 + sum(sizes) * each + 0.35 * len(sizes)
    figure, part = canvas(max(7.0, 2.3 + 2.5 * len(quantities)), height, title, context.face)
    shape = (len(families), len(quantities))
    panels = part.subplots(*shape, sharex="col", squeeze=False, height_ratios=sizes)
    for line, (family, models) in zip(panels, families.items(), strict=True):
        for panel in line:
            panel.set_yticks(range(len(models)), [])
            panel.set_ylim(len(models) - 0.4, -0.6)
            panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            panel.tick_params(axis="y", length=0)
        shown = fitting.labels(map(context.names.model, models), 2.1, 8)
        line[0].set_yticks(range(len(models)), shown, fontsize=8)
        if len(families) > 1:
            line[0].set_ylabel(family, fontweight="bold")
    for panel, quantity in zip(panels[0], quantities, strict=True):
        panel.set_title(fitting.label(terms.first_upper(quantity), 2.3, 10))
    for panel in panels[-1]:
        panel.set_xlabel("percentage points")
    return figure, part, panels


def draw_models(panel: Axes, rows: pd.DataFrame, shift: float = 0.0, filled: bool = True) -> None:
    """Draw the models of a panel with their intervals, one row per model."""
    for y, row in enumerate(rows.itertuples()):
        tone = TONES[row.images]
        if np.isnan(row.value):
            where = panel.get_yaxis_transform()
            panel.text(0.02, y + shift, "not estimable", transform=where, va="center", size=7)
            continue
        panel.hlines(y + shift, row.low, row.high, color=tone, lw=1.4, zorder=2)
        face = tone if filled else "white"
        shape = SHAPES[row.objective]
        panel.plot(row.value, y + shift, shape, mfc=face, mec=tone, mew=1.2, ms=6, zorder=3)


def score_caption(context: Context) -> str:
    """Return the part of a caption that explains the fairness score."""
    return (
        "Fairness score: the largest gap in this figure plus 1, minus the model's own gap (largest "
        "minus smallest AUC of the groups, each a mean over tasks). It is valid only for this "
        f"figure; the gaps are in its data. Whiskers: {context.level} confidence intervals of AUC "
        "and gap, with the largest gap taken as fixed."
    )
