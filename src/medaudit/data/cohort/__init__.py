"""Select a cohort from a manifest: splits, balance, exclusions, and a card that counts them."""

import importlib
import logging
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.external import LOCAL
from medaudit.core.table_io import COHORT, MANIFEST, read_json, read_table, write_json, write_table
from medaudit.data.cohort.card import describe
from medaudit.data.cohort.exclude_seen import exclude_seen
from medaudit.data.cohort.selection import CohortSettings
from medaudit.data.external_cohort import join_cohorts
from medaudit.data.group_levels import age_group

SPLITS = ("train", "val", "test")
PAIR_SPLITS = (LOCAL, "val", "test")
NO_PARENTS: list[Path] = []

_log = logging.getLogger(__name__)


def cohort(
    settings: CohortSettings,
    *,
    manifest: Path,
    manifest_card: Path,
    output: Path,
    card: Path,
    parents: list[Path] = NO_PARENTS,
) -> None:
    """Build a cohort from a manifest and write it with its card.

    Parameters
    ----------
    settings : CohortSettings
        ``builder`` names a module ``medaudit.data.cohort.<builder>`` with ``build(frame, settings)
        -> Selection``, which documents its own keys. Used here: ``name``, ``builder``,
        ``task_type``, ``tasks``, ``age_threshold``, ``age_rule``, ``age_bands``, ``seed``, and
        ``seen``: lists of images that a model has seen, which are left out of validation and test
        (`medaudit.data.cohort.exclude_seen`).
    manifest, manifest_card : Path
        Written by the stage `medaudit.data.manifest`.
    output : Path
        Table `medaudit.core.table_io.COHORT`, sorted by ``image_id``. It keeps all findings of the
        manifest as ``y_`` columns; the ``tasks`` in the card are those to predict.
    card : Path
        JSON, see `medaudit.data.cohort.card.describe`.
    parents : list of Path
        Of an external cohort: the tables of the home cohort and of the external one, which it is
        made from (`medaudit.data.external_cohort`).

    Raises
    ------
    MedauditError
        The builder or a task is unknown, the cohort cannot be filled, a patient is in two splits,
        or an image is listed more than once.
    """
    # Every random draw below takes places in this order, so it must not be that of the owner's rows:
    # releases of one table differ in it. The index keeps each image's row in the manifest.
    frame = read_table(manifest, MANIFEST).sort_values("image_id")
    if settings.get("age_threshold") is not None or settings.get("age_bands"):
        frame["a_age_group"] = age_group(frame["age"], settings)
    if parents:
        home, away = (read_table(path, COHORT) for path in parents)
        selection = join_cohorts(home, away, settings)
    else:
        frame = _of_sites(frame, settings)
        _check_names(frame, settings)
        selection = _builder(settings).build(frame, settings)
    seen = settings.get("seen")
    if seen:
        exclude_seen(
            selection, seen["lists"], settings["name"], settings["dataset"], seen["folder"]
        )
    check(selection.frame, settings, PAIR_SPLITS if parents else SPLITS)
    write_table(selection.frame, output, COHORT)
    write_json(describe(selection, settings, read_json(manifest_card)), card)
    _log.info("%s: %d images", settings["name"], len(selection.frame))


def check(frame: pd.DataFrame, settings: CohortSettings, splits: tuple[str, ...] = SPLITS) -> None:
    """Refuse a cohort whose splits, images or labels are wrong.

    Raises
    ------
    MedauditError
        A split is empty or unknown, a patient is in two splits, an image is listed more than once,
        or a row of a multi-class cohort does not have exactly one of the tasks.
    """
    name = settings["name"]
    found = set(frame["split"].unique())
    if not found <= set(splits) or set(splits) - found - {LOCAL}:
        raise MedauditError(f"cohort {name} has the splits {sorted(found)}, not {list(splits)}")
    places = frame[["patient_id", "split"]].drop_duplicates()
    shared = places.loc[places["patient_id"].duplicated(), "patient_id"]
    if len(shared):
        raise MedauditError(
            f"cohort {name}: {shared.nunique()} patients are in more than one split, e.g. "
            f"{shared.iloc[0]}; splits must be by patient"
        )
    for column in ("image_id", "path"):
        if frame[column].duplicated().any():
            first = frame.loc[frame[column].duplicated(), column].iloc[0]
            raise MedauditError(f"cohort {name}: {column} {first!r} is listed more than once")
    tasks = frame[[f"y_{task}" for task in settings["tasks"]]]
    if settings["task_type"] == "multiclass" and not (tasks.sum(axis=1) == 1).all():
        raise MedauditError(
            f"cohort {name}: a row does not have exactly one of {settings['tasks']}"
        )


def _of_sites(frame: pd.DataFrame, settings: CohortSettings) -> pd.DataFrame:
    """Return the rows of one site, or of all others; unknown sites are in neither."""
    rows = settings.get("rows")
    if not rows:
        return frame
    column, level = f"a_{rows['attribute']}", rows["level"]
    known = frame.get(column, pd.Series(dtype="str")).dropna()
    if not (known == level).any():
        raise MedauditError(
            f"cohort {settings['name']}: nobody has the {rows['attribute']} {level!r}; known are "
            f"{sorted(known.unique())[:20]}: change leave_out.levels of the study"
        )
    kept = frame[column].eq(level) == rows["keep"]
    return frame[kept & frame[column].notna()]


def _check_names(frame: pd.DataFrame, settings: CohortSettings) -> None:
    known = [column[2:] for column in frame.columns if column.startswith("y_")]
    wrong = [task for task in settings["tasks"] if task not in known]
    if wrong:
        raise MedauditError(f"cohort {settings['name']}: unknown tasks {wrong}; known are {known}")


def _builder(settings: CohortSettings) -> ModuleType:
    module = f"{__name__}.{settings['builder']}"
    if find_spec(module) is None:
        raise MedauditError(
            f"cohort {settings['name']}: unknown builder {settings['builder']!r}; a builder is a "
            f"module {__name__}.<builder> with a function build"
        )
    return importlib.import_module(module)
