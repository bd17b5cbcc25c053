"""Sentences on the null hypothesis of a gap: what was tested, who could be exchanged, or why not."""

from collections.abc import Iterable, Mapping
from typing import Any

from medaudit.report.wording import number_format

HYPOTHESES = {
    "separation": "given the finding, groups do not matter for the score",
    "calibration": "at equal scores, the finding is equally frequent in all groups",
    "parity": "groups do not matter for the score",
    "equal_value": "the groups have the same value",
}
"""Null hypothesis of a gap, as the column ``null`` names it, to what it says."""

UNNAMED = "group membership does not matter"
"""Words for a null hypothesis that a table does not name."""


def hypothesis(gap: Mapping[str, Any]) -> str:
    """Return what the null hypothesis of a gap says."""
    return HYPOTHESES.get(str(gap.get("null")), UNNAMED)


def untested(gap: Mapping[str, Any]) -> bool:
    """Return whether no permutation test of a gap can be had."""
    status = gap.get("null_status")
    return isinstance(status, str) and status.startswith("undefined")


def exchangeable(gap: Mapping[str, Any]) -> str:
    """Write how many patients can exchange their groups; empty if all can, or if it is not known.

    Examples
    --------
    >>> exchangeable({"n_movable": 380, "n_patients": 400})
    '380 of 400 patients'
    >>> exchangeable({"n_movable": 400, "n_patients": 400})
    ''
    """
    moved, all_patients = gap.get("n_movable"), gap.get("n_patients")
    if number_format.missing(moved) or number_format.missing(all_patients) or moved == all_patients:
        return ""
    return f"{number_format.count(moved)} of {number_format.count(all_patients)} patients"


def reference(gap: Mapping[str, Any]) -> str:
    """Write the sentence on the gap that the null hypothesis gives; empty if it is not known."""
    if number_format.missing(gap["null_q95"]):
        return ""
    mean, most = (number_format.number(gap[name]) for name in ("null_mean", "null_q95"))
    some = exchangeable(gap)
    moved = f" (only {some} could be exchanged between groups)" if some else ""
    return (
        f"Under the hypothesis that {hypothesis(gap)}, the gap in this test set is {mean} on average "
        f"and below {most} in 95 of 100 cases{moved}. "
    )


def no_test(gap: Mapping[str, Any]) -> str:
    """Write why there is no permutation test of a gap, and what can be said without one."""
    some = exchangeable(gap)
    if untested(gap):
        who = f"only {some}" if some else "too few patients"
        reason = (
            f"No permutation test can be had: under its hypothesis ({hypothesis(gap)}) {who} could "
            "exchange groups"
        )
    else:
        reason = "There is no permutation test of this gap"
    return f"{reason}, so nothing is said about chance; {_by_interval(gap)}."


def _by_interval(gap: Mapping[str, Any]) -> str:
    if number_format.missing(gap["low"]) or number_format.missing(gap["high"]):
        return "there is no interval either"
    if gap["low"] > 0:
        return "judge the gap by its interval, which excludes 0"
    return "judge the gap by its interval, which includes 0"


def detectable(gap: Mapping[str, Any]) -> str:
    """Write the smallest gap that the cohort finds in 80 of 100 samples; empty if not known."""
    if number_format.missing(gap["smallest_detectable"]):
        return ""
    least = number_format.number(gap["smallest_detectable"])
    return f"the smallest gap that this cohort finds in 80 of 100 samples is {least}"


def in_table(gap: Mapping[str, Any]) -> str:
    """Write the null hypothesis of a gap for a cell of a table, and who could be exchanged.

    Examples
    --------
    >>> in_table({"null": "separation", "n_movable": 380, "n_patients": 400})
    'separation (380 of 400 patients)'
    >>> no_null = {"null_status": "undefined:no_null", "n_movable": 9, "n_patients": 60}
    >>> in_table({"null": "separation", **no_null})
    'no test: separation (9 of 60 patients)'
    """
    name, some = gap.get("null"), exchangeable(gap)
    shown = "–" if number_format.missing(name) else str(name)
    return f"{'no test: ' if untested(gap) else ''}{shown}{f' ({some})' if some else ''}"


def explain(names: Iterable[object]) -> str:
    """Write what each null hypothesis among `names` says, for a caption."""
    known = [name for name in HYPOTHESES if name in set(names)]
    return "; ".join(f"{name}: {HYPOTHESES[name]}" for name in known)
