"""The answers of an audit in memory: the same that the report gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import has_permutations
from medaudit.core.entry_types import StudyEntry
from medaudit.report.answers.structure import StudyAnswers
from medaudit.report.answers.study import answer_study
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.facts import gaps as facts_on_gaps
from medaudit.report.studies.facts import name_families

if TYPE_CHECKING:  # `medaudit.score` imports this module
    from medaudit.score import Result

REMEDY_TABLES, REMEDY_FIGURES = ["remedies", "remedy_groups"], ["remedy_changes"]
"""What an audit with remedies shows of them."""


def entry_of(result: Result) -> StudyEntry:
    """Return the audit as a study: every model is one of its subjects."""
    models = list(dict.fromkeys(model for model, _ in result.study.predictions))
    tried = len(result.remedies) > 0
    return {
        "title": f"Audit of {result.study.name}",
        "cohorts": [result.study.name],
        "models": models,
        "methods": list(dict.fromkeys(method for _, method in result.study.predictions)),
        "subjects": models,
        "tables": ["sensitivity", "target_population", *(REMEDY_TABLES if tried else [])],
        "figures": REMEDY_FIGURES if tried else [],
    }


def answers_of(result: Result) -> StudyAnswers:
    """Return the answers on every model of an audit."""
    evidence = evidence_of(result)
    return answer_study(evidence, name_families(facts_on_gaps(evidence)))


def evidence_of(result: Result) -> Evidence:
    """Return the tables of an audit as the report reads them."""
    runs = list(result.study.predictions)
    metrics, gaps = (
        _located(table, runs).assign(measure=table["metric"])
        for table in (result.metrics, result.gaps)
    )
    kept = _places(gaps)
    return Evidence(
        study=result.study.name,
        entry=entry_of(result),
        evaluation=result.evaluation,
        metrics=metrics,
        gaps=gaps.assign(row=kept),
        cards={result.study.name: result.study.card()},
        files=[result.replicates[run] for run in runs],
        nulls=[result.nulls[run] for run in runs],
    )


def _located(table: pd.DataFrame, runs: list[tuple[str, str]]) -> pd.DataFrame:
    """Add the number of each row's run, and its place among the rows of that run."""
    keys = pd.MultiIndex.from_frame(table[RUN[1:]])
    file = pd.MultiIndex.from_tuples(runs).get_indexer(keys)
    return table.assign(file=file, row=table.groupby(RUN[1:], sort=False).cumcount())


def _places(gaps: pd.DataFrame) -> np.ndarray:
    """Return the place of each gap among those of its run with permutations; -1 without."""
    places = np.full(len(gaps), -1)
    for rows in gaps.groupby("file", sort=False).indices.values():
        kept = has_permutations(gaps.iloc[rows]).to_numpy()
        places[rows] = np.where(kept, kept.cumsum() - 1, -1)
    return places
