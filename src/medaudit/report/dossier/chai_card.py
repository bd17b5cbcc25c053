"""The Applied Model Card of the Coalition for Health AI (CHAI), schema v0.2, as XML and as JSON.

Source: https://mc.chai.org/v0.2/schema.xsd. ``chai_card.yaml`` lists its elements in their order.
"""

import json
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.config.audit_card import NOT_GIVEN, Card, text_of, title_of
from medaudit.config.yaml_file import read_settings
from medaudit.metrics.definitions import METRICS
from medaudit.report.dossier.run_facts import Fact
from medaudit.report.dossier.subject import Subject
from medaudit.report.wording import number_format, terms

BUILT = "Filled by medaudit from the results of a run and from an audit card; no certification."
ERRORS = ("fpr", "fnr", "ece", "underdiagnosis", "overdiagnosis", "brier")
"""Metrics that count under safety: what goes wrong."""

Tree = dict[str, Any]


@cache
def _definition() -> dict[str, Any]:
    return read_settings(Path(__file__).with_name("chai_card.yaml"))


def make_tree(subject: Subject, facts: dict[str, Fact], card: Card) -> Tree:
    """Return the card: element to text, to a mapping of elements, or to a list of elements.

    Parameters
    ----------
    subject : Subject
        The run, for the metrics.
    facts : dict of str to Fact
        What the run knows.
    card : Card
        What its people say.

    Returns
    -------
    dict
        All required elements in the schema's order; one without an answer is "not given". A metric
        is a ``Label`` and a ``ValueJson``: an estimate with an interval where the run has one.
    """
    values = {
        "keywords": ["fairness audit", "medical imaging", *subject.card["tasks"]],
        "performance": _metrics(subject, errors=False),
        "gaps": _gaps(subject),
        "errors": _metrics(subject, errors=True),
    }

    def make(entries: dict[str, Any]) -> Tree:
        found: Tree = {}
        for name, entry in entries.items():
            if "repeat" in entry:
                found[name] = {entry["repeat"]: values[entry["values"]]}
            elif all(isinstance(part, dict) for part in entry.values()):
                found[name] = make(entry)
            else:
                text = _text(entry, facts, card)
                if text or not entry.get("optional"):
                    found[name] = text or NOT_GIVEN
        return found

    return make(_definition()["elements"])


def as_json(tree: Tree) -> dict[str, Any]:
    """Return the JSON form: the same elements, and what they follow."""
    definition = _definition()
    return {"$comment": BUILT, "schema": definition["namespace"], definition["root"]: tree}


def as_xml(tree: Tree) -> bytes:
    """Return the XML document, UTF-8 with its declaration."""
    definition = _definition()
    ET.register_namespace("", definition["namespace"])
    root = ET.Element(f"{{{definition['namespace']}}}{definition['root']}")
    root.append(ET.Comment(f" {BUILT} "))
    _fill(root, tree, definition["namespace"])
    ET.indent(root)
    return ET.tostring(root, encoding="UTF-8", xml_declaration=True)


def _fill(parent: ET.Element, content: Tree, namespace: str) -> None:
    for name, value in content.items():
        for part in value if isinstance(value, list) else [value]:
            element = ET.SubElement(parent, f"{{{namespace}}}{name}")
            if isinstance(part, dict):
                _fill(element, part, namespace)
            else:
                element.text = _legal(part)


def _legal(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot hold."""
    return "".join(
        c
        for c in text
        if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )


def _text(entry: dict[str, Any], facts: dict[str, Fact], card: Card) -> str:
    said = [(title_of(place), text_of(card, place)) for place in entry.get("card", [])]
    given = [(title, text) for title, text in said if text]
    lines = [text if len(said) == 1 else f"{title}: {text}" for title, text in given]
    if given:
        lines += [f"{title}: {NOT_GIVEN}" for title, text in said if not text]
    for name in entry.get("run", []):
        if name in facts and not (given and entry["run"] == ["audited"]):
            lines += [*facts[name].lines, f"(Source: {facts[name].source})"]
    return "\n".join(lines)


def _metrics(subject: Subject, errors: bool) -> list[Tree]:
    rows = subject.summary(subject.metrics)
    rows = rows[rows["attribute"].eq("all") & rows["group"].eq("all")]
    rows = rows[rows["metric"].isin(ERRORS) == errors]
    found = [_result(terms.measure(row["metric"], long=True), row, subject) for row in _ok(rows)]
    return found or [_nothing()]


def _gaps(subject: Subject) -> list[Tree]:
    rows = subject.summary(subject.gaps)
    rows = rows[rows["gap"] == "max_min"]
    return [
        _result(
            f"{terms.measure(row['metric'])} by {terms.attribute(row['attribute'])}: largest "
            f"difference ({row['n_estimable']} of {row['n_groups']} groups)",
            row,
            subject,
        )
        for row in _ok(rows)
    ] or [_nothing()]


def _ok(rows: pd.DataFrame) -> list[dict[str, Any]]:
    known = rows["metric"].isin(METRICS) & rows["status"].eq("ok") & rows["value"].notna()
    return rows[known].to_dict("records")


def _nothing() -> Tree:
    return {"Label": "no estimate", "ValueJson": json.dumps({"kind": "text", "value": NOT_GIVEN})}


def _result(label: str, row: dict[str, Any], subject: Subject) -> Tree:
    if number_format.missing(row["low"]) or number_format.missing(row["high"]):
        value: Tree = {"kind": "single", "value": row["value"]}
    else:
        value = {
            "kind": "estimate_ci",
            "estimate": row["value"],
            "lower": row["low"],
            "upper": row["high"],
            "level": subject.level * 100,
            "unit": "",
        }
    task = {"all": "", "mean": ", mean over tasks"}.get(row["task"], f", {row['task']}")
    return {"Label": label + task, "ValueJson": json.dumps(value)}
