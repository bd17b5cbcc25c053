"""Stage `compare`: merge the audits of a study into facts, tables and figures."""

import logging
from pathlib import Path

from medaudit.config.requests import outputs_of
from medaudit.core.audit_tables import COMPARISON
from medaudit.core.documents import StudyHead
from medaudit.core.stage import run
from medaudit.core.table_io import write_json, write_table
from medaudit.report.answers.structure import as_json
from medaudit.report.answers.study import answer_study
from medaudit.report.outputs import make_figures, make_tables
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import CompareSettings, gather
from medaudit.report.studies.extras import gather_extras, quote_intervals
from medaudit.report.studies.facts import gather_facts
from medaudit.report.wording.names import read_names

LOG = logging.getLogger(__name__)


def compare(
    settings: CompareSettings,
    *,
    metrics: list[Path],
    gaps: list[Path],
    cards: list[Path],
    output: Path,
    tables: Path,
    figures: Path,
    dialects: list[Path] = (),  # type: ignore[assignment]  # the parser asks for `list[Path]`
    parts: list[Path] = (),  # type: ignore[assignment]
    probes: list[Path] = (),  # type: ignore[assignment]
    predictions: list[Path] = (),  # type: ignore[assignment]
    searches: list[Path] = (),  # type: ignore[assignment]
    conditional: list[Path] = (),  # type: ignore[assignment]
    sensitivity: list[Path] = (),  # type: ignore[assignment]
    shift: list[Path] = (),  # type: ignore[assignment]
    remedies: list[Path] = (),  # type: ignore[assignment]
) -> None:
    """Merge the metrics and gaps of a study's runs and write its facts, tables and figures.

    Parameters
    ----------
    settings : dict
        ``study`` (name), ``entry`` (the study's), ``evaluation``; and, for requested tables and
        figures, ``methods`` (by name: ``kind``, ``head``, ``tune``, ``lora``, ``format``) and
        ``models`` (by name: `medaudit.config.model_facts.model_facts`); ``cohorts`` (by name:
        ``label``).
    metrics, gaps : list of Path
        One file per run; ``<x>.replicates.npy`` is next to the metrics ``<x>.csv``, and
        ``<x>.null.npy`` next to the gaps.
    cards : list of Path
        Cards of the study's cohorts.
    output : Path
        The facts (`COMPARISON`), CSV.
    tables, figures : Path
        Folders; an ``index.json`` in each describes its files. ``tables`` also gets
        ``answers.json``: `medaudit.report.answers.structure.StudyAnswers`.
    dialects, parts, probes, predictions, searches, conditional, sensitivity, shift, remedies : list of Path
        Needed by requested tables and figures (`medaudit.config.requests`): results of
        `medaudit.audit.dialects` (with replicates), `medaudit.audit.gap_decomposition` and
        `medaudit.audit.attribute_probes`; predictions, for their footers; and results of
        `medaudit.search.best_trial` (JSON, the trials' CSV next to it); and results of
        `medaudit.audit.conditional_gaps`, `medaudit.audit.sensitivity`, `medaudit.audit.shift` and
        `medaudit.audit.remedies`.

    Raises
    ------
    MedauditError
        The files do not belong together; see `medaudit.report.studies.evidence.gather`.
    """
    from medaudit.report.figures.style import style
    from medaudit.report.figures.style import write_files as write_figure_files
    from medaudit.report.tables.table import write_files as write_table_files

    evidence = gather(settings, metrics, gaps, cards)
    audits = (searches, conditional, sensitivity, shift, remedies)
    results = (dialects, parts, probes, predictions, *audits)
    extras = quote_intervals(gather_extras(settings, *results), evidence)
    context = Context(evidence, gather_facts(evidence), extras, names=read_names(settings))
    head = _head(context)
    written = [
        {
            **table.describe(),
            "files": write_table_files(table, tables, context.notes, context.names),
        }
        for table in make_tables(context, outputs_of(evidence.entry, "tables"))
    ]
    write_json({**head, "tables": written}, tables / "index.json")
    write_json(
        as_json(answer_study(evidence, context.facts, context.names)), tables / "answers.json"
    )
    with style():
        drawn = [
            {**figure.describe(), "files": write_figure_files(figure, figures)}
            for figure in make_figures(context, outputs_of(evidence.entry, "figures"))
        ]
    write_json({**head, "figures": drawn}, figures / "index.json")
    write_table(context.facts.drop(columns="measure"), output, COMPARISON)
    counts = len(context.facts), len(written), len(drawn)
    LOG.info("%s: %d facts, %d tables, %d figures", evidence.study, *counts)


def _head(context: Context) -> StudyHead:
    evidence = context.evidence
    return {
        "study": evidence.study,
        "entry": evidence.entry,
        "level": evidence.level,
        "draws": evidence.evaluation.get("bootstrap", {}).get("draws"),
        "permutations": evidence.evaluation.get("null", {}).get("draws"),
        "cohorts": list(evidence.cards),
        "headline": evidence.headline,
        "lead": evidence.lead,
        "gap": evidence.gap,
        "notes": context.notes,
    }


if __name__ == "__main__":
    run(compare)
