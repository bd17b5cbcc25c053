"""Figures: how well and how fair foundation models are, by how they were pretrained."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures.style import COLOURS, Figure, canvas, shorten
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.wording import terms

MEASURE, POINTS = "auc", 100
TONES = {
    "none": "#6E6E6E",
    "natural": COLOURS[0],
    "procedural": COLOURS[5],
    "medical": COLOURS[1],
    how_fair_models.UNKNOWN: "#000000",
}
SHAPES = {
    "none": "X",
    "masked": "o",
    "contrastive": "s",
    "supervised": "^",
    "image_text": "D",
    how_fair_models.UNKNOWN: "v",
}
NUMBERS = ("value", "low", "high")
ROW = 0.27
"""Height of a model's row in inches."""


def performance_fairness(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw AUC and the fairness score by each attribute; a panel row an architecture family."""
    rows = fairness_rows(evidence, facts, extras, [cohort])
    if rows["model"].nunique() < 2:
        return None
    quantities = list(rows["quantity"].unique())
    title = f"How well and how fair, by pretraining, on {cohort}"
    figure, part, panels = family_grid(rows, quantities, title, notes)
    for line, (_, own) in zip(panels, rows.groupby("family", sort=False), strict=True):
        for panel, quantity in zip(line, quantities, strict=True):
            kept = own[own["quantity"] == quantity]
            scratch = kept.loc[kept["images"] == "none", "value"].dropna()
            for value in scratch:
                panel.axvline(value, color=TONES["none"], lw=1, ls="--", zorder=1)
            draw_models(panel, kept)
    line = {"color": TONES["none"], "lw": 1, "ls": "--", "label": "level of scratch"}
    scratch = "none" in set(rows["images"])
    legend(part, panels[0, 0], rows, panels[0, 0].plot([], [], **line) if scratch else ())
    return Figure(
        f"performance_fairness{suffix}",
        title,
        f"Trained by {how_fair_models.main_method(evidence, extras)}; right is better in every panel. "
        f"{score_caption(evidence)} Dashed: from scratch, of the same architecture family.",
        f"Dot plot of AUC and fairness scores with intervals for {rows['model'].nunique()} models.",
        rows,
        figure,
    )


def fairness_rows(
    evidence: Evidence, facts: pd.DataFrame, extras: Extras, cohorts: list[str]
) -> pd.DataFrame:
    """Return AUC and fairness scores of the study's own models that ran on all `cohorts`.

    The score of model i is max_j gap_j + 1 - gap_i in percentage points (Khan et al., equation 1),
    j over all rows of the attribute that are returned: it holds for this comparison alone.

    Returns
    -------
    pandas.DataFrame
        `RUN`, ``family``, ``objective``, ``images``, ``quantity``, ``attribute``, ``value``,
        ``low``, ``high`` (drawn), ``gap``, ``gap_low``, ``gap_high`` (empty for AUC), ``status``.
    """
    there = [how_fair_models.own_models(evidence, extras, name) for name in cohorts]
    order = [name for name in there[0] if all(name in other for other in there)]
    rows = facts[facts["measure"].eq(MEASURE) & facts["cohort"].isin(cohorts)]
    rows = rows[rows["method"].eq(how_fair_models.main_method(evidence, extras))]
    rows = rows[rows["model"].isin(order)]
    gaps = rows["kind"].eq("gap") & rows["gap"].eq("max_min") & rows["task"].ne("mean_of_gaps")
    gaps &= ~rows["attribute"].str.contains(" & ")
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
    """Return max_j gap_j + 1 - gap_i (Khan et al., equation 1); NaN where a gap is undefined.

    Parameters
    ----------
    gaps : numpy.ndarray
        In percentage points, shape (models,).
    """
    return (np.nanmax(gaps) if np.isfinite(gaps).any() else np.nan) + 1 - gaps


def family_grid(
    rows: pd.DataFrame, quantities: list[str], title: str, notes: list[str], each: float = ROW
) -> tuple:
    """Return canvas, drawing part and panels, families down and quantities across.

    Models are at 0, 1, ... from above in each panel, in the order of `rows`.
    """
    families = {
        name: list(part["model"].unique()) for name, part in rows.groupby("family", sort=False)
    }
    sizes = [len(models) + 0.6 for models in families.values()]
    height = 1.5 + sum(sizes) * each + 0.35 * len(sizes)
    figure, part = canvas(max(7.0, 1.9 + 2.5 * len(quantities)), height, title, notes)
    shape = (len(families), len(quantities))
    panels = part.subplots(*shape, sharex="col", squeeze=False, height_ratios=sizes)
    for line, (family, models) in zip(panels, families.items(), strict=True):
        for panel in line:
            panel.set_yticks(range(len(models)), [])
            panel.set_ylim(len(models) - 0.4, -0.6)
            panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            panel.tick_params(axis="y", length=0)
        line[0].set_yticks(range(len(models)), [shorten(name, 28) for name in models])
        if len(families) > 1:
            line[0].set_ylabel(family, fontweight="bold")
    for panel, quantity in zip(panels[0], quantities, strict=True):
        panel.set_title(terms.first_upper(quantity))
    for panel in panels[-1]:
        panel.set_xlabel("percentage points")
    return figure, part, panels


def draw_models(panel: Axes, rows: pd.DataFrame, shift: float = 0.0, filled: bool = True) -> None:
    """Draw the models of a panel, one row each, with their intervals."""
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


def legend(part: SubFigure, panel: Axes, rows: pd.DataFrame, more: Sequence = ()) -> None:
    """Say what colours and shapes mean, for those that are drawn; then what `more` handles do."""
    handles = [
        panel.plot([], [], "s", color=tone, ms=8, label=_domain_text(name))[0]
        for name, tone in TONES.items()
        if name in set(rows["images"])
    ]
    handles += [
        panel.plot([], [], shape, mfc="white", mec="black", ms=6, label=name.replace("_", "-"))[0]
        for name, shape in SHAPES.items()
        if name in set(rows["objective"]) and name != "none"
    ]
    part.legend(handles=[*handles, *more], loc="outside lower center", ncols=4, fontsize=8)


def score_caption(evidence: Evidence) -> str:
    """Say what a fairness score is."""
    return (
        "Fairness score: the largest gap among the rows drawn, plus 1, less the model's own gap (largest "
        "less smallest AUC of the groups' means over tasks), so it holds for this picture alone; the "
        f"gaps stand in its data. Whiskers: {evidence.level * 100:g} % intervals of AUC and gap, the "
        "largest gap taken as fixed."
    )


def image_source(extras: Extras, model: str) -> str:
    """Return what a model was pretrained on, as coloured: a domain, or ``procedural``."""
    procedural = how_fair_models.is_procedural(extras, model)
    return "procedural" if procedural else how_fair_models.domain(extras, model)


def _domain_text(name: str) -> str:
    return {"none": "from scratch"}.get(name, f"{name} images")
