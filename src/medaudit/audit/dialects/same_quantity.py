"""One quantity, one interval: measures that are metrics or gaps of the audit quote its row.

A dialect's measure has an interval of its own kind (`medaudit.audit.dialects.dialect_rows`). Where
it is the very number that the audit reports, two intervals of one number would only raise the
question which of them to quote, so the audit's interval and test replace the dialect's.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from medaudit.audit.dialects.catalogue import MEASURES
from medaudit.metrics import fairness_definitions as definitions

GAP_OF = {
    definitions.spread: "max_min",
    definitions.disparity_ratio: "ratio",
    definitions.equity_scaled: "es",
}
"""How a measure compares groups, to the gap of the audit that does the same."""

OVERALL = {"accuracy": "accuracy", "F1": "f1", "macro F1": "f1"}
"""Measure of all groups together to its metric."""

QUOTED = ("low", "high", "null_mean", "null_q95", "p_value")
ROUNDING = 2e-5
"""Tables hold six digits: values that differ by less, relative to their size, are the same."""

Key = tuple[str, ...]


def quote_audit(dialects: pd.DataFrame, metrics: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Return dialects with the intervals and tests of the audit where it has the same number.

    Parameters
    ----------
    dialects : pandas.DataFrame
        Rows of `medaudit.core.audit_tables.DIALECTS`, of any number of runs.
    metrics, gaps : pandas.DataFrame
        Rows of `medaudit.core.table_io.METRICS` and `GAPS` of the same runs.

    Returns
    -------
    pandas.DataFrame
        ``low``, ``high``, ``null_mean``, ``null_q95`` and ``p_value`` are those of the audit where
        it measured the same quantity and found the same value; all else is as given.
    """
    known = {**_gaps(gaps), **_metrics(metrics)}
    found = dialects.copy()
    quoted = found[list(QUOTED)].to_numpy(float, copy=True)
    for place, row in enumerate(found.to_dict("records")):
        for key in _keys(row):
            same = known.get(key)
            if same is not None and np.isclose(row["value"], same[0], rtol=ROUNDING, atol=1e-9):
                quoted[place] = same[1:]
                break
    found[list(QUOTED)] = quoted
    return found


def _keys(row: dict) -> Iterator[Key]:
    """Yield where the audit may have the number of a dialect's row."""
    run = tuple(row[name] for name in ("cohort", "model", "method", "seed", "attribute"))
    if row["attribute"] == "all":
        if row["measure"] in OVERALL:
            yield (*run, row["task"], "none", OVERALL[row["measure"]])
        return
    for measure in MEASURES:
        gap = GAP_OF.get(measure.compute)
        same = (measure.dialect, measure.name) == (row["dialect"], row["measure"])
        if same and gap and len(measure.needs) == 1:
            for task in _tasks(row["task"], measure.average):
                yield (*run, task, gap, measure.needs[0])


def _tasks(task: str, average: str) -> list[str]:
    if average == "before":
        return [task]
    after = "mean_of_gaps" if task == "mean" else task
    return ["all", after] if average == "whole" else [after]


def _gaps(gaps: pd.DataFrame) -> dict[Key, list[float]]:
    return _keyed(gaps[gaps["gap"].isin(GAP_OF.values()) & gaps["value"].notna()])


def _metrics(metrics: pd.DataFrame) -> dict[Key, list[float]]:
    whole = metrics["attribute"].eq("all") & metrics["group"].eq("all")
    kept = metrics[whole & metrics["metric"].isin(OVERALL.values()) & metrics["value"].notna()]
    return _keyed(kept.assign(gap="none", **dict.fromkeys(QUOTED[2:], np.nan)))


def _keyed(rows: pd.DataFrame) -> dict[Key, list[float]]:
    names = ["cohort", "model", "method", "seed", "attribute", "task", "gap", "metric"]
    numbers = rows[["value", *QUOTED]].to_numpy(float).tolist()
    return dict(zip(rows[names].itertuples(index=False, name=None), numbers, strict=True))
