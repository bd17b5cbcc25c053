"""Sentences on one measure: what each group gets, in people, and what the test shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from medaudit.metrics.definitions import METRICS, NO_FINDING
from medaudit.report.answers.structure import GroupValue
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.people import ends, finding, share, tasks_in_words, whole

MOST_GROUPS = 4
"""Groups that a sentence lists; of more, the worst and the best are named."""


@dataclass(frozen=True)
class Rate:
    """How a rate is said in people.

    Parameters
    ----------
    verb : str
        ``{share}`` stands for "61 of 100 black patients".
    harm : bool
        Whether to say 1 - value: of a sensitivity, the patients that are missed.
    """

    verb: str
    harm: bool = False


RATES = {
    "tpr": Rate("misses {share} with {finding}", harm=True),
    "fpr": Rate("raises a false alarm in {share} without {finding}"),
    "tnr": Rate("raises a false alarm in {share} without {finding}", harm=True),
    "ppv": Rate("is wrong in {share} that it calls positive for {finding}", harm=True),
    "npv": Rate("overlooks {finding} in {share} that it calls negative", harm=True),
    "accuracy": Rate("is wrong about {finding} in {share}", harm=True),
    "selection_rate": Rate("calls {share} positive for {finding}"),
}
"""Metric to its words, where the task is a finding."""

HEALTHY = {
    "tpr": Rate("says of {share} who have no finding that they have one", harm=True),
    "fpr": Rate("says of {share} who have a finding that they have none"),
    "underdiagnosis": Rate("says of {share} who have a finding that they have none"),
    "overdiagnosis": Rate("says of {share} who have no finding that they have one"),
}
"""The same, where the task is `NO_FINDING`."""

CALIBRATION = ("ece", "ece_debiased", "absolute_error")


@dataclass(frozen=True)
class Setting:
    """What a sentence needs to know about the audit around a measure.

    Parameters
    ----------
    level : float
        Of the intervals.
    tasks : tuple of str
        All tasks.
    classes : bool
        Whether the tasks are classes, of which the most probable one is chosen.
    threshold : str
        E.g. ``at the chosen threshold``.
    """

    level: float
    tasks: tuple[str, ...]
    classes: bool
    threshold: str

    @property
    def interval(self) -> str:
        """Words before an interval, e.g. ``95 % CI``."""
        return f"{self.level * 100:g}\N{NARROW NO-BREAK SPACE}% CI"


def describe(metric: str, task: str, groups: Sequence[GroupValue], setting: Setting) -> str:
    """Write what each group gets: in people for rates, else as numbers.

    Parameters
    ----------
    metric, task : str
        Names.
    groups : sequence of GroupValue
        With the worst group first.
    setting : Setting
        The audit.
    """
    known = [group for group in groups if group.value is not None]
    if not known:
        return ""
    listed = known if len(known) <= MOST_GROUPS else [known[0], known[-1]]
    rest = "" if listed is known else f"; the other {len(known) - 2} groups lie in between"
    rate = HEALTHY.get(metric) if task == NO_FINDING else RATES.get(metric)
    if rate is None:
        return _as_numbers(metric, task, listed, setting) + rest + "."
    return _as_people(rate, task, listed, setting) + rest + "."


def _as_people(rate: Rate, task: str, groups: Sequence[GroupValue], setting: Setting) -> str:
    shares = [_harm(group, rate.harm) for group in groups]
    per = whole(value for value, *_ in shares)
    said, name = [], setting.interval
    for group, (value, low, high) in zip(groups, shares, strict=True):
        inside = ends(low, high, per)
        interval = f" ({name} {inside})" if inside else " (no interval)"
        said.append((f"{share(value, per)} of {_thousands(per)} {group.people}", interval))
        name = ""
    first = rate.verb.format(share=said[0][0], finding=_finding(task)) + said[0][1]
    others = [f"{text}{interval.replace('( ', '(')}" for text, interval in said[1:]]
    sentence = f"{_start(task, setting)} it {first}"
    return terms.first_upper(_join([sentence, *others]))


def _harm(group: GroupValue, harm: bool) -> tuple[float, float | None, float | None]:
    assert group.value is not None
    if not harm:
        return group.value, group.low, group.high
    low, high = (None if end is None else 1 - end for end in (group.high, group.low))
    return 1 - group.value, low, high


def _start(task: str, setting: Setting) -> str:
    over = f"averaged over {tasks_in_words(setting.tasks, setting.classes)}, "
    return f"{over if task == 'mean' else ''}{setting.threshold},"


def _finding(task: str) -> str:
    return "the finding" if task in ("mean", "all") else finding(task)


def _as_numbers(metric: str, task: str, groups: Sequence[GroupValue], setting: Setting) -> str:
    name = terms.plain(metric)
    if task == "mean":
        name += f" (mean over {tasks_in_words(setting.tasks, setting.classes)})"
    elif task != "all" and len(setting.tasks) > 1:
        name += f" for {finding(task)}"
    lower = metric in METRICS and METRICS[metric].target == 0
    parts, before = [], f"{setting.interval} "
    for group in groups:
        assert group.value is not None
        shown = [number_format.number(end) for end in (group.low, group.high) if end is not None]
        interval = f"{before}{' to '.join(shown)}" if len(shown) == 2 else "no interval"
        parts.append(f"{number_format.number(group.value)} in {group.people} ({interval})")
        before = ""
    better = "; lower is better" if lower else ""
    return f"{terms.first_upper(name)} is {_join(parts)}{better}"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _thousands(per: int) -> str:
    return number_format.count(per)
