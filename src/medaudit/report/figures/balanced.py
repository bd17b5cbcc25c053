"""Figure: what a balanced fine-tuning set changes, beside the unbalanced one."""

import pandas as pd

from medaudit.report.figures.foundations import (
    draw_models,
    fairness_rows,
    family_grid,
    legend,
    score_caption,
)
from medaudit.report.figures.style import Figure
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.how_fair_models import balanced_pairs, main_method

EACH = 0.42


def balanced(
    evidence: Evidence,
    facts: pd.DataFrame,
    extras: Extras,
    cohort: str,
    notes: list[str],
    suffix: str,
) -> Figure | None:
    """Draw AUC and fairness of each model, trained unbalanced (hollow) and balanced (filled).

    None unless `cohort` is the unbalanced one of two with the same test set.
    """
    partner = next((other for plain, other in balanced_pairs(evidence) if plain == cohort), None)
    if partner is None:
        return None
    rows = fairness_rows(evidence, facts, extras, [cohort, partner])
    if rows.empty:
        return None
    quantities = list(rows["quantity"].unique())
    title = "Balanced against unbalanced fine-tuning"
    figure, part, panels = family_grid(rows, quantities, title, notes, EACH)
    for line, (_, own) in zip(panels, rows.groupby("family", sort=False), strict=True):
        for panel, quantity in zip(line, quantities, strict=True):
            for name, shift, filled in ((cohort, -0.17, False), (partner, 0.17, True)):
                kept = own[own["quantity"].eq(quantity) & own["cohort"].eq(name)]
                draw_models(panel, kept, shift, filled)
    first = panels[0, 0]
    shared = {"ls": "", "mec": "black", "ms": 6}
    ways = [
        first.plot([], [], "o", mfc="white", label="unbalanced (hollow)", **shared)[0],
        first.plot([], [], "o", mfc="black", label="balanced (filled)", **shared)[0],
    ]
    legend(part, first, rows, ways)
    return Figure(
        f"balanced{suffix}",
        title,
        f"Hollow, above: trained on {cohort}. Filled, below: on {partner}, which is balanced and "
        f"smaller. Both are tested on the same images, by {main_method(evidence, extras)}; right is "
        f"better. {score_caption(evidence)} Paired differences are in the table of claims.",
        "Dot plot of AUC and fairness scores with intervals, two for each of "
        f"{rows['model'].nunique()} models.",
        rows,
        figure,
    )
