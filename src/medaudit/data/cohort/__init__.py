"""Select a cohort from a manifest: splits, balance, exclusions, and a card that counts them."""

import importlib
import logging
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, MANIFEST, read_json, read_table, write_json, write_table
from medaudit.data.cohort.card import describe
from medaudit.data.group_levels import age_group

SPLITS = ("train", "val", "test")
_log = logging.getLogger(__name__)


def cohort(
    settings: dict,
    *,
    manifest: Path,
    manifest_card: Path,
    output: Path,
    card: Path,
    threads: int = 1,
) -> None:
    """Build a cohort from a manifest and write it with its card.

    Parameters
    ----------
    settings : dict
        The cohort's catalogue entry plus ``name``. ``builder`` names a module
        ``medaudit.data.cohort.<builder>`` with ``build(frame, settings) -> Selection``; its further
        keys stand there. Read here: ``name``, ``builder``, ``task_type``, ``tasks``,
        ``age_threshold``, ``age_rule``, ``seed``.
    manifest, manifest_card : Path
        Written by the stage `medaudit.data.manifest`.
    output : Path
        The cohort, `medaudit.core.table_io.COHORT`, in the manifest's order. It keeps all findings of
        the manifest as ``y_`` columns; those to predict are ``tasks`` in the card.
    card : Path
        JSON, see `medaudit.data.cohort.card.describe`.
    threads : int
        Not used.

    Raises
    ------
    MedauditError
        An unknown builder or task; a cohort that cannot be filled; a patient in two
        splits; an image that stands twice.
    """
    frame = read_table(manifest, MANIFEST)
    if settings.get("age_threshold") is not None:
        frame["a_age_group"] = age_group(frame["age"], settings)
    _check_names(frame, settings)
    selection = _builder(settings).build(frame, settings)
    check(selection.frame, settings)
    write_table(selection.frame, output, COHORT)
    write_json(describe(selection, settings, read_json(manifest_card)), card)
    _log.info("%s: %d images", settings["name"], len(selection.frame))


def check(frame: pd.DataFrame, settings: dict) -> None:
    """Fail on a cohort that must not be used.

    Raises
    ------
    MedauditError
        A split is empty or unknown, a patient is in two splits, an image file stands twice or a
        multi-class row has not exactly one task.
    """
    name = settings["name"]
    found = set(frame["split"].unique())
    if found != set(SPLITS):
        raise MedauditError(f"cohort {name} has the splits {sorted(found)}, not {list(SPLITS)}")
    places = frame[["patient_id", "split"]].drop_duplicates()
    shared = places.loc[places["patient_id"].duplicated(), "patient_id"]
    if len(shared):
        raise MedauditError(
            f"cohort {name}: {shared.nunique()} patients are in more than one split, e.g. "
            f"{shared.iloc[0]}; splits must be by patient"
        )
    for column in ("image_id", "path"):
        if frame[column].duplicated().any():
            twice = frame.loc[frame[column].duplicated(), column].iloc[0]
            raise MedauditError(f"cohort {name}: {column} {twice!r} stands more than once")
    tasks = frame[[f"y_{task}" for task in settings["tasks"]]]
    if settings["task_type"] == "multiclass" and not (tasks.sum(axis=1) == 1).all():
        raise MedauditError(f"cohort {name}: a row has not exactly one of {settings['tasks']}")


def _check_names(frame: pd.DataFrame, settings: dict) -> None:
    known = [column[2:] for column in frame.columns if column.startswith("y_")]
    wrong = [task for task in settings["tasks"] if task not in known]
    if wrong:
        raise MedauditError(f"cohort {settings['name']}: unknown tasks {wrong}; known are {known}")


def _builder(settings: dict):
    module = f"{__name__}.{settings['builder']}"
    if find_spec(module) is None:
        raise MedauditError(
            f"cohort {settings['name']}: unknown builder {settings['builder']!r}; a builder is a "
            f"module {__name__}.<builder> with a function build"
        )
    return importlib.import_module(module)
