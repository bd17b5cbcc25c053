"""Cells of equal size, task x sex x age group, such as NIH 6x200 (arXiv 2501.19086)."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.cohort.cell_flow import fill_cells
from medaudit.data.cohort.patient_split import split_cells
from medaudit.data.cohort.selection import Selection
from medaudit.data.group_levels import age_levels

EXCLUSIVITY = ("six", "all")
SEXES = ("female", "male")


def build(frame: pd.DataFrame, settings: dict) -> Selection:
    """Select `cell_size` images of each task, sex and age group.

    Parameters
    ----------
    frame : pandas.DataFrame
        Manifest with ``a_sex`` and ``a_age_group``.
    settings : dict
        ``exclusivity`` : ``six``: exactly one of the tasks, other findings allowed; ``all``:
        exactly one finding in all.
        ``views`` : views to keep; null keeps any.
        ``cell_size`` : images of each cell.
        ``images_per_patient`` : most images of one patient over all cells; null: no limit.
        ``split`` : images of each cell by split; they sum to ``cell_size``.
        ``tasks``, ``age_threshold``, ``age_rule``, ``seed``.

    Raises
    ------
    MedauditError
        The cells cannot all be filled: names every short cell and how many images it lacks.
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
    selection.keep(pd.Series(chosen), f"not drawn: {settings['cell_size']} images of each cell")
    split = split_cells(patients[chosen], cells[chosen], settings["split"], rng)
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


def _check(settings: dict) -> None:
    if settings["exclusivity"] not in EXCLUSIVITY:
        raise MedauditError(
            f"cohort {settings['name']}: exclusivity is {settings['exclusivity']!r}; known are "
            f"{list(EXCLUSIVITY)}"
        )
    if sum(settings["split"].values()) != settings["cell_size"]:
        raise MedauditError(
            f"cohort {settings['name']}: split {settings['split']} does not sum to the cell_size "
            f"{settings['cell_size']}"
        )
    if settings.get("age_threshold") is None:
        raise MedauditError(f"cohort {settings['name']}: balanced_cells needs an age_threshold")


def _keep_eligible(selection: Selection, settings: dict) -> None:
    tasks = [f"y_{task}" for task in settings["tasks"]]
    if settings.get("views"):
        views = settings["views"]
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
            f"cohort {settings['name']}: no image is eligible; left out in order: "
            + "; ".join(f"{e['reason']} ({e['count']})" for e in selection.exclusions)
        )


def _cells(frame: pd.DataFrame, settings: dict) -> tuple[np.ndarray, list[str]]:
    tasks, ages = settings["tasks"], age_levels(settings)
    task = frame[[f"y_{name}" for name in tasks]].to_numpy().argmax(axis=1)
    sex = (frame["a_sex"] == SEXES[1]).to_numpy(int)
    old = (frame["a_age_group"] == ages[1]).to_numpy(int)
    names = [f"{name}, {level}, {age}" for name in tasks for level in SEXES for age in ages]
    return (task * len(SEXES) + sex) * len(ages) + old, names


def _explain(settings: dict, names: list[str], short, patients, cells) -> str:
    size, limit = settings["cell_size"], settings.get("images_per_patient")
    lines = [
        f"  {names[cell]}: {short[cell]} short "
        f"({(cells == cell).sum()} images of {len(np.unique(patients[cells == cell]))} patients)"
        for cell in np.flatnonzero(short)
    ]
    most = "any number of images" if limit is None else f"at most {limit} image(s)"
    return "\n".join(
        [
            f"cohort {settings['name']}: {len(lines)} of {len(names)} cells cannot be filled with "
            f"{size} images each, {most} of a patient; {size * len(names) - short.sum()} of "
            f"{size * len(names)} fit together:",
            *lines,
            "lower cell_size, allow more views or images_per_patient, relax exclusivity, or "
            "choose another age_threshold or other tasks",
        ]
    )
