"""The content of the page, read from the outputs of `compare` and from cards."""

from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.audit_tables import COMPARISON
from medaudit.core.documents import (
    CohortCard,
    GroupCount,
    ImageStoreCard,
    LintFinding,
    LintFindings,
    StudyHead,
)
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_json, read_table
from medaudit.report.answers.structure import from_json
from medaudit.report.page.answer import Answer
from medaudit.report.page.answers import answer
from medaudit.report.page.contact_sheets import Strip
from medaudit.report.page.external_answers import ELSEWHERE, answer_external
from medaudit.report.page.fairtune_answers import TOGETHER, answer_searches
from medaudit.report.page.glance import glance
from medaudit.report.page.how_fair_answers import answer_claims
from medaudit.report.page.mitigation_answers import answer_remedies
from medaudit.report.page.packing import packed, picture, table_rows
from medaudit.report.studies.evidence import PLAIN, ordered
from medaudit.report.tables.table import Column
from medaudit.report.wording import terms
from medaudit.report.wording.disclaimers import notes_of
from medaudit.report.wording.names import Names, read_names

SPLITS = ("train", "val", "test")
OPEN = ("equivalence",)
"""Tables that are open when the page loads."""

Index = tuple[Path, StudyHead]
"""A folder of tables or figures, and its ``index.json``."""


def read_studies(
    config: Config, compare: list[Path], tables: list[Path], figures: list[Path]
) -> list[dict[str, Any]]:
    """Return the page's content about each study, in the order of ``config["run"]``.

    Raises
    ------
    MedauditError
        A study has facts but no tables or no figures.
    """
    by_study = {facts["study"].iloc[0]: facts for facts in map(_read_facts, compare)}
    listed_tables, listed_figures = _index(tables), _index(figures)
    order = ordered(by_study, config.get("run", []))
    for name in order:
        if name not in listed_tables or name not in listed_figures:
            raise MedauditError(
                f"study {name}: its tables or figures are missing; pass the folders of all studies "
                "to --tables and --figures"
            )
    names = read_names(config)
    return [
        _study(by_study[name], listed_tables[name], listed_figures[name], names) for name in order
    ]


def read_cohorts(
    cards: list[CohortCard],
    stores: list[ImageStoreCard],
    lint: list[LintFindings],
    sheets: dict[str, list[Strip]],
) -> list[dict[str, Any]]:
    """Return the page's content about each cohort: summary, flow, balance, findings, pictures.

    Parameters
    ----------
    cards, stores : list
        Cards of the cohorts and of their image stores.
    lint : list of LintFindings
        Findings on the cohorts.
    sheets : dict
        Pictures by cohort (`medaudit.report.page.contact_sheets.contact_sheets`).
    """
    images = {card["cohort"]: card for card in stores}
    findings = {part["cohort"]: part["findings"] for part in lint}
    return [
        {
            **card,
            "notes": notes_of([card]),
            "balance": _balance(card.get("counts", [])),
            "flow": _flow(card),
            "sheet": sheets.get(card["name"], []),
            "splits": ordered((row["split"] for row in card.get("counts", [])), SPLITS),
            "lost": {name: count for name, count in card.get("missing", {}).items() if count},
            "images": images.get(card["name"]),
            "findings": _findings(findings.get(card["name"], [])),
        }
        for card in cards
    ]


def _read_facts(path: Path) -> pd.DataFrame:
    facts = read_table(path, COMPARISON)
    plain = facts["dialect"] == PLAIN
    measure = facts["metric"].where(plain, facts["metric"] + " (" + facts["dialect"] + ")")
    return facts.assign(measure=measure)


def _index(folders: list[Path]) -> dict[str, Index]:
    found = [(folder, read_json(folder / "index.json")) for folder in folders]
    return {index["study"]: (folder, index) for folder, index in found}


def _study(facts: pd.DataFrame, tables: Index, figures: Index, names: Names) -> dict[str, Any]:
    head = tables[1]
    facts = _with_names(facts, names)
    claims, answered = _claims(tables, names), from_json(read_json(tables[0] / "answers.json"))
    claims |= _elsewhere(tables, names)
    together = [_together(key, claims[key]) for key in (TOGETHER, ELSEWHERE) if key in claims]
    drawn = [_figure(figures[0], entry) for entry in figures[1]["figures"]]
    return {
        "name": head["study"],
        "title": (title := head["entry"].get("title", head["study"])),
        "label": head["entry"].get("label", title),
        "answered": answered,
        "question": head["entry"].get("question"),
        "notes": head["notes"],
        "models": facts["model"].unique().tolist(),
        "methods": facts["method"].unique().tolist(),
        "answers": together
        + [
            {
                "cohort": cohort,
                "answers": [*claims.get(cohort, []), *answer(facts, head, cohort, answered, names)],
                "runs": answered.on(cohort),
                "glance": glance(facts, head, cohort, names),
            }
            for cohort in head["cohorts"]
        ],
        "cohorts": head["cohorts"],
        "picture": drawn[0] if drawn else None,
        "figures": drawn,
        "tables": [_table(tables[0], entry, names) for entry in head["tables"]],
    }


