"""The card of a cohort: what is in it, what was left out and why."""

from collections.abc import Mapping
from typing import Any

from medaudit.core.files import sha256
from medaudit.data.cohort.selection import Selection
from medaudit.data.cohort_hash import hash_ids, hash_test
from medaudit.data.group_counts import count_groups, count_missing
from medaudit.data.group_levels import known_attributes

NO_FINDING = "No Finding"


def describe(selection: Selection, settings: Mapping[str, Any], manifest: dict) -> dict:
    """Return the card of a finished cohort.

    Parameters
    ----------
    selection : Selection
        The finished cohort.
    settings : dict
        Settings of the stage.
    manifest : dict
        The manifest's card.

    Returns
    -------
    dict
        ``name``, ``dataset``, ``builder``, ``task_type``, ``tasks``, ``attributes`` (all known),
        ``age_threshold``, ``age_rule``, ``seed``, ``n_images``, ``n_patients``, ``counts`` (see
        `count_groups`), ``missing`` (attribute: images in no group), ``tables`` (role: file name
        and sha256), ``exclusions`` (of the dataset, then of the cohort, in order), ``notes``,
        ``unit`` (what ``patient_id`` identifies), ``phantom``, ``ids_sha256`` (of ``image_id``, tab, ``split``, newline for each row),
        ``test_sha256`` (`hash_test`), and what the builder adds.
    """
    frame = selection.frame
    known = known_attributes(frame)
    attributes: list[tuple[str, ...]] = [(name,) for name in known]
    keys = ("name", "builder", "task_type", "tasks", "age_threshold", "age_rule")
    return {
        **{key: settings.get(key) for key in (*keys, "seed")},
        "dataset": manifest["dataset"],
        "n_images": len(frame),
        "n_patients": int(frame["patient_id"].nunique()),
        "attributes": known,
        "counts": count_groups(frame, attributes, settings["tasks"]),
        "missing": count_missing(frame, attributes),
        "tables": manifest["tables"]
        | {
            role: {"file": path.name, "sha256": sha256(path)}
            for role, path in selection.tables.items()
        },
        "exclusions": [*manifest["exclusions"], *selection.exclusions],
        "notes": [*manifest["notes"], *selection.notes, *_notes_of_tasks(settings["tasks"])],
        "unit": manifest.get("unit", "patient"),
        "phantom": manifest["phantom"],
        "ids_sha256": hash_ids(frame),
        "test_sha256": hash_test(frame),
        **selection.details,
    }


def _notes_of_tasks(tasks: list[str]) -> list[str]:
    """Return a warning that `NO_FINDING`, trained and audited like the others, is not a disease."""
    if NO_FINDING not in tasks:
        return []
    return [
        f"{NO_FINDING} is the absence of disease: 1 means that none was reported, so its false "
        "positives are missed disease. Means over tasks include it."
    ]
