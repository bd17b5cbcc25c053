"""The claims of "How fair are medical imaging foundation models?", tested on a study's runs.

Each is a difference over the same patients: medical less natural pretraining, masked less
contrastive, balanced less unbalanced fine-tuning, women less men.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from medaudit.report.studies import how_fair_models as f
from medaudit.report.studies.contrasts import (
    Estimate,
    Quantities,
    Run,
    less,
    mean,
    shared_groups,
    summarise,
)
from medaudit.report.studies.evidence import Evidence, ordered
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.multiple_testing import holm

DOMAIN, OBJECTIVE, BALANCE, SEX = "domain", "objective", "balance", "sex"
FIRST = {
    DOMAIN: ("medical", "natural"),
    OBJECTIVE: ("masked", "contrastive"),
    BALANCE: ("balanced", "unbalanced"),
    SEX: ("female", "male"),
}
"""What is compared with what: the first less the second."""

MEASURE, POINTS = "auc", 100.0
POOLED, SINGLE = "mean over pairs", "single pairs"
SHOWN, HINT, NOT_SHOWN, UNKNOWN = "shown", "a hint", "no difference shown", "not estimable"
COLUMNS = ("claim", "cohort", "against_cohort", "part", "family", "quantity", "attribute", "first")
COLUMNS += ("second", "n_pairs", "value", "low", "high", "status", "p_value", "p_adjusted")
COLUMNS += ("family_size", "verdict")


@dataclass(frozen=True)
class Pair:
    """Two sets of runs that differ in one thing; `alone` where they differ in more.

    Parameters
    ----------
    part : str
        What both have in common, for a reader.
    first, second : tuple of tuple
        Runs (cohort, model, method).
    alone : bool
        True keeps it out of the mean over pairs.
    """

    part: str
    first: tuple[Run, ...]
    second: tuple[Run, ...]
    alone: bool = False


def find_claims(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return every claim by cohort, quantity and pair, the mean over pairs first.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: the difference in percentage points with its interval; ``p_value`` two-sided
        from the paired draws, ``p_adjusted`` by Holm over the ``family``: all means over pairs of
        the study (`POOLED`), or the single pairs of one claim on one cohort. ``verdict``: `SHOWN` after Holm, `HINT` where the interval
        alone excludes 0, else `NOT_SHOWN`.
    """
    rows = []
    if MEASURE in evidence.measures and f.main_method(evidence, extras):
        quantities = Quantities(evidence, MEASURE)
        for cohort in f.own_cohorts(evidence):
            models = f.own_models(evidence, extras, cohort)
            for claim, pairs in _pairs(evidence, extras, cohort, models):
                head = {"claim": claim, "cohort": cohort, **_sides(claim, pairs, extras)}
                rows += _rows(head, pairs, quantities, evidence)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for _, part in frame[frame["p_value"].notna()].groupby("family"):
        frame.loc[part.index, "p_adjusted"] = holm(part["p_value"].to_numpy(float))
        frame.loc[part.index, "family_size"] = len(part)
    verdicts = [judge(row, 1 - evidence.level) for row in frame.to_dict("records")]
    return frame.assign(verdict=verdicts, family_size=frame["family_size"].astype("Int64"))


def judge(row: dict, alpha: float) -> str:
    """Return the verdict on a difference: `SHOWN`, `HINT`, `NOT_SHOWN` or `UNKNOWN`."""
    if not np.isfinite([row["value"], row["low"], row["high"]]).all():
        return UNKNOWN
    if row["low"] <= 0 <= row["high"]:
        return NOT_SHOWN
    return SHOWN if row["p_adjusted"] <= round(alpha, 9) else HINT


def _pairs(evidence: Evidence, extras: Extras, cohort: str, models: list[str]):
    """Give (claim, pairs) of a cohort."""
    method = f.main_method(evidence, extras)
    runs = {name: (cohort, name, method) for name in models}
    yield DOMAIN, _by_domain(extras, runs)
    yield OBJECTIVE, _by_objective(extras, runs)
    for plain, balanced in f.balanced_pairs(evidence):
        both = [m for m in models if m in f.own_models(evidence, extras, balanced)]
        if plain == cohort and both:
            yield (
                BALANCE,
                [Pair(name, ((balanced, name, method),), (runs[name],)) for name in both],
            )
    yield SEX, [Pair(name, (run,), (run,)) for name, run in runs.items()]


