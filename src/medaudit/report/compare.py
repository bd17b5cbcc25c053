"""Stage ``compare``: merge the audits of a study into facts, tables and figures."""

import logging
from pathlib import Path

from medaudit.core.audit_tables import COMPARISON
from medaudit.core.stage import run
from medaudit.core.table_io import write_json, write_table
from medaudit.report.studies.evidence import Evidence, gather
from medaudit.report.studies.extras import gather_extras
from medaudit.report.studies.facts import gather_facts
from medaudit.report.wording.disclaimers import notes_of

LOG = logging.getLogger(__name__)


def compare(
    settings: dict,
    *,
    metrics: list[Path],
    gaps: list[Path],
    cards: list[Path],
    output: Path,
    tables: Path,
    figures: Path,
    dialects: list[Path] = (),
    parts: list[Path] = (),
    probes: list[Path] = (),
    predictions: list[Path] = (),
    searches: list[Path] = (),
    threads: int = 1,
) -> None:
    """Merge the metrics and gaps of a study's runs and write its facts, tables and figures.

    Parameters
    ----------
    settings : dict
        ``study`` (name), ``entry`` (title, cohorts, models, methods, ``also``, and ``tables`` and
        ``figures`` beside the standard ones), ``evaluation``, and perhaps ``methods`` (by name:
        ``kind``, ``head``, ``tune``, ``lora``, ``format``) and ``models`` (by name:
        `medaudit.config.model_facts.model_facts`).
    metrics, gaps : list of Path
        One file each a run; beside ``<x>.csv`` of the metrics lies ``<x>.replicates.npy``.
    cards : list of Path
        Cards of the study's cohorts.
    output : Path
        The facts (`COMPARISON`), CSV.
    tables, figures : Path
        Folders; each gets an ``index.json`` that says what is in it.
    dialects, parts, probes, predictions, searches : list of Path
        What the tables and figures that the study asks for need (`medaudit.config.requests`):
        results of `medaudit.audit.dialects` (replicates beside them), `medaudit.audit.gap_decomposition` and
        `medaudit.audit.attribute_probes`, predictions for their footers, and results of `medaudit.search.best_trial` (JSON,
        the trials' CSV beside it).
    threads : int
        Not used.

    Raises
    ------
    MedauditError
        The files do not belong together; see `medaudit.report.studies.evidence.gather`.
    """
    from medaudit.report.figures.extra import extra_figures
    from medaudit.report.figures.standard import standard_figures
    from medaudit.report.figures.style import style
    from medaudit.report.figures.style import write_files as write_figure
    from medaudit.report.tables.extra import extra_tables
    from medaudit.report.tables.standard import standard_tables
    from medaudit.report.tables.table import write_files as write_table_files

    evidence = gather(settings, metrics, gaps, cards)
    extras = gather_extras(settings, dialects, parts, probes, predictions, searches)
    facts = gather_facts(evidence)
    notes = notes_of(evidence.cards.values())
    made = [
        {**table.describe(), "files": write_table_files(table, tables, notes)}
        for table in (
            *standard_tables(evidence, facts),
            *extra_tables(evidence, facts, extras),
        )
    ]
    write_json({**_head(evidence, notes), "tables": made}, tables / "index.json")
    with style():
        drawn = [
            {**figure.describe(), "files": write_figure(figure, figures)}
            for figure in (
                *standard_figures(evidence, facts),
                *extra_figures(evidence, facts, extras),
            )
        ]
    write_json({**_head(evidence, notes), "figures": drawn}, figures / "index.json")
    write_table(facts.drop(columns="measure"), output, COMPARISON)
    LOG.info(
        "%s: %d facts, %d tables, %d figures", evidence.study, len(facts), len(made), len(drawn)
    )


def _head(evidence: Evidence, notes: list[str]) -> dict:
    return {
        "study": evidence.study,
        "entry": evidence.entry,
        "level": evidence.level,
        "draws": evidence.evaluation.get("bootstrap", {}).get("draws"),
        "permutations": evidence.evaluation.get("null", {}).get("draws"),
        "cohorts": list(evidence.cards),
        "headline": evidence.headline,
        "gap": evidence.gap,
        "notes": notes,
    }


if __name__ == "__main__":
    run(compare)
