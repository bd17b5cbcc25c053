"""What is asked of a study, the study with its gap, and the answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from medaudit.core.errors import MedauditError
from medaudit.plan.population import Group, Population
from medaudit.plan.power_curve import Curve
from medaudit.plan.worse import PLANNED, true_value, worsen

SAMPLES = 1000
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
