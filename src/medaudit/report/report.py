"""Stage `report`: one page that answers a run's questions, and the record of the run."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NotRequired, TypedDict

from medaudit.config.audit_card import read_card, sections
from medaudit.core.entry_types import Config
from medaudit.core.files import sha256
from medaudit.core.stage import run as run_stage
from medaudit.core.table_io import atomic, read_json, read_metadata, write_json
from medaudit.report.page.contact_sheets import contact_sheets
from medaudit.report.page.content import read_cohorts, read_studies
from medaudit.report.page.explorer import explorer
from medaudit.report.page.known import WORKFLOW, known_of
from medaudit.report.page.methods import methods_of, versions
from medaudit.report.page.missed_section import missed_section
from medaudit.report.page.model_cards import model_cards
from medaudit.report.page.planted import planted_rows
from medaudit.report.page.render import render, render_summary
from medaudit.report.page.run_record import make_record
from medaudit.report.page.summary import summarise
from medaudit.report.page.warnings import collect_warnings
from medaudit.report.scores.missed import write_missed
from medaudit.report.scores.runs import ScoredRun, scored_runs
from medaudit.report.studies.evidence import ordered
from medaudit.report.wording.disclaimers import notes_of
from medaudit.report.wording.names import read_names

LOG = logging.getLogger(__name__)


class ReportSettings(TypedDict):
    """Settings of `report`."""

    config: Config
    made_by: NotRequired[str]


def report(
    settings: ReportSettings,
    *,
    compare: list[Path],
    tables: list[Path],
    figures: list[Path],
    cards: list[Path],
    predictions: list[Path],
    output: Path,
    run: Path,
    cohorts: list[Path] = (),  # type: ignore[assignment]  # the parser asks for `list[Path]`
    lint: list[Path] = (),  # type: ignore[assignment]
    stores: list[Path] = (),  # type: ignore[assignment]
    pretrainings: list[Path] = (),  # type: ignore[assignment]
    audit_card: list[Path] = (),  # type: ignore[assignment]
    groups: list[Path] = (),  # type: ignore[assignment]
    missed: Path | None = None,
    summary: Path | None = None,
) -> None:
    """Write the page of a run (one HTML file that needs no network) and its record (JSON).

    Parameters
    ----------
    settings : dict
        ``config``: the merged configuration; ``made_by``: one of
        `medaudit.report.page.known`, the workflow if absent.
    compare : list of Path
        Facts of each study (`medaudit.core.audit_tables.COMPARISON`).
    tables, figures : list of Path
        The folders of each study, with their ``index.json``.
    cards : list of Path
        Cohort cards.
    predictions : list of Path
        Predictions: their footers name model, weights and seeds.
    output, run : Path
        ``report.html`` and ``run.json``.
    cohorts : list of Path
        Cohort tables; pictures are shown of cohorts with phantom pixels.
    lint : list of Path
        Findings of the lint, one file per cohort.
    stores : list of Path
        Folders of image stores.
    pretrainings : list of Path
        Cards of pretrainings.
    audit_card : list of Path
        The audit card, if there is one (`medaudit.config.audit_card`).
    groups : list of Path
        Tables of groups, in the order of `cards`; without them, the cohorts' own columns are used.
    missed : Path, optional
        Folder for the ids of the findings that each run misses (one CSV per run). They are never
        in the page.
    summary : Path, optional
        ``summary.html``: the answers on two printed pages.
    """
    config = settings["config"]
    cohort_cards = [read_json(path) for path in cards]
    store_cards = [read_json(folder / "card.json") for folder in stores]
    findings = [read_json(path) for path in lint]
    record = make_record(config, cohort_cards, store_cards, predictions)
    record["audit_card"] = {path.name: sha256(path) for path in audit_card}
    sheets = contact_sheets(cohort_cards, cohorts, stores)
    cohort_parts = read_cohorts(cohort_cards, store_cards, findings, sheets)
    studies = read_studies(config, compare, tables, figures)
    used = ordered(name for study in studies for name in study["models"])
    models = model_cards(config, used, findings, [read_json(path) for path in pretrainings])
    methods = ordered(name for study in studies for name in study["methods"])
    made_by = settings.get("made_by", WORKFLOW)
    known = known_of(config, used, methods, cohort_parts, made_by)
    for study in studies:
        study["method"] = methods_of(study, config, cohort_parts, models)
    footers = [read_metadata(path) for path in predictions]
    names = read_names(config)
    warnings = collect_warnings(
        studies, cohort_cards, findings, footers, [card["name"] for card in models], names
    )
    scored: list[ScoredRun] = []
    if len(cohorts) == len(cards):
        runs = scored_runs(config, cohort_cards, cohorts, groups, predictions)
        scored = _first_runs_first(runs, studies)
    content = {
        "explorer": explorer(scored, config.get("evaluation", {}), names),
        "missed": missed_section(scored, stores, missed.name, names) if missed else [],
        "names": names,
        "summary_file": summary.name if summary is not None else "",
        "studies": studies,
        "warnings": warnings,
        "model_cards": models,
        "known": known,
        "packages": versions(record, known["packages"]),
        "cohorts": cohort_parts,
        "planted": planted_rows(cohort_cards, [study["answered"] for study in studies]),
        "phantom": any(card.get("phantom") for card in cohort_cards),
        "notes": notes_of(cohort_cards),
        "config": config,
        "record": record,
        "audit_card": sections(read_card(audit_card[0])) if audit_card else None,
    }
    write_json(record, run)
    for one in scored if missed is not None else []:
        write_missed(one, missed)  # type: ignore[arg-type]
    if summary is not None:
        short = {**content, "summary": summarise(studies, cohort_cards, names, warnings)}
        _write(render_summary(short), summary)
    _write(render(content), output)


def _write(page: str, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    LOG.info("%s: %.1f MiB", path, len(page.encode()) / 2**20)


def _first_runs_first(runs: Iterable[ScoredRun], studies: list[dict]) -> list[ScoredRun]:
    """Return the runs, those of the first screen before the others of their cohort."""
    first = {
        (run.cohort, run.model, run.method)
        for study in studies
        for run in study["answered"].runs
        if run.first
    }
    return sorted(runs, key=lambda run: (run.cohort, run.model, run.method) not in first)


if __name__ == "__main__":
    run_stage(report)
