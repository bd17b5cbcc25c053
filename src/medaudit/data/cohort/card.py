"""The card of a cohort: what is in it, what was left out and why."""

from medaudit.core.files import sha256
from medaudit.data.cohort.selection import Selection
from medaudit.data.cohort_hash import hash_ids, hash_test
from medaudit.data.group_counts import count_groups, count_missing
from medaudit.data.group_levels import known_attributes

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
    attributes = [(name,) for name in known_attributes(frame)]
    keys = ("name", "builder", "task_type", "tasks", "age_threshold", "age_rule")
    return {
        **{key: settings.get(key) for key in (*keys, "seed")},
        "dataset": manifest["dataset"],
        "n_images": len(frame),
        "n_patients": int(frame["patient_id"].nunique()),
        "attributes": [name for (name,) in attributes],
        "counts": count_groups(frame, attributes, settings["tasks"]),
        "missing": count_missing(frame, attributes),
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
