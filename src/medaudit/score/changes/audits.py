"""The two audits to compare: the present one, and one read from a folder of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from medaudit.core.entry_types.evaluation import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import METRICS, PREDICTIONS, read_audited, read_json, read_table
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.sample import Sample, read_sample

if TYPE_CHECKING:
    from medaudit.score import Result

Run = tuple[str, str]


@dataclass(frozen=True)
class Audit:
    """One model's audit.

    Parameters
    ----------
    run : (str, str)
        Model and method.
    evaluation : Evaluation
        The settings.
    sample : Sample
        The test split.
    metrics : pandas.DataFrame
        `METRICS` of the mean over seeds.
    cohort : pandas.DataFrame
        Its test rows.
    has_patients : bool
        Whether a column identified patients; else an image's id stands for its patient.
    """

    run: Run
    evaluation: Evaluation
    sample: Sample
    metrics: pd.DataFrame
    cohort: pd.DataFrame
    has_patients: bool

    @property
    def patients(self) -> np.ndarray:
        """Ids of the patients, in the order of the sample's numbers."""
        return np.unique(self.cohort["patient_id"])[self.sample.identity]


def audit_of(result: Result, run: Run) -> Audit:
    """Return one model of the present audit."""
    study = result.study
    settings = {
        "task_type": study.task_type,
        "tasks": study.tasks,
        "attributes": study.attributes,
        "test_weights": "given" if study.weighted else "none",
    }
    return _audit(
        run,
        result.evaluation,
        settings,
        study.predictions[run],
        study.cohort,
        result.metrics,
        study.has_patients,
    )


def read_earlier(folder: Path, run: Run, n_runs: int) -> Audit:
    """Read an audit from the results of `medaudit score` or of the workflow.

    Parameters
    ----------
    folder : Path
        The results.
    run : (str, str)
        Model and method to look for; where both audits have one model only, it is that one.
    n_runs : int
        Number of models of the present audit.

    Raises
    ------
    MedauditError
        The folder is not a finished result, or has no such model.
    """
    record_file = folder / "run.json"
    if not record_file.is_file():
        raise MedauditError(
            f"--against {folder}: there is no run.json; name the folder that an earlier "
            "`medaudit score --output` wrote"
        )
    record = read_json(record_file)
    own = _choose(folder, record["runs"], run, n_runs)
    cohort, model, method = own["cohort"], own["model"], own["method"]
    entry = record["config"]["cohorts"][cohort]
    groups = folder / "groups" / f"{cohort}.parquet"
    card = read_json(folder / "cohort" / f"{cohort}.json")
    detected = [list(pair) for pair in card.get("detected", [])]
    table = read_audited(
        folder / "cohort" / f"{cohort}.parquet", groups if groups.is_file() else None
    )
    settings = {name: entry[name] for name in ("task_type", "tasks", "attributes") if name in entry}
    return _audit(
        (model, method),
        record["config"]["evaluation"],
        {**settings, "test_weights": "given" if _weighted(table) else "none"},
        _own_table(folder / "predictions" / cohort, PREDICTIONS, model, method),
        table,
        _own_table(folder / "evaluate" / cohort, METRICS, model, method),
        not any(role == "patient" and "no column" in text for role, text in detected),
    )


def _weighted(cohort: pd.DataFrame) -> bool:
    return any(column.startswith("w_") for column in cohort.columns)


def _choose(folder: Path, runs: list[dict[str, Any]], run: Run, n_runs: int) -> dict[str, Any]:
    same = [one for one in runs if (one["model"], one["method"]) == run]
    if len(same) == 1:
        return same[0]
    if len(runs) == 1 and n_runs == 1:
        return runs[0]
    names = ", ".join(f"{one['model']} / {one['method']} on {one['cohort']}" for one in runs)
    what = "several cohorts with" if same else "no"
    raise MedauditError(
        f"--against {folder}: it has {what} the model {' / '.join(run)}; it has {names}"
    )


def _own_table(folder: Path, table: Any, model: str, method: str) -> pd.DataFrame:
    """Return the table of one run; predictions say in their footer whose they are."""
    suffix = "parquet" if table is PREDICTIONS else "csv"
    plain = folder / model / f"{method}.{suffix}"
    files = [plain] if plain.is_file() else sorted(folder.rglob(f"*.{suffix}"))
    for path in files:
        if table is PREDICTIONS:
            from medaudit.core.table_io import read_metadata

            footer = read_metadata(path)
            if (footer.get("model"), footer.get("method")) == (model, method):
                return read_table(path, table)
        elif (rows := read_table(path, table))["model"].eq(model).any():
            return rows
    raise MedauditError(f"{folder} has no table of {model} / {method}: the result is incomplete")


def _audit(
    run: Run,
    evaluation: Evaluation,
    settings: dict[str, Any],
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    metrics: pd.DataFrame,
    has_patients: bool,
) -> Audit:
    names = {"cohort": "", "model": run[0], "method": run[1], "evaluation": evaluation}
    sample = read_sample(
        predictions, cohort, cast(AuditSettings, {**settings, **names, "strata": []})
    )
    own = metrics["model"].eq(run[0]) & metrics["method"].eq(run[1]) & metrics["seed"].eq("mean")
    return Audit(
        run=run,
        evaluation=evaluation,
        sample=sample,
        metrics=metrics[own].reset_index(drop=True),
        cohort=cohort[cohort["split"] == "test"].reset_index(drop=True),
        has_patients=has_patients,
    )
