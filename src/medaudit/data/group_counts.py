"""Counts of images, patients and positives in every group of a cohort."""

import pandas as pd

from medaudit.core.documents import GroupCount
from medaudit.core.intersections import SEPARATOR
from medaudit.data.group_levels import group_of


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
