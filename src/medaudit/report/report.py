"""Stage ``report``: one page that answers a run's questions, and the record of the run."""

import logging
from pathlib import Path

from medaudit.core.stage import run as run_stage
from medaudit.core.table_io import atomic, read_json, write_json
from medaudit.report.page.contact_sheets import contact_sheets
from medaudit.report.page.content import read_cohorts, read_studies
from medaudit.report.page.methods import methods_of, versions
from medaudit.report.page.model_cards import model_cards
from medaudit.report.page.render import render
from medaudit.report.page.run_record import make_record
from medaudit.report.studies.evidence import ordered
from medaudit.report.wording.disclaimers import notes_of

LOG = logging.getLogger(__name__)


def report(
    settings: dict,
    *,
    compare: list[Path],
    tables: list[Path],
    figures: list[Path],
    cards: list[Path],
    predictions: list[Path],
    output: Path,
    run: Path,
    cohorts: list[Path] = (),
    threads: int = 1,
) -> None:
    """Write the page of a run (one HTML file that needs no network) and its record (JSON).

    Parameters
    ----------
    settings : dict
        ``config``: the merged configuration.
    compare : list of Path
        Facts of each study (`medaudit.core.audit_tables.COMPARISON`).
    tables, figures : list of Path
        The folders of each study, with their ``index.json``.
    cards : list of Path
        JSON, in any order: cohort cards, findings of the lint, and cards of image stores (or
        the stores' folders), and cards of pretrainings.
    predictions : list of Path
        Predictions, for what their footers say of models, weights and seeds.
    output, run : Path
        ``report.html`` and ``run.json``.
    cohorts : list of Path
        Cohort tables; of those whose pixels are drawn, some pictures are shown.
    threads : int
        Not used.
    """
    config = settings["config"]
    read = [read_json(path / "card.json" if path.is_dir() else path) for path in cards]
    record = make_record(config, read, predictions)
    sheets = contact_sheets(
        [card for card in read if "builder" in card], cohorts, [p for p in cards if p.is_dir()]
    )
    shown_cohorts = read_cohorts(read, sheets)
    studies = read_studies(config, compare, tables, figures)
    models = ordered(name for study in studies for name in study["models"])
    shown = model_cards(config, models, read)
    for study in studies:
        study["method"] = methods_of(study, config, shown_cohorts, shown)
    page = render(
        {
            "studies": studies,
            "model_cards": shown,
            "packages": versions(record),
            "cohorts": shown_cohorts,
            "phantom": any(card.get("phantom") for card in shown_cohorts),
            "notes": notes_of(card for card in read if "builder" in card),
            "config": config,
            "record": record,
        }
    )
    write_json(record, run)
    with atomic(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    LOG.info("%s: %.1f MiB", output, len(page.encode()) / 2**20)


if __name__ == "__main__":
    run_stage(report)
