"""The card of a cohort: what is in it, what was left out and why."""

import hashlib

import pandas as pd

from medaudit.core.files import sha256
from medaudit.data.cohort.groups import group_of, list_attributes
from medaudit.data.cohort.selection import Selection

NO_FINDING = "No Finding"


def describe(selection: Selection, settings: dict, manifest: dict) -> dict:
    """Return the card.

    Parameters
    ----------
    selection : Selection
        The finished cohort.
    settings : dict
        Of the stage.
    manifest : dict
        The manifest's card.

    Returns
    -------
    dict
        ``name``, ``dataset``, ``builder``, ``task_type``, ``tasks``, ``attributes``,
        ``age_threshold``, ``age_rule``, ``seed``, ``n_images``, ``n_patients``, ``counts`` (see
        `count_groups`), ``missing`` (attribute: images in no group), ``tables`` (role: file name
        and sha256), ``exclusions`` (of the dataset, then of the cohort, in order), ``notes``,
        ``phantom``, ``ids_sha256`` (of ``image_id``, tab, ``split``, newline for each row),
        ``test_sha256`` (`hash_test`), and what the builder adds.
    """
    frame = selection.frame
    keys = ("name", "builder", "task_type", "tasks", "attributes", "age_threshold", "age_rule")
    return {
        **{key: settings.get(key) for key in (*keys, "seed")},
        "dataset": manifest["dataset"],
        "n_images": len(frame),
        "n_patients": int(frame["patient_id"].nunique()),
        "counts": count_groups(frame, settings),
        "missing": {
            " & ".join(names): int(group_of(frame, names).isna().sum())
            for names in list_attributes(settings)
        },
        "tables": manifest["tables"]
        | {
            role: {"file": path.name, "sha256": sha256(path)}
            for role, path in selection.tables.items()
        },
        "exclusions": [*manifest["exclusions"], *selection.exclusions],
        "notes": [*manifest["notes"], *selection.notes, *_notes_of_tasks(settings["tasks"])],
        "phantom": manifest["phantom"],
        "ids_sha256": hash_ids(frame),
        "test_sha256": hash_test(frame),
        **selection.details,
    }


def _notes_of_tasks(tasks: list[str]) -> list[str]:
    """Say of the label `NO_FINDING` that it is no disease; it is trained and audited as the rest."""
    if NO_FINDING not in tasks:
        return []
    return [
        f"{NO_FINDING} is the absence of disease: 1 means that none was reported, so its false "
        "positives are missed disease. Means over tasks include it."
    ]


def count_groups(frame: pd.DataFrame, settings: dict) -> list[dict]:
    """Count images, patients and positives of each split and group.

    Returns
    -------
    list of dict
        ``split``, ``attribute`` (``all`` first), ``group``, ``n_images``, ``n_patients``,
        ``positive`` (task: images), ``known`` (task: images whose label is not missing).
    """
    labels = [f"y_{task}" for task in settings["tasks"]]
    everyone = pd.Series("all", index=frame.index, dtype="str")
    named = {"all": everyone} | {
        " & ".join(names): group_of(frame, names) for names in list_attributes(settings)
    }
    return [
        record
        for attribute, groups in named.items()
        for record in _count(frame, attribute, groups, labels)
    ]


def hash_ids(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of which image is in which split, in row order."""
    lines = frame["image_id"] + "\t" + frame["split"] + "\n"
    return hashlib.sha256("".join(lines.tolist()).encode()).hexdigest()


def hash_test(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of the test split in full: images, labels, attributes and weights.

    Two cohorts of which it is the same are tested on the same, so their results are paired.
    """
    test = frame[frame["split"] == "test"].sort_values("image_id")
    text = test[sorted(test.columns)].to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _count(frame: pd.DataFrame, attribute: str, groups: pd.Series, labels: list[str]) -> list[dict]:
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
