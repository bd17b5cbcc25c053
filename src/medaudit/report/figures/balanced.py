"""Figure: balanced against unbalanced fine-tuning of the same models."""

from medaudit.report.figures.performance_fairness import (
    draw_models,
    fairness_rows,
    family_grid,
    score_caption,
)
from medaudit.report.figures.pretraining_style import pretraining_legend
from medaudit.report.figures.style import Figure
from medaudit.report.studies.context import Context
from medaudit.report.studies.how_fair_models import (
    balanced_pairs,
    main_method,
    same_size_as,
    training_images,
)

EACH = 0.42
"""Height of a model's row in inches."""


def balanced(context: Context) -> Figure | None:
    """Draw AUC and fairness of each model, trained unbalanced (hollow) and balanced (filled).

    None unless the cohort is the unbalanced one of two with the same test set.
    """
    evidence, cohort = context.evidence, context.cohort
    partner = next((other for plain, other in balanced_pairs(evidence) if plain == cohort), None)
    if partner is None:
        return None
    plain = same_size_as(evidence, cohort) or cohort
    rows = fairness_rows(context, [plain, partner])
    if rows.empty:
        return None
    quantities = list(rows["quantity"].unique())
    title = "Balanced against unbalanced fine-tuning"
    figure, part, panels = family_grid(rows, quantities, title, context, EACH)
    for line, (_, own) in zip(panels, rows.groupby("family", sort=False), strict=True):
        for panel, quantity in zip(line, quantities, strict=True):
            for name, shift, filled in ((plain, -0.17, False), (partner, 0.17, True)):
                kept = own[own["quantity"].eq(quantity) & own["cohort"].eq(name)]
                draw_models(panel, kept, shift, filled)
    first = panels[0, 0]
    trained = [
        first.plot([], [], "o", mfc=face, mec="black", ms=6, label=label)[0]
        for face, label in (("white", "unbalanced (hollow)"), ("black", "balanced (filled)"))
    ]
    pretraining_legend(part, first, rows, trained)
    return Figure(
        f"balanced{context.suffix}",
        title,
        f"Hollow, above: trained on {_trained_on(context, plain)}. Filled, below: trained on "
        f"{_trained_on(context, partner)}, which is balanced. Both are trained with {main_method(evidence, context.extras)} and "
        f"tested on the same images; further right is better. {score_caption(context)} Paired "
        "differences are in the table 'Claims of the paper on these runs'.",
        "Dot plot of AUC and fairness scores with intervals, two for each of "
        f"{rows['model'].nunique()} models.",
        rows,
        figure,
    )


def _trained_on(context: Context, cohort: str) -> str:
    """Return a cohort's name and its number of training images, if that is known."""
    images = training_images(context.evidence.cards[cohort])
    name = context.names.cohort(cohort)
    return name if images is None else f"{name} ({images:,} images)"