def _by_domain(extras: Extras, runs: dict[str, Run]) -> list[Pair]:
    cells = _cells(extras, runs)
    pairs = []
    for family in ordered(key[0] for key in cells):
        objectives = [
            name for name in f.OBJECTIVES if all((family, name, d) in cells for d in FIRST[DOMAIN])
        ]
        pairs += [
            Pair(f"{family}, {name}", *(cells[family, name, domain] for domain in FIRST[DOMAIN]))
            for name in objectives
        ]
        if objectives:
            continue
        sides = [
            [
                (key[1], run)
                for key, part in cells.items()
                for run in part
                if key[::2] == (family, d)
            ]
            for d in FIRST[DOMAIN]
        ]
        if all(sides):
            said = [" and ".join(ordered(name for name, _ in side)) for side in sides]
            text = f"{family}, {said[0]} (medical) against {said[1]} (natural)"
            pairs.append(Pair(text, *(tuple(run for _, run in side) for side in sides), alone=True))
    return pairs


def _by_objective(extras: Extras, runs: dict[str, Run]) -> list[Pair]:
    cells = _cells(extras, runs)
    places = product(ordered(key[0] for key in cells), ("natural", "medical"))
    return [
        Pair(f"{family}, {domain}", *(cells[family, name, domain] for name in FIRST[OBJECTIVE]))
        for family, domain in places
        if all((family, name, domain) in cells for name in FIRST[OBJECTIVE])
    ]


def _cells(extras: Extras, runs: dict[str, Run]) -> dict[tuple[str, str, str], tuple[Run, ...]]:
    """Return the runs by (family, objective, domain); several models of a cell are averaged."""
    cells: dict[tuple[str, str, str], tuple[Run, ...]] = {}
    for name, run in runs.items():
        key = (f.family(extras, name), f.objective(extras, name), f.domain(extras, name))
        cells[key] = (*cells.get(key, ()), run)
    return cells


def _sides(claim: str, pairs: list[Pair], extras: Extras) -> dict:
    """Name what is compared; images drawn by rules must not be called natural."""
    first, second = FIRST[claim]
    runs = [run for pair in pairs for run in pair.second]
    if claim == DOMAIN and any(f.is_procedural(extras, model) for _, model, _ in runs):
        second = (
            "procedural"
            if all(f.is_procedural(extras, m) for _, m, _ in runs)
            else ("natural or procedural")
        )
    return {"first": first, "second": second}


def _rows(head: dict, pairs: list[Pair], quantities: Quantities, evidence: Evidence) -> list[dict]:
    if not pairs:
        return []
    against = pairs[0].first[0][0]
    alike = [pair for pair in pairs if not pair.alone]
    name = f"mean over {len(alike)} pairs" if len(alike) > 1 else "".join(p.part for p in alike)
    singly = f"{SINGLE}, {head['first']} less {head['second']} on {head['cohort']}"
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
            if len(alike) > 1 or pair.alone
        ]
    return rows + singles


def _contrasts(claim: str, pairs: list[Pair], quantities: Quantities, evidence: Evidence):
    """Give (quantity, attribute, one contrast a pair); only AUC where groups are compared."""
    if claim == SEX:
        sides = [
            [quantities.value(pair.first[0], SEX, name) for name in FIRST[SEX]] for pair in pairs
        ]
        if any(part.status != "missing" for side in sides for part in side):
            yield "AUC", SEX, [less([a], [b]) for a, b in sides]
        return
    yield "AUC", "all", [_apart(pair, quantities.value) for pair in pairs]
    for attribute in (name for name in evidence.attributes if " & " not in name):
        found = []
        for pair in pairs:
            groups = shared_groups(quantities, [*pair.first, *pair.second], attribute)
            found.append(_apart(pair, lambda run, a=attribute, g=groups: quantities.gap(run, a, g)))
        yield f"gap by {attribute.replace('_', ' ')}", attribute, found


def _apart(pair: Pair, measure) -> Estimate:
    return less([measure(run) for run in pair.first], [measure(run) for run in pair.second])
