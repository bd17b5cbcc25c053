"""The claims of "How fair are medical imaging foundation models?", tested on a study's runs.

Each claim is a paired difference over the same patients: medical minus natural pretraining, masked
minus contrastive pretraining, balanced minus unbalanced fine-tuning, women minus men.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import pandas as pd

from medaudit.core.intersections import SEPARATOR
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.contrasts import (
    Estimate,
    Quantities,
    Run,
    difference_of_means,
    mean,
    shared_groups,
    summarise,
)
from medaudit.report.studies.evidence import Evidence, ordered
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.multiple_testing import adjust_families
from medaudit.report.verdicts import judge_difference

Cell = tuple[str, str, str]
"""Architecture family, pretraining objective and domain of a model."""

DOMAIN, OBJECTIVE, BALANCE, SEX = "domain", "objective", "balance", "sex"
FIRST = {
    DOMAIN: ("medical", "natural"),
    OBJECTIVE: ("masked", "contrastive"),
    BALANCE: ("balanced", "unbalanced"),
    SEX: ("female", "male"),
}
"""Claim to what it compares: the first minus the second."""

MEASURE, POINTS = "auc", 100.0
POOLED, SINGLE = "mean over pairs", "single pairs"
COLUMNS = [
    *("claim", "cohort", "against_cohort", "part", "family", "quantity", "attribute", "first"),
    *("second", "n_pairs", "value", "low", "high", "status", "p_value", "p_adjusted"),
    *("family_size", "verdict"),
]


@dataclass(frozen=True)
class Pair:
    """Two sets of runs to compare.

    Parameters
    ----------
    part : str
        What both have in common, for a reader.
    first, second : tuple of tuple
        Runs (cohort, model, method).
    confounded : bool
        True if they differ in more than the claim: the pair is left out of the mean over pairs.
    """

    part: str
    first: tuple[Run, ...]
    second: tuple[Run, ...]
    confounded: bool = False


def find_claims(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return every claim by cohort, quantity and pair, the mean over pairs first.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: the difference in percentage points with its interval; ``p_value``, two-sided
        from the paired draws; ``p_adjusted`` by Holm over the ``family``, which is all means over
        pairs of the study (`POOLED`) or the single pairs of one claim on one cohort; ``verdict``
        (`medaudit.report.verdicts.judge_difference`).
    """
    rows = []
    method = how_fair_models.main_method(evidence, extras)
    if MEASURE in evidence.measures and method:
        quantities = Quantities(evidence, MEASURE)
        for cohort in how_fair_models.own_cohorts(evidence):
            for claim, pairs in _pairs(evidence, extras, cohort, method):
                sides = _sides(claim, pairs, extras, evidence)
                head = {"claim": claim, "cohort": cohort, **sides}
                rows += _rows(head, pairs, quantities, evidence)
    frame = adjust_families(pd.DataFrame(rows, columns=COLUMNS), ["family"])
    alpha = 1 - evidence.level
    return frame.assign(verdict=[judge_difference(row, alpha) for row in frame.to_dict("records")])


def _pairs(
    evidence: Evidence, extras: Extras, cohort: str, method: str
) -> Iterator[tuple[str, list[Pair]]]:
    """Yield (claim, pairs) of a cohort."""
    models = how_fair_models.own_models(evidence, extras, cohort)
    runs: dict[str, Run] = {name: (cohort, name, method) for name in models}
    yield DOMAIN, _by_domain(extras, runs)
    yield OBJECTIVE, _by_objective(extras, runs)
    for plain, balanced in how_fair_models.balanced_pairs(evidence):
        if plain == cohort:
            yield from _by_balance(evidence, extras, (plain, balanced), method)
    yield SEX, [Pair(name, (run,), (run,)) for name, run in runs.items()]


def _by_balance(
    evidence: Evidence, extras: Extras, cohorts: tuple[str, str], method: str
) -> Iterator[tuple[str, list[Pair]]]:
    """Yield balanced against unbalanced training, of equal size where the study has that too.

    Less training data alone changes AUC and gaps, so the sizes are part of the names.
    """
    plain, balanced = cohorts
    for other in filter(None, (how_fair_models.same_size_as(evidence, plain), plain)):
        trained = [how_fair_models.own_models(evidence, extras, name) for name in (other, balanced)]
        both = [name for name in trained[0] if name in trained[1]]
        if both:
            pairs = [Pair(n, ((balanced, n, method),), ((other, n, method),)) for n in both]
            yield BALANCE, pairs
            return


def _by_domain(extras: Extras, runs: dict[str, Run]) -> list[Pair]:
    cells = _cells(extras, runs)
    pairs = []
    for family in ordered(key[0] for key in cells):
        objectives = [
            name
            for name in how_fair_models.OBJECTIVES
            if all((family, name, domain) in cells for domain in FIRST[DOMAIN])
        ]
        for name in objectives:
            medical, natural = (cells[family, name, domain] for domain in FIRST[DOMAIN])
            pairs.append(Pair(f"{family}, {name}", medical, natural))
        if not objectives:
            pairs += _confounded_pair(family, cells)
    return pairs


