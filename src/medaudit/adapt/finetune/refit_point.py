"""A point of a search as the settings of a fine-tuning: the same for its trial and its refit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_json


def entry_at(entry: dict, point: dict) -> dict:
    """Return a search's method entry with what a point says in place of what is searched.

    Parameters
    ----------
    entry : dict
        The method's entry, of kind search.
    point : dict
        ``mask`` (bits, or the name of a mask), ``learning_rate``, and what else the training
        takes.
    """
    mask, rate = point["mask"], point["learning_rate"]
    bits = mask != "" and set(mask) <= {"0", "1"}
    tune = {"tune": "mask", "mask": mask} if bits else {"tune": mask}
    return {**entry, **point, **tune, "learning_rates": [rate], "select": "objective"}


def read_point(settings: dict, point: Path | None) -> dict:
    """Return the settings of a refit at the point of a file; others as they are.

    Raises
    ------
    MedauditError
        A search's method has no file, or there is one for another kind of method.
    """
    searched = settings["entry"]["kind"] == "search"
    if searched != (point is not None):
        what = "needs --point, the search's result" if searched else "takes no --point"
        raise MedauditError(
            f"method {settings['method']} of kind {settings['entry']['kind']} {what}"
        )
    if point is None:
        return settings
    found = read_json(point)
    if "point" not in found:
        raise MedauditError(f"{point} has no `point`; it has {sorted(found)}: run `select` again")
    entry = entry_at(settings["entry"], found["point"])
    return {**settings, "entry": entry, "point": found["point"]}


def objective_criterion(settings: dict, frame: pd.DataFrame) -> Callable[[np.ndarray], float]:
    """Return what a refit's epochs are compared by: the search's objective, lower is better.

    Parameters
    ----------
    settings : dict
        ``entry.objective``, ``tasks``, ``task_type``.
    frame : pandas.DataFrame
        The validation rows of the cohort, in the order of the logits.
    """
    from medaudit.adapt.objective import Objective, direction_of

    wanted = settings["entry"]["objective"]
    objective = Objective(wanted, frame, settings["tasks"], settings["task_type"])
    sign = -1 if direction_of(wanted["metric"]) == "maximize" else 1
    return lambda logits: sign * objective.measure(logits).value
