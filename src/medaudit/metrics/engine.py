"""From plans and replicate weights, or permuted groups, to metric values."""

from collections.abc import Sequence

import numpy as np

from medaudit.metrics import bootstrap_kernels
from medaudit.metrics import permutation_kernels as dealt_kernels
from medaudit.metrics.definitions import METRICS, Sums
from medaudit.metrics.sorted_scores import Plan, features

RANKED = ("pairs", "precision")
SQUARED = 3


def values(plan: Plan, metrics: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """Compute metrics of every group for every replicate.

    Parameters
    ----------
    plan : Plan
        Scores, labels, groups and units of one task and seed.
    metrics : sequence of str
        Names in `medaudit.metrics.definitions.METRICS`.
    weights : ndarray of uint8, shape (units, replicates)
        How often each unit was drawn.

    Returns
    -------
    ndarray of float64, shape (len(metrics), n_groups, replicates)
        NaN where a metric is undefined.
    """
    sums: Sums = {}
    for need in _needs(plan, metrics):
        sums[need] = _ranked(plan, need, weights) if need in RANKED else _added(plan, need, weights)
    shape = (plan.n_groups, weights.shape[1])
    return _compute(sums, plan.fit if "calibration" in sums else None, metrics, shape)


def rest_values(
    plan: Plan, others: Sequence[Plan], metrics: Sequence[str], weights: np.ndarray
) -> np.ndarray:
    """Compute metrics of all other groups together, for every group and replicate.

    Parameters
    ----------
    plan : Plan
        All groups.
    others : sequence of Plan
        For each group, a plan of the images of the others in one group.
    metrics : sequence of str
        As for `values`.
    weights : ndarray of uint8, shape (units, replicates)
        As for `values`.

    Returns
    -------
    ndarray of float64, shape (len(metrics), n_groups, replicates)
    """
    outside: Sums = {}
    for need in _needs(plan, metrics):
        if need == "pairs":
            outside[need] = _rest_pairs(plan, weights)
        elif need == "precision":
            outside[need] = np.concatenate([_ranked(other, need, weights) for other in others])
        elif need == "calibration":
            outside[need] = np.concatenate([_added(other, need, weights) for other in others])
        else:
            outside[need] = _all_but_one(_added(plan, need, weights))
    fit = np.concatenate([other.fit for other in others]) if "calibration" in outside else None
    return _compute(outside, fit, metrics, (plan.n_groups, weights.shape[1]))


def dealt_values(
    plan: Plan, metrics: Sequence[str], dealt: np.ndarray, share: np.ndarray, rest: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute metrics of every group, where each replicate has groups of its own.

    Parameters
    ----------
    plan : Plan
        All images in one group.
    metrics : sequence of str
        As for `values`.
    dealt : ndarray of int, shape (units, replicates)
        Group of each unit in each replicate.
    share : ndarray, shape (2, n_groups)
        Mean importance weight by label and group.
    rest : bool
        Whether the other groups together are wanted too, for each group.

    Returns
    -------
    group, rest : ndarray of float64, shape (len(metrics), n_groups, replicates)
        `rest` is None where it is not wanted.
    """
    shape = (share.shape[1], dealt.shape[1])
    inside: Sums = {}
    outside: Sums = {}
    for need in _needs(plan, metrics):
        if need not in RANKED:
            inside[need] = _dealt_added(plan, need, dealt, share)
            outside[need] = _all_but_one(inside[need])
    if "pairs" in _needs(plan, metrics):
        inside["pairs"], outside["pairs"] = _dealt_pairs(plan, dealt, share)
    if "precision" in _needs(plan, metrics):
        inside["precision"] = _dealt_precision(plan, dealt, share)
        outside["precision"] = _rest_precision(plan, dealt, share) if rest else None
    fit = plan.fit.repeat(shape[0], axis=0) if "calibration" in inside else None
    others = _compute(outside, fit, metrics, shape) if rest else None
    return _compute(inside, fit, metrics, shape), others


def _needs(plan: Plan, metrics: Sequence[str]) -> list[str]:
    needed = {need for name in metrics for need in METRICS[name].needs}
    needed -= {"confusion"} if plan.decision is None else set()
    return sorted(needed - ({"label"} if "confusion" in needed else set()))


def _compute(sums: Sums, fit: np.ndarray | None, metrics: Sequence[str], shape) -> np.ndarray:
    if "confusion" in sums:
        cells = sums["confusion"]
        sums["label"] = np.stack([cells[:, 0] + cells[:, 1], cells[:, 2] + cells[:, 3]], axis=1)
    result = np.full((len(metrics), *shape), np.nan)
    for index, name in enumerate(metrics):
        if all(need in sums for need in METRICS[name].needs):
            result[index] = METRICS[name].compute({**sums, "fit": fit})
    return result


def _all_but_one(sums: np.ndarray) -> np.ndarray:
    """Sum over all groups but one, for each.

    Added up, not subtracted from the total: rounding must not turn a 0 into a count.
    """
    return np.array([np.delete(sums, g, axis=0).sum(axis=0) for g in range(len(sums))])


def _shape(sums: np.ndarray, need: str) -> np.ndarray:
    """Bring sums of shape (groups, slots, columns, b) to what the formulas take."""
    return sums if need == "bins" else sums.reshape(len(sums), -1, sums.shape[-1])


def _added(plan: Plan, need: str, weights: np.ndarray) -> np.ndarray:
    slot, slots, coefficient = features(plan, need)
    order = plan.by_unit
    out = np.zeros((plan.n_groups * slots, coefficient.shape[1], weights.shape[1]))
    place = (plan.group * slots + slot)[order]
    bootstrap_kernels.add_rows(out, place, coefficient[order], plan.unit[order], weights)
    return _shape(out.reshape(plan.n_groups, slots, *out.shape[1:]), need)


def _ranked(plan: Plan, need: str, weights: np.ndarray) -> np.ndarray:
    shape = (plan.n_groups, weights.shape[1])
    images = (plan.ends, plan.group, plan.positive, plan.factor, plan.unit, weights)
    result, *scratch = np.zeros((2 if need == "pairs" else 3, *shape))
    kernel = bootstrap_kernels.rank_pairs if need == "pairs" else bootstrap_kernels.sum_precision
    kernel(result, *scratch, *images)
    return result


def _rest_pairs(plan: Plan, weights: np.ndarray) -> np.ndarray:
    shape = (plan.n_groups, weights.shape[1])
    won, beat, held = np.zeros((3, *shape))
    below, seen = np.zeros((shape[0] + 1, shape[1])), np.zeros(shape[1])
    bootstrap_kernels.rank_against_all(
        won, beat, held, below, seen,
        plan.ends, plan.group, plan.positive, plan.factor, plan.unit, weights,
    )  # fmt: skip
    return _outside_pairs(won, beat, held, below[:-1], seen)


def _outside_pairs(won, beat, held, negatives, seen) -> np.ndarray:
    """All pairs, less those that a group's positives or negatives are in."""
    return beat.sum(axis=0) - beat - (negatives * seen - held) + won


def _dealt_added(plan: Plan, need: str, dealt: np.ndarray, share: np.ndarray) -> np.ndarray:
    slot, slots, coefficient = features(plan, need)
    order = plan.by_unit
    squared = need == "bins" and bool((share != 1).any() or plan.weighted)
    if squared and coefficient.shape[1] == SQUARED:
        coefficient = np.column_stack([coefficient, plan.factor**2])
    columns = coefficient.shape[1]
    out = np.zeros((slots, columns, share.shape[1], dealt.shape[1]))
    shares = np.repeat(share[None], columns, axis=0)
    if squared:
        shares[SQUARED] = share**2
    dealt_kernels.add_dealt(
        out, slot[order], coefficient[order], plan.positive[order], shares, plan.unit[order], dealt
    )
    return _shape(np.ascontiguousarray(np.moveaxis(out, 2, 0)), need)


def _dealt_pairs(plan: Plan, dealt, share) -> tuple[np.ndarray, np.ndarray]:
    size, draws = share.shape[1], dealt.shape[1]
    won, beat, held = np.zeros((3, size, draws))
    below, seen = np.zeros((size + 1, draws)), np.zeros(draws)
    dealt_kernels.rank_dealt(
        won, beat, held, below, seen, plan.ends, plan.positive, plan.factor, share[None],
        plan.unit, dealt,
    )  # fmt: skip
    return won, _outside_pairs(won, beat, held, below[:-1], seen)


def _dealt_precision(plan: Plan, dealt, share) -> np.ndarray:
    total, found, chosen = np.zeros((3, share.shape[1], dealt.shape[1]))
    dealt_kernels.sum_dealt_precision(
        total, found, chosen, plan.ends, plan.positive, plan.factor, share[None], plan.unit, dealt
    )
    return total


def _rest_precision(plan: Plan, dealt, share) -> np.ndarray:
    """Sum precision over all other groups as if they were one, for each group."""
    unit, rows = plan.unit, []
    equal = bool((share == 1).all())
    if not equal:
        unit = (unit + plan.positive * len(dealt)).astype(np.int32)
    for g in range(share.shape[1]):
        weights = (dealt != g).view(np.uint8)
        if not equal:
            weights = np.concatenate([np.where(dealt != g, row[dealt], 0) for row in share])
        total, found, chosen = np.zeros((3, 1, dealt.shape[1]))
        images = (plan.ends, plan.group, plan.positive, plan.factor, unit, weights)
        bootstrap_kernels.sum_precision(total, found, chosen, *images)
        rows.append(total[0])
    return np.array(rows)
