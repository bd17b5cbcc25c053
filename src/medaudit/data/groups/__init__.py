"""Stage `groups`: which group each image of a cohort belongs to, and its importance weights.

They are kept apart from the cohort, so that another list of attributes to audit rebuilds no
cohort, image store, embedding or model: evaluation and what follows it run again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.documents import CohortCard
from medaudit.core.table_io import (
    COHORT,
    GROUPS,
    join_groups,
    read_json,
    read_table,
    write_json,
    write_table,
)
from medaudit.data.cohort_hash import hash_test
from medaudit.data.group_counts import count_groups, count_missing, note_one_class
from medaudit.data.group_levels import check_attributes, list_attributes
from medaudit.data.groups.planted import count_planted
from medaudit.data.groups.weights import weight_columns


def groups(
    settings: Mapping[str, Any], *, cohort: Path, cohort_card: Path, output: Path, card: Path
) -> None:
    """Write the groups of a cohort's images, and a card that counts them.

    Parameters
    ----------
    settings : dict
        ``name`` of the cohort, ``attributes`` (names, or lists of names for intersections),
        ``tasks``, ``test_weights``, ``age_given_label``, ``seed``, and ``planted`` (of phantoms:
        the rules by which findings are drawn fainter).
    cohort, cohort_card : Path
        Written by the stage `medaudit.data.cohort`.
    output : Path
        Table `medaudit.core.table_io.GROUPS`, one row per image of the cohort, in its order:
        ``a_<attribute>`` for every attribute to audit and, where the test split is weighted,
        ``w_<attribute>_<task>``.
    card : Path
        JSON: the cohort's card, with ``attributes``, ``counts`` and ``missing`` of the attributes
        to audit, ``weights`` (see `weights.weight_columns`), ``test_sha256`` of the test split
        with its groups and weights, ``planted`` (of phantoms, see `planted.count_planted`), and in
        ``notes`` a warning of groups that lack a class in the
        test split.

    Raises
    ------
    MedauditError
        An attribute has no value in this cohort, or ``test_weights`` is unknown.
    """
    frame = read_table(cohort, COHORT)
    check_attributes(frame, settings)
    weights, details = weight_columns(frame, settings)
    names = dict.fromkeys(name for part in list_attributes(settings) for name in part)
    columns = ["image_id", *(f"a_{name}" for name in names)]
    table = pd.concat([frame[columns], weights], axis=1)
    write_table(table, output, GROUPS)
    joined = join_groups(frame, table)
    audited = describe_groups(joined, settings)
    weighted = {} if details is None else {"weights": details}
    rules = settings.get("planted") or []
    planted = {"planted": count_planted(joined, list_attributes(settings), rules)} if rules else {}
    whole = read_json(cohort_card)
    notes = [*whole["notes"], *note_one_class(audited["counts"])]
    write_json({**whole, **audited, **weighted, **planted, "notes": notes}, card)


def describe_groups(frame: pd.DataFrame, settings: Mapping[str, Any]) -> CohortCard:
    """Return the part of the card that depends on the attributes to audit (see `groups`).

    Parameters
    ----------
    frame : pandas.DataFrame
        The cohort with its groups and weights.
    settings : dict
        ``attributes`` and ``tasks``.
    """
    attributes = list_attributes(settings)
    return {
        "attributes": settings["attributes"],
        "counts": count_groups(frame, attributes, settings["tasks"]),
        "missing": count_missing(frame, attributes),
        "test_sha256": hash_test(frame),
    }
