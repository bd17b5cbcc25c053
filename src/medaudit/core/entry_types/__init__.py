"""Types of the configuration's entries. Written from ``*.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from medaudit.core.entry_types.cohorts import CohortEntry
from medaudit.core.entry_types.datasets import DatasetEntry
from medaudit.core.entry_types.evaluation import Config, Evaluation
from medaudit.core.entry_types.methods import MethodEntry
from medaudit.core.entry_types.models import ModelEntry
from medaudit.core.entry_types.pretrainings import PretrainingEntry
from medaudit.core.entry_types.studies import StudyEntry

__all__ = [
    "CohortEntry",
    "Config",
    "DatasetEntry",
    "Evaluation",
    "MethodEntry",
    "ModelEntry",
    "PretrainingEntry",
    "StudyEntry",
]
