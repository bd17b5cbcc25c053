"""Importance weights that equalise size, prevalence and ages of the test split's groups.

The papers resample the test split with replacement, so that races are equally large, have the
same prevalence and, within a label, the same ages: chexploration ``chexpert.resample`` for
Glocker et al. (2022), one test set per pathology in Khan et al. (How Fair, section 3.3). Weights
have the same expectation without repeating an image; a drawn sample is optional.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.data.group_levels import group_of, list_attributes

KINDS = ("none", "equal_prevalence", "resample")
SAMPLE_SIZE_FACTOR = 3
AGE_EDGES = (20, 30, 40, 50, 60, 70, 80)
"""Upper ends of the age bins <=20, 21-30, ..., 71-80; the last bin is >80."""


def weight_columns(
    frame: pd.DataFrame, settings: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict | None]:
    """Return importance weights of the test split, one column per attribute and task.

    Parameters
    ----------
    frame : pandas.DataFrame
        A cohort with splits and ``a_`` columns.
    settings : dict
        ``test_weights`` : ``none``; ``equal_prevalence`` (exact, `weigh`); ``resample`` (the
        original's draws as counts, `resample`, seed ``seed`` + index of attribute and task).
        ``age_given_label`` : equalise the age distribution within each label too; not for
        attributes that hold the age group.
        ``tasks``, ``attributes``, ``seed``.

    Returns
    -------
    columns : pandas.DataFrame
        ``w_<attribute>_<task>`` on the index of `frame`; none where ``test_weights`` is ``none``.
        Missing outside the test split, where the group, the label or (if used) the age is
        missing, and in a group whose prevalence cannot be equalised because it lacks one class.
    details : dict or None
        For the card: ``kind``, ``age_given_label``, ``undefined`` (groups without weights),
        ``age_not_equal``, ``effective_n``. None where there are no weights.

    Raises
    ------
    MedauditError
        ``test_weights`` is unknown.
    """
    kind = settings.get("test_weights") or "none"
    if kind not in KINDS:
        raise MedauditError(
            f"cohort {settings['name']}: test_weights is {kind!r}; known are {list(KINDS)}"
        )
    if kind == "none":
        return pd.DataFrame(index=frame.index), None
    test = frame[frame["split"] == "test"]
    columns: dict[str, pd.Series] = {}
    report: dict[str, list] = {"undefined": [], "age_not_equal": [], "effective_n": []}
    for names in list_attributes(settings):
        groups, levels = pd.factorize(group_of(test, names), sort=True)
        ages = _bin_ages(test, settings, names)
        for task in settings["tasks"]:
            # The seed counts columns, so that an attribute added last changes no earlier draw.
            rng = np.random.default_rng(settings["seed"] + len(columns))
            label = test[f"y_{task}"].to_numpy()
            weights = _weigh_known(kind, groups, label, ages, rng)
            name = SEPARATOR.join(names)
            columns[f"w_{name}_{task}"] = pd.Series(weights, test.index)
            _report(report, {"attribute": name, "task": task}, levels, groups, label, ages, weights)
    details = {"kind": kind, "age_given_label": bool(settings.get("age_given_label")), **report}
    return pd.DataFrame(columns).reindex(frame.index), details


def weigh(group: np.ndarray, label: np.ndarray, age: np.ndarray) -> np.ndarray:
    """Weigh images so that groups have equal mass, equal prevalence and equal ages by label.

    The mass of group g, label y and age bin b is made ``1/G * P(y) * P(b | y)`` with P the shares
    among all images given, and is shared equally by the images of the cell. Where a group has no
    image in a bin of a label, the mass of that label goes to the bins it has in proportion to
    P(b | y), as the original sampler does.

    Parameters
    ----------
    group, label, age : numpy.ndarray
        Group (0 to G-1), label (0 or 1) and age bin of each image, whole numbers, shape (n,). One
        bin for all leaves ages as they are.

    Returns
    -------
    numpy.ndarray
        Weights, shape (n,), mean 1 over those defined; NaN in a group that lacks a class which
        others have, the others then have equal mass among themselves.
    """
    counts = _count(group, label, age)
    share = counts.sum(axis=0) / len(group)
    present = np.where(counts > 0, share, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mass = present * (share.sum(axis=1) / present.sum(axis=2))[..., None]
        weights = (mass / counts)[group, label, age]
    weights[_lacks_class(counts)[group]] = np.nan
    return weights / np.nanmean(weights) if np.isfinite(weights).any() else weights


def resample(
    group: np.ndarray, label: np.ndarray, age: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the test set of Glocker et al. (2022) and return how often each image is in it.

    Three times as many images as given are drawn with replacement so that groups are equal in
    expectation; then as many are redrawn within each group so that prevalence is, then within
    each group and label so that ages are.

    Parameters
    ----------
    group, label, age : numpy.ndarray
        As in `weigh`.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    numpy.ndarray
        Whole numbers as float, shape (n,); NaN in a group that lacks a class which others have.
    """
    counts = _count(group, label, age)
    share = counts.sum(axis=0)
    chance = 1 / counts.sum(axis=(1, 2))[group]
    drawn = rng.multinomial(SAMPLE_SIZE_FACTOR * len(group), chance / chance.sum())
    for g in np.unique(group):
        drawn = _redraw(drawn, group == g, label, share.sum(axis=1), rng)
        for y in np.unique(label[group == g]):
            drawn = _redraw(drawn, (group == g) & (label == y), age, share[y], rng)
    lacking = _lacks_class(_count(group, label, age, drawn))
    return np.where(lacking[group], np.nan, drawn)


def _count(group, label, age, weights=None) -> np.ndarray:
    """Return the number (or the weight) of images by group, label and age bin."""
    shape = (group.max() + 1, label.max() + 1, age.max() + 1)
    cell = np.ravel_multi_index((group, label, age), shape)
    return np.bincount(cell, weights, minlength=np.prod(shape)).reshape(shape)


def _redraw(drawn, rows, value, wanted, rng) -> np.ndarray:
    """Redraw the drawn `rows` with replacement so that `value` has the `wanted` shares."""
    counts = np.where(rows, drawn, 0)
    if not counts.any():
        return drawn
    found = np.bincount(value, counts, minlength=len(wanted))
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = counts * np.where(found > 0, wanted / found, 0)[value]
    return np.where(rows, rng.multinomial(counts.sum(), chance / chance.sum()), drawn)


def _lacks_class(counts: np.ndarray) -> np.ndarray:
    """Return for each group whether it has no image of a label that other groups have."""
    labels = counts.sum(axis=2)
    return ((labels == 0) & (labels.sum(axis=0) > 0)).any(axis=1)


def _bin_ages(
    test: pd.DataFrame, settings: Mapping[str, Any], names: tuple[str, ...]
) -> np.ndarray:
    """Return the age bin of each image, -1 where age is missing; one bin where ages are left."""
    if not settings.get("age_given_label") or "age_group" in names:
        return np.zeros(len(test), dtype=int)
    age = test["age"].to_numpy()
    return np.where(np.isnan(age), -1, np.searchsorted(AGE_EDGES, age))


def _weigh_known(kind: str, groups, label, ages, rng) -> np.ndarray:
    weights = np.full(len(label), np.nan)
    known = (groups >= 0) & ~np.isnan(label) & (ages >= 0)
    parts = groups[known], label[known].astype(int), ages[known]
    if known.any():
        weights[known] = weigh(*parts) if kind == "equal_prevalence" else resample(*parts, rng)
    return weights


def _report(report: dict, key: dict, levels, groups, label, ages, weights) -> None:
    defined = ~np.isnan(weights)
    cells = np.where(np.isnan(label), -1, label * (len(AGE_EDGES) + 1) + ages).astype(int)
    wanted = np.unique(cells[(groups >= 0) & (ages >= 0) & (cells >= 0)])
    for g, level in enumerate(levels):
        rows = (groups == g) & defined
        if not rows.any():
            reason = "one class alone: its prevalence cannot be equalised"
            report["undefined"].append({**key, "group": level, "reason": reason})
            continue
        effective = weights[rows].sum() ** 2 / (weights[rows] ** 2).sum()
        report["effective_n"].append({**key, "group": level, "n": round(float(effective), 1)})
        lacking = np.setdiff1d(wanted, cells[rows])
        if len(lacking):
            report["age_not_equal"].append({**key, "group": level, "empty_cells": len(lacking)})
