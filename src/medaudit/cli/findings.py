"""``medaudit findings``: the main findings of a finished run in a few lines."""

from pathlib import Path
from typing import TYPE_CHECKING

from medaudit.cli.options import Commands, add_parser, make_console
from medaudit.core.errors import MedauditError

if TYPE_CHECKING:
    from medaudit.report.answers.structure import AttributeAnswer, RunAnswer, StudyAnswers

EXAMPLES = """\
  medaudit findings
  medaudit findings --results other/results

`make audit` ends with it. All answers are in the report.
"""
MOST = 3
"""Findings that are printed."""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "print the main findings of a finished run"
    parser = add_parser(commands, "findings", text, run, EXAMPLES)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")


def run(options: dict) -> None:
    """Print the findings and the path of the report."""
    from medaudit.report.answers.structure import from_json

    page = options["results"] / "report.html"
    if not page.is_file():
        raise MedauditError(f"there is no {page}: run `snakemake` (or `make audit`) first")
    from medaudit.core.table_io import read_json  # it loads pandas

    record = read_json(options["results"] / "run.json")
    folders = [options["results"] / "tables" / name for name in record["config"]["run"]]
    studies = [from_json(read_json(folder / "answers.json")) for folder in folders]
    console = make_console()
    for line in main_findings(studies):
        console.print(f"- {line}", markup=False, soft_wrap=True)
    console.print(f"report: {page.resolve()}", markup=False, soft_wrap=True)


def main_findings(studies: list["StudyAnswers"], most: int = MOST) -> list[str]:
    """Return the worst answers about the subjects of the studies, each study's worst first.

    Parameters
    ----------
    studies : list of StudyAnswers
        In the order of the run.
    most : int
        Largest number of sentences.
    """
    ranked = [_worst_first(study) for study in studies]
    places = [
        (place, number) for number, answers in enumerate(ranked) for place in range(len(answers))
    ]
    return [_sentence(*ranked[number][place]) for place, number in sorted(places)][:most]


def _worst_first(study: "StudyAnswers") -> list[tuple["RunAnswer", "AttributeAnswer"]]:
    from medaudit.report.answers.severity import WORST_FIRST
    from medaudit.report.answers.structure import SUBJECT

    order = [verdict.name for verdict in WORST_FIRST]
    pairs = [
        (run, answer)
        for run in study.runs
        if run.role == SUBJECT and run.first
        for answer in run.attributes
    ]
    return sorted(pairs, key=lambda pair: order.index(pair[1].kind))


def _sentence(run: "RunAnswer", answer: "AttributeAnswer") -> str:
    return f"{run.name} on {run.cohort}, by {answer.label}: {answer.verdict}. {answer.sentence}"
