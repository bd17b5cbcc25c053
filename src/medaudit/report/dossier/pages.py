"""The pages of a dossier: checklists and a summary of two printed pages, each one HTML file."""

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from medaudit.config.audit_card import NOT_GIVEN, Card, fields, text_of, title_of
from medaudit.report.dossier.checklists import Checklist
from medaudit.report.dossier.result_lines import estimate_of, gap_rows
from medaudit.report.dossier.run_facts import Fact
from medaudit.report.dossier.subject import Subject
from medaudit.report.wording import number_format, terms

SHOWN = (
    ("intended_use.purpose", "intended_use.users", "intended_use.target_population"),
    ("intended_use.out_of_scope", "setting.sites", "setting.dates", "setting.devices"),
    ("reference_standard.definition", "reference_standard.annotators"),
    ("fairness.known_inequalities", "fairness.why_these_groups", "fairness.why_this_metric"),
    ("fairness.why_these_margins", "oversight.human_oversight", "oversight.monitoring"),
)
"""Fields of the card that the summary shows."""

MOST = {"groups": 14, "gaps": 10, "warnings": 8}
"""Rows that fit on two pages; what is left out is counted and named."""
LONGEST = 220
"""Characters of a field that the summary shows."""


def checklist_page(checklist: Checklist, facts: dict[str, Fact], link: "Link") -> str:
    """Return the page of a filled checklist."""
    notes = facts["notes"].lines if "notes" in facts else []
    return (
        _environment(link)
        .get_template("checklist.html")
        .render(checklist=checklist, notes=notes, counts=checklist.counts(), not_given=NOT_GIVEN)
    )


def summary_page(subject: Subject, facts: dict[str, Fact], card: Card, link: "Link") -> str:
    """Return the summary: what was audited, for whom, how well, how fair, and what is not given."""
    gaps = gap_rows(subject)
    headline = _headline(subject)
    first = gaps[gaps["metric"].isin([*headline, *subject.margins])].to_dict("records")
    groups = _group_rows(subject, headline)
    missing = [f"{title_of(f'{f.section}.{f.name}')}" for f in fields(card) if f.text is None]
    return (
        _environment(link)
        .get_template("summary.html")
        .render(
            subject=subject,
            title=text_of(card, "study.title") or f"Audit of {subject.model} on {subject.cohort}",
            notes=facts["notes"].lines if "notes" in facts else [],
            audited=[
                line
                for name in ("audited", "splits", "threshold", "margins")
                if name in facts
                for line in facts[name].lines
            ],
            card=[
                [(title_of(place), _short(text_of(card, place))) for place in part]
                for part in SHOWN
            ],
            performance=_overall(subject, headline),
            gaps=[
                {**row, "estimate": estimate_of(row, subject.level)}
                for row in first[: MOST["gaps"]]
            ],
            more_gaps=max(len(first) - MOST["gaps"], 0),
            metrics=[terms.measure(name) for name in headline],
            groups=groups[: MOST["groups"]],
            more_groups=max(len(groups) - MOST["groups"], 0),
            warnings=[f for f in subject.findings if f["severity"] != "info"][: MOST["warnings"]],
            software=facts["software"].lines,
            sources=subject.sources,
            missing=missing,
            given=sum(1 for f in fields(card) if f.text is not None),
        )
    )


class Link:
    """Links from the dossier to the results.

    Parameters
    ----------
    results, folder : Path
        Folder of results, and of the dossier.
    """

    def __init__(self, results: Path, folder: Path) -> None:
        self.base = Path(os.path.relpath(results.absolute(), folder.absolute())).as_posix()
        report = results / "report.html"
        self.report = report.read_text(encoding="utf-8") if report.is_file() else None

    def file(self, source: object) -> str:
        """Return the address of a file below the results."""
        return f"{self.base}/{source}"

    def section(self, anchor: str) -> str | None:
        """Return the address of a section of the report; of its top if it lacks the section."""
        if self.report is None:
            return None
        return self.file("report.html") + (f"#{anchor}" if f'id="{anchor}"' in self.report else "")


def _environment(link: Link) -> Environment:
    loader = PackageLoader("medaudit.report.dossier")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["link"] = link
    environment.filters |= {
        "count": number_format.count,
        "p_value": number_format.p_value,
        "measure": terms.measure,
        "attribute": terms.attribute,
        "missing": number_format.missing,
    }
    return environment


def _short(text: str | None) -> str:
    if text is None:
        return NOT_GIVEN
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


def _headline(subject: Subject) -> list[str]:
    """Return the metrics of the summary: those with a margin, the first one, error rates."""
    measured = subject.config["evaluation"]["metrics"]
    wanted = [*subject.margins, measured[0], "tpr", "fpr", *measured]
    return [name for name in dict.fromkeys(wanted) if name in measured][:3]


def _overall(subject: Subject, metrics: list[str]) -> list[tuple[str, str]]:
    rows = subject.summary(subject.metrics)
    whole = rows[
        rows["attribute"].eq("all") & rows["group"].eq("all") & rows["metric"].isin(metrics)
    ]
    return [
        (terms.measure(row["metric"], long=True), estimate_of(row, subject.level))
        for row in whole.to_dict("records")
    ]


def _group_rows(subject: Subject, metrics: list[str]) -> list[dict[str, Any]]:
    rows = subject.summary(subject.metrics)
    rows = rows[
        rows["attribute"].ne("all") & rows["group"].ne("all") & rows["metric"].isin(metrics)
    ]
    found = []
    for (attribute, group), part in rows.groupby(["attribute", "group"], sort=False):
        by_metric = {row["metric"]: row for row in part.to_dict("records")}
        found.append(
            {
                "attribute": terms.attribute(str(attribute)),
                "group": terms.group(str(group)),
                "n": part["n"].iloc[0],
                "n_patients": part["n_patients"].iloc[0],
                "values": [
                    estimate_of(by_metric[name], subject.level) if name in by_metric else "–"
                    for name in metrics
                ],
            }
        )
    return found
