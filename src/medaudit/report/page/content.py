"""What the page shows, read from files by what is in them, never by their names."""

from itertools import groupby
from pathlib import Path

import pandas as pd

from medaudit.core.audit_tables import COMPARISON
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_json, read_table
from medaudit.report.page.answers import answer
from medaudit.report.page.fairtune_answers import TOGETHER, answer_searches
from medaudit.report.page.glance import glance
from medaudit.report.page.how_fair_answers import answer_claims
from medaudit.report.page.packing import packed, picture, table_rows
from medaudit.report.studies.evidence import PLAIN, ordered
from medaudit.report.tables.table import Column
from medaudit.report.wording import terms
from medaudit.report.wording.disclaimers import notes_of

SPLITS = ("train", "val", "test")
OPEN = ("performance", "fairness")
"""Tables that are shown unfolded."""


def read_studies(
    config: dict, compare: list[Path], tables: list[Path], figures: list[Path]
) -> list[dict]:
    """Return everything the page shows of each study, in the order of ``config["run"]``.

    Raises
    ------
    MedauditError
        A study has facts but no tables or no figures.
    """
    by_study = {facts["study"].iloc[0]: facts for facts in map(_read_facts, compare)}
    listed = {kind: _index(folders) for kind, folders in (("t", tables), ("f", figures))}
    wanted = [name for name in config.get("run", []) if name in by_study]
    order = [*wanted, *(name for name in by_study if name not in wanted)]
    for name in order:
        if name not in listed["t"] or name not in listed["f"]:
            raise MedauditError(f"study {name}: its tables or figures were not given to report")
    return [_study(by_study[name], listed["t"][name], listed["f"][name]) for name in order]


def read_cohorts(cards: list[dict], sheets: dict[str, list]) -> list[dict]:
    """Return what the page shows of each cohort: summary, flow, balance, findings, pictures.

    Parameters
    ----------
    cards : list of dict
        All cards; those of cohorts, image stores and the lint are used.
    sheets : dict
        Of `medaudit.report.page.contact_sheets.contact_sheets`.
    """
    images = {card["cohort"]: card for card in cards if "decoders" in card}
    lint = {card["cohort"]: card for card in cards if "findings" in card}
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
            "findings": _findings(lint.get(card["name"], {}).get("findings", [])),
        }
        for card in cards
        if "builder" in card
    ]


def _read_facts(path: Path) -> pd.DataFrame:
    facts = read_table(path, COMPARISON)
    plain = facts["dialect"] == PLAIN
    measure = facts["metric"].where(plain, facts["metric"] + " (" + facts["dialect"] + ")")
    return facts.assign(measure=measure)


def _index(folders: list[Path]) -> dict[str, tuple[Path, dict]]:
    found = [(folder, read_json(folder / "index.json")) for folder in folders]
    return {index["study"]: (folder, index) for folder, index in found}


def _study(facts: pd.DataFrame, tables: tuple, figures: tuple) -> dict:
    head = tables[1]
    claims = _claims(tables)
    together = [] if TOGETHER not in claims else [_together(claims[TOGETHER])]
    drawn = [_figure(figures[0], entry) for entry in figures[1]["figures"]]
    return {
        "name": head["study"],
        "title": head["entry"].get("title", head["study"]),
        "question": head["entry"].get("question"),
        "notes": head["notes"],
        "models": facts["model"].unique().tolist(),
        "methods": facts["method"].unique().tolist(),
        "answers": together
        + [
            {
                "cohort": cohort,
                "answers": [*claims.get(cohort, []), *answer(facts, head, cohort)],
                "glance": glance(facts, head, cohort),
            }
            for cohort in head["cohorts"]
        ],
        "cohorts": head["cohorts"],
        "picture": drawn[0] if drawn else None,
        "figures": drawn,
        "tables": [_table(tables[0], entry) for entry in head["tables"]],
    }


def _together(answers: list) -> dict:
    return {"cohort": TOGETHER, "answers": answers, "glance": None}


def _claims(tables: tuple[Path, dict]) -> dict[str, list]:
    """Return the answers to a study's claims by cohort; none where it does not test any."""
    folder, head = tables
    files = {entry["name"]: folder / entry["files"]["csv"] for entry in head["tables"]}
    if "search_claims" in files:
        return answer_searches(pd.read_csv(files["search_claims"]), head)
    if "claims" not in files:
        return {}
    data = pd.read_csv(files["claims"])
    return {cohort: answer_claims(data, head, cohort) for cohort in head["cohorts"]}


def _figure(folder: Path, entry: dict) -> dict:
    files = entry["files"]
    data = packed((folder / files["csv"]).read_bytes())
    return {**entry, "picture": picture(folder / files["svg"]), "csv": data}


def _table(folder: Path, entry: dict) -> dict:
    columns = tuple(Column(**column) for column in entry["columns"])
    files = entry["files"]
    return {
        **entry,
        **table_rows(folder / files["csv"], columns),
        "open": entry["name"] in OPEN,
        "csv": packed((folder / files["csv"]).read_bytes()),
        "latex": packed((folder / files["tex"]).read_bytes()),
    }


def _findings(findings: list[dict]) -> list[dict]:
    """Return the findings, those that say the same once, with all the places."""
    places: dict[tuple, list[str]] = {}
    for item in findings:
        said = (item["severity"], item["check"].replace("_", " "), item["message"])
        places.setdefault(said, []).append(item["where"].strip(" :"))
    names = ("severity", "check", "message")
    return [
        {**dict(zip(names, said, strict=True)), "where": [place for place in where if place]}
        for said, where in places.items()
    ]


def _flow(card: dict) -> dict:
    """Return a cohort's way from the dataset's table to its splits.

    Returns
    -------
    dict
        ``start`` (images in the table; None where the card does not say what was left), ``steps``
        (``reason``, ``count`` and perhaps ``left``), ``splits`` (name, images, patients).
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


def _balance(counts: list[dict]) -> list[dict]:
    """Return one entry a group with its counts by split."""
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
