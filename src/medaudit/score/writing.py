"""Write an audit as the workflow writes it: the same folders, tables, figures and report."""

import re
from pathlib import Path

from medaudit.audit.lint.problems import SEVERITIES
from medaudit.core import audit_tables, table_io
from medaudit.report.compare import compare
from medaudit.report.report import report
from medaudit.report.studies.evidence import null_of


def write(result, folder: Path) -> Path:
    """Write a `medaudit.score.Result` below `folder`.

    Parameters
    ----------
    result : medaudit.score.Result
        The audit.
    folder : Path
        Gets ``cohort``, ``predictions``, ``evaluate``, ``disparity``, ``dialects``, ``lint``,
        ``compare``, ``tables``, ``figures``, ``report.html`` and ``run.json``; files of the same
        names are replaced.

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
    table_io.write_json(_findings(result), lint)
    dialects = folder / "dialects"
    table_io.write_table(result.dialects, dialects / f"{name}.csv", audit_tables.DIALECTS)
    table_io.write_table(result.rankings, dialects / f"{name}.rankings.csv", audit_tables.RANKINGS)
    paths = [_write_run(result, folder, *key, stem) for key, stem in _stems(result).items()]
    entry = {
        "title": f"Audit of {name}",
        "cohorts": [name],
        "models": list(dict.fromkeys(model for model, _ in study.predictions)),
        "methods": list(dict.fromkeys(method for _, method in study.predictions)),
    }
    outputs = {
        "output": folder / "compare" / f"{name}.csv",
        "tables": folder / "tables" / name,
        "figures": folder / "figures" / name,
    }
    compare(
        {"study": name, "entry": entry, "evaluation": result.evaluation},
        metrics=[path["evaluate"] for path in paths],
        gaps=[path["disparity"] for path in paths],
        cards=[card],
        **outputs,
    )
    page = folder / "report.html"
    report(
        {"config": _config(result, entry)},
        compare=[outputs["output"]],
        tables=[outputs["tables"]],
        figures=[outputs["figures"]],
        cards=[card, lint],
        predictions=[path["predictions"] for path in paths],
        output=page,
        run=folder / "run.json",
    )
    return page


def _findings(result) -> dict:
    findings = result.lint.to_dict("records")
    counts = {kind: sum(f["severity"] == kind for f in findings) for kind in SEVERITIES}
    return {"cohort": result.study.name, "findings": findings, "counts": counts}


def _config(result, entry: dict) -> dict:
    """Return what stands for the configuration of a run without one."""
    study = result.study
    cohort = {"task_type": study.task_type, "tasks": study.tasks, "attributes": study.attributes}
    return {
        "run": [study.name],
        "studies": {study.name: entry},
        "cohorts": {study.name: cohort},
        "models": {model: {"kind": "predictions"} for model in entry["models"]},
        "methods": {method: {"kind": "given"} for method in entry["methods"]},
        "evaluation": result.evaluation,
    }


def _stems(result) -> dict[tuple[str, str], str]:
    """Return a file name for each model and method, different even where characters are lost."""
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


def _write_run(result, folder: Path, model: str, method: str, stem: str) -> dict[str, Path]:
    name = result.study.name
    paths = {
        "predictions": folder / "predictions" / name / f"{stem}.parquet",
        "evaluate": folder / "evaluate" / name / f"{stem}.csv",
        "disparity": folder / "disparity" / name / f"{stem}.csv",
    }
    table_io.write_table(
        result.study.predictions[model, method],
        paths["predictions"],
        table_io.PREDICTIONS,
        cohort=name,
        model=model,
        method=method,
        phantom=False,
    )
    for stage, table, contract in (
        ("evaluate", result.metrics, table_io.METRICS),
        ("disparity", result.gaps, table_io.GAPS),
    ):
        own = (table["model"] == model) & (table["method"] == method)
        table_io.write_table(table[own], paths[stage], contract)
    replicates = paths["evaluate"].with_suffix(".replicates.npy")
    table_io.write_array(result.replicates[model, method], replicates)
    table_io.write_array(result.nulls[model, method], null_of(paths["disparity"]))
    return paths
