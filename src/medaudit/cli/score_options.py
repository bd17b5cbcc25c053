"""Options of ``medaudit score``: statistics, margins and the gate."""

import argparse
import math
import os
from typing import Any

from medaudit.core.entry_types.evaluation import EvaluationThreshold
from medaudit.core.errors import MedauditError

RULES = ("best_f1", "youden", "sensitivity", "specificity", "fpr", "fixed")
REACHED = ("sensitivity", "specificity", "fpr")
"""Rules that need a rate to reach."""
INTERVALS = ("value", "procedure", "shrunk")


def add_statistics(group: argparse._ArgumentGroup) -> None:
    """Add what is measured and how."""
    group.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="e.g. auc sensitivity specificity ppv (default: auc average_precision accuracy f1 "
        "tpr fpr ece selection_rate); all are in docs/metrics.md",
    )
    group.add_argument(
        "--gaps",
        nargs="+",
        metavar="NAME",
        help="max_min worst_rest (default), ratio, others, std, es, dto",
    )
    group.add_argument(
        "--reference-group",
        nargs="+",
        default=[],
        metavar="ATTRIBUTE=GROUP",
        help="also compare each group with this one, e.g. sex=male",
    )
    group.add_argument(
        "--weights", metavar="COLUMN", help="weight of each image, e.g. 1 / sampling fraction"
    )
    group.add_argument(
        "--threshold-rule",
        metavar="RULE[=X]",
        help=f"{', '.join(RULES)}: chosen on validation rows, e.g. sensitivity=0.95 (default: "
        "best_f1 with them, fixed at 0.5 without)",
    )
    group.add_argument(
        "--threshold",
        action="append",
        metavar="[TASK=]X",
        help="value of the rule: a score (fixed), or the sensitivity, specificity or false "
        "positive rate (fpr) to reach; for one task as Edema=0.3, repeated for others",
    )
    _add_estimates(group)


def _add_estimates(group: argparse._ArgumentGroup) -> None:
    """Add how it is estimated, and what is tried."""
    group.add_argument(
        "--level", type=float, default=0.95, help="of all intervals (default: %(default)s)"
    )
    group.add_argument(
        "--interval",
        choices=INTERVALS,
        default="value",
        help="what is printed: each group's value (default), with an interval that also covers the "
        "choice of the threshold (procedure), or the estimate that borrows strength from the other "
        "groups (shrunk); the tables have all three",
    )
    group.add_argument(
        "--draws", type=int, default=1000, help="number of bootstrap draws and of permutations"
    )
    group.add_argument(
        "--minimum",
        type=int,
        default=10,
        metavar="N",
        help="smaller groups (in images) are not estimated",
    )
    group.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="does not change any number"
    )


def add_mitigation(group: argparse._ArgumentGroup) -> None:
    """Add the remedies that need predictions only."""
    group.add_argument(
        "--mitigate",
        action="store_true",
        help="also try thresholds by group and recalibration, fitted on the validation rows: what "
        "each gains and costs for every group",
    )


def add_outcomes(group: argparse._ArgumentGroup) -> None:
    """Add what takes the place of labels and scores."""
    group.add_argument(
        "--answers",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="yes and no instead of scores, e.g. of a vision-language model; blanks and refusals "
        "are counted and compared",
    )
    group.add_argument(
        "--refusal", nargs="+", default=[], metavar="TEXT", help="answers that are refusals"
    )
    group.add_argument(
        "--measures",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="measures of each case, e.g. dice hd95: their means are compared",
    )
    for name in ("ordinal", "continuous"):
        what = "grades" if name == "ordinal" else "numbers"
        group.add_argument(
            f"--{name}",
            nargs=2,
            metavar=("TRUE", "PREDICTED"),
            help=f"columns of true and predicted {what}",
        )
    group.add_argument(
        "--higher-is-better", nargs="+", default=[], metavar="COLUMN", help="of the measures"
    )
    group.add_argument(
        "--lower-is-better", nargs="+", default=[], metavar="COLUMN", help="of the measures"
    )


def measures_cases(options: dict) -> bool:
    """Return whether outcomes without labels and scores are to be audited."""
    return bool(options["measures"] or options["ordinal"] or options["continuous"])


