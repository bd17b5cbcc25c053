"""What an audit is asked for: the settings that its stages share."""

from typing import TypedDict

from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.metrics.definitions import METRICS

ECE_BINS = 15


class AuditSettings(TypedDict, total=False):
    """Settings of one audited run.

    ``cohort``, ``model`` and ``method`` are names. ``task_type`` is ``binary``, ``multilabel`` or
    ``multiclass``. ``tasks`` defaults to those of the predictions. ``attributes`` are names, or
    lists of names for intersections. ``test_weights`` is ``none`` (default),
    ``equal_prevalence`` or ``resample``. Each stage says which keys of ``evaluation`` it reads.
    """

    cohort: str
    model: str
    method: str
    task_type: str
    tasks: list[str]
    attributes: list[str | list[str]]
    test_weights: str
    evaluation: Evaluation


def check_evaluation(settings: AuditSettings) -> Evaluation:
    """Return the ``evaluation`` block with its defaults.

    Raises
    ------
    MedauditError
        A metric is unknown.
    """
    evaluation: Evaluation = {"ece_bins": ECE_BINS, **settings["evaluation"]}
    unknown = [name for name in evaluation["metrics"] if name not in METRICS]
    if unknown:
        raise MedauditError(f"evaluation: metrics {unknown} are unknown; known: {list(METRICS)}")
    return evaluation
