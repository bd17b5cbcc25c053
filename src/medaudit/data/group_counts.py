"""Counts of images, patients and positives in every group of a cohort."""

from collections.abc import Sequence

import pandas as pd

from medaudit.core.documents import GroupCount
from medaudit.core.intersections import SEPARATOR
from medaudit.data.group_levels import group_of

SHOWN = 8
"""Groups that a warning names."""


def count_groups(
    frame: pd.DataFrame, attributes: list[tuple[str, ...]], tasks: list[str]
) -> list[GroupCount]:
    """Count images, patients and positives of each split and group.

    Returns
    -------
    list of dict
        ``split``, ``attribute`` (``all`` first), ``group``, ``n_images``, ``n_patients``,
        ``positive`` (task: images), ``known`` (task: images whose label is not missing).
    """
    labels = [f"y_{task}" for task in tasks]
    everyone = pd.Series("all", index=frame.index, dtype="str")
    named = {"all": everyone} | {
        SEPARATOR.join(names): group_of(frame, names) for names in attributes
    }
    return [
        record
        for attribute, groups in named.items()
        for record in _count(frame, attribute, groups, labels)
    ]


def count_missing(frame: pd.DataFrame, attributes: list[tuple[str, ...]]) -> dict[str, int]:
    """Return for each attribute the number of images that belong to none of its groups."""
    return {SEPARATOR.join(names): int(group_of(frame, names).isna().sum()) for names in attributes}


def note_one_class(counts: Sequence[GroupCount]) -> list[str]:
    """Return a warning that names the groups of the test split that lack a class of a task.

    Parameters
    ----------
    counts : sequence of dict
        From `count_groups`.

    Returns
    -------
    list of str
        One sentence; none if every group of every split has both classes of every task in the test
        split.
    """
    groups = {(record["attribute"], record["group"]): None for record in counts}
    test = {(r["attribute"], r["group"]): r for r in counts if r["split"] == "test"}
    lacking = [
        f"{attribute} {group} ({', '.join(lacks)})"
        for attribute, group in groups
        if (lacks := _lacks(test.get((attribute, group))))
    ]
    if not lacking:
        return []
    more = f", and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    return [
        "Groups that lack a class in the test split, so that AUC, sensitivity or specificity cannot "
        f"be computed there: {'; '.join(lacking[:SHOWN])}{more}. Use another seed, a larger test "
        "share, or fewer and larger groups (`levels`, `age_threshold`)."
    ]


def _lacks(record: GroupCount | None) -> list[str]:
    """Return e.g. ``no positive of Edema``, one text per task that lacks a class."""
    if record is None:
        return ["no image"]
    known, positive = record["known"], record["positive"]
    found = {task: "positive" for task, n in positive.items() if n == 0}
    found |= {task: "negative" for task, n in positive.items() if n and n == known[task]}
    return [f"no {kind} of {task}" for task, kind in found.items()]


def _count(
    frame: pd.DataFrame, attribute: str, groups: pd.Series, labels: list[str]
) -> list[GroupCount]:
    grouped = frame.groupby([frame["split"], groups.rename("group")], observed=True)
    patients, images = grouped["patient_id"].nunique(), grouped.size()
    positive, known = grouped[labels].sum(), grouped[labels].count()
    return [
        {
            "split": split,
            "attribute": attribute,
            "group": group,
            "n_images": int(images[split, group]),
            "n_patients": int(patients[split, group]),
            "positive": _by_task(positive.loc[(split, group)]),
            "known": _by_task(known.loc[(split, group)]),
        }
        for split, group in images.index
    ]


def _by_task(row: pd.Series) -> dict[str, int]:
    return {column[2:]: int(value) for column, value in row.items()}