def outcomes_of(options: dict) -> dict[str, Any]:
    """Return the arguments of `medaudit.score.outcome_audit.score_outcomes`."""
    unused = ["metrics", "gaps", "reference_group", "weights", "threshold_rule", "threshold"]
    if given := [name for name in [*unused, "answers", "control", "mitigate"] if options.get(name)]:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise MedauditError(
            f"{shown}: not for --measures, --ordinal and --continuous; leave it out"
        )
    better = dict.fromkeys(options["higher_is_better"], 1)
    better |= dict.fromkeys(options["lower_is_better"], -1)
    return {
        "columns_measured": options["measures"],
        "better": better,
        "columns": {role: options[role] for role in ("id", "patient", "split") if options[role]},
        "margins": _margins(options),
        **{name: options[name] for name in ("ordinal", "continuous", "attributes")},
        **{name: options[name] for name in ("age_threshold", "minimum", "draws", "level")},
    }


def add_margins(group: argparse._ArgumentGroup) -> None:
    """Add margins and the gate."""
    group.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="largest gap that is still acceptable, declared before you look: tpr=0.1, or by "
        'attribute tpr:sex=0.05; give it again for more. Each gap is then "fair within the '
        'margin", "unfair", "undecided" or "not estimable"',
    )
    group.add_argument(
        "--gate",
        nargs="?",
        const=True,
        choices=["undecided", "unfair"],
        metavar="LEVEL",
        help="exit with code 3 and a list, after the report is written, unless every gap with a "
        "margin is shown to be fair within it; undecided: gaps that are not estimable pass; "
        "unfair: only gaps shown to be unfair fail",
    )


def statistics_of(options: dict) -> dict[str, Any]:
    """Return the arguments of `medaudit.score.score` that these options give."""
    found = {name: options[name] for name in ("metrics", "gaps") if options[name]}
    return {
        **found,
        "threshold": read_threshold(options["threshold_rule"], options["threshold"]),
        "reference": _pairs(options["reference_group"]),
        "margins": _margins(options),
        "minimum": {"n": options["minimum"]},
        **{name: options[name] for name in ("level", "draws", "threads", "mitigate")},
    }


def _pairs(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, level = (part.strip() for part in text.partition("="))
        if not (name and equals and level):
            raise MedauditError(f"--reference-group {text}: write ATTRIBUTE=GROUP, e.g. sex=male")
        if name in found:
            raise MedauditError(f"--reference-group {text}: {name} is given twice; give it once")
        found[name] = level
    return found


def _margins(options: dict) -> dict:
    from medaudit.score.margins import parse_margins

    if options["gate"] and not options["margin"]:
        raise MedauditError("--gate needs a margin: add e.g. --margin tpr=0.1")
    return parse_margins(options["margin"])


def read_threshold(rule: str | None, given: list[str] | None) -> EvaluationThreshold | None:
    """Return the rule for thresholds, or None where the user leaves it to the default.

    Parameters
    ----------
    rule : str, optional
        ``best_f1``, or ``sensitivity=0.95``.
    given : list of str, optional
        Values ``0.3`` or ``Edema=0.3``.
    """
    if rule is None and given is None:
        return None
    name, equals, value = (rule or "fixed").partition("=")
    if name not in RULES:
        raise MedauditError(f"--threshold-rule {name} is unknown; use one of {', '.join(RULES)}")
    if equals and given is not None:
        raise MedauditError(
            f"--threshold-rule {rule} and --threshold {' '.join(given)} both give a value; use one"
        )
    given = [value] if equals else given
    if name in REACHED and given is None:
        example = "0.05" if name == "fpr" else "0.95"
        raise MedauditError(
            f"--threshold-rule {name} needs the rate to reach: {name}={example} "
            f"(or --threshold {example})"
        )
    if name in ("best_f1", "youden"):
        if given is not None:
            raise MedauditError(
                f"--threshold-rule {name} has no value: leave it out, or use --threshold-rule fixed"
            )
        return {"rule": name}
    return {"rule": name, **_values(given or ["0.5"])}


def _values(given: list[str]) -> EvaluationThreshold:
    values = dict(_threshold_value(text) for text in given)
    if None in values and len(values) == 1:
        return {"value": values[None]}
    if None in values or len(values) < len(given):
        raise MedauditError(
            f"--threshold {' '.join(given)}: give one number for all tasks, or TASK=X once for "
            "each task"
        )
    return {"value": {str(task): value for task, value in values.items()}}


def _threshold_value(text: str) -> tuple[str | None, float]:
    """Read ``0.3`` or ``Edema=0.3``."""
    task, equals, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise MedauditError(
            f"--threshold {text} is not between 0 and 1: give a number in that range, or "
            "TASK=NUMBER (logits are compared after the sigmoid)"
        )
    return (task if equals else None), value
