"""Hierarchical estimates of groups: each group learns from the others of its attribute.

The value of a group of 12 is mostly noise, and the largest and smallest of many values are those
of the smallest groups. A hierarchical model says how much of the spread between groups is noise,
and moves each value towards the others by that share (Gelman et al. 2013, chapter 5; for
intersections Evans et al. 2018, whose main effects this model has).

For group g with the value v_g of n_g effective images, on the logit scale:

    n_g v_g ~ binomial(n_g, p_g),  logit p_g = a + sum_k b_k(level of g in attribute k) + u_g,
    b_k ~ N(0, s^2),  u_g ~ N(0, t^2)

An attribute that is no intersection has no b. The normal approximation of Breslow and Clayton
(1993) is fitted on a grid of s and t, whose points are weighted by their Laplace marginal likelihood and a prior that
keeps off 0 (Chung et al. 2013; here Rayleigh's): a few groups can never show that the spread is
exactly 0. So the intervals contain the uncertainty of the mean and that of the spread between
groups, and no interval has width 0.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, log_expit, logit, ndtri

from medaudit.core.intersections import SEPARATOR
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.group_metrics import ALL, MISSING
from medaudit.metrics.intervals import variance_of_draws

UNBOUNDED = ("calibration_slope", "calibration_intercept")
"""Metrics without limits: their values are normal with the standard error of the replicates."""
BIASED = ("ece", "ece_debiased")
"""Metrics that are too large in small groups: to shrink them would keep the bias."""
SPREAD = 0.6
"""Mode of the prior of s and t, in logits; simulated for spreads from 0 to 1."""
GRID = np.array([0.04, 0.12, 0.25, 0.42, 0.65, 1.0, 1.6])
WIDTH = np.gradient(GRID)
COARSE = slice(0, None, 2)
"""Points of the grid for intersections, which have two spreads."""
MEAN_SPREAD = 5.0
"""Standard deviation of the prior of the mean: any."""
STEPS, TOLERANCE, LONGEST = 30, 1e-5, 2.0
"""Most steps of a fit, change in logits at which it ends, longest step."""
REACH, LATTICE, TINY = 7.0, 101, 1e-300
"""Standard deviations and points of the lattice on which quantiles are found."""


class Likelihood(NamedTuple):
    """What the groups of several sets say of themselves, each array of shape (sets, groups).

    Parameters
    ----------
    value : ndarray
        Values; any number where `size` is 0.
    size : ndarray
        Effective number of images, or 1 / variance of an unbounded metric; 0: no value.
    bounded : bool
        Whether values are shares in [0, 1], on the logit scale.
    """

    value: np.ndarray
    size: np.ndarray
    bounded: bool


class Fit(NamedTuple):
    """Normal approximations, each array of shape (sets, points, groups) on the logit scale.

    Parameters
    ----------
    mode, variance : ndarray
        Of each group.
    information, response : ndarray
        What a group says of itself: the precision of its working response, and that times it.
    evidence : ndarray, shape (sets, points)
        Log marginal likelihood (Laplace).
    """

    mode: np.ndarray
    variance: np.ndarray
    information: np.ndarray
    response: np.ndarray
    evidence: np.ndarray


def add_shrunk(table: pd.DataFrame, replicates: np.ndarray, level: float) -> None:
    """Add ``shrunk``, ``shrunk_low``, ``shrunk_high`` to a table of metrics, in place.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of `medaudit.core.table_io.METRICS` of one run, and ``size``, the effective sizes
        of the values (`medaudit.metrics.sizes`); index 0 to rows - 1.
    replicates : ndarray, shape (rows, draws)
        Row by row those of `table`.
    level : float
        Level of the intervals, e.g. 0.95.

    Notes
    -----
    A group has the estimate if its status is ``ok`` and at least one other group of its attribute
    has a value for the same metric, task and seed. The group ``all`` has none, nor have the
    metrics of `BIASED`.
    """
    columns = ["shrunk", "shrunk_low", "shrunk_high"]
    table[columns] = np.nan
    usable = table["status"].eq("ok") & ~table["group"].isin([ALL, MISSING])
    usable &= table["metric"].isin(set(METRICS) - set(BIASED)) & table["value"].notna()
    size = np.zeros(len(table))
    size[usable] = _sizes(table[usable], replicates[usable])
    usable &= size > 0
    for attribute, rows in table[usable].groupby("attribute", sort=False):
        groups, group = np.unique(rows["group"], return_inverse=True)
        design = main_effects(str(attribute), groups)
        sets = rows.groupby(["metric", "seed", "task"], sort=False).ngroup().to_numpy()
        shape = (sets.max() + 1, len(groups))
        values, sizes = np.full(shape, 0.5), np.zeros(shape)
        values[sets, group], sizes[sets, group] = rows["value"], size[rows.index]
        unbounded = np.zeros(shape[0], bool)
        unbounded[sets] = rows["metric"].isin(UNBOUNDED)
        found = np.full((*shape, len(columns)), np.nan)
        several = (sizes > 0).sum(axis=1) > 1
        for kind in (False, True):
            own = several & (unbounded == kind)
            if own.any():
                found[own] = shrink(Likelihood(values[own], sizes[own], not kind), design, level)
        table.loc[rows.index, columns] = found[sets, group]


def _sizes(rows: pd.DataFrame, replicates: np.ndarray) -> np.ndarray:
    """Return the effective size of each value, or 1 / variance of an unbounded one; 0: neither."""
    own = rows["metric"].isin(UNBOUNDED).to_numpy()
    variance = variance_of_draws(replicates[own], ddof=1)
    size = rows["size"].to_numpy(float, copy=True)
    size[own] = np.divide(1, variance, out=np.zeros(len(variance)), where=variance > 0)
    return np.nan_to_num(np.maximum(size, 0), posinf=0)


def main_effects(attribute: str, groups: np.ndarray) -> np.ndarray:
    """Return the design of the main effects of an intersection, shape (groups, effects).

    A column per level of each attribute that is crossed, 1 where the group has it; none for a
    single attribute.

    Examples
    --------
    >>> main_effects("sex & age", np.array(["F & <60", "M & <60"])).astype(int).tolist()
    [[1, 0, 1], [0, 1, 1]]
    """
    parts = [group.split(SEPARATOR) for group in groups]
    crossed = len(attribute.split(SEPARATOR))
    if crossed == 1 or any(len(part) != crossed for part in parts):
        return np.empty((len(groups), 0))
    columns = []
    for levels in zip(*parts, strict=True):
        columns += [np.array(levels) == level for level in dict.fromkeys(levels)]
    return np.array(columns, float).T


def shrink(likelihood: Likelihood, design: np.ndarray, level: float) -> np.ndarray:
    """Fit the hierarchical model of this module to several sets of groups.

    Parameters
    ----------
    likelihood : Likelihood
        The groups' values.
    design : ndarray, shape (groups, effects)
        Main effects (`main_effects`).
    level : float
        Level of the intervals.

    Returns
    -------
    ndarray, shape (sets, groups, 3)
        Estimate (posterior median), lower and upper end. A group of size 0 has what the others
        say of it.
    """
    main = GRID[COARSE] if design.shape[1] else np.zeros(1)
    rest = GRID[COARSE] if design.shape[1] else GRID
    s, t = (axis.reshape(-1) for axis in np.meshgrid(main, rest, indexing="ij"))
    prior = _log_prior(t) + (_log_prior(s) if design.shape[1] else 0)
    fit = _fit(likelihood, design, s, t)
    weight = np.exp(fit.evidence + prior - (fit.evidence + prior).max(axis=1, keepdims=True))
    weight = (weight / weight.sum(axis=1, keepdims=True))[..., None]
    mean = (weight * fit.mode).sum(axis=1)
    spread = np.sqrt((weight * (fit.variance + (fit.mode - mean[:, None]) ** 2)).sum(axis=1))
    shares = np.array([0.5, (1 - level) / 2, (1 + level) / 2])
    if not likelihood.bounded:
        return mean[..., None] + spread[..., None] * ndtri(shares)
    return expit(_quantiles(likelihood, fit, weight, mean, spread, shares))


def _quantiles(
    likelihood: Likelihood,
    fit: Fit,
    weight: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    shares: np.ndarray,
) -> np.ndarray:
    """Return quantiles of each group's logit, (sets, groups, shares), on a lattice around `mean`.

    At each point of the grid, what the other groups say of a group is normal: its normal
    approximation less its own part. Times the group's own binomial likelihood this is skewed where
    a share is near 0 or 1, as the posterior is.
    """
    others = 1 / fit.variance - fit.information
    center = (fit.mode / fit.variance - fit.response) / others
    steps = np.linspace(-REACH, REACH, LATTICE)
    eta = mean[..., None] + spread[..., None] * steps
    value, size = likelihood.value[..., None], likelihood.size[..., None]
    own = size * (value * log_expit(eta) + (1 - value) * log_expit(-eta))
    mixture = np.zeros(eta.shape)
    for p in range(weight.shape[1]):
        log_density = own - others[:, p, :, None] * (eta - center[:, p, :, None]) ** 2 / 2
        density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
        mixture += weight[:, p, :, None] * density / density.sum(axis=-1, keepdims=True)
    below = np.cumsum(mixture, axis=-1) - mixture / 2
    found = np.empty((*mean.shape, shares.size))
    for index, share in enumerate(shares):
        right = np.clip((below < share).sum(axis=-1), 1, LATTICE - 1)[..., None]
        first, second = (np.take_along_axis(below, place, axis=-1) for place in (right - 1, right))
        between = (share - first) / np.maximum(second - first, TINY)
        found[..., index] = (
            mean[..., None]
            + spread[..., None] * (steps[right - 1] + between * (steps[1] - steps[0]))
        )[..., 0]
    return found


def _log_prior(spread: np.ndarray) -> np.ndarray:
    width = np.interp(spread, GRID, WIDTH)
    return np.log(width * spread) - (spread / SPREAD) ** 2 / 2


def _fit(likelihood: Likelihood, design: np.ndarray, s: np.ndarray, t: np.ndarray) -> Fit:
    """Return the normal approximation of every set at every point of the grid.

    For given spreads, this is the iteration of a generalised linear mixed model: the working
    response has the variance t^2 + 1 / (its information) around the mean and main effects.
    """
    z = np.hstack([np.ones((len(design), 1)), design])
    deviation = np.hstack(
        [np.full((s.size, 1), MEAN_SPREAD), np.repeat(s[:, None], z.shape[1] - 1, 1)]
    )
    between = (t**2)[None, :, None]
    value, size = likelihood.value[:, None], likelihood.size[:, None]
    start = logit((value * size + 0.5) / (size + 1)) if likelihood.bounded else value
    eta = np.broadcast_to(start, (len(value), s.size, len(design))).copy()
    precision = np.zeros((s.size, z.shape[1], z.shape[1]))
    diagonal = np.arange(z.shape[1])
    precision[:, diagonal, diagonal] = deviation**-2
    for _ in range(STEPS):
        information, response = _working(eta, value, size, likelihood.bounded)
        kept = 1 / (1 + between * information)
        curve = precision + np.einsum("spg,gi,gj->spij", information * kept, z, z, optimize=True)
        slope = (response * kept) @ z
        effect = np.linalg.solve(curve, slope[..., None])[..., 0]
        step = kept * (between * response + effect @ z.T) - eta
        eta += np.clip(step, -LONGEST, LONGEST)
        if np.abs(step).max() < TOLERANCE:
            break
    mean = effect @ z.T
    inverse = np.linalg.inv(curve)
    of_mean = np.einsum("gi,spij,gj->spg", z, inverse, z, optimize=True)
    evidence = _log_likelihood(eta, value, size, likelihood.bounded)
    evidence -= ((eta - mean) ** 2 / between).sum(axis=2) / 2
    evidence -= np.log1p(between * information).sum(axis=2) / 2
    evidence -= ((effect / deviation) ** 2).sum(axis=2) / 2 + np.log(deviation).sum(axis=1)
    evidence -= np.linalg.slogdet(curve)[1] / 2
    variance = kept * between + kept**2 * of_mean
    return Fit(eta, variance, information, response, evidence)


def _working(
    eta: np.ndarray, value: np.ndarray, size: np.ndarray, bounded: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the information of each value at `eta`, and information times working response."""
    if not bounded:
        return np.broadcast_to(size, eta.shape), np.broadcast_to(size * value, eta.shape)
    share = expit(eta)
    information = size * share * (1 - share)
    return information, information * eta + size * (value - share)


def _log_likelihood(
    eta: np.ndarray, value: np.ndarray, size: np.ndarray, bounded: bool
) -> np.ndarray:
    if not bounded:
        return -(size * (value - eta) ** 2).sum(axis=2) / 2
    return (size * (value * log_expit(eta) + (1 - value) * log_expit(-eta))).sum(axis=2)