def _confounded_pair(family: str, cells: dict[Cell, tuple[Run, ...]]) -> list[Pair]:
    """Return medical against natural models of a family that has no objective in common."""
    medical, natural = (
        {key[1]: runs for key, runs in cells.items() if key[::2] == (family, domain)}
        for domain in FIRST[DOMAIN]
    )
    if not medical or not natural:
        return []
    part = f"{family}, {' and '.join(medical)} (medical) against {' and '.join(natural)} (natural)"
    first, second = (
        tuple(run for runs in side.values() for run in runs) for side in (medical, natural)
    )
    return [Pair(part, first, second, confounded=True)]


def _by_objective(extras: Extras, runs: dict[str, Run]) -> list[Pair]:
    cells = _cells(extras, runs)
    pairs = []
    for family, domain in product(ordered(key[0] for key in cells), ("natural", "medical")):
        keys = [(family, name, domain) for name in FIRST[OBJECTIVE]]
        if all(key in cells for key in keys):
            sides = cells[keys[0]], cells[keys[1]]
            models = [model for side in sides for _, model, _ in side]
            pairs.append(Pair(f"{family}, {_images(domain, models, extras)}", *sides))
    return pairs


def _cells(extras: Extras, runs: dict[str, Run]) -> dict[Cell, tuple[Run, ...]]:
    """Return the runs of each cell; several models of one cell are averaged."""
    cells: dict[Cell, tuple[Run, ...]] = {}
    for name, run in runs.items():
        key = (
            how_fair_models.family(extras, name),
            how_fair_models.objective(extras, name),
            how_fair_models.domain(extras, name),
        )
        cells[key] = (*cells.get(key, ()), run)
    return cells


def _sides(claim: str, pairs: list[Pair], extras: Extras, evidence: Evidence) -> dict[str, str]:
    """Return the names of the two sides."""
    first, second = FIRST[claim]
    models = [model for pair in pairs for _, model, _ in pair.second]
    if claim == DOMAIN:
        second = _images(second, models, extras)
    if claim == BALANCE and pairs:
        first = _with_size(first, pairs[0].first, evidence)
        second = _with_size(second, pairs[0].second, evidence)
    return {"first": first, "second": second}


def _with_size(name: str, runs: tuple[Run, ...], evidence: Evidence) -> str:
    """Return the name of a training set with its number of images, if that is known."""
    images = how_fair_models.training_images(evidence.cards[runs[0][0]])
    return name if images is None else f"{name} ({images:,} training images)"


def _images(domain: str, models: list[str], extras: Extras) -> str:
    """Return the domain of the models' pretraining, told apart from procedural images."""
    procedural = [how_fair_models.is_procedural(extras, model) for model in models]
    if not any(procedural):
        return domain
    return "procedural" if all(procedural) else f"{domain} or procedural"


def _rows(head: dict, pairs: list[Pair], quantities: Quantities, evidence: Evidence) -> list[dict]:
    if not pairs:
        return []
    against = pairs[0].first[0][0]
    alike = [pair for pair in pairs if not pair.confounded]
    name = f"mean over {len(alike)} pairs" if len(alike) > 1 else "".join(p.part for p in alike)
    singly = f"{SINGLE}, {head['first']} minus {head['second']} on {head['cohort']}"
    singles, rows = [], []
    for quantity, attribute, contrasts in _contrasts(head["claim"], pairs, quantities, evidence):
        shared = {**head, "against_cohort": against}
        shared |= {"quantity": quantity, "attribute": attribute}
        found = dict(zip(pairs, contrasts, strict=True))
        if alike:
            pooled = summarise(mean([found[pair] for pair in alike]), quantities.level, POINTS)
            row = {**shared, "part": name, "family": POOLED, "n_pairs": len(alike)}
            rows.append(row | pooled)
        singles += [
            {**shared, "part": pair.part, "family": singly, "n_pairs": 1}
            | summarise(part, quantities.level, POINTS)
            for pair, part in found.items()
            if len(alike) > 1 or pair.confounded
        ]
    return rows + singles


def _contrasts(
    claim: str, pairs: list[Pair], quantities: Quantities, evidence: Evidence
) -> Iterator[tuple[str, str, list[Estimate]]]:
    """Yield (quantity, attribute, one contrast per pair); the claim on sex has only AUC."""
    if claim == SEX:
        sides = [
            [quantities.value(pair.first[0], SEX, name) for name in FIRST[SEX]] for pair in pairs
        ]
        if any(part.status != "missing" for side in sides for part in side):
            yield "AUC", SEX, [difference_of_means([a], [b]) for a, b in sides]
        return
    yield "AUC", "all", [_contrast(pair, quantities.value) for pair in pairs]
    for attribute in (name for name in evidence.attributes if SEPARATOR not in name):
        found = [_gap_contrast(pair, quantities, attribute) for pair in pairs]
        yield f"gap by {attribute.replace('_', ' ')}", attribute, found


def _gap_contrast(pair: Pair, quantities: Quantities, attribute: str) -> Estimate:
    groups = shared_groups(quantities, [*pair.first, *pair.second], attribute)
    return _contrast(pair, lambda run: quantities.gap(run, attribute, groups))


def _contrast(pair: Pair, measure: Callable[[Run], Estimate]) -> Estimate:
    first, second = ([measure(run) for run in side] for side in (pair.first, pair.second))
    return difference_of_means(first, second)
