"""Write an audit into the folders, tables, figures and report that the workflow writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medaudit.audit.lint.problems import SEVERITIES
from medaudit.core import audit_tables, table_io
from medaudit.core.entry_types import Config, StudyEntry
from medaudit.report.compare import compare
from medaudit.report.page.known import SCORE
from medaudit.report.report import report
from medaudit.report.studies.evidence import null_of
from medaudit.score.answering import entry_of
from medaudit.score.reading import COLUMNS_FILE, write_reading
from medaudit.score.synthetic import is_synthetic

if TYPE_CHECKING:  # `Result.write` imports this module
    from medaudit.score import Result


def write(result: Result, folder: Path, audit_card: Path | None = None) -> Path:
    """Write an audit below `folder` and return the path of its report.

    Parameters
    ----------
    result : medaudit.score.Result
        The audit.
    folder : Path
        Gets ``cohort``, ``predictions``, ``evaluate``, ``disparity``, ``dialects``, ``lint``,
        ``sensitivity``, ``conditional_gaps`` (with `control`), ``remedies`` (with `mitigate`), ``compare``, ``tables``, ``figures``, ``report.html`` and ``run.json``. Existing files of
        these names are replaced.
    audit_card : Path, optional
        An audit card, which the report shows.

    Returns
    -------
    Path
        ``report.html``.
    """
    study, name = result.study, result.study.name
    card = folder / "cohort" / f"{name}.json"
    lint = folder / "lint" / f"{name}.json"
    table_io.write_table(study.cohort, card.with_suffix(".parquet"), table_io.COHORT)
    table_io.write_json(study.card(), card)
    if study.settings:
        read_from = ", ".join(path.name for path in study.files) or "a data frame"
        write_reading(study.settings, read_from, folder / COLUMNS_FILE)
    table_io.write_json(_findings(result), lint)
    dialects = folder / "dialects"
    table_io.write_table(result.dialects, dialects / f"{name}.csv", audit_tables.DIALECTS)
    table_io.write_table(result.rankings, dialects / f"{name}.rankings.csv", audit_tables.RANKINGS)
    paths = [_write_run(result, folder, *key, stem) for key, stem in _stems(result).items()]
    remedies = [folder / "remedies" / f"{name}.csv"] if len(result.remedies) else []
    for path in remedies:
        table_io.write_table(result.remedies, path, audit_tables.REMEDIES)
    entry = entry_of(result)
    facts, tables, figures = (
        folder / "compare" / f"{name}.csv",
        folder / "tables",
        folder / "figures",
    )
    compare(
        {"study": name, "entry": entry, "evaluation": result.evaluation},
        metrics=[path["evaluate"] for path in paths],
        gaps=[path["disparity"] for path in paths],
        conditional=[path["conditional_gaps"] for path in paths if "conditional_gaps" in path],
        sensitivity=[path["sensitivity"] for path in paths],
        remedies=remedies,
        cards=[card],
        output=facts,
        tables=tables / name,
        figures=figures / name,
    )
    page = folder / "report.html"
    report(
        {"config": cast(Config, _config(result, entry)), "made_by": SCORE},
        compare=[facts],
        tables=[tables / name],
        figures=[figures / name],
        cards=[card],
        cohorts=[card.with_suffix(".parquet")],
        missed=folder / "missed",
        summary=folder / "summary.html",
        lint=[lint],
        predictions=[path["predictions"] for path in paths],
        audit_card=[audit_card] if audit_card else [],
        output=page,
        run=folder / "run.json",
    )
    return page


def _findings(result: Result) -> dict:
    findings = result.lint.to_dict("records")
    counts = {kind: sum(f["severity"] == kind for f in findings) for kind in SEVERITIES}
    return {"cohort": result.study.name, "findings": findings, "counts": counts}


def _config(result: Result, entry: StudyEntry) -> dict:
    """Return a configuration that describes the audit, for the report and ``run.json``."""
    study = result.study
    cohort = {"task_type": study.task_type, "tasks": study.tasks, "attributes": study.attributes}
    cohort["strata"] = study.declared
    return {
        "run": [study.name],
        "studies": {study.name: entry},
        "cohorts": {study.name: cohort},
        "models": {model: {"kind": "predictions"} for model in entry["models"]},
        "methods": {method: {"kind": "given"} for method in entry["methods"]},
        "evaluation": result.evaluation,
    }


def _stems(result: Result) -> dict[tuple[str, str], str]:
    """Return a file name for each model and method.

    Names that differ only in characters that a file name cannot hold, or in upper and lower case,
    get different files.
    """
    found: dict[tuple[str, str], str] = {}
    for model, method in result.study.predictions:
        parts = [
            re.sub(r"[^\w.-]+", "_", part).strip("._") or "unnamed" for part in (model, method)
        ]
        stem, number = "/".join(parts), 2
        while stem.casefold() in {taken.casefold() for taken in found.values()}:
            stem, number = f"{parts[0]}_{number}/{parts[1]}", number + 1
        found[model, method] = stem
    return found


def _write_run(result: Result, folder: Path, model: str, method: str, stem: str) -> dict[str, Path]:
    name = result.study.name
    paths = {
        "predictions": folder / "predictions" / name / f"{stem}.parquet",
        "evaluate": folder / "evaluate" / name / f"{stem}.csv",
        **{stage: folder / stage / name / f"{stem}.csv" for stage in ("disparity", "sensitivity")},
    }
    if len(result.conditional):
        paths["conditional_gaps"] = folder / "conditional_gaps" / name / f"{stem}.csv"
    table_io.write_table(
        result.study.predictions[model, method],
        paths["predictions"],
        table_io.PREDICTIONS,
        cohort=name,
        model=model,
        method=method,
        phantom=is_synthetic(result.study.files),
    )
    for stage, table, contract in (
        ("evaluate", result.metrics, table_io.METRICS),
        ("disparity", result.gaps, table_io.GAPS),
        ("sensitivity", result.sensitivity, audit_tables.SENSITIVITY),
        ("conditional_gaps", result.conditional, audit_tables.CONDITIONAL),
    ):
        if stage not in paths:
            continue
        own = (table["model"] == model) & (table["method"] == method)
        table_io.write_table(table[own], paths[stage], contract)
    replicates = paths["evaluate"].with_suffix(".replicates.npy")
    table_io.write_array(result.replicates[model, method], replicates)
    table_io.write_array(result.nulls[model, method], null_of(paths["disparity"]))
    return paths
