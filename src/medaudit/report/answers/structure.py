"""The answers of a study as frozen data classes, and their JSON.

A study has one `RunAnswer` per model and method on a cohort, that has one `AttributeAnswer` per
attribute, and that has one `MeasureAnswer` per leading measure. Numbers are None where there are
none; statuses and sentences then say why.
"""

from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

SUBJECT, CONTROL, OTHER = "subject", "control", "other"
"""Roles of a run."""


@dataclass(frozen=True)
class GroupValue:
    """One group's value of a measure.

    Parameters
    ----------
    group : str
        As in the tables, e.g. ``female & >=60``.
    people : str
        For a sentence, e.g. ``female patients 60 and older``.
    value, low, high : float or None
        Value and confidence interval.
    n, n_positive, n_patients : int or None
        Test images, those with the finding, and patients.
    status : str
        One of `medaudit.core.statuses.Status`.
    """

    group: str
    people: str
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    n_positive: int | None
    n_patients: int | None
    status: str


@dataclass(frozen=True)
class MeasureAnswer:
    """One measure by one attribute: groups, gap, test and verdict.

    Parameters
    ----------
    metric, label : str
        Name, and name for a reader.
    task : str
        A task, ``mean`` (over tasks) or ``all``.
    attribute : str
        Name.
    groups : tuple of GroupValue
        In the order of the table.
    gap, low, high : float or None
        Largest difference between groups, and its confidence interval.
    p_value, p_adjusted : float or None
        Of the permutation test; adjusted over `family_size` tests.
    family_size : int or None
        Number of tests that were adjusted together.
    smallest_detectable : float or None
        The smallest gap that this cohort finds in 80 of 100 samples.
    chance : float or None
        The gap that 95 of 100 permutations of the groups stay below; None without a test.
    margin : float or None
        Largest gap that was declared acceptable.
    worst, best : str or None
        Groups.
    verdict : str
        In words; `kind` is its name, a member of `medaudit.report.verdicts.Verdict` or
        `medaudit.report.equivalence.Equivalence`.
    sentence : str
        What each group gets, in people.
    evidence : str
        Why the verdict: test, interval, margin.
    """

    metric: str
    label: str
    task: str
    attribute: str
    groups: tuple[GroupValue, ...]
    gap: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    family_size: int | None
    smallest_detectable: float | None
    chance: float | None
    margin: float | None
    worst: str | None
    best: str | None
    verdict: str
    kind: str
    sentence: str
    evidence: str


@dataclass(frozen=True)
class AttributeAnswer:
    """A run's fairness by one attribute: the worst of its measures decides.

    Parameters
    ----------
    attribute, label : str
        Name, and name for a reader.
    verdict, kind : str
        Of the worst measure or finding, as in `MeasureAnswer`.
    sentence : str
        The answer in one or two sentences, in people.
    measures : tuple of MeasureAnswer
        The leading measures in their order, then calibration.
    findings : tuple of MeasureAnswer
        Single tasks whose gap is shown and larger than that of the mean over tasks.
    decides : int
        Place of the measure or finding that decides, among `measures` and then `findings`.
    """

    attribute: str
    label: str
    verdict: str
    kind: str
    sentence: str
    measures: tuple[MeasureAnswer, ...]
    findings: tuple[MeasureAnswer, ...] = ()
    decides: int = 0

    @property
    def deciding(self) -> MeasureAnswer:
        """The measure or finding whose verdict is the attribute's."""
        return (*self.measures, *self.findings)[self.decides]


@dataclass(frozen=True)
class Overall:
    """A run's value of a leading measure over all groups.

    Parameters
    ----------
    metric, label, task : str
        Name, name for a reader, and task.
    value, low, high : float or None
        Value and confidence interval.
    status : str
        One of `medaudit.core.statuses.Status`.
    n, n_patients : int or None
        Test images and patients.
    """

    metric: str
    label: str
    task: str
    value: float | None
    low: float | None
    high: float | None
    status: str
    n: int | None
    n_patients: int | None


@dataclass(frozen=True)
class Caution:
    """A warning for the first screen.

    Parameters
    ----------
    kind : str
        Machine name, e.g. ``degenerate_threshold``.
    text : str
        One sentence or two.
    place : str
        What it links to: the name of a section, cohort, model or table of the page, e.g.
        ``table:performance``, ``cohort:nih``, ``model:pixels``; empty: the study's answers.
    """

    kind: str
    text: str
    place: str = ""


@dataclass(frozen=True)
class RunAnswer:
    """What is said about one run.

    Parameters
    ----------
    cohort, model, method : str
        The run.
    name : str
        For a reader.
    role : str
        `SUBJECT`, `CONTROL` or `OTHER`.
    first : bool
        Whether it belongs on the first screen: the best method of each subject.
    sentence : str
        How well it does overall.
    overall : tuple of Overall
        Leading measures over all groups.
    attributes : tuple of AttributeAnswer
        One per attribute.
    cautions : tuple of Caution
        Warnings about this run.
    """

    cohort: str
    model: str
    method: str
    name: str
    role: str
    first: bool
    sentence: str
    overall: tuple[Overall, ...]
    attributes: tuple[AttributeAnswer, ...]
    cautions: tuple[Caution, ...] = ()


@dataclass(frozen=True)
class StudyAnswers:
    """All answers of a study.

    Parameters
    ----------
    study, title : str
        Name and heading.
    level : float
        Of the intervals, e.g. 0.95.
    lead : tuple of str
        Leading measures in their order.
    lead_reason : str
        Why these lead; empty if nobody said so.
    decisions : str
        How scores become decisions, in a sentence.
    subjects, controls : tuple of str
        Models.
    runs : tuple of RunAnswer
        Subjects first, then others, then controls, cohort by cohort.
    cautions : tuple of Caution
        Warnings about the study as a whole.
    """

    study: str
    title: str
    level: float
    lead: tuple[str, ...]
    lead_reason: str
    decisions: str
    subjects: tuple[str, ...]
    controls: tuple[str, ...]
    runs: tuple[RunAnswer, ...] = ()
    cautions: tuple[Caution, ...] = field(default=())

    def on(self, cohort: str) -> tuple[RunAnswer, ...]:
        """Return the answers on one cohort."""
        return tuple(run for run in self.runs if run.cohort == cohort)


def as_json(answers: StudyAnswers) -> dict[str, Any]:
    """Return the answers as a JSON object."""
    return asdict(answers)


def from_json(value: dict[str, Any]) -> StudyAnswers:
    """Return the answers that `as_json` wrote."""
    found: StudyAnswers = _read(StudyAnswers, value)
    return found


def _read(kind: Any, value: Any) -> Any:
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], item) for item in value)
    if isinstance(kind, UnionType) or not isinstance(value, dict):
        return value
    hints = get_type_hints(kind)
    return kind(**{name: _read(hints[name], item) for name, item in value.items()})
