"""Builder `balanced_cells`: equal numbers per task, sex and age group, as in NIH 6x200.

The cohort is that of arXiv 2501.19086.
"""

from typing import cast

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.cohort.cell_flow import fill_cells
from medaudit.data.cohort.patient_split import split_cells
from medaudit.data.cohort.selection import CohortSettings, Selection
from medaudit.data.group_levels import age_levels

EXCLUSIVITY = ("six", "all")
SEXES = ("female", "male")


def build(frame: pd.DataFrame, settings: CohortSettings) -> Selection:
    """Select `cell_size` images for each cell, i.e. combination of task, sex and age group.

    Parameters
    ----------
    frame : pandas.DataFrame
        Manifest with ``a_sex`` and ``a_age_group``.
    settings : dict
        ``exclusivity`` : ``six``: an image shows exactly one of the tasks, and may show other
        findings; ``all``: it shows no other finding either.
        ``views`` : views to keep; null keeps all.
        ``cell_size`` : images per cell.
        ``images_per_patient`` : largest number of images per patient over all cells; null: any.
        ``split`` : images per cell in each split; they sum to ``cell_size``.
        ``tasks``, ``age_threshold``, ``age_rule``, ``seed``.

    Raises
    ------
    MedauditError
        Not all cells can be filled; the message lists them with their number of missing images.
    """
    _check(settings)
    selection = Selection(frame)
    _keep_eligible(selection, settings)
    cells, names = _cells(selection.frame, settings)
    patients = pd.factorize(selection.frame["patient_id"])[0]
    limit = settings.get("images_per_patient") or len(selection.frame)
    rng = generator("cohort", "balanced_cells", settings["seed"])
    chosen, short = fill_cells(patients, cells, len(names), settings["cell_size"], limit, rng)
    if short.any():
        raise MedauditError(_explain(settings, names, short, patients, cells))
    selection.keep(pd.Series(chosen), f"not drawn: {settings['cell_size']} images per cell")
    split = split_cells(patients[chosen], cells[chosen], _sizes(settings), rng)
    selection.frame = selection.frame.assign(split=pd.Series(split, selection.frame.index, "str"))
    selection.details["balance"] = {
        "kind": "balanced_cells",
        "cells": len(names),
        "cell_size": settings["cell_size"],
        "exclusivity": settings["exclusivity"],
        "images_per_patient": settings.get("images_per_patient"),
        "split_of_each_cell": settings["split"],
    }
    return selection


def _sizes(settings: CohortSettings) -> dict[str, int]:
    """Return the number of images per cell in each split."""
    return cast(dict[str, int], settings["split"])


def _check(settings: CohortSettings) -> None:
    if settings["exclusivity"] not in EXCLUSIVITY:
        raise MedauditError(
            f"cohort {settings['name']}: exclusivity is {settings['exclusivity']!r}; use one of "
            f"{list(EXCLUSIVITY)}"
        )
    if sum(_sizes(settings).values()) != settings["cell_size"]:
        raise MedauditError(
            f"cohort {settings['name']}: split {settings['split']} must sum to cell_size, "
            f"{settings['cell_size']}"
        )
    if settings.get("age_threshold") is None:
        raise MedauditError(f"cohort {settings['name']}: balanced_cells needs `age_threshold`")


def _keep_eligible(selection: Selection, settings: CohortSettings) -> None:
    tasks = [f"y_{task}" for task in settings["tasks"]]
    if views := settings.get("views"):
        selection.keep(selection.frame["view"].isin(views), f"view is not {' or '.join(views)}")
    findings = [c for c in selection.frame if c.startswith("y_") and c != "y_No Finding"]
    wanted = tasks if settings["exclusivity"] == "six" else sorted({*tasks, *findings})
    selection.keep(selection.frame[wanted].notna().all(axis=1), "a label is missing")
    positive = selection.frame[tasks].sum(axis=1)
    selection.keep(positive > 0, "none of the tasks")
    selection.keep(selection.frame[tasks].sum(axis=1) == 1, "more than one of the tasks")
    if settings["exclusivity"] == "all":
        selection.keep(selection.frame[wanted].sum(axis=1) == 1, "another finding too")
    selection.keep(selection.frame["a_sex"].isin(SEXES), "sex is missing or unknown")
    selection.keep(selection.frame["a_age_group"].notna(), "age is missing")
    if selection.frame.empty:
        raise MedauditError(
            f"cohort {settings['name']}: no image is eligible; excluded in this order: "
            + "; ".join(f"{e['reason']} ({e['count']})" for e in selection.exclusions)
            + ". Relax `views`, `exclusivity` or `tasks`"
        )


def _cells(frame: pd.DataFrame, settings: CohortSettings) -> tuple[np.ndarray, list[str]]:
    tasks, ages = settings["tasks"], age_levels(dict(settings))
    task = frame[[f"y_{name}" for name in tasks]].to_numpy().argmax(axis=1)
    sex = (frame["a_sex"] == SEXES[1]).to_numpy(int)
    old = (frame["a_age_group"] == ages[1]).to_numpy(int)
    names = [f"{name}, {level}, {age}" for name in tasks for level in SEXES for age in ages]
    return (task * len(SEXES) + sex) * len(ages) + old, names


def _explain(
    settings: CohortSettings,
    names: list[str],
    short: np.ndarray,
    patients: np.ndarray,
    cells: np.ndarray,
) -> str:
    size, limit = settings["cell_size"], settings.get("images_per_patient")
    lines = [
        f"  {names[cell]}: {short[cell]} missing "
        f"({(cells == cell).sum()} images of {len(np.unique(patients[cells == cell]))} patients)"
        for cell in np.flatnonzero(short)
    ]
    per_patient = "no limit" if limit is None else f"a limit of {limit}"
    return "\n".join(
        [
            f"cohort {settings['name']}: {len(lines)} of {len(names)} cells cannot be filled with "
            f"{size} images each, with {per_patient} per patient; at most {size * len(names) - short.sum()} "
            f"of {size * len(names)} images can be chosen:",
            *lines,
            "Lower cell_size, allow more views or images_per_patient, relax exclusivity, or choose "
            "another age_threshold or other tasks",
        ]
    )
