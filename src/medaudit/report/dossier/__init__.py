"""A dossier: the forms that reviewers hold in their hands, filled from a run and an audit card."""

import json
from pathlib import Path
from typing import Any

from medaudit.config.audit_card import Card, fields, margins_of, read_card, read_schema
from medaudit.core.atomic import atomic
from medaudit.core.files import sha256
from medaudit.core.margins import Margins
from medaudit.core.table_io import write_json
from medaudit.report.dossier import chai_card, hugging_face
from medaudit.report.dossier.checklists import NAMES, as_table, fill
from medaudit.report.dossier.pages import Link, checklist_page, summary_page
from medaudit.report.dossier.run_facts import Fact, facts_of
from medaudit.report.dossier.subject import Subject, find_subject

CHAI_CHECK = (
    "Element names, order and cardinality follow CHAI's schema v0.2; to validate the file, fetch "
    "https://mc.chai.org/v0.2/schema.xsd and run: xmlschema-validate --schema schema.xsd "
    "chai_model_card.xml"
)


def write_dossier(
    results: Path, card_file: Path | None, folder: Path, wanted: dict[str, str | None]
) -> dict[str, Any]:
    """Fill all forms and write them to `folder`.

    Parameters
    ----------
    results : Path
        Finished results of `medaudit score` or of the workflow.
    card_file : Path, optional
        The audit card; without one, everything that only people know is "not given".
    folder : Path
        Gets ``summary.html``, one ``.html`` and ``.csv`` for each checklist, ``chai_model_card.xml``
        and ``.json``, ``hugging_face/README.md`` and ``dossier.json``.
    wanted : dict
        ``study``, ``cohort``, ``model``, ``method`` to choose one run of several.

    Returns
    -------
    dict
        The content of ``dossier.json``: sources with their SHA-256, items by status, fields that
        are not given, remarks.

    Raises
    ------
    MedauditError
        The results or the card cannot be read, or several runs fit.
    """
    card = read_card(card_file) if card_file else {}
    subject = find_subject(results, wanted)
    facts = facts_of(subject)
    differs = compare_margins(card, subject.margins)
    if differs:
        known = facts["margins"].lines if "margins" in facts else []
        facts["margins"] = Fact(
            [*known, *differs], subject.sources["record"].as_posix(), "protocol"
        )
    remarks = [CHAI_CHECK, *differs]
    link = Link(results, folder)
    lists = [fill(name, facts, card) for name in NAMES]
    tree = chai_card.make_tree(subject, facts, card)
    _write(folder / "summary.html", summary_page(subject, facts, card, link))
    for one in lists:
        _write(folder / f"{one.name}.html", checklist_page(one, facts, link))
        _write(folder / f"{one.name}.csv", as_table(one).to_csv(index=False, lineterminator="\n"))
    _write(folder / "chai_model_card.xml", chai_card.as_xml(tree).decode("utf-8"))
    write_json(chai_card.as_json(tree), folder / "chai_model_card.json")
    _write(folder / "hugging_face" / "README.md", hugging_face.make_card(subject, facts, card))
    made = _record(subject, card, card_file, remarks)
    made["checklists"] = {
        one.name: {"counts": one.counts(), "checked": one.checked} for one in lists
    }
    write_json(made, folder / "dossier.json")
    return made


def compare_margins(card: Card, of_run: Margins) -> list[str]:
    """Return a remark where the card names other margins than the run used."""
    said = margins_of(card)
    if not said or said == {metric: _plain(value) for metric, value in of_run.items()}:
        return []
    shown = json.dumps(_plain(of_run)) if of_run else "none"
    return [
        f"The audit card names the margins {json.dumps(said)}, but the run was given {shown}: every "
        "verdict is against the margins of the run."
    ]


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if hasattr(value, "items") else float(value)


def _record(
    subject: Subject, card: Card, card_file: Path | None, remarks: list[str]
) -> dict[str, Any]:
    return {
        "run": {name: getattr(subject, name) for name in ("study", "cohort", "model", "method")},
        "sources": {
            path.as_posix(): sha256(subject.results / path) for path in subject.sources.values()
        },
        "audit_card": {card_file.name: sha256(card_file)} if card_file else None,
        "not_given": [f"{f.section}.{f.name}" for f in fields(card) if f.text is None],
        "remarks": remarks,
    }


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def draft() -> str:
    """Return an audit card in which every field is a comment."""
    lines = [
        "# Audit card: what only you know about this audit. Every field is optional; remove the # of those",
        "# that you fill in. A field that is absent or empty is shown as 'not given'.",
        "# A field holds text, or a list: [first, second]. Check and use it:",
        "#   medaudit dossier RESULTS --card audit_card.yaml --out dossier",
    ]
    for section, part in read_schema()["properties"].items():
        lines += ["", f"# {part['title']}", f"{section}:"]
        for name, entry in part["properties"].items():
            lines.append(f"  # {name}:  # {entry['description']}")
    return "\n".join(lines) + "\n"
