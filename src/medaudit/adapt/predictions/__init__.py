"""Stage `predictions`: a stranger's scores as the predictions of a model in the catalogue.

So that a model nobody can load, or that was run elsewhere, stands beside ours in every table.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import find_columns
from medaudit.adapt.predictions.reading import read_sheet
from medaudit.adapt.predictions.shaping import as_probabilities, tidy
from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root, sha256
from medaudit.core.table_io import COHORT, PREDICTIONS, read_table, write_table

log = logging.getLogger(__name__)


def predictions(settings: dict, *, cohort: Path, output: Path, threads: int = 1) -> None:
    """Turn a file of scores into predictions on a cohort.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``tasks``, ``task_type`` (the cohort's) and
        ``entry``, the model's catalogue entry: ``file`` (absolute or below the data root), and
        perhaps ``columns`` (see `medaudit.score.score`), ``scores`` (``auto``, ``probabilities``,
        ``logits``), ``positive``, ``rename`` (tasks of the file to those of the cohort). Where the
        file has a column of models or of methods with more than one value, the rows named as the
        catalogue's model or as the method are taken.
    cohort : Path
        The cohort's table: splits and labels are its own.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS`. Its footer holds the file's name and sha256, how
        scores were read, and how many of its images are not in the cohort.
    threads : int
        Not used.

    Raises
    ------
    MedauditError
        No id fits, a validation or test image of the cohort has no score while others of its
        split have, a label differs from the cohort's, a task is missing.
    """
    entry, table = settings["entry"], read_table(cohort, COHORT)
    path = data_root() / entry["file"]
    frame, notes = read_scores(path, settings)
    matched, strange = match(frame, table, settings["tasks"], str(path))
    footer = {name: settings[name] for name in ("cohort", "model", "method")}
    footer |= {"file": path.name, "sha256": sha256(path), "read_as": notes, "unknown_ids": strange}
    write_table(matched, output, PREDICTIONS, **footer)


def read_scores(path: Path, settings: dict) -> tuple[pd.DataFrame, list[str]]:
    """Return the model's rows of a file, tasks named as the cohort's, and how it was read."""
    entry = settings["entry"]
    given = {k: [v] if isinstance(v, str) else v for k, v in entry.get("columns", {}).items()}
    sheet = read_sheet(path)
    found = find_columns(list(sheet.frame.columns), given, str(path), needs_label=False)
    frame = tidy(sheet, found, entry.get("positive"))
    for role in ("model", "method"):
        frame = _chosen(frame, role, settings[role], str(path))
    tasks = settings["tasks"]
    if len(tasks) == 1 and frame["task"].nunique() == 1:
        frame["task"] = tasks[0]
    frame["task"] = frame["task"].replace(entry.get("rename", {}))
    frame = frame[frame["task"].isin(tasks)].reset_index(drop=True)
    lacking = [task for task in tasks if not (frame["task"] == task).any()]
    if lacking:
        raise MedauditError(
            f"{path} has no scores for the tasks {lacking}; name its own in the model's `rename`"
        )
    multiclass = settings["task_type"] == "multiclass"
    frame["score"], read = as_probabilities(frame, entry.get("scores", "auto"), multiclass)
    return frame, [*sheet.notes, f"scores are {read}"]


def _chosen(frame: pd.DataFrame, role: str, name: str, where: str) -> pd.DataFrame:
    names = frame[role].unique()
    if len(names) == 1:
        return frame
    if name not in names:
        raise MedauditError(f"{where} has the {role}s {sorted(names)[:5]} and none named {name!r}")
    return frame[frame[role] == name]


def match(
    frame: pd.DataFrame, cohort: pd.DataFrame, tasks: list[str], where: str
) -> tuple[pd.DataFrame, int]:
    """Return the rows of the cohort's validation and test images, and how many ids are strange.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``image_id, task, seed, y, score``.
    cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.COHORT`.
    tasks : list of str
        Every one is needed.
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
    strange = frame.loc[place < 0, "image_id"].unique()
    if len(strange):
        log.warning("%s: %d images are not in the cohort: %s", where, len(strange), _some(strange))
    frame, place = frame[place >= 0], place[place >= 0]
    frame = frame.assign(split=cohort["split"].to_numpy()[place])
    for task, rows in frame.groupby("task").indices.items():
        _compare_labels(frame, rows, cohort[f"y_{task}"].to_numpy(float)[place], task, where)
        frame.iloc[rows, frame.columns.get_loc("y")] = cohort[f"y_{task}"].to_numpy(float)[
            place[rows]
        ]
    scored = frame[frame["split"] != "train"]
    _check_complete(scored, cohort, tasks, where)
    kept = scored[list(PREDICTIONS.columns)].sort_values(
        ["task", "seed", "image_id"], kind="stable"
    )
    return kept.reset_index(drop=True), len(strange)


def _compare_labels(frame, rows: np.ndarray, owner: np.ndarray, task: str, where: str) -> None:
    given, own = frame["y"].to_numpy(float)[rows], owner[rows]
    differ = (given != own) & ~np.isnan(given) & ~np.isnan(own)
    if differ.any():
        raise MedauditError(
            f"{where}: {int(differ.sum())} labels of {task} differ from the cohort's, e.g. of "
            f"{frame['image_id'].iloc[rows[differ][0]]!r}; are these the same images, is 1 the "
            "same class (`positive`)?"
        )


def _check_complete(scored: pd.DataFrame, cohort: pd.DataFrame, tasks: list[str], where) -> None:
    for split in ("val", "test"):
        ids = cohort.loc[cohort["split"] == split, "image_id"]
        rows = scored[scored["split"] == split]
        wanted = len(ids) * len(tasks) * scored["seed"].nunique()
        if split == "val" and rows.empty:
            log.warning("%s scores no validation image: only a fixed threshold can be used", where)
        elif len(rows) != wanted:
            absent = ids[pd.Index(rows["image_id"].unique()).get_indexer(ids) < 0]
            raise MedauditError(
                f"{where} has {len(rows)} of {wanted} scores (images x tasks x seeds) of the "
                f"{split} split; {len(absent)} images have none, e.g. {_some(absent)}: who is left "
                "out may decide the gap, so all are needed"
            )


def _some(values) -> str:
    return ", ".join(map(repr, pd.Series(values).drop_duplicates().head(3)))
