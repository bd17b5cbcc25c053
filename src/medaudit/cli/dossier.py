"""``medaudit dossier``: fill reporting checklists and model cards from results and an audit card."""

from pathlib import Path

from medaudit.cli.options import Commands, add_parser, make_console
from medaudit.core.errors import MedauditError

EXAMPLES = """\
  medaudit dossier --new audit_card.yaml
  medaudit dossier medaudit-results --card audit_card.yaml --out dossier
  medaudit dossier results --card audit_card.yaml --out dossier --study clip_nih --model biomedclip

Writes TRIPOD+AI, STARD-AI and CLAIM 2024 checklists, CHAI's applied model card (XML, JSON), a
Hugging Face model card and a summary of two pages. What nobody gave is shown as "not given".
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "fill reporting checklists and model cards from results"
    parser = add_parser(commands, "dossier", text, run, EXAMPLES)
    parser.add_argument(
        "results", type=Path, nargs="?", help="folder of `medaudit score` or of the workflow"
    )
    parser.add_argument("--card", type=Path, metavar="FILE", help="the audit card (YAML)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the forms")
    parser.add_argument("--new", type=Path, metavar="FILE", help="only write an empty audit card")
    chosen = parser.add_argument_group("which run, if the results have several")
    for name in ("study", "cohort", "model", "method"):
        chosen.add_argument(f"--{name}", metavar="NAME")


def run(options: dict) -> None:
    """Write the dossier, or an empty card."""
    from medaudit.core.atomic import atomic
    from medaudit.report.dossier import draft, write_dossier

    console = make_console()
    if new := options["new"]:
        if new.exists():
            raise MedauditError(f"{new} exists: give another file name, or move it")
        with atomic(new) as temporary:
            temporary.write_text(draft(), encoding="utf-8")
        console.print(f"Written to {new}: fill in what you know", markup=False, soft_wrap=True)
        return
    if options["results"] is None or options["out"] is None:
        raise MedauditError(
            "name the results and where to write: medaudit dossier RESULTS --out FOLDER "
            "[--card audit_card.yaml]; or --new audit_card.yaml for an empty card"
        )
    wanted = {name: options[name] for name in ("study", "cohort", "model", "method")}
    made = write_dossier(options["results"], options["card"], options["out"], wanted)
    for name, one in made["checklists"].items():
        counts = ", ".join(f"{status} {n}" for status, n in one["counts"].items() if n)
        console.print(f"{name}: {counts}", markup=False, soft_wrap=True)
    for remark in made["remarks"]:
        console.print(remark, markup=False, soft_wrap=True)
    console.print(f"Written to {options['out']}", markup=False, soft_wrap=True)
