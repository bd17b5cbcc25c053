"""Stage `predictions`: external scores become the predictions of a model of the catalogue.

For a model whose weights are not available, or that was run elsewhere: it then appears next to the
other models in every table.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import find_columns
from medaudit.adapt.predictions.model_outputs import predictions_from_outputs
from medaudit.adapt.predictions.probabilities import as_probabilities
from medaudit.adapt.predictions.shaping import tidy
from medaudit.core.entry_types import ModelEntry
from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root, sha256
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table
from medaudit.data.readers.sheet import read_sheet

log = logging.getLogger(__name__)


class PredictionsSettings(TypedDict):
    """Settings of the stage."""

    cohort: str
    model: str
    method: str
    tasks: list[str]
    task_type: str
    entry: ModelEntry


def predictions(
    settings: PredictionsSettings, *, cohort: Path, output: Path, scores: Path | None = None
) -> None:
    """Turn a file of external scores into predictions on a cohort.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``tasks``, ``task_type`` (the cohort's) and
        ``entry``, the model's catalogue entry: ``file`` (absolute or below the data root), and
        optionally ``columns`` (see `medaudit.score.score`), ``scores`` (``auto``,
        ``probabilities``, ``logits``), ``positive``, ``rename`` (task in the file to task of the
        cohort). If the file holds several models or methods, only the rows named like the
        catalogue's model or method are used.
    cohort : Path
        The cohort's table, which decides splits and labels.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS`. Its footer holds the file's name and
        SHA-256, how the scores were read, and how many images are not in the cohort.
    scores : Path, optional
        Outputs of a model whose file gives scores (kind ``onnx`` or ``torch_export``), as `embed`
        stored them; they are used instead of a ``file``.

    Raises
    ------
    MedauditError
        No id matches; a validation or test image has no score although others of its split have
        one; a label differs from the cohort's; a task is missing.
    """
    entry, table = settings["entry"], read_table(cohort, COHORT)
    if "output" in entry:
        _write_outputs(settings, cohort, scores, output)
        return
    path = data_root() / entry["file"]
    frame, notes = read_scores(path, settings)
    matched, unknown = match(frame, table, settings["tasks"], str(path))
    write_table(
        matched,
        output,
        PREDICTIONS,
        cohort=settings["cohort"],
        model=settings["model"],
        method=settings["method"],
        file=path.name,
        sha256=sha256(path),
        read_as=notes,
        unknown_ids=unknown,
    )


def _write_outputs(
    settings: PredictionsSettings, cohort: Path, scores: Path | None, output: Path
) -> None:
    """Write the predictions of a model whose file gives scores."""
    if scores is None:
        raise MedauditError(f"model {settings['model']}: the stage needs its outputs (--scores)")
    table, notes = predictions_from_outputs(
        settings["entry"]["output"], cohort, scores, settings["tasks"], settings["task_type"]
    )
    write_table(
        table,
        output,
        PREDICTIONS,
        cohort=settings["cohort"],
        model=settings["model"],
        method=settings["method"],
        **{key: read_metadata(scores).get(key) for key in ("spec", "phantom")},
        read_as=notes,
        notes=notes,
    )


def read_scores(path: Path, settings: PredictionsSettings) -> tuple[pd.DataFrame, list[str]]:
    """Return the model's rows, with the cohort's task names, and notes on how they were read."""
    entry = settings["entry"]
    given = {k: [v] if isinstance(v, str) else v for k, v in entry.get("columns", {}).items()}
    sheet = read_sheet(path)
    positive = entry.get("positive")
    found = find_columns(sheet.frame, given, str(path), needs_label=False, positive=positive)
    tidied = tidy(sheet, found, entry.get("positive"))
    frame = _rows_named(tidied.frame, "model", settings["model"], str(path))
    frame = _rows_named(frame, "method", settings["method"], str(path))
    frame = _with_tasks_of_cohort(frame, settings, str(path))
    multiclass = settings["task_type"] == "multiclass"
    frame["score"], read = as_probabilities(frame, entry.get("scores", "auto"), multiclass)
    return frame, [*sheet.notes, *tidied.notes, f"scores are {read}"]


def _rows_named(frame: pd.DataFrame, role: str, name: str, where: str) -> pd.DataFrame:
    names = frame[role].unique()
    if len(names) == 1:
        return frame
    if name not in names:
        raise MedauditError(
            f"{where} has the {role}s {sorted(names)[:5]} and none named {name!r}; give the "
            f"catalogue's {role} one of these names, or rename it in the file"
        )
    return frame[frame[role] == name]


def _with_tasks_of_cohort(
    frame: pd.DataFrame, settings: PredictionsSettings, where: str
) -> pd.DataFrame:
    tasks = settings["tasks"]
    # With one task on both sides there is nothing to mix up, whatever the file calls it.
    if len(tasks) == 1 and frame["task"].nunique() == 1:
        frame = frame.assign(task=tasks[0])
    frame = frame.assign(task=frame["task"].replace(settings["entry"].get("rename", {})))
    frame = frame[frame["task"].isin(tasks)].reset_index(drop=True)
    lacking = [task for task in tasks if not (frame["task"] == task).any()]
    if lacking:
        raise MedauditError(
            f"{where} has no scores for the tasks {lacking}; map the file's task names to them "
            "in the model's `rename`"
        )
    return frame


def match(
    frame: pd.DataFrame, cohort: pd.DataFrame, tasks: list[str], where: str
) -> tuple[pd.DataFrame, int]:
    """Return the rows of the validation and test images, and the number of unknown image ids.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``image_id, task, seed, y, score``.
    cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.COHORT`.
    tasks : list of str
        Every one of them must be there.
    where : str
        The file, for messages.
    """
    place = pd.Index(cohort["image_id"]).get_indexer(frame["image_id"])
    if (place < 0).all():
        raise MedauditError(
            f"no id of {where} ({_some(frame['image_id'])}) is in the cohort "
            f"({_some(cohort['image_id'])}); give the cohort's image_id, or name the column in "
            "the model's `columns: {id: ...}`"
        )
    unknown = frame.loc[place < 0, "image_id"].unique()
    if len(unknown):
        log.warning("%s: %d images are not in the cohort: %s", where, len(unknown), _some(unknown))
    frame, place = frame[place >= 0], place[place >= 0]
    frame = frame.assign(split=cohort["split"].to_numpy()[place])
    for task, rows in frame.groupby("task").indices.items():
        labels = cohort[f"y_{task}"].to_numpy(float)[place]
        _compare_labels(frame, rows, labels, str(task), where)
        frame.iloc[rows, frame.columns.get_loc("y")] = labels[rows]
    scored = frame[frame["split"] != "train"]
    _check_complete(scored, cohort, tasks, where)
    kept = scored[list(PREDICTIONS.columns)].sort_values(
        ["task", "seed", "image_id"], kind="stable"
    )
    return kept.reset_index(drop=True), len(unknown)


def _compare_labels(
    frame: pd.DataFrame, rows: np.ndarray, labels: np.ndarray, task: str, where: str
) -> None:
    given, expected = frame["y"].to_numpy(float)[rows], labels[rows]
    differ = (given != expected) & ~np.isnan(given) & ~np.isnan(expected)
    if differ.any():
        raise MedauditError(
            f"{where}: {int(differ.sum())} labels of {task} differ from the cohort's, e.g. of "
            f"{frame['image_id'].iloc[rows[differ][0]]!r}; check that the images are the same and "
            "that 1 means the same class (`positive`)"
        )


def _check_complete(
    scored: pd.DataFrame, cohort: pd.DataFrame, tasks: list[str], where: str
) -> None:
    for split in ("val", "test"):
        ids = cohort.loc[cohort["split"] == split, "image_id"]
        rows = scored[scored["split"] == split]
        wanted = len(ids) * len(tasks) * scored["seed"].nunique()
        if split == "val" and rows.empty:
            log.warning(
                "%s has no score for any validation image: only a fixed threshold can be used",
                where,
            )
        elif len(rows) != wanted:
            absent = ids[pd.Index(rows["image_id"].unique()).get_indexer(ids) < 0]
            raise MedauditError(
                f"{where} has {len(rows)} of {wanted} scores (images x tasks x seeds) of the "
                f"{split} split; {len(absent)} images have none, e.g. {_some(absent)}. Add them: "
                "leaving images out can create or hide a gap"
            )


def _some(values: Iterable) -> str:
    return ", ".join(map(repr, pd.Series(values).drop_duplicates().head(3)))
