"""How many patients a study needs for a gap, or which gap its patients can show."""

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed, generator
from medaudit.plan.audit_draw import audit_tables, evaluation_of
from medaudit.plan.first_guess import critical_value, guess_factor, guess_gap, no_gap
from medaudit.plan.population import Population, as_tables, draw
from medaudit.plan.power_curve import Curve, find_curve
from medaudit.plan.study import Plan, Question, Study
from medaudit.plan.worse import true_value

PERMUTATIONS = 399
DRAWS = 20
"""Bootstrap draws: no p-value depends on them."""

CHUNK = 10


def plan_patients(population: Population, gap: float, question: Question) -> Plan:
    """Return how many patients find a gap.

    Parameters
    ----------
    population : Population
        At least two groups that are treated alike; their numbers of patients give the ratio.
    gap : float
        How much worse one group is, in units of the metric, > 0. It is the group in which that is
        hardest to find.
    question : Question
        Metric, power, level.

    Returns
    -------
    Plan
        The audit's own test finds the gap in a share ``power`` of simulated studies.

    Raises
    ------
    MedauditError
        There is one group only, or no group can be that much worse.
    """
    _check(population, question)
    if gap <= 0:
        raise MedauditError(f"a gap of {gap:g} cannot be found; plan a gap above 0")
    worse, factor = guess_factor(population, question.metric, gap, question.alpha, question.power)

    def at(size: float) -> Study:
        return Study(population.resized(factor * size**2), gap, worse)

    curve, lost = _simulate_curve(at, question, population)
    chosen = at(curve.size(question.power)).population
    total = factor * population.patients
    return Plan(
        asked="patients",
        question=question,
        study=Study(chosen, gap, worse),
        curve=curve,
        size=math.sqrt(chosen.patients / total),
        unit=lambda size: total * size**2,
        not_estimable=lost,
    )


def plan_gap(population: Population, question: Question) -> Plan:
    """Return the gap that the patients of a study find.

    Parameters
    ----------
    population : Population
        At least two groups that are treated alike, with their numbers of patients.
    question : Question
        Metric, power, level.

    Returns
    -------
    Plan
        The audit's own test finds a gap of this size, in whichever group, in a share ``power`` of
        simulated studies.

    Raises
    ------
    MedauditError
        There is one group only, or no possible gap is found with this power.
    """
    _check(population, question)
    worse, first = guess_gap(population, question.metric, question.alpha, question.power)
    largest = 0.99 * _room(population, worse, question.metric)

    def at(size: float) -> Study:
        return Study(population, min(first * size, largest), worse)

    curve, lost = _simulate_curve(at, question, population)
    size = curve.size(question.power)
    if first * size > largest:
        raise MedauditError(no_gap(population, question.metric, question.power))
    return Plan(
        asked="gap",
        question=question,
        study=at(size),
        curve=curve,
        size=size,
        unit=lambda size: first * size,
        not_estimable=lost,
    )


def _check(population: Population, question: Question) -> None:
    if len(population.groups) < 2:
        raise MedauditError("a gap needs at least two groups; name two or more")
    for group in population.groups:
        if not 0 < group.prevalence < 1:
            raise MedauditError(f"prevalence {group.prevalence:g} is not between 0 and 1")


def _room(population: Population, worse: int, metric: str) -> float:
    value = true_value(population.groups[worse], metric)
    return 1 - value if metric == "fpr" else value


def _simulate_curve(
    at: Callable[[float], Study], question: Question, population: Population
) -> tuple[Curve, float]:
    """Return the power curve, and the share of samples in which the gap was not estimable."""
    critical = critical_value(len(population.groups), question.alpha)
    counts = np.zeros(2)
    with ProcessPoolExecutor(question.processes) as pool:

        def simulate(points: list[tuple[float, int]]) -> list[int]:
            jobs = [
                (place, pool.submit(count_found, at(size), question, range(start, stop), counts[0]))
                for place, (size, number) in enumerate(points)
                for start, stop in _cut(number)
            ]
            found = [0] * len(points)
            for place, job in jobs:
                several, lost = job.result()
                found[place] += several
                counts[1] += lost
            counts[0] += sum(number for _, number in points)
            return found

        curve = find_curve(simulate, question.power, critical, question.samples)
    return curve, float(counts[1] / counts[0])


def _cut(number: int) -> list[tuple[int, int]]:
    return [(start, min(start + CHUNK, number)) for start in range(0, number, CHUNK)]


def count_found(
    study: Study, question: Question, samples: range, drawn: float = 0
) -> tuple[int, int]:
    """Audit simulated samples of a study.

    Parameters
    ----------
    study : Study
        Whom to draw.
    question : Question
        Metric, level and definition of the gap.
    samples : range
        Numbers of the samples; with `drawn`, they name the random streams.
    drawn : float
        Number of samples before these.

    Returns
    -------
    found, not_estimable : int
        In how many samples p <= alpha, and in how many the gap was not estimable (which count as
        not found).
    """
    found = lost = 0
    permutations = max(PERMUTATIONS, math.ceil(20 / question.alpha) - 1)
    evaluation = evaluation_of([question.metric], [question.kind], DRAWS, permutations)
    for sample in samples:
        names = ("plan", repr(study), question.metric, drawn, sample)
        name = f"plan-{derive_seed(*names)}"
        tables = as_tables(draw(study.alternative(question.metric), generator(*names)), name)
        row = audit_tables(*tables, name, evaluation)[1].iloc[0]
        found += bool(row["p_value"] <= question.alpha)
        lost += not np.isfinite(row["p_value"])
    return found, lost
