"""From a measure's draws to a row: value, interval, null reference."""

from itertools import groupby

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import DIALECTS
from medaudit.metrics.intervals import inflated_interval, percentile_interval

KEY = ("attribute", "dialect", "measure", "task")
ROUNDING = 1e-6
"""Replicates are float32: values closer than this are ties."""


def average_seeds(records: list[dict]) -> list[dict]:
    """Return the mean over seeds of each measure: of its value, replicates and null."""
    # `groupby` needs equal keys next to each other: sort by the place of each key's first record.
    order = {key: k for k, key in reversed(list(enumerate(map(_key, records))))}
    found = []
    for _, group in groupby(sorted(records, key=lambda r: order[_key(r)]), key=_key):
        parts = list(group)
        status = next((p["status"] for p in parts if p["status"] != "ok"), "ok")
        values = None if status != "ok" else np.mean([p["values"] for p in parts], axis=0)
        least = min(p["n_estimable"] for p in parts)
        found.append(
            {**parts[0], "seed": "mean", "status": status, "values": values, "n_estimable": least}
        )
    return found


def _key(record: dict) -> tuple:
    return tuple(record[name] for name in KEY)


def summarise(
    records: list[dict], identity: dict, draws: int, level: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return rows of `DIALECTS` and their replicates.

    Parameters
    ----------
    records : list of dict
        See `medaudit.audit.dialects.measures`.
    identity : dict
        ``cohort``, ``model``, ``method``.
    draws : int
        Number of bootstrap replicates.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    tuple of (pandas.DataFrame, numpy.ndarray)
        A performance (accuracy, F1) has the percentile interval. A fairness measure is a maximum,
        or a sum of absolute values, so noise moves it away from its fair end, and resampling does
        so again; percentile intervals would miss a model that is truly fair. Its distance from
        the fair end (the value itself, or 1 minus the value where higher is fairer) has the
        interval of `medaudit.metrics.intervals.inflated_interval`. The p-value is the add-one
        share of permutations at least as unfair (Phipson and Smyth 2010); missing where no groups
        are permuted.
    """
    frame = pd.DataFrame([{**identity, **row} for row in records])
    moved = np.full((len(frame), draws), np.nan, np.float32)
    numbers = np.full((len(frame), 7), np.nan)
    for k, row in enumerate(records):
        if row["status"] == "ok":
            value, own, null = np.split(row["values"], [1, 1 + draws])
            moved[k] = own
            numbers[k] = value[0], *_spread(value, own, row, level), *_null(value[0], null, row)
    names = ["value", "se", "low", "high", "null_mean", "null_q95", "p_value"]
    return frame.assign(**dict(zip(names, numbers.T, strict=True)))[list(DIALECTS.columns)], moved


def _spread(value: np.ndarray, own: np.ndarray, row: dict, level: float) -> tuple:
    known = own[np.isfinite(own)]
    se = known.std(ddof=1) if known.size > 1 else np.nan
    if not row["noisy"]:
        return se, *(end[0] for end in percentile_interval(own[None], level))
    turned = row["better"] == "higher"
    away, moved = (1 - value, 1 - own) if turned else (value, own)
    low, high = (float(end[0]) for end in inflated_interval(away, moved[None], level))
    high = min(high, 1.0) if np.isfinite(high) else high
    return (se, 1 - high, 1 - low) if turned else (se, low, high)


def _null(value: float, null: np.ndarray, row: dict) -> tuple[float, float, float]:
    null = null[np.isfinite(null)]
    if not null.size or not row["noisy"] or row["attribute"] == "all":
        return np.nan, np.nan, np.nan
    if row["better"] == "higher":
        extreme, limit = (null <= value + ROUNDING).sum(), np.quantile(null, 0.05)
    else:
        extreme, limit = (null >= value - ROUNDING).sum(), np.quantile(null, 0.95)
    return null.mean(), limit, (1 + extreme) / (1 + null.size)
