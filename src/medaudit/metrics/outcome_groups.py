"""Values and standard errors of an outcome by group, observed or permuted, with their limits."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy.special import ndtri, stdtrit

from medaudit.metrics.effective_size import shrink_size, wilson_limits
from medaudit.metrics.gap_intervals import Limits
from medaudit.metrics.influence_kernels import add_units
from medaudit.metrics.outcome_metrics import KAPPA, OUTCOME_METRICS, Outcome

NARROW = 1e-12


@dataclass(frozen=True)
class OutcomeUnits:
    """The sums of one outcome by unit: a patient's images in one group.

    Parameters
    ----------
    outcome : Outcome
    sums : ndarray, shape (units, columns)
        The outcome's columns and their products, which give variances.
    group, patient : ndarray of int, shape (units,)
    images : ndarray of int, shape (units,)
    """

    outcome: Outcome
    sums: np.ndarray
    group: np.ndarray
    patient: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class OutcomeValues:
    """Values, standard errors and effective sizes, shape (groups, columns).

    Parameters
    ----------
    value, error : ndarray
        NaN where undefined.
    size : ndarray
        Of means in [0, 1], else NaN.
    units : ndarray
        Number of units (patients).
    """

    value: np.ndarray
    error: np.ndarray
    size: np.ndarray
    units: np.ndarray


def sum_units(outcome: Outcome, patient: np.ndarray, codes: np.ndarray) -> OutcomeUnits:
    """Add up an outcome by patient and group.

    Parameters
    ----------
    outcome : Outcome
        Of every image.
    patient, codes : ndarray of int, shape (images,)
        Patient, and group (-1: not known) of each image.
    """
    used = (codes >= 0) & np.isfinite(outcome.columns).all(axis=1)
    size = int(codes.max(initial=0)) + 1
    key = patient[used].astype(np.int64) * size + codes[used]
    keys, place = np.unique(key, return_inverse=True)
    columns = outcome.columns[used]
    own = np.stack([np.bincount(place, column, keys.size) for column in columns.T], axis=1)
    pairs = combinations_with_replacement(range(own.shape[1]), 2)
    products = np.stack([own[:, a] * own[:, b] for a, b in pairs], axis=1)
    return OutcomeUnits(
        outcome,
        np.ascontiguousarray(np.concatenate([own, products], axis=1)),
        (keys % size).astype(np.int16),
        keys // size,
        np.bincount(place, minlength=keys.size),
    )


def group_outcomes(units: OutcomeUnits, codes: np.ndarray, groups: int) -> OutcomeValues:
    """Return values and errors of the groups in each column of `codes`.

    Parameters
    ----------
    units : OutcomeUnits
        Sums by patient.
    codes : ndarray of int, shape (units, columns)
        Group of each unit: the observed ones, or permuted.
    groups : int
        Their number.
    """
    outcome, k = units.outcome, units.outcome.columns.shape[1]
    added = np.zeros((units.sums.shape[1] + 1, groups, codes.shape[1]))
    columns = np.column_stack([units.sums, np.ones(len(units.sums))])
    add_units(added, np.ascontiguousarray(columns), codes)
    sums, products, count = added[:k], added[k:-1], added[-1]
    metric = OUTCOME_METRICS[outcome.kind]
    value, slope = metric.compute(sums), metric.gradient(sums)
    pairs = list(combinations_with_replacement(range(k), 2))
    variance = sum(
        (1 if a == b else 2) * slope[a] * slope[b] * products[place]
        for place, (a, b) in enumerate(pairs)
    )
    # Few patients: the sum of squared residuals is too small by their number over one less.
    variance = np.maximum(variance, 0) * count / np.maximum(count - 1, 0.5)
    variance = np.where(count > 1, variance, np.nan)
    size = np.full(value.shape, np.nan)
    if outcome.unit_bound:
        size = shrink_size(value, variance, np.maximum(sums[0], 1), 1.0)
    return OutcomeValues(value, np.sqrt(variance), size, count)


def outcome_limits(outcome: Outcome, found: OutcomeValues, level: float) -> Limits:
    """Return the limits of each group's value, shape (groups,), of the first column.

    Means in [0, 1] have Wilson's limits at their effective size, a kappa Student's on the scale of
    Fisher's z, all others Student's with one degree of freedom less than patients.
    """
    value, error, size, count = (
        a[:, 0] for a in (found.value, found.error, found.size, found.units)
    )
    reach = stdtrit(np.maximum(count - 1, 1), (1 + level) / 2)
    if outcome.unit_bound:
        low, high = wilson_limits(value, size, reach)
    elif outcome.kind == KAPPA:
        inside = np.clip(value, -1 + NARROW, 1 - NARROW)
        z, step = np.arctanh(inside), reach * error / np.maximum(1 - inside**2, NARROW)
        low, high = np.tanh(z - step), np.tanh(z + step)
    else:
        low, high = value - reach * error, value + reach * error
        if outcome.bounds is not None:
            low, high = np.maximum(low, outcome.bounds[0]), np.minimum(high, outcome.bounds[1])
    return Limits(value, size, low, high, reach, value)


def normal_reach(level: float) -> float:
    """Return the normal quantile of a two-sided interval."""
    return float(ndtri((1 + level) / 2))
