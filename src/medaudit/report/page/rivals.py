"""The best run against the other runs: paired differences, and what they show."""

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.verdicts import Verdict, judge_difference
from medaudit.report.wording import number_format
from medaudit.report.wording.phrases import COMPATIBLE, alpha


def differences_from(best: pd.Series, differences: pd.DataFrame) -> pd.DataFrame:
    """Return the differences `best` minus every other run; ``rival`` names the other."""
    names = ["model", "method"]
    first = (differences[names] == best[names]).all(axis=1)
    second = differences[["against_model", "against_method"]].to_numpy() == best[names].to_numpy()
    turned = pd.Series(second.all(axis=1), index=differences.index)
    found = differences[first | turned].copy()
    # Each pair is stored once: where `best` is its second run, the signs are reversed.
    turned = turned[found.index]
    found["rival"] = _shown(found, "run_shown", "").where(
        turned, _shown(found, "against_shown", "against_")
    )
    low, high = found["low"].copy(), found["high"].copy()
    found["value"] = found["value"].where(~turned, -found["value"])
    found["low"], found["high"] = low.where(~turned, -high), high.where(~turned, -low)
    return found[found["value"].notna()]


def _shown(rows: pd.DataFrame, column: str, prefix: str) -> pd.Series:
    """Return the display names of runs, where the rows have them."""
    return (
        rows[column] if column in rows else rows[f"{prefix}model"] + " + " + rows[f"{prefix}method"]
    )


def explain_difference(difference: pd.Series, head: StudyHead) -> str:
    """Return what a paired difference shows, and why."""
    compared = number_format.count(difference["family_size"])
    return {
        Verdict.UNKNOWN: "there is no interval, so no difference is shown.",
        Verdict.NOT_SHOWN: f"the interval includes 0: {COMPATIBLE}.",
        Verdict.HINT: (
            "the interval excludes 0, but the difference is not significant after adjusting for "
            f"the {compared} comparisons made: {Verdict.HINT}."
        ),
        Verdict.SHOWN: "the interval excludes 0, also after adjusting for all comparisons.",
    }[judge_difference(difference, alpha(head))]


def count_rivals(rivals: pd.DataFrame, head: StudyHead) -> str:
    """Return a sentence that counts the runs that are shown to be worse than the best."""
    total, worse = len(rivals), int((rivals["p_adjusted"] <= alpha(head)).sum())
    if worse == total:
        return f"All {total} other runs are worse, also after adjusting for all comparisons."
    if not worse:
        return f"None of the {total} other runs is shown to be worse."
    return (
        f"Of the {total} other runs, {worse} {'is' if worse == 1 else 'are'} worse after adjusting "
        f"for all comparisons; {total - worse} {'is' if total - worse == 1 else 'are'} "
        "statistically indistinguishable from it."
    )


def indistinguishable(alike: int, total: int) -> str:
    """Return a sentence that counts the runs that are not shown to differ from the best."""
    if total == 1:
        return "The other run is statistically indistinguishable from it."
    runs = f"All {total} other runs" if alike == total else f"{alike} of {total} other runs"
    return f"{runs} {'is' if alike == 1 else 'are'} statistically indistinguishable from it."
