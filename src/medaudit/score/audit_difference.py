"""Two audits side by side: paired where both are of the same patients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.report.studies.differences import adjust_differences, compare_paired

if TYPE_CHECKING:
    from medaudit.score.audit_result import Audit

KEY = ["attribute", "group", "metric"]


def compare_audits(first: Audit, second: Audit) -> pd.DataFrame:
    """Return `first` minus `second` for every group, metric and gap that both have.

    Parameters
    ----------
    first, second : Audit
        Each of one model; the second's level of intervals is not used.

    Returns
    -------
    pandas.DataFrame
        Index (attribute, group, metric), where the group ``max_min`` is the largest difference
        between the groups that are estimable in both. Columns ``this``, ``other``, ``difference``,
        ``low``, ``high``, ``p_value``, ``p_adjusted`` (over all rows of one metric,
        `medaudit.report.studies.differences.adjust_differences`) and ``paired``: whether both are
        of the same images, patients, labels and groups, so that their bootstrap draws are paired.
        Otherwise the two samples are taken to be independent.

    Raises
    ------
    MedauditError
        An audit has several models, or they have no metric or finding in common.
    """
    paired = same_patients(first, second)
    a, b = (_rows(audit) for audit in (first, second))
    both = a[0].merge(b[0], on=[*KEY, "task"], suffixes=("_a", "_b"))
    if both.empty:
        raise MedauditError("compare: the audits have no finding, attribute and metric in common")
    draws = min(a[1].shape[1], b[1].shape[1])
    one = a[1][both["row_a"], :draws]
    # The draws of other patients are independent; a shift breaks the pairing by position.
    two = np.roll(b[1][both["row_b"], :draws], 0 if paired else 1, axis=1)
    level = first.result.evaluation["bootstrap"]["level"]
    found = [_row(part, k, one, two, level) for k, part in enumerate(both.to_dict("records"))]
    found += _gap_rows(both, one, two, level)
    frame = pd.DataFrame(found)
    adjusted = pd.Series(np.nan, frame.index)
    for _, part in frame.groupby("metric"):
        drawn = np.stack(list(part["drawn"]))
        adjusted[part.index] = adjust_differences(part["difference"].to_numpy(float), drawn)
    frame["p_adjusted"] = np.maximum(adjusted, frame["p_value"])
    frame["paired"] = paired
    columns = ["this", "other", "difference", "low", "high", "p_value", "p_adjusted", "paired"]
    levels = ["finding", *KEY] if frame["finding"].nunique() > 1 else KEY
    return frame.set_index(levels)[columns].sort_index()


def same_patients(first: Audit, second: Audit) -> bool:
    """Return whether two audits are of the same images, patients, labels and groups."""
    one, two = (audit.result.study.cohort for audit in (first, second))
    one, two = (frame[frame["split"] == "test"] for frame in (one, two))
    shared = [c for c in one.columns if c.startswith(("y_", "a_")) and c in two.columns]
    columns = ["image_id", "patient_id", *shared]
    ordered = [frame[columns].sort_values("image_id", ignore_index=True) for frame in (one, two)]
    return ordered[0].equals(ordered[1])


def _rows(audit: Audit) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of all findings together, with their place among the replicates."""
    runs = list(audit.result.study.predictions)
    if len(runs) != 1:
        raise MedauditError(
            f"compare: an audit has {len(runs)} models ({', '.join(audit.models)}); audit one at a "
            "time"
        )
    drawn = [audit.result.replicates[runs[0]]]
    parts = [audit.result.metrics]
    for custom in audit.custom.values():
        drawn.append(custom.replicates)
        parts.append(custom.metrics)
    rows = pd.concat(parts, ignore_index=True)
    width = min(array.shape[1] for array in drawn)
    rows["row"] = np.arange(len(rows))
    kept = rows[(rows["seed"] == "mean") & rows["metric"].ne("threshold")]
    kept = kept[~kept["group"].isin(["missing"])]
    kept = kept[kept["group"].ne("all") | kept["attribute"].eq("all")]
    columns = [*KEY, "task", "value", "status", "row"]
    return kept[columns], np.concatenate([array[:, :width] for array in drawn]).astype(float)


def _row(part: dict, k: int, one: np.ndarray, two: np.ndarray, level: float) -> dict:
    low, high, p = compare_paired(one[k], two[k], level)
    return {
        "finding": part["task"],
        **{name: part[name] for name in KEY},
        "this": part["value_a"],
        "other": part["value_b"],
        "difference": part["value_a"] - part["value_b"],
        **{"low": low, "high": high, "p_value": p, "drawn": one[k] - two[k]},
    }


def _gap_rows(both: pd.DataFrame, one: np.ndarray, two: np.ndarray, level: float) -> list[dict]:
    """Return differences of the largest gap, over the groups that are estimable in both."""
    usable = both["status_a"].eq("ok") & both["status_b"].eq("ok") & both["group"].ne("all")
    found = []
    for (task, attribute, metric), part in both[usable].groupby(
        ["task", "attribute", "metric"], sort=False
    ):
        if len(part) < 2:
            continue
        gaps = np.ptp(one[part.index], axis=0), np.ptp(two[part.index], axis=0)
        values = np.ptp(part["value_a"]), np.ptp(part["value_b"])
        low, high, p = compare_paired(*gaps, level)
        found.append(
            {"finding": task, "attribute": attribute, "group": "max_min", "metric": metric}
            | {"this": values[0], "other": values[1], "difference": values[0] - values[1]}
            | {"low": low, "high": high, "p_value": p, "drawn": gaps[0] - gaps[1]}
        )
    return found
