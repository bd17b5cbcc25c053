"""Gaps of an outcome between groups: a studentised permutation test of equal values, and limits.

Null hypothesis ``equal_value``: the groups have the same value. Patients exchange their groups; the
statistic is the largest difference over its standard error, computed again in each permutation, so
that the test holds its level in large samples also where groups differ in spread or size (Janssen
1997; Chung and Romano 2013), and exactly where patients are exchangeable.
"""

import numpy as np

from medaudit.core.seeds import generator
from medaudit.metrics.gap_intervals import SMALLEST, Assessed, Limits, assess, simultaneous
from medaudit.metrics.gap_statistics import Contrasts, all_pairs, critical, p_value
from medaudit.metrics.outcome_groups import (
    OutcomeUnits,
    OutcomeValues,
    group_outcomes,
    normal_reach,
    outcome_limits,
)
from medaudit.metrics.resampling import cut_blocks, permute_groups

EQUAL_VALUE = "equal_value"
POWER, SAMPLES, HALVINGS = 0.8, 2000, 20
FEWEST = 3
"""Patients that each group needs for a test: with fewer, errors say nothing."""


def permuted_outcomes(
    units: OutcomeUnits, groups: int, names: tuple[str, ...], draws: int
) -> OutcomeValues:
    """Return values and errors of groups whose patients were exchanged, shape (groups, draws)."""
    stratum = np.zeros(units.group.size, int)
    parts = []
    for block in cut_blocks(draws, units.group.size, 2):
        codes = permute_groups(units.group, stratum, names, block)
        parts.append(group_outcomes(units, codes, groups))
    return OutcomeValues(
        *(
            np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in ("value", "error", "size", "units")
        )
    )


def assess_outcome(
    units: OutcomeUnits,
    found: OutcomeValues,
    kept: np.ndarray,
    names: tuple[str, ...],
    draws: int,
    level: float,
) -> tuple[Assessed, float]:
    """Test and bound the largest difference between groups.

    Parameters
    ----------
    units : OutcomeUnits
        Of one attribute.
    found : OutcomeValues
        Observed, shape (groups, 1).
    kept : ndarray of bool, shape (groups,)
        Groups that are estimable; at least two.
    names : tuple of str
        Name of the random stream.
    draws : int
        Number of permutations.
    level : float
        Confidence level.

    Returns
    -------
    Assessed, float
        The test and limits, and the smallest difference that 80 % of such samples find.
    """
    size = int(kept.sum())
    own = _only(units, kept)
    observed = _take(found, kept)
    limits, contrasts = outcome_limits(units.outcome, observed, level), all_pairs(size)
    null = permuted_outcomes(own, size, names, draws)
    enough = bool((observed.units >= FEWEST).all())
    if units.outcome.unit_bound:
        blank = np.where(enough, 1.0, np.nan)
        assessed = assess(limits, contrasts, null.value * blank, null.size, level)
    else:
        assessed = _studentised(limits, observed, null, contrasts, level, enough)
    return assessed, _detectable(observed.error[:, 0], contrasts, assessed, size)


def _only(units: OutcomeUnits, kept: np.ndarray) -> OutcomeUnits:
    """Return the units of some groups, which get new codes."""
    code = np.cumsum(kept) - 1
    own = kept[units.group]
    return OutcomeUnits(
        units.outcome,
        np.ascontiguousarray(units.sums[own]),
        code[units.group[own]].astype(np.int16),
        units.patient[own],
        units.images[own],
    )


def _take(found: OutcomeValues, kept: np.ndarray) -> OutcomeValues:
    return OutcomeValues(found.value[kept], found.error[kept], found.size[kept], found.units[kept])


def _statistic(value: np.ndarray, error: np.ndarray, contrasts: Contrasts) -> np.ndarray:
    """Return the largest difference over its standard error, of every column."""
    a, b = contrasts
    apart = value[a] - value[b]
    spread = np.sqrt(error[a] ** 2 + error[b] ** 2)
    ratio = np.divide(apart, spread, out=np.full(apart.shape, np.nan), where=spread > 0)
    ratio = np.where(np.isnan(ratio), np.where(apart > 0, np.inf, 0.0), ratio)
    known = np.isfinite(value).all(axis=0) & np.isfinite(error).all(axis=0)
    return np.where(known, ratio.max(axis=0), np.nan)


def _studentised(
    limits: Limits,
    observed: OutcomeValues,
    null: OutcomeValues,
    contrasts: Contrasts,
    level: float,
    enough: bool,
) -> Assessed:
    value = float(np.ptp(limits.value))
    statistic = float(_statistic(observed.value, observed.error, contrasts)[0])
    drawn = _statistic(null.value, null.error, contrasts)
    alpha = round(1 - level, 9)
    z = normal_reach(level)
    wide = Limits(*(getattr(limits, n) for n in ("value", "size", "low", "high", "reach", "raw")))
    ends = wide.largest(contrasts, limits.reach.max(), upper=True)
    one_sided = limits.reach.max() * normal_reach(2 * level - 1) / z
    upper = float(wide.largest(contrasts, np.array([one_sided]), upper=True)[0])
    high = float(ends[0])
    p = p_value(statistic, drawn) if enough else np.nan
    if not np.isfinite(p):
        reach = simultaneous(limits.value.size, level) * limits.reach.max() / z
        low = max(float(limits.largest(contrasts, np.array([reach]))[0]), 0.0)
        return Assessed(np.nan, low, high, upper, np.nan, np.full(0, np.nan), reach)
    reach = critical(drawn, alpha)
    low = max(float(limits.largest(contrasts, np.array([reach]))[0]), SMALLEST) if p <= alpha else 0
    shown = np.full(drawn.shape, np.nan)
    finite = np.isfinite(drawn)
    shown[finite] = value - limits.largest(contrasts, drawn[finite])
    edge = min(critical(drawn, 0.05), 1e6)
    limit = value - float(limits.largest(contrasts, np.array([edge]))[0])
    return Assessed(p, float(low), high, upper, limit, shown, reach, edge=edge)


def _detectable(error: np.ndarray, contrasts: Contrasts, assessed: Assessed, groups: int) -> float:
    """Return the smallest amount by which one group must differ to be found in 80 % of samples.

    By simulation of normal values with the groups' standard errors; the group is the one with the
    smallest or the largest error, whichever needs more.
    """
    if not np.isfinite(assessed.edge) or not np.isfinite(error).all() or not (error > 0).all():
        return np.nan
    noise = generator("detectable", str(groups)).standard_normal((groups, SAMPLES))
    a, b = contrasts
    spread = np.sqrt(error[a] ** 2 + error[b] ** 2)[:, None] * assessed.edge

    def power(worst: int, amount: float) -> float:
        value = noise * error[:, None]
        value[worst] += amount
        return float((value[a] - value[b] > spread).any(axis=0).mean())

    found = []
    for worst in {int(np.argmin(error)), int(np.argmax(error))}:
        low, high = 0.0, 20.0 * float(error.max()) * max(assessed.edge, 1.0)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if power(worst, middle) >= POWER else (middle, high)
        found.append(high)
    return max(found)
