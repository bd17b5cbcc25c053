"""Outcomes by group as rows of the tables of metrics and gaps."""

import numpy as np
import pandas as pd

from medaudit.core.entry_types import Evaluation
from medaudit.core.statuses import Status
from medaudit.core.table_io import GAPS, METRICS
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.outcome_gaps import EQUAL_VALUE, assess_outcome
from medaudit.metrics.outcome_groups import (
    OutcomeValues,
    group_outcomes,
    outcome_limits,
    sum_units,
)
from medaudit.metrics.outcome_metrics import Outcome


def outcome_tables(
    outcomes: list[Outcome],
    attributes: list[Attribute],
    patient: np.ndarray,
    evaluation: Evaluation,
    cohort: str,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return the tables of metrics and gaps, and the permuted gaps row by row.

    Parameters
    ----------
    outcomes : list of Outcome
        Of the test images.
    attributes : list of Attribute
        ``all`` and those to compare.
    patient : ndarray of int, shape (images,)
        Patient of each image.
    evaluation : Evaluation
        ``minimum`` (``n``), ``bootstrap`` (``level``) and ``null`` (``draws``).
    cohort : str
        Name of the cohort.
    """
    rows: list[dict] = []
    gaps: list[dict] = []
    nulls: list[np.ndarray] = []
    run = {"cohort": cohort, "model": "model", "method": "given", "seed": "mean"}
    for attribute in attributes:
        for outcome in outcomes:
            head = {**run, "task": outcome.task, "attribute": attribute.name}
            head |= {"metric": outcome.metric, "dialect": "medaudit"}
            rows += [
                {**head, **row} for row in _group_rows(outcome, attribute, patient, evaluation)
            ]
            if attribute.name != "all":
                row, null = _gap_row(outcome, attribute, patient, evaluation, cohort)
                gaps.append({**head, **row})
                nulls.append(null)
    draws = evaluation["null"]["draws"]
    kept = np.full((len(nulls), draws), np.nan, np.float32)
    for target, null in zip(kept, nulls, strict=True):
        target[: null.size] = null
    return (
        pd.DataFrame(rows).reindex(columns=list(METRICS.columns)),
        pd.DataFrame(gaps).reindex(columns=list(GAPS.columns)),
        kept,
    )


def _measured(
    outcome: Outcome, attribute: Attribute, patient: np.ndarray, codes: np.ndarray
) -> tuple[OutcomeValues, np.ndarray, np.ndarray, np.ndarray]:
    """Return values, images, patients and which image takes part."""
    size = int(codes.max(initial=0)) + 1
    units = sum_units(outcome, patient, codes)
    found = group_outcomes(units, units.group[:, None], size)
    used = np.isfinite(outcome.columns).all(axis=1) & (codes >= 0)
    images = np.bincount(codes[used], minlength=size)
    patients = np.bincount(units.group, minlength=size)
    return found, images, patients, used


def _status(value: float, images: int, least: int) -> str:
    if images < least:
        return str(Status.TOO_FEW)
    return "ok" if np.isfinite(value) else str(Status.NO_DECISION)


def _group_rows(
    outcome: Outcome, attribute: Attribute, patient: np.ndarray, evaluation: Evaluation
) -> list[dict]:
    rows = []
    everybody = np.where(attribute.codes >= 0, 0, -1)
    parts = [] if attribute.name == "all" else [(attribute.levels, attribute.codes)]
    for names, codes in [*parts, (("all",), everybody)]:
        # A level without an image has no code: it is counted as empty.
        padded = np.append(codes, len(names) - 1)
        blank = np.full((1, outcome.columns.shape[1]), np.nan)
        own = Outcome(
            outcome.task,
            outcome.metric,
            outcome.kind,
            np.concatenate([outcome.columns, blank]),
            outcome.bounds,
            outcome.better,
        )
        found, images, patients, _ = _measured(own, attribute, np.append(patient, 0), padded)
        limits = outcome_limits(own, found, evaluation["bootstrap"]["level"])
        for g, name in enumerate(names):
            value = float(found.value[g, 0])
            status = _status(value, images[g], evaluation["minimum"]["n"])
            row = {"group": name, "n": images[g], "n_patients": patients[g], "status": status}
            if status == "ok":
                row |= {"value": value, "low": limits.low[g], "high": limits.high[g]}
            rows.append(row)
    lost = attribute.codes < 0
    if lost.any():
        known = lost & np.isfinite(outcome.columns).all(axis=1)
        counts = {"n": int(known.sum()), "n_patients": np.unique(patient[known]).size}
        rows.append({"group": "missing", **counts, "status": str(Status.MISSING)})
    return rows


def _gap_row(
    outcome: Outcome,
    attribute: Attribute,
    patient: np.ndarray,
    evaluation: Evaluation,
    cohort: str,
) -> tuple[dict, np.ndarray]:
    found, images, patients, used = _measured(outcome, attribute, patient, attribute.codes)
    least, level = evaluation["minimum"]["n"], evaluation["bootstrap"]["level"]
    statuses = [_status(float(v), n, least) for v, n in zip(found.value[:, 0], images, strict=True)]
    statuses += [str(Status.TOO_FEW)] * (len(attribute.levels) - len(statuses))
    kept = np.array([status == "ok" for status in statuses[: len(images)]])
    kept &= np.isfinite(found.error[:, 0])
    row: dict = {"gap": "max_min", "n_groups": len(statuses), "n_estimable": int(kept.sum())}
    row |= {"null": EQUAL_VALUE, "null_status": "ok", "status": "ok"}
    row |= {"n_patients": np.unique(patient[used]).size, "n_movable": np.unique(patient[used]).size}
    if kept.sum() < 2:
        row["status"] = next((s for s in statuses if s != "ok"), str(Status.TOO_FEW))
        return row, np.empty(0)
    units = sum_units(outcome, patient, attribute.codes)
    names = (cohort, attribute.name, outcome.metric)
    draws = evaluation["null"]["draws"]
    assessed, least_found = assess_outcome(units, found, kept, names, draws, level)
    values, levels = found.value[kept, 0], np.array(attribute.levels)[: len(images)][kept]
    row |= {"value": float(np.ptp(values)), "low": assessed.low, "high": assessed.high}
    row |= {"upper": assessed.upper, "p_value": assessed.p_value}
    if not np.isfinite(assessed.p_value):
        row["null_status"] = str(Status.NO_NULL)
    else:
        row |= {"null_q95": assessed.limit, "null_mean": float(np.nanmean(assessed.null))}
        row["smallest_detectable"] = least_found
    harm = outcome.harm(values)
    if np.isfinite(harm).all():
        row |= {"worst": levels[int(harm.argmax())], "best": levels[int(harm.argmin())]}
    return row, assessed.null