def _with_names(facts: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Add the display names of a fact's runs."""
    for column, prefix in (("run_shown", ""), ("against_shown", "against_")):
        pairs = facts[[f"{prefix}model", f"{prefix}method"]].set_axis(["model", "method"], axis=1)
        known = {
            tuple(row): names.run(dict(zip(pairs, row, strict=True)))
            for row in set(map(tuple, pairs.to_numpy()))
        }
        facts = facts.assign(**{column: [known[tuple(row)] for row in pairs.to_numpy()]})
    return facts


def _together(name: str, answers: list[Answer]) -> dict[str, Any]:
    return {"cohort": name, "answers": answers, "runs": (), "glance": None}


def _elsewhere(tables: Index, names: Names) -> dict[str, list[Answer]]:
    """Return the answers on external cohorts; empty if the study has none."""
    folder, head = tables
    listed = [entry for entry in head["tables"] if entry["name"].startswith("external_")]
    read = {entry["name"]: pd.read_csv(folder / entry["files"]["csv"]) for entry in listed}
    answers = answer_external(read, head, names)
    return {ELSEWHERE: answers} if answers else {}


def _claims(tables: Index, names: Names) -> dict[str, list[Answer]]:
    """Return the answers to a study's claims by cohort; empty if it tests none."""
    folder, head = tables
    files = {entry["name"]: folder / entry["files"]["csv"] for entry in head["tables"]}
    if "remedies" in files:
        return answer_remedies(pd.read_csv(files["remedies"]), head)
    if "search_claims" in files:
        return answer_searches(pd.read_csv(files["search_claims"]), head)
    if "claims" not in files:
        return {}
    data = pd.read_csv(files["claims"])
    return {cohort: answer_claims(data, head, cohort, names) for cohort in head["cohorts"]}


def _figure(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    files = entry["files"]
    data = packed((folder / files["csv"]).read_bytes())
    return {**entry, "picture": picture(folder / files["svg"]), "csv": data}


def _table(folder: Path, entry: dict[str, Any], names: Names) -> dict[str, Any]:
    columns = tuple(Column(**column) for column in entry["columns"])
    files = entry["files"]
    return {
        **entry,
        **table_rows(folder / files["csv"], columns, names),
        "open": entry["name"] in OPEN,
        "csv": packed((folder / files["csv"]).read_bytes()),
        "latex": packed((folder / files["tex"]).read_bytes()),
    }


def _findings(findings: list[LintFinding]) -> list[dict[str, Any]]:
    """Return the findings without duplicates, each with all its places."""
    places: dict[tuple[str, ...], list[str]] = {}
    for item in findings:
        key = (item["severity"], item["check"].replace("_", " "), item["message"])
        places.setdefault(key, []).append(item["where"].strip(" :"))
    names = ("severity", "check", "message")
    return [
        {**dict(zip(names, key, strict=True)), "where": [place for place in where if place]}
        for key, where in places.items()
    ]


def _flow(card: CohortCard) -> dict[str, Any]:
    """Return the steps from the dataset's table to a cohort's splits.

    Returns
    -------
    dict
        ``start`` (images in the table; None if the card does not state the images left), ``steps``
        (``reason``, ``count`` and, if stated, ``left``), ``splits`` (name, images, patients).
    """
    steps = card.get("exclusions", [])
    known = steps and "left" in steps[0]
    rows = [row for row in card.get("counts", []) if row["attribute"] == "all"]
    order = ordered((row["split"] for row in rows), SPLITS)
    rows = sorted(rows, key=lambda row: order.index(row["split"]))
    return {
        "start": steps[0]["left"] + steps[0]["count"] if known else None,
        "steps": steps,
        "splits": [(row["split"], row["n_images"], row["n_patients"]) for row in rows],
    }


def _balance(counts: list[GroupCount]) -> list[dict[str, Any]]:
    """Return one entry per group, with its counts by split."""
    keyed = sorted(enumerate(counts), key=lambda item: item[0])
    order = {(row["attribute"], row["group"]): k for k, row in reversed(keyed)}
    rows = sorted(counts, key=lambda row: order[row["attribute"], row["group"]])
    return [
        {
            "attribute": terms.attribute(attribute),
            "group": group,
            "splits": {row["split"]: row for row in part},
        }
        for (attribute, group), part in groupby(rows, lambda row: (row["attribute"], row["group"]))
    ]
