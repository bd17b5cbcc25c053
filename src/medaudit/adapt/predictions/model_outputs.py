"""Predictions of a model whose file gives scores: its outputs, stored by `embed`, become probabilities."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.adapt.logits import ranked_probabilities
from medaudit.adapt.targets import join_embeddings, predictions, targets
from medaudit.core.errors import MedauditError

SUM_TOLERANCE = 1e-3
"""By how much the probabilities of classes that exclude each other may miss 1."""

log = logging.getLogger(__name__)


def predictions_from_outputs(
    output: Mapping[str, Any], cohort: Path, outputs: Path, tasks: list[str], task_type: str
) -> tuple[pd.DataFrame, list[str]]:
    """Return the predictions of the validation and test images, and notes on how they were made.

    Parameters
    ----------
    output : mapping
        ``output`` of the model's entry: ``holds`` (``probabilities`` or ``logits``), ``tasks`` (the
        name of each output, None where it is no task) and ``link``: ``sigmoid`` of each logit or
        ``softmax`` over all outputs; ``auto``: softmax for classes that exclude each other.
    cohort : Path
        The cohort's table.
    outputs : Path
        What the model gave for each image, written by the stage `embed`.
    tasks : list of str
        Tasks of the cohort.
    task_type : str
        ``multiclass``: they exclude each other.

    Raises
    ------
    MedauditError
        A task has no output, there are more or fewer outputs than names, or probabilities are not
        in [0, 1] or do not sum to 1.
    """
    frame, values, notes = join_embeddings(cohort, outputs)
    multiclass = task_type == "multiclass"
    targets(frame, tasks, multiclass)
    names = output.get("tasks") or []
    if values.shape[1] != len(names):
        raise MedauditError(
            f"the model gives {values.shape[1]} numbers per image and `output.tasks` names "
            f"{len(names)}; name every output in order, null where it is no task"
        )
    columns = task_columns(names, tasks)
    tested = (frame["split"] != "train").to_numpy()
    scores, note = _scores(values[tested].astype(np.float64), columns, output, multiclass)
    table = predictions(frame[tested], scores[None], tasks)
    notes = [*notes, note]
    return table.sort_values(["task", "seed", "image_id"], kind="stable", ignore_index=True), notes


def task_columns(names: Sequence[str | None], tasks: Sequence[str]) -> list[int]:
    """Return the place of each task among a model's outputs."""
    lacking = [task for task in tasks if task not in names]
    if lacking:
        raise MedauditError(
            f"the model has no output for {', '.join(lacking)}; its outputs are "
            f"{', '.join(map(str, names))}: write the cohort's names of the tasks in `output.tasks`, "
            "or audit a cohort whose tasks the model has"
        )
    return [names.index(task) for task in tasks]


def _scores(
    values: np.ndarray, columns: list[int], output: Mapping[str, Any], multiclass: bool
) -> tuple[np.ndarray, str]:
    """Return probabilities ``[n, tasks]`` and how they were made."""
    link = output.get("link", "auto")
    softmax = link == "softmax" or (link == "auto" and multiclass)
    if output["holds"] == "logits":
        if multiclass and softmax:  # of the cohort's classes: the others are known to be absent
            return ranked_probabilities(values[:, columns], True), "logits, through a softmax"
        found = ranked_probabilities(values, softmax)[:, columns]
        note = f"logits, through a {'softmax' if softmax else 'sigmoid'}"
    else:
        found, note = values[:, columns], "probabilities"
        if found.min() < 0 or found.max() > 1:
            raise MedauditError(
                f"the model's outputs lie in {found.min():g} to {found.max():g} and `output.holds` is "
                "probabilities; set it to logits"
            )
    if not multiclass:
        return found, note
    total = found.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        raise MedauditError("for some images all classes of the cohort have the probability 0")
    off = int((abs(total - 1) > SUM_TOLERANCE).sum())
    if off:
        note += (
            f"; divided by their sum over the cohort's classes, which was not 1 for {off} images"
        )
        log.warning("%s", note)
    return found / total, note
