"""``medaudit plan``: how many patients a study needs, or which gap its patients can show."""

import json
import os
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from medaudit.cli.options import Commands, add_parser, make_console
from medaudit.core.errors import MedauditError

if TYPE_CHECKING:
    from medaudit.plan.population import Group, Population
    from medaudit.plan.study import Plan

EXAMPLES = """\
  medaudit plan --metric tpr --tpr 0.85 --fpr 0.1 --prevalence 0.2 --gap 0.1
  medaudit plan --metric tpr --tpr 0.85 --fpr 0.1 --prevalence 0.2 0.1 --gap 0.1 --ratio 3 1
  medaudit plan --metric auc --auc 0.88 --prevalence 0.2 --patients 600 150 80
  medaudit plan --metric auc --auc 0.88 --prevalence 0.2 --patients 60 60 --images 10 40 \\
      --correlation 0.5

With --gap it answers how many patients find that gap, with --patients which gap these find. Studies
are simulated, and audited with the test of `medaudit score`; it takes about a minute.
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "before a study: how many patients find a gap, or which gap the patients can show"
    parser = add_parser(commands, "plan", text, run, EXAMPLES)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument(
        "--gap", type=float, metavar="D", help="how much worse one group is, e.g. 0.1"
    )
    asked.add_argument(
        "--patients", type=int, nargs="+", metavar="N", help="number of patients by group"
    )
    _add_model(parser)
    _add_patients(parser)
    _add_test(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_model(parser: ArgumentParser) -> None:
    model = parser.add_argument_group("model", "what is expected of it in every group")
    model.add_argument(
        "--metric",
        default="auc",
        choices=["auc", "tpr", "fpr", "tnr", "accuracy", "balanced_accuracy"],
        help="whose gap is looked for (default: %(default)s)",
    )
    model.add_argument("--auc", type=float, metavar="A")
    model.add_argument("--tpr", type=float, metavar="R", help="at the threshold")
    model.add_argument("--fpr", type=float, metavar="R", help="at the threshold")
    model.add_argument(
        "--threshold-rule",
        choices=["youden", "best_f1"],
        help="instead of --tpr or --fpr: where the threshold will be",
    )


def _add_patients(parser: ArgumentParser) -> None:
    patients = parser.add_argument_group("patients")
    patients.add_argument(
        "--ratio", type=float, nargs="+", metavar="R", help="of the groups' sizes (default: 1 1)"
    )
    patients.add_argument(
        "--prevalence",
        type=float,
        nargs="+",
        required=True,
        metavar="P",
        help="of all, or by group",
    )
    patients.add_argument(
        "--images", type=int, nargs="+", default=[1], metavar="N", help="per patient: N, or N to M"
    )
    patients.add_argument(
        "--correlation",
        type=float,
        metavar="R",
        help="of the scores of a patient's images with the same label (default: 0.5)",
    )
    patients.add_argument(
        "--label-correlation",
        type=float,
        default=1.0,
        metavar="R",
        help="of their labels; 1: all alike (default)",
    )


def _add_test(parser: ArgumentParser) -> None:
    test = parser.add_argument_group("test")
    test.add_argument("--power", type=float, default=0.8, metavar="P", help="(default: 0.8)")
    test.add_argument(
        "--level",
        type=float,
        default=0.05,
        metavar="P",
        help="p-value that counts as found; smaller if several gaps are tested (default: 0.05)",
    )
    test.add_argument(
        "--gap-definition", choices=["max_min", "worst_rest"], default="max_min", dest="kind"
    )
    test.add_argument("--samples", type=int, default=1000, metavar="N", help="studies to simulate")
    test.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="does not change any number"
    )


def run(options: dict) -> None:
    """Plan, and print the answer as a table or as JSON."""
    from medaudit.plan.planning import plan_gap, plan_patients
    from medaudit.plan.study import Question

    names = ("metric", "power", "kind", "samples", "processes")
    question = Question(alpha=options["level"], **{name: options[name] for name in names})
    population = read_population(options)
    if options["gap"] is None:
        plan = plan_gap(population, question)
    else:
        plan = plan_patients(population, options["gap"], question)
    if options["json"]:
        print(json.dumps(plan.as_json(), indent=1))
    else:
        show(plan)


def read_population(options: dict) -> "Population":
    """Return the groups that the options describe.

    Raises
    ------
    MedauditError
        Options contradict each other, are out of range, or do not suffice.
    """
    from medaudit.plan.population import Population

    images = tuple(options["images"])
    if len(images) > 2 or min(images) < 1 or images[0] > images[-1]:
        raise MedauditError(f"--images {_words(images)}: give a number, or smallest and largest")
    for name, largest in (("correlation", 0.99), ("label_correlation", 1.0)):
        value = options[name]
        if value is not None and not 0 <= value <= largest:
            flag = name.replace("_", "-")
            raise MedauditError(f"--{flag} {value:g} is not between 0 and {largest:g}")
    several = images[-1] > 1
    correlation = options["correlation"] if options["correlation"] is not None else 0.5
    return Population(
        tuple(_read_groups(options)),
        (images[0], images[-1]),
        correlation if several else 0.0,
        options["label_correlation"],
    )


def _read_groups(options: dict) -> list["Group"]:
    from medaudit.plan.population import Group
    from medaudit.plan.worse import operating_point

    sizes = options["patients"] or _ratio(options)
    prevalence = options["prevalence"]
    if options["patients"] and options["ratio"]:
        raise MedauditError("--ratio goes with --gap; with --patients leave it out")
    if len(sizes) < 2 or min(sizes) <= 0:
        flag = "--patients" if options["patients"] else "--ratio"
        raise MedauditError(
            f"{flag} {_words(sizes)}: give a number above 0 for each of 2 or more groups"
        )
    if len(prevalence) not in (1, len(sizes)):
        raise MedauditError(
            f"--prevalence has {len(prevalence)} values for {len(sizes)} groups; give one for all, "
            "or one for each"
        )
    rates = {name: options[name] for name in ("auc", "tpr", "fpr")}
    for name, value in (*rates.items(), *(("prevalence", p) for p in prevalence)):
        if value is not None and not 0 < value < 1:
            raise MedauditError(f"--{name} {value:g} is not between 0 and 1")
    rule = options["threshold_rule"]
    if options["metric"] == "auc" and options["tpr"] is None and options["fpr"] is None:
        rule = rule or "youden"  # no threshold plays a part in AUC
    mean = sum(prevalence) / len(prevalence)
    tpr, fpr = operating_point(**rates, rule=rule, prevalence=mean)
    shares = prevalence * len(sizes) if len(prevalence) == 1 else prevalence
    return [Group(n, p, tpr, fpr) for n, p in zip(sizes, shares, strict=True)]


def _ratio(options: dict) -> list[int]:
    ratio = options["ratio"] or [1, 1]
    smallest = min(ratio)
    return [round(1000 * part / smallest) if smallest > 0 else 0 for part in ratio]


def _words(values) -> str:
    return " ".join(f"{value:g}" for value in values)


def show(plan: "Plan") -> None:
    """Print the answer, the groups and the power near the answer."""
    from rich.table import Table

    found, console = plan.as_json(), make_console()
    console.print(_answer(plan, found))
    if found["images_per_patient"][1] > 1:
        console.print(
            f"Each patient has {'-'.join(map(str, found['images_per_patient']))} images; scores "
            f"correlate by {found['score_correlation']:g}, labels by {found['label_correlation']:g}."
        )
    table = Table("group", "patients", "images", "positive images", f"true {found['metric']}")
    for number, group in enumerate(found["groups"], 1):
        counts = (group["patients"], group["images"], group["positives"])
        value = found["worse_value"] if number == found["worse_group"] else group["value"]
        table.add_row(str(number), *(f"{count:,.0f}" for count in counts), f"{value:.3f}")
    console.print(table)
    table = Table("patients in all" if plan.asked == "patients" else "gap", "power")
    for at, power in plan.points():
        table.add_row(f"{at:,.0f}" if plan.asked == "patients" else f"{at:.3f}", f"{power:.2f}")
    console.print(table)
    if plan.not_estimable > 0.01:
        console.print(
            f"In {plan.not_estimable:.0%} of the simulated studies a group was too small to be "
            "estimated; they count as not found."
        )


def _answer(plan: "Plan", found: dict) -> str:
    low, high = plan.range
    error = f"{found['power']:.2f} (Monte-Carlo standard error {found['power_standard_error']:.3f}"
    samples = f", {found['samples']:,} simulated studies)"
    gap = f"group {found['worse_group']} worse by {found['gap']:.3g} in {found['metric']}"
    if plan.asked == "patients":
        return (
            f"{found['patients']:,} patients (Monte-Carlo range {low:,.0f} to {high:,.0f}) find "
            f"{gap} with a power of {error}{samples}."
        )
    return (
        f"{found['patients']:,} patients find {gap} (Monte-Carlo range {low:.3f} to {high:.3f}) "
        f"with a power of {error}{samples}. Smaller gaps are missed more often."
    )
