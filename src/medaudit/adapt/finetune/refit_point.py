"""Settings of a fine-tuning at a point of a search: the same for a trial and for the refit."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from medaudit.adapt.finetune_settings import (
    FinetuneSettings,
    SearchPoint,
    TrainingEntry,
)
from medaudit.core.entry_types import MethodEntry
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_json


def entry_at_point(entry: MethodEntry, point: SearchPoint) -> TrainingEntry:
    """Return the entry of a search's method with a point's values in place of the ranges.

    Parameters
    ----------
    entry : dict
        The method's entry, of kind search.
    point : dict
        ``mask`` (bits, or the name of a mask), ``learning_rate``, and the coordinates that only
        some trainings have.
    """
    mask, rate = point["mask"], point["learning_rate"]
    bits = mask != "" and set(mask) <= {"0", "1"}
    tune = {"tune": "mask", "mask": mask} if bits else {"tune": mask}
    fixed = {**tune, "learning_rates": [rate], "select": "objective"}
    return cast(TrainingEntry, {**entry, **point, **fixed})


def settings_at_point(settings: FinetuneSettings, point: Path | None) -> FinetuneSettings:
    """Return the settings of a refit at the point in a file; unchanged if `point` is None.

    Raises
    ------
    MedauditError
        The method of a search has no file, or another kind of method has one.
    """
    searched = settings["entry"]["kind"] == "search"
    if searched != (point is not None):
        what = "needs --point, the result of `best_trial`" if searched else "takes no --point"
        raise MedauditError(
            f"method {settings['method']} of kind {settings['entry']['kind']} {what}"
        )
    if point is None:
        return settings
    found = read_json(point)
    if "point" not in found:
        raise MedauditError(
            f"{point} has no key `point`; it has {sorted(found)}: delete it and run `best_trial` again"
        )
    entry = entry_at_point(settings["entry"], found["point"])
    return {**settings, "entry": entry, "point": found["point"]}


def objective_criterion(
    settings: FinetuneSettings, frame: pd.DataFrame
) -> Callable[[np.ndarray], float]:
    """Return the criterion by which a refit selects its epoch: the search's objective, minimised.

    Parameters
    ----------
    settings : dict
        ``entry.objective``, ``tasks``, ``task_type``.
    frame : pandas.DataFrame
        The validation rows of the cohort, in the order of the logits.
    """
    from medaudit.adapt.objective import Objective, direction_of

    chosen = settings["entry"]["objective"]
    objective = Objective(chosen, frame, settings["tasks"], settings["task_type"])
    sign = -1 if direction_of(chosen["metric"]) == "maximize" else 1
    return lambda logits: sign * objective.measure(logits).value
