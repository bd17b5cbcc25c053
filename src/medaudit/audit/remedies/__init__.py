"""Stage `remedies`: what each remedy changes for each group, against plain training.

All changes are over the same test patients and the same draws of them. Thresholds and points were
chosen on validation and are taken as given: the intervals do not include that choice, and the
controls (other seeds, the best seed) show how much of a change is luck.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.audit.remedies.arms import Arm
from medaudit.audit.remedies.changes import compare_arms
from medaudit.core.audit_tables import MITIGATED, REMEDIES
from medaudit.core.errors import MedauditError
from medaudit.core.mitigation import AFTER
from medaudit.core.table_io import read_audited, read_metadata, read_table, write_table
from medaudit.metrics.audit_settings import AuditSettings


def remedies(
    settings: AuditSettings,
    *,
    mitigated: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
    threads: int = 1,
) -> None:
    """Write each remedy's change of each group's metrics.

    Parameters
    ----------
    settings : AuditSettings
        ``cohort``, ``model``; of ``evaluation``: ``bootstrap``, ``minimum``, ``ece_bins``.
    mitigated : Path
        Table `medaudit.core.audit_tables.MITIGATED`.
    cohort : Path
        Table of the cohort.
    groups : Path, optional
        Groups of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.audit_tables.REMEDIES`.
    threads : int
        Blocks of draws computed at once; changes no number.

    Raises
    ------
    MedauditError
        The predictions are not of this cohort.
    """
    rows, footer = read_table(mitigated, MITIGATED), read_metadata(mitigated)
    frame = read_audited(cohort, groups)
    frame = frame[frame["split"] == "test"].set_index("image_id", drop=False)
    if not rows["image_id"].isin(frame.index).all():
        raise MedauditError(
            f"{mitigated} has images that are not in the test split of {cohort}: delete it and run "
            "again"
        )
    after = {run["remedy"] for run in footer["runs"] if run["kind"] == AFTER}
    found = [
        compare_arms(
            _arms(part, after), _images(part, frame), str(attribute), str(task), settings, threads
        )
        for (attribute, task), part in rows.groupby(["attribute", "task"], sort=False)
    ]
    table = pd.concat(found, ignore_index=True)
    names = {"cohort": settings["cohort"], "model": settings["model"]}
    table = table.assign(**names, **_costs(table, footer["runs"]))
    write_table(table.reindex(columns=list(REMEDIES.columns)), output, REMEDIES)


def _images(part: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cohort's rows of the test images, in the order of the scores."""
    return frame.loc[part["image_id"].drop_duplicates()].reset_index(drop=True)


def _arms(part: pd.DataFrame, after: set[str]) -> list[Arm]:
    images = part["image_id"].nunique()
    return [
        Arm(
            str(rule),
            str(remedy),
            rows["score"].to_numpy().reshape(-1, images),
            rows["decision"].to_numpy().reshape(-1, images),
            remedy in after,
        )
        for (rule, remedy), rows in part.groupby(["rule", "remedy"], sort=False)
    ]


def _costs(table: pd.DataFrame, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns that say what kind of remedy a row is about, and what it cost."""
    keys = ["attribute", "task", "remedy"]
    by_name = {tuple(run[key] for key in keys): run for run in runs}
    each = [by_name[tuple(row)] for row in table[keys].to_numpy()]
    return {
        "kind": [run["kind"] for run in each],
        "needs_group": ["yes" if run["needs_group"] else "no" for run in each],
        "processor_seconds": [run["processor_seconds"] for run in each],
    }
