"""The test samples of a report's runs, read once for everything that needs single scores."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import Config
from medaudit.core.table_io import PREDICTIONS, read_audited, read_metadata, read_table
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.sample import Sample, read_sample

FROM_COHORT = ("task_type", "tasks", "attributes", "test_weights")
"""Keys of a cohort's entry that an audited sample depends on."""


@dataclass(frozen=True)
class ScoredRun:
    """A run's test sample, with the rows of its cohort in the same order.

    Parameters
    ----------
    cohort, model, method : str
        The run.
    sample : Sample
        Labels, scores, decisions, patients and groups.
    rows : pandas.DataFrame
        Test rows of the cohort.
    """

    cohort: str
    model: str
    method: str
    sample: Sample
    rows: pd.DataFrame


def scored_runs(
    config: Config,
    cards: list[CohortCard],
    cohorts: list[Path],
    groups: list[Path],
    predictions: list[Path],
) -> Iterator[ScoredRun]:
    """Read each run's test sample, with the decisions that the audit took.

    Parameters
    ----------
    config : Config
        ``evaluation`` and the entries of ``cohorts``.
    cards : list of CohortCard
        Name the cohorts of `cohorts` and `groups`, in the same order.
    cohorts, groups : list of Path
        Tables; without `groups`, the cohorts' own columns are used.
    predictions : list of Path
        One file per run; its footer names the run.
    """
    tables = {
        card["name"]: (table, groups[k] if groups else None)
        for k, (card, table) in enumerate(zip(cards, cohorts, strict=True))
    }
    read: dict[str, pd.DataFrame] = {}
    for path in predictions:
        footer = read_metadata(path)
        name = footer.get("cohort", "")
        if name not in tables or name not in config.get("cohorts", {}):
            continue
        cohort = read.setdefault(name, read_audited(*tables[name]))
        settings = _settings(config, footer)
        sample = read_sample(read_table(path, PREDICTIONS), cohort, settings)
        rows = cohort[cohort["split"] == "test"].reset_index(drop=True)
        yield ScoredRun(name, footer["model"], footer["method"], sample, rows)


def _settings(config: Config, footer: dict[str, Any]) -> AuditSettings:
    entry: dict[str, Any] = {**config["cohorts"][footer["cohort"]]}
    settings: Any = {name: entry[name] for name in FROM_COHORT if name in entry}
    settings |= {name: footer[name] for name in ("cohort", "model", "method")}
    found: AuditSettings = {**settings, "evaluation": config["evaluation"]}
    return found
