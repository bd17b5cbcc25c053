"""Audits simulated samples of a cell with the product's own functions, and counts what happens.

Counts are kept in a `collections.Counter` whose keys are texts with slashes, so that counts of
different chunks of samples add up and can be stored as JSON.
"""

import time
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from cells import Cell
from medaudit.audit.disparity import find_gaps
from medaudit.core.audit_tables import has_permutations
from medaudit.core.seeds import generator
from medaudit.metrics.group_audit import audit
from medaudit.metrics.sample import read_sample
from medaudit.plan.audit_draw import audit_tables, evaluation_of, settings_of
from medaudit.plan.planning import plan_gap, plan_patients
from medaudit.plan.population import (
    ATTRIBUTE,
    TASK,
    Drawn,
    Population,
    as_tables,
    draw,
    group_names,
)
from medaudit.plan.study import Plan, Question
from medaudit.plan.worse import worsen
from truths import Truth, truth_of

GAPS = ["max_min"]
DRAWS, PERMUTATIONS = 200, 399
ALPHA = 0.05
PILOT = 40
NULL_OF = {
    **dict.fromkeys(
        ("ece", "brier", "ppv", "npv", "calibration_slope", "calibration_intercept"), "calibration"
    ),
    "selection_rate": "parity",
}
"""Hypothesis by metric where the table of gaps does not name it; the others: separation."""


def run_chunk(cell: Cell, samples: range) -> Counter:
    """Return the counts of some samples of a cell."""
    started, counts = time.process_time(), Counter()
    for sample in samples:
        counts.update(KINDS[cell.kind](cell, sample))
        counts["samples"] += 1
    counts["seconds"] = time.process_time() - started
    return counts


def count_audit(cell: Cell, sample: int) -> Counter:
    """Audit one sample of the cell's population and compare it with the truth."""
    rng = generator("simulation", cell.name, sample)
    drawn = weigh(draw(cell.population, rng), cell.weights, rng)
    name = f"{cell.name} {sample}"
    evaluation = evaluation_of(list(cell.metrics), GAPS, DRAWS, PERMUTATIONS)
    metrics, gaps = audit_tables(*as_tables(drawn, name), name, evaluation)
    truth = truth_of(cell.population)
    counts = Counter(_patients(drawn))
    counts.update(compare_metrics(metrics, truth))
    counts.update(compare_gaps(metrics, gaps, truth, cell))
    return counts


def weigh(drawn: Drawn, weights: str, rng: np.random.Generator) -> Drawn:
    """Add importance weights; see `Cell`."""
    if not weights:
        return drawn
    weight = np.ones(drawn.y.size)
    sizes = np.bincount(drawn.group)
    if weights == "lognormal":
        last = drawn.group == sizes.size - 1
        weight[last] = rng.lognormal(0, 1.3, last.sum())
    else:
        for group in range(sizes.size):
            images = np.flatnonzero(drawn.group == group)
            weight[rng.permutation(images)[sizes.min() :]] = 0
    return replace(drawn, weight=weight)


def _patients(drawn: Drawn) -> dict[str, int]:
    """Count the patients of each group who have a positive, and who have a negative image."""
    kept = np.ones(drawn.y.size, bool) if drawn.weight is None else drawn.weight > 0
    found = {}
    names = group_names(drawn.group.max() + 1)
    for label, word in ((True, "pos"), (False, "neg")):
        for code, name in enumerate(names):
            chosen = kept & (drawn.group == code) & (drawn.y == label)
            found[f"patients/{name}/{word}"] = np.unique(drawn.patient[chosen]).size
    return found


def compare_metrics(metrics: pd.DataFrame, truth: Truth) -> Counter:
    """Count which intervals of groups hold the truth."""
    counts: Counter = Counter()
    rows = metrics[(metrics["attribute"] == ATTRIBUTE) & (metrics["group"] != "all")]
    for row in rows.itertuples():
        key = f"metric/{row.metric}/{row.group}"
        counts[f"{key}/{row.status}"] += 1
        if row.status != "ok":
            continue
        true = truth.groups[int(row.group[1:])][row.metric]
        counts[f"{key}/covered"] += _holds(row.low, row.high, true)
        counts[f"{key}/zero"] += row.high - row.low < 1e-9
        counts[f"{key}/width"] += row.high - row.low
        counts[f"{key}/above"] += row.low > true + 1e-9
        if np.isfinite(getattr(row, "shrunk_low", np.nan)):
            counts[f"{key}/shrunk"] += 1
            counts[f"{key}/shrunk_covered"] += _holds(row.shrunk_low, row.shrunk_high, true)
    return counts


def compare_gaps(metrics: pd.DataFrame, gaps: pd.DataFrame, truth: Truth, cell: Cell) -> Counter:
    """Count which intervals of gaps hold the truth, and which tests find a gap."""
    counts: Counter = Counter()
    status = {
        name: tuple((part.sort_values("group")["status"] == "ok").tolist())
        for name, part in metrics[
            (metrics["attribute"] == ATTRIBUTE) & (metrics["group"] != "all")
        ].groupby("metric")
    }
    for row in gaps.itertuples():
        key = f"gap/{row.metric}/{row.gap}"
        counts[f"{key}/{row.status}"] += 1
        if row.status != "ok":
            continue
        kept = status[row.metric]
        counts.update({f"{key}/{k}": v for k, v in _compare_gap(row, truth, kept, cell).items()})
    return counts


