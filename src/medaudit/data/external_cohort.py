"""The cohort of a pair: validation rows of the home cohort, test rows of the external one.

Labels and groups of the external rows get the names that the home cohort has. Its training and
validation rows become the split `LOCAL`: no model of the home cohort learnt from them, and they
stand for the labelled patients that a site could recalibrate with.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.external import LOCAL, at_home
from medaudit.data.cohort.selection import Selection
from medaudit.data.group_levels import age_group

AGE = "age_group"
CARD = (
    *("home", "away", "task_names", "attribute_names", "levels"),
    *("unmatched_tasks", "unmatched_attributes"),
)
"""Settings that the card repeats."""
PLAIN = ["image_id", "patient_id", "path", "age", "view", "split"]


def join_cohorts(home: pd.DataFrame, away: pd.DataFrame, settings: Mapping[str, Any]) -> Selection:
    """Return the rows of the cohort of a pair.

    Parameters
    ----------
    home, away : pandas.DataFrame
        The home cohort and the external one, columns of `medaudit.core.table_io.COHORT`.
    settings : dict
        ``home``, ``away`` (names), ``task_names`` and ``attribute_names`` (name at home: name of
        the external cohort), ``levels`` (attribute: {level at home: [levels of the external
        cohort]}), ``unmatched_tasks``, ``unmatched_attributes`` (of the home cohort),
        ``same_dataset``, and the age groups of the home cohort (``age_threshold``, ``age_rule``,
        ``age_bands``).

    Returns
    -------
    Selection
        Split ``val``: validation rows of the home cohort, with `at_home` before their ids, so that
        no id of two datasets can be the same. ``test``: that of the external cohort. `LOCAL`: its
        other rows. ``details`` and ``notes`` say what has no counterpart.

    Raises
    ------
    MedauditError
        No external test row is left.
    """
    selection = Selection(away)
    if settings["same_dataset"]:
        # What the home models were trained or selected on is not external.
        seen = home.loc[home["split"] != "test", "patient_id"]
        kept = ~away["patient_id"].isin(seen)
        selection.keep(kept, f"patient of the training or validation split of {settings['home']}")
    rows = _renamed(selection, home, settings)
    rows["split"] = rows["split"].where(rows["split"] == "test", LOCAL)
    if not (rows["split"] == "test").any():
        raise MedauditError(
            f"cohort {settings['name']}: no test image of {settings['away']} is left, since all its "
            f"patients are in the training or validation split of {settings['home']}; name a cohort "
            "of other patients"
        )
    selection.frame = pd.concat([at_home(_validation(home, rows)), rows], ignore_index=True)
    selection.notes += _unmatched(settings)
    selection.details["external"] = {
        **{key: settings[key] for key in CARD},
        "n_shared_patients": sum(step["count"] for step in selection.exclusions[:1])
        if settings["same_dataset"]
        else 0,
    }
    return selection


def _validation(home: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the validation rows of the home cohort, in the columns of `rows`."""
    return home.loc[home["split"] == "val", list(rows.columns)]


def _renamed(selection: Selection, home: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return the external rows with the names of the home cohort."""
    away = selection.frame
    rows = away[PLAIN].copy()
    for task, other in settings["task_names"].items():
        rows[f"y_{task}"] = away[f"y_{other}"]
    for name, other in settings["attribute_names"].items():
        aged = name == AGE and (settings.get("age_threshold") or settings.get("age_bands"))
        values = age_group(away["age"], settings) if aged else away[f"a_{other}"]
        own = sorted(home[f"a_{name}"].dropna().unique())
        rows[f"a_{name}"] = _match_levels(values, own, name, selection, settings)
    return rows


def _match_levels(
    values: pd.Series, own: list[str], name: str, selection: Selection, settings: Mapping[str, Any]
) -> pd.Series:
    """Return the home cohort's level of each external row; missing where there is none."""
    written = settings["levels"].get(name, {})
    meaning = {level: level for level in own}
    meaning |= {other: level for level, others in written.items() for other in others}
    found = values.map(meaning)
    lost = values[found.isna()].value_counts().sort_index()
    for level, count in lost.items():
        selection.notes.append(
            f"{count} images of {settings['away']} have the {name} {level!r}, which "
            f"{settings['home']} lacks: they are in no group. `levels` can map it to one of "
            f"{', '.join(own)}."
        )
    absent = [level for level in own if not (found == level).any()]
    if absent:
        selection.notes.append(
            f"{settings['away']} has nobody of {name} {', '.join(absent)}, so these groups are "
            "compared nowhere."
        )
    return found.astype("str").where(found.notna())


def _unmatched(settings: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each kind of thing at home that has no counterpart."""
    found = []
    for key, what, option in (
        ("unmatched_tasks", "findings", "tasks"),
        ("unmatched_attributes", "attributes", "attributes"),
    ):
        if settings[key]:
            found.append(
                f"{settings['away']} does not have the {what} {', '.join(settings[key])} of "
                f"{settings['home']}: they are not compared. `{option}` can name their counterparts."
            )
    return found
