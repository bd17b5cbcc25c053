"""The tables that a study can ask for by name (``tables`` in its entry).

To add one: a function ``(evidence, facts, extras) -> Table | None`` (None where the study has
nothing to show in it), an entry here, and its name with the stages it needs in
`medaudit.config.requests` and ``studies.schema.yaml``.
"""

from collections.abc import Callable

import pandas as pd

from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.adaptation import class_f1, fine_tuning, group_f1, published, zero_shot
from medaudit.report.tables.attribute_probes import attribute_probes, parts
from medaudit.report.tables.changes import changes
from medaudit.report.tables.claims import claims
from medaudit.report.tables.dialects import dialects, rankings
from medaudit.report.tables.ensembles import ensembles, linear_against_full
from medaudit.report.tables.fairtune import (
    ablation,
    averages,
    masked_pretraining,
    overlapping,
    rank_tests,
    results,
)
from medaudit.report.tables.pretraining import (
    models,
    pretraining_data,
    pretraining_epochs,
    pretraining_fraction,
)
from medaudit.report.tables.search import search, search_claims, search_costs
from medaudit.report.tables.table import Table

EXTRA: dict[str, Callable[[Evidence, pd.DataFrame, Extras], Table | None]] = {
    "zero_shot": zero_shot,
    "fine_tuning": fine_tuning,
    "class_f1": class_f1,
    "group_f1": group_f1,
    "changes": changes,
    "dialects": dialects,
    "rankings": rankings,
    "published": published,
    "attribute_probes": attribute_probes,
    "parts": parts,
    "models": models,
    "claims": claims,
    "pretraining_data": pretraining_data,
    "pretraining_epochs": pretraining_epochs,
    "pretraining_fraction": pretraining_fraction,
    "ensembles": ensembles,
    "linear_against_full": linear_against_full,
    "search_claims": search_claims,
    "results": results,
    "averages": averages,
    "rank_tests": rank_tests,
    "masked_pretraining": masked_pretraining,
    "overlapping": overlapping,
    "ablation": ablation,
    "search": search,
    "search_costs": search_costs,
}


def extra_tables(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> list[Table]:
    """Return the tables that the study asks for, in its order."""
    asked = [EXTRA[name](evidence, facts, extras) for name in evidence.entry.get("tables", [])]
    return [table for table in asked if table is not None]