def _compare_gap(row, truth: Truth, kept: tuple[bool, ...], cell: Cell) -> dict[str, float]:
    true = truth.gap(row.gap, row.metric, kept)
    null = row.null if isinstance(row.null, str) else NULL_OF.get(row.metric, "separation")
    found = {
        "true": true,
        "value": row.value,
        "covered": _holds(row.low, row.high, true),
        "zero": row.high - row.low < 1e-9,
        "width": row.high - row.low,
        # "no gap" also where the question of the test has the answer "no"
        "no_gap": true == 0,
        "null_true": truth.nulls[null],
        f"null={null}": 1,
        "excludes": row.low > 1e-9,
        "no_null": _text(row.null_status, "ok") != "ok",
    }
    if np.isfinite(row.p_value):
        found["tested"] = 1
        found["p05"] = row.p_value <= ALPHA
        found["disagree"] = (row.low > 1e-9) != (row.p_value <= ALPHA)
    if cell.margin is not None and np.isfinite(getattr(row, "upper", np.nan)):
        found["upper"] = 1
        found["equivalent"] = row.upper < cell.margin
    return {name: float(value) for name, value in found.items()}


def _text(value: object, default: str) -> str:
    return value if isinstance(value, str) else default


def _holds(low: float, high: float, true: float) -> bool:
    return bool(low <= true + 1e-9 and high >= true - 1e-9)


def count_detectable(cell: Cell, sample: int) -> Counter:
    """Audit a sample in which one group is worse by the smallest detectable gap of fair samples."""
    metric, worse = cell.metrics[0], cell.options["worse"]
    amount = smallest_detectable(cell.name, cell.population, metric)
    groups = list(cell.population.groups)
    groups[worse] = worsen(groups[worse], metric, amount)
    changed = replace(cell, population=replace(cell.population, groups=tuple(groups)))
    return count_audit(changed, sample)


@cache
def smallest_detectable(name: str, population: Population, metric: str) -> float:
    """Return the median of the printed smallest detectable gap over samples of a fair model."""
    found = []
    for sample in range(PILOT):
        drawn = draw(population, generator("pilot", name, sample))
        run = f"pilot {name} {sample}"
        evaluation = evaluation_of([metric], ["max_min"], DRAWS, PERMUTATIONS)
        gaps = audit_tables(*as_tables(drawn, run), run, evaluation)[1]
        found += gaps["smallest_detectable"].tolist()
    return float(np.nanmedian(found))


def count_planned(cell: Cell, sample: int) -> Counter:
    """Audit a sample of the study that was planned for a gap, or of the gap planned for a study."""
    plan = planned(cell.population, cell.metrics[0], cell.options["gap"])
    changed = replace(cell, population=plan.study.alternative(cell.metrics[0]))
    counts = count_audit(changed, sample)
    counts[f"planned/{cell.metrics[0]}/gap"] += plan.study.gap
    counts[f"planned/{cell.metrics[0]}/patients"] += plan.study.population.patients
    return counts


@cache
def planned(population: Population, metric: str, gap: float | None) -> Plan:
    """Return the plan of patients for a gap; of the gap if None."""
    question = Question(metric)
    return (
        plan_gap(population, question) if gap is None else plan_patients(population, gap, question)
    )


def count_family(cell: Cell, sample: int) -> Counter:
    """Audit near-identical models on the same patients and adjust their gaps as the report does."""
    rng = generator("simulation", cell.name, sample)
    drawn, options = draw(cell.population, rng), cell.options
    name = f"{cell.name} {sample}"
    predictions, cohort = as_tables(drawn, name)
    attributes = [f"{ATTRIBUTE}{k}" for k in range(len(options["levels"]))]
    for attribute, levels in zip(attributes, options["levels"], strict=True):
        cohort[f"a_{attribute}"] = group_names(levels)[rng.integers(0, levels, len(cohort))]
    evaluation = evaluation_of(list(cell.metrics), ["max_min"], DRAWS, PERMUTATIONS)
    settings = {**settings_of(name, evaluation), "attributes": attributes}
    means = np.array([cell.population.groups[0].means])[0][drawn.y.astype(int)]
    tables, nulls = [], []
    rho = options["correlation"]
    for model in range(options["models"]):
        noise = np.sqrt(1 - rho**2) * rng.standard_normal(drawn.y.size)
        latent = means + rho * (drawn.latent - means) + noise
        one = predictions.assign(score=1 / (1 + np.exp(-latent)))
        run = {**settings, "model": f"model{model}"}
        sample = read_sample(one, cohort, run)
        metrics, replicates = audit(one, cohort, run, sample=sample)
        gaps, null = find_gaps(one, cohort, run, metrics, replicates, sample=sample)
        tables.append(gaps[has_permutations(gaps)])
        nulls.append(null)
    return _count_false(pd.concat(tables, ignore_index=True), np.concatenate(nulls), cell)


def _count_false(gaps: pd.DataFrame, nulls: np.ndarray, cell: Cell) -> Counter:
    from medaudit.report.studies.facts import adjust_gaps

    counts: Counter = Counter()
    for metric in cell.metrics:
        chosen = (gaps["metric"] == metric) & gaps["p_value"].notna() & gaps["task"].eq(TASK)
        rows = gaps[chosen]
        adjusted = adjust_gaps(rows, nulls[chosen.to_numpy()].astype(float))
        key = f"family/{metric}"
        counts[f"{key}/tested"] += 1
        counts[f"{key}/size"] += len(rows)
        counts[f"{key}/any_raw"] += bool((rows["p_value"] <= ALPHA).any())
        counts[f"{key}/any"] += bool((adjusted <= ALPHA).any())
    return counts


KINDS = {
    "audit": count_audit,
    "detectable": count_detectable,
    "family": count_family,
    "planned": count_planned,
}
