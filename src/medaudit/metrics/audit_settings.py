"""What an audit is asked for: the settings that its stages share."""

import hashlib
import json
from pathlib import Path
from typing import TypedDict

from medaudit.core.entry_types import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.metrics.definitions import METRICS

ECE_BINS = 15
OF_GAPS = ("gaps", "null", "reference")
"""Evaluation settings that only gaps depend on."""


class AuditSettings(TypedDict, total=False):
    """Settings of one audited run.

    ``cohort``, ``model`` and ``method`` are names. ``task_type`` is ``binary``, ``multilabel`` or
    ``multiclass``. ``tasks`` defaults to those of the predictions. ``attributes`` are names, or
    lists of names for intersections. ``strata`` are those of the attributes within which the
    bootstrap draws patients (default: all). ``test_weights`` is ``none`` (default),
    ``equal_prevalence``, ``resample`` or ``given`` (the user's, in `medaudit.score`). Without ``scored`` (default true) scores are
    only decisions. Each stage says which keys of ``evaluation`` it reads.
    """

    cohort: str
    model: str
    method: str
    task_type: str
    tasks: list[str]
    attributes: list[str | list[str]]
    strata: list[str | list[str]]
    test_weights: str
    scored: bool
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


def hash_inputs(settings: AuditSettings, **files: Path | None) -> dict[str, str | None]:
    """Return hashes of what metrics are made of, so that a later stage knows its own input.

    Parameters
    ----------
    settings : AuditSettings
        ``gaps``, ``null`` and ``reference`` of its ``evaluation`` do not count: no metric depends
        on them.
    **files : Path or None
        The input files by role.

    Returns
    -------
    dict
        SHA-256 of each file (None where there is no file), and of the ``settings``.
    """
    evaluation = {k: v for k, v in settings["evaluation"].items() if k not in OF_GAPS}
    text = json.dumps({**settings, "evaluation": evaluation}, sort_keys=True)
    hashes = {role: None if path is None else sha256(path) for role, path in files.items()}
    return {**hashes, "settings": hashlib.sha256(text.encode()).hexdigest()}
