"""How many patients a study needs for a gap, or which gap its patients can show."""

import math
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed, generator
from medaudit.plan.audit_draw import audit_tables, evaluation_of
from medaudit.plan.first_guess import critical_value, guess_factor, guess_gap, no_gap
from medaudit.plan.population import Group, Population, as_tables, draw
from medaudit.plan.power_curve import Curve, find_curve
from medaudit.plan.worse import PLANNED, true_value, worsen

SAMPLES = 1000
PERMUTATIONS = 399
DRAWS = 20
"""Bootstrap draws: no p-value depends on them."""

CHUNK = 10
RANGE = 1.96
SHOWN = (0.8, 0.9, 1.0, 1.1, 1.25)
"""Multiples of the answer for which the power is shown."""


@dataclass(frozen=True)
class Question:
    """What a plan is asked for, apart from the size of groups or of the gap.

    Parameters
    ----------
    metric : str
        One of `medaudit.plan.worse.PLANNED`.
    power : float
        Wanted share of studies that find the gap, in (0.5, 1).
    alpha : float
        Level of the test; smaller where several gaps are tested.
    kind : str
        Definition of the gap: ``max_min`` or ``worst_rest``.
    samples : int
        Studies to simulate.
    processes : int
        Processes that simulate; changes no number.
    """

    metric: str
    power: float = 0.8
    alpha: float = 0.05
    kind: str = "max_min"
    samples: int = SAMPLES
    processes: int = 1

    def __post_init__(self) -> None:
        if self.metric not in PLANNED:
            raise MedauditError(f"gaps of {self.metric} cannot be planned; use one of {PLANNED}")
        if not 0.5 < self.power < 0.999:
            raise MedauditError(f"power {self.power:g} is not between 0.5 and 0.999; e.g. 0.8")
        if not 0.001 <= self.alpha <= 0.2:
            raise MedauditError(f"level {self.alpha:g} is not between 0.001 and 0.2; e.g. 0.05")
        if self.samples < 100:
            raise MedauditError(f"{self.samples} samples are too few; use at least 100")


@dataclass(frozen=True)
class Study:
    """A study with a gap.

    Parameters
    ----------
    population : Population
        The groups, treated alike.
    gap : float
        How much worse one of them is.
    worse : int
        Which one.
    """

    population: Population
    gap: float
    worse: int

    def alternative(self, metric: str) -> Population:
        """Return the population in which the group is worse."""
        groups = list(self.population.groups)
        groups[self.worse] = worsen(groups[self.worse], metric, self.gap)
        return replace(self.population, groups=tuple(groups))


@dataclass(frozen=True)
class Plan:
    """The answer to a question, with its Monte-Carlo error.

    Parameters
    ----------
    asked : str
        ``patients`` or ``gap``.
    question : Question
        What was asked.
    study : Study
        The planned groups with their patients, the gap, and the group that is worse: the one in
        which the gap is hardest to find.
    curve : Curve
        Fitted power.
    size : float
        Where on the curve the answer is.
    unit : callable
        From a size on the curve to the total number of patients, or to the gap.
    not_estimable : float
        Share of simulated studies in which a group was too small to be estimated.
    """

    asked: str
    question: Question
    study: Study
    curve: Curve
    size: float
    unit: Callable[[float], float]
    not_estimable: float

    @property
    def power(self) -> float:
        """Power of the answer."""
        return self.curve.power(self.size)

    @property
    def power_error(self) -> float:
        """Monte-Carlo standard error of `power`."""
        return self.curve.power_error(self.size)

    @property
    def range(self) -> tuple[float, float]:
        """95 % Monte-Carlo range of the answer: total number of patients, or gap."""
        middle = self.curve.size(self.question.power)
        error = RANGE * self.curve.size_error(self.question.power)
        return self.unit(max(middle - error, 0)), self.unit(middle + error)

    def points(self) -> list[tuple[float, float]]:
        """Return pairs of a total number of patients (or a gap) and the power there."""
        root = 2 if self.asked == "patients" else 1
        sizes = [self.size * times ** (1 / root) for times in SHOWN]
        return [(self.unit(size), self.curve.power(size)) for size in sizes]

    def as_json(self) -> dict:
        """Return the plan as values for JSON; numbers of images and positives are expected ones."""
        population, question = self.study.population, self.question
        alternative = self.study.alternative(question.metric)
        return {
            "asked": self.asked,
            "metric": question.metric,
            "gap": self.study.gap,
            "gap_definition": question.kind,
            "worse_group": self.study.worse + 1,
            "groups": [
                _describe(group, population, question.metric) for group in population.groups
            ],
            "worse_value": true_value(alternative.groups[self.study.worse], question.metric),
            "patients": population.patients,
            "power": self.power,
            "power_standard_error": self.power_error,
            "range": list(self.range),
            "samples": self.curve.samples,
            "not_estimable": self.not_estimable,
            "alpha": question.alpha,
            "images_per_patient": list(population.images),
            "score_correlation": population.score_correlation,
            "label_correlation": population.label_correlation,
            "curve": [{self.asked: at, "power": power} for at, power in self.points()],
        }


def _describe(group: Group, population: Population, metric: str) -> dict:
    images = group.patients * sum(population.images) / 2
    return {
        "patients": group.patients,
        "images": images,
        "positives": images * group.prevalence,
        "prevalence": group.prevalence,
        "value": true_value(group, metric),
    }


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
