"""Lint and audit of every run of a study: the tables of a `medaudit.score.Result`."""

from typing import Any

import numpy as np
import pandas as pd

from medaudit.audit.conditional_gaps import find_conditional_gaps
from medaudit.audit.dialects import score_dialects
from medaudit.audit.dialects.rankings import rank_measures
from medaudit.audit.dialects.same_quantity import quote_audit
from medaudit.audit.disparity import find_gaps
from medaudit.audit.lint.problems import Finding, as_json, fail_on_errors
from medaudit.audit.sensitivity import ask
from medaudit.core.audit_tables import CONDITIONAL
from medaudit.core.entry_types.evaluation import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.group_audit import audit
from medaudit.metrics.sample import read_sample
from medaudit.report.equivalence import judged_rows
from medaudit.score.assemble import Study
from medaudit.score.protocol_lint import lint_study
from medaudit.score.refusals import decided_only, refusal_tables


def audit_runs(study: Study, evaluation: Evaluation, threads: int) -> dict[str, Any]:
    """Return the tables of a `medaudit.score.Result` by the names of its fields.

    Raises
    ------
    MedauditError
        The protocol lint finds an error.
    """
    findings = lint_study(study, evaluation)
    fail_on_errors(findings, study.name)
    tables: dict[str, list[pd.DataFrame]] = {"metrics": [], "gaps": [], "dialects": []}
    tables |= {"conditional": [], "sensitivity": []}
    replicates, nulls = {}, {}
    for run, rows in study.predictions.items():
        settings = settings_of(study, *run, evaluation)
        sample = read_sample(rows, study.cohort, settings)
        metrics, drawn = audit(rows, study.cohort, settings, threads, sample)
        gaps, null = find_gaps(rows, study.cohort, settings, metrics, drawn, threads, sample)
        replicates[run], nulls[run] = drawn, null
        tables["metrics"].append(metrics)
        tables["gaps"].append(gaps)
        scored = score_dialects(metrics, drawn, study.task_type)
        tables["dialects"].append(quote_audit(scored, metrics, gaps))
        if study.refused:
            refusals = refusal_tables(study.refused, study.tasks, study.cohort, sample, settings)
            tables["metrics"].append(refusals[0])
            tables["gaps"].append(refusals[1])
            blank = np.full((len(refusals[0]), drawn.shape[1]), np.nan, np.float32)
            replicates[run] = np.concatenate([drawn, blank])
            nulls[run] = np.concatenate([null, refusals[2]])
        tables["conditional"].append(_conditional(rows, study, settings, threads))
        asked = ask(rows, study.cohort, settings, sample)
        tables["sensitivity"].append(asked if study.scored else _without_thresholds(asked))
    merged = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return {
        **merged,
        "rankings": rank_measures(merged["dialects"]),
        "equivalence": judged_rows(merged["gaps"], evaluation["margins"]),
        "lint": pd.DataFrame(as_json(findings)["findings"], columns=list(Finding.__annotations__)),
        "replicates": replicates,
        "nulls": nulls,
    }


def _without_thresholds(asked: pd.DataFrame) -> pd.DataFrame:
    """Return the answers but those on other thresholds, which decisions do not have."""
    return asked[asked["question"] != "threshold"]


def _conditional(
    rows: pd.DataFrame, study: Study, settings: AuditSettings, threads: int
) -> pd.DataFrame:
    if not settings["evaluation"]["control"]:
        return pd.DataFrame(columns=list(CONDITIONAL.columns))
    if not study.scored:
        settings = {**settings, "evaluation": decided_only(settings["evaluation"])}
    found = find_conditional_gaps(rows, study.cohort, settings, threads)
    if found.empty:
        control = ", ".join(settings["evaluation"]["control"])
        raise MedauditError(
            f"control: there is nothing left to compare at equal {control}; name other attributes "
            "with --attributes, or metrics that are rates or the AUC"
        )
    return found


def settings_of(study: Study, model: str, method: str, evaluation: Evaluation) -> AuditSettings:
    """Return the settings of one run of a study, as the workflow's stages take them."""
    return {
        "cohort": study.name,
        "model": model,
        "method": method,
        "task_type": study.task_type,
        "tasks": study.tasks,
        "attributes": study.attributes,
        "strata": study.declared,
        "test_weights": "given" if study.weighted else "none",
        "scored": study.scored,
        "evaluation": evaluation,
    }
