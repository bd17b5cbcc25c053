"""The best run against the other runs: paired differences, and what they show."""

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.verdicts import Verdict, judge_difference
from medaudit.report.wording import number_format
from medaudit.report.wording.names import Names
from medaudit.report.wording.phrases import COMPATIBLE, alpha, run_name


def differences_from(
    best: pd.Series, differences: pd.DataFrame, names: Names | None = None
) -> pd.DataFrame:
    """Return the differences `best` minus every other run; ``rival`` names the other."""
    key, other = ["model", "method"], ["against_model", "against_method"]
    first = (differences[key] == best[key]).all(axis=1)
    second = differences[other].to_numpy() == best[key].to_numpy()
    turned = pd.Series(second.all(axis=1), index=differences.index)
    found = differences[first | turned].copy()
    # Each pair is stored once: where `best` is its second run, the signs are reversed.
    turned = turned[found.index]
    found["rival"] = [
        run_name(dict(zip(key, row[key if back else other], strict=True)), names)
        for back, (_, row) in zip(turned, found.iterrows(), strict=True)
    ]
    low, high = found["low"].copy(), found["high"].copy()
    found["value"] = found["value"].where(~turned, -found["value"])
    found["low"], found["high"] = low.where(~turned, -high), high.where(~turned, -low)
    return found[found["value"].notna()]


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
