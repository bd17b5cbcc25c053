"""A model card for the Hugging Face Hub: ``README.md`` with metadata in YAML."""

import html
import re
from typing import Any

import yaml

from medaudit.config.audit_card import NOT_GIVEN, Card, sections, text_of
from medaudit.report.dossier.result_lines import estimate_of
from medaudit.report.dossier.run_facts import Fact
from medaudit.report.dossier.subject import Subject
from medaudit.report.wording import number_format, terms

LICENSES = frozenset(
    [
        "apache-2.0",
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc0-1.0",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nd-4.0",
        "gpl-2.0",
        "gpl-3.0",
        "agpl-3.0",
        "lgpl-3.0",
        "mpl-2.0",
        "openrail",
        "unlicense",
    ]
)
"""Names that the Hub knows; any other licence is ``other`` with its own name."""

HUB_METRICS = {"auc": "roc_auc", "tpr": "recall", "ppv": "precision"}
"""Our names to the Hub's where they differ."""

FACTS = (
    ("What was audited", ("audited", "model", "preprocessing", "training", "threshold")),
    ("Cohort", ("splits", "groups", "flow", "missing")),
    ("How it was measured", ("measures", "statistics", "margins", "small_groups", "detectable")),
    ("Warnings of the protocol lint", ("lint",)),
    ("Provenance", ("tables", "software", "stored")),
)


def make_card(subject: Subject, facts: dict[str, Fact], card: Card) -> str:
    """Return the Markdown of the model card, its metadata between two lines of dashes.

    Parameters
    ----------
    subject : Subject
        The run.
    facts : dict of str to Fact
        What the run knows.
    card : Card
        What its people say; fields without text are "not given".
    """
    name = text_of(card, "model.name") or subject.model
    parts = [
        "---",
        yaml.safe_dump(_metadata(subject, card, name), sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
    ]
    parts += [f"# {_safe(name)}", ""]
    parts += [f"> **{_safe(note)}**\n" for note in facts["notes"].lines] if "notes" in facts else []
    parts += [
        "This card was written by medaudit from the results of a fairness audit and from its audit "
        "card. It certifies nothing. The numbers are those of the files named next to them.",
        "",
    ]
    for section in sections(card):
        parts += [f"## {section['title']}", ""]
        parts += [
            f"- **{field.title}**: {_safe(field.text or NOT_GIVEN)}" for field in section["fields"]
        ]
        parts.append("")
    parts += ["## Evaluation", "", *_table(subject), ""]
    for title, lines in [("Gaps between groups", ("gaps",)), *FACTS]:
        parts += [f"### {title}", ""]
        parts += [f"- {_safe(line)}" for key in lines if key in facts for line in facts[key].lines]
        parts += [
            f"\nSource: {', '.join(dict.fromkeys(facts[k].source for k in lines if k in facts))}",
            "",
        ]
    return "\n".join(parts) + "\n"


def _metadata(subject: Subject, card: Card, name: str) -> dict[str, Any]:
    entry = subject.config.get("models", {}).get(subject.model, {})
    license_text = text_of(card, "model.license") or entry.get("licence")
    found: dict[str, Any] = {}
    if license_text:
        slug = license_text.strip().lower()
        found["license"] = slug if slug in LICENSES else "other"
        if slug not in LICENSES:
            found["license_name"] = license_text
    return {
        **found,
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "fairness", "medaudit"],
        "model-index": [{"name": name, "results": [_results(subject)]}],
    }


def _results(subject: Subject) -> dict[str, Any]:
    dataset = re.sub(r"[^\w.-]+", "_", str(subject.card.get("dataset") or subject.cohort))
    return {
        "task": {"type": "image-classification", "name": ", ".join(subject.card["tasks"])},
        "dataset": {"type": dataset, "name": subject.cohort, "split": "test"},
        "metrics": [
            {
                "type": HUB_METRICS.get(row["metric"], row["metric"]),
                "value": float(row["value"]),
                "name": _name(row),
            }
            for row in _rows(subject)
            if row["status"] == "ok" and not number_format.missing(row["value"])
        ],
    }


def _name(row: dict[str, Any]) -> str:
    where = "all patients"
    if row["attribute"] != "all":
        where = f"{terms.attribute(row['attribute'])}: {terms.group(row['group'])}"
    mean = ", mean over tasks" if row["task"] == "mean" else ""
    return f"{terms.measure(row['metric'])} ({where}{mean})"


def _rows(subject: Subject) -> list[dict[str, Any]]:
    rows = subject.summary(subject.metrics)
    kept = rows["attribute"].eq("all") | rows["group"].ne("all")
    return rows[kept].to_dict("records")


def _table(subject: Subject) -> list[str]:
    rows = _rows(subject)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        cells = groups.setdefault((row["attribute"], row["group"]), {})
        cells[row["metric"]] = estimate_of(row, subject.level)
        cells["n"] = number_format.count(row["n"])
    head = ["Attribute", "Group", "Images", *(terms.measure(name) for name in metrics)]
    lines = [_line(head), _line(["---"] * len(head))]
    for (attribute, group), cells in groups.items():
        shown = [terms.attribute(attribute), terms.group(group), cells["n"]]
        lines.append(_line([*shown, *(cells.get(name, "–") for name in metrics)]))
    return [*lines, "", f"Source: {subject.sources['metrics'].as_posix()}"]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(_safe(cell).replace("|", "\\|") for cell in cells) + " |"


def _safe(text: str) -> str:
    """Return text that cannot start markup: escaped, on one line."""
    return html.escape(" ".join(str(text).split()), quote=False)
