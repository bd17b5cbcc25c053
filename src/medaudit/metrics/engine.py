"""From sorted scores and replicate weights, or permuted groups, to metric values.

Each function computes the sums that the metrics need (`medaudit.metrics.definitions`), for all
groups and replicates at once, and applies the formulas to them.
"""

from collections.abc import Sequence

import numpy as np

from medaudit.metrics import bootstrap_kernels, permutation_kernels
from medaudit.metrics.definitions import METRICS, Sums
from medaudit.metrics.sorted_scores import SortedScores, summands

RANKED = ("pairs", "precision")
"""Sums that depend on the order of scores."""

SQUARED = 3
"""Column of the bins' sums that holds squared weights, where there are weights."""


def group_values(scores: SortedScores, metrics: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """Compute metrics of every group for every replicate.

    Parameters
    ----------
    scores : SortedScores
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
    for need in _needs(scores, metrics):
        compute = _ranked if need in RANKED else _added
        sums[need] = compute(scores, need, weights)
    fit = scores.fit if "calibration" in sums else None
    return _apply(sums, fit, metrics, (scores.n_groups, weights.shape[1]))


def rest_values(
    scores: SortedScores,
    others: Sequence[SortedScores],
    metrics: Sequence[str],
    weights: np.ndarray,
) -> np.ndarray:
    """Compute metrics of all other groups together, for every group and replicate.

    Parameters
    ----------
    scores : SortedScores
        All groups.
    others : sequence of SortedScores
        For each group, the images of the other groups, in one group.
    metrics : sequence of str
        As for `group_values`.
    weights : ndarray of uint8, shape (units, replicates)
        As for `group_values`.

    Returns
    -------
    ndarray of float64, shape (len(metrics), n_groups, replicates)
    """
    outside: Sums = {}
    for need in _needs(scores, metrics):
        if need == "pairs":
            outside[need] = _rest_pairs(scores, weights)
        elif need == "precision":
            outside[need] = np.concatenate([_ranked(other, need, weights) for other in others])
        elif need == "calibration":
            outside[need] = np.concatenate([_added(other, need, weights) for other in others])
        else:
            outside[need] = _all_but_one(_added(scores, need, weights))
    fit = np.concatenate([other.fit for other in others]) if "calibration" in outside else None
    return _apply(outside, fit, metrics, (scores.n_groups, weights.shape[1]))


def permuted_group_values(
    scores: SortedScores,
    metrics: Sequence[str],
    permuted: np.ndarray,
    share: np.ndarray,
    rest: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute metrics of every group, where each replicate permutes the groups.

    Parameters
    ----------
    scores : SortedScores
        All images in one group.
    metrics : sequence of str
        As for `group_values`.
    permuted : ndarray of int, shape (units, replicates)
        Group of each unit in each replicate.
    share : ndarray, shape (2, n_groups)
        Mean importance weight by label and group.
    rest : bool
        Whether to compute the other groups together as well, for each group.

    Returns
    -------
    group, rest : ndarray of float64, shape (len(metrics), n_groups, replicates)
        `rest` is None where it is not asked for.
    """
    shape = (share.shape[1], permuted.shape[1])
    needs = _needs(scores, metrics)
    inside: Sums = {}
    outside: Sums = {}
    for need in needs:
        if need == "pairs":
            inside[need], outside[need] = _permuted_pairs(scores, permuted, share)
        elif need == "precision":
            inside[need] = _permuted_precision(scores, permuted, share)
            if rest:
                outside[need] = _rest_precision(scores, permuted, share)
        else:
            inside[need] = _permuted_added(scores, need, permuted, share)
            outside[need] = _all_but_one(inside[need])
    # One calibration for all: under the hypothesis every group has that of everybody.
    fit = scores.fit.repeat(shape[0], axis=0) if "calibration" in needs else None
    others = _apply(outside, fit, metrics, shape) if rest else None
    return _apply(inside, fit, metrics, shape), others


def _needs(scores: SortedScores, metrics: Sequence[str]) -> list[str]:
    needed = {need for name in metrics for need in METRICS[name].needs}
    needed -= {"confusion"} if scores.decision is None else set()
    return sorted(needed - ({"label"} if "confusion" in needed else set()))


def _apply(
    sums: Sums, fit: np.ndarray | None, metrics: Sequence[str], shape: tuple[int, int]
) -> np.ndarray:
    """Apply the formulas of the metrics; NaN where a sum that one needs is absent."""
    sums = dict(sums)
    if "confusion" in sums:
        cells = sums["confusion"]
        sums["label"] = np.stack([cells[:, 0] + cells[:, 1], cells[:, 2] + cells[:, 3]], axis=1)
    if fit is not None:
        sums["fit"] = fit
    result = np.full((len(metrics), *shape), np.nan)
    for index, name in enumerate(metrics):
        if all(need in sums for need in METRICS[name].needs):
            result[index] = METRICS[name].compute(sums)
    return result


def _all_but_one(sums: np.ndarray) -> np.ndarray:
    """Sum over all groups but one, for each."""
    # Added up, not subtracted from the total: rounding must not turn a 0 into a count.
    return np.array([np.delete(sums, g, axis=0).sum(axis=0) for g in range(len(sums))])


def _shape(sums: np.ndarray, need: str) -> np.ndarray:
    """Bring sums of shape (groups, slots, columns, replicates) to what the formulas take."""
    return sums if need == "bins" else sums.reshape(len(sums), -1, sums.shape[-1])


def _added(scores: SortedScores, need: str, weights: np.ndarray) -> np.ndarray:
    slot, slots, coefficient = summands(scores, need)
    order = scores.by_unit
    out = np.zeros((scores.n_groups * slots, coefficient.shape[1], weights.shape[1]))
    place = (scores.group * slots + slot)[order]
    bootstrap_kernels.add_rows(out, place, coefficient[order], scores.unit[order], weights)
    return _shape(out.reshape(scores.n_groups, slots, *out.shape[1:]), need)


def _ranked(scores: SortedScores, need: str, weights: np.ndarray) -> np.ndarray:
    shape = (scores.n_groups, weights.shape[1])
    if need == "pairs":
        pairs, below = np.zeros((2, *shape))
        bootstrap_kernels.rank_pairs(pairs, below, scores.images, weights)
        return pairs
    sums = np.zeros((3, *shape))
    bootstrap_kernels.sum_precision(sums, scores.images, weights)
    return sums[0]


def _rest_pairs(scores: SortedScores, weights: np.ndarray) -> np.ndarray:
    size, replicates = scores.n_groups, weights.shape[1]
    pairs = np.zeros((3, size, replicates))
    below, seen = np.zeros((size + 1, replicates)), np.zeros(replicates)
    bootstrap_kernels.rank_against_all(pairs, below, seen, scores.images, weights)
    return _outside_pairs(pairs, below[:-1], seen)


def _outside_pairs(pairs: np.ndarray, negatives: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """All pairs won, minus those with a positive or a negative of the group."""
    won, beat, held = pairs
    return beat.sum(axis=0) - beat - (negatives * seen - held) + won


def _permuted_added(
    scores: SortedScores, need: str, permuted: np.ndarray, share: np.ndarray
) -> np.ndarray:
    slot, slots, coefficient = summands(scores, need)
    order = scores.by_unit
    squared = need == "bins" and bool((share != 1).any() or scores.weighted)
    if squared and coefficient.shape[1] == SQUARED:
        coefficient = np.column_stack([coefficient, scores.factor**2])
    columns = coefficient.shape[1]
    out = np.zeros((slots, columns, share.shape[1], permuted.shape[1]))
    shares = np.repeat(share[None], columns, axis=0)
    if squared:
        shares[SQUARED] = share**2
    permutation_kernels.add_permuted(
        out,
        slot[order],
        coefficient[order],
        scores.positive[order],
        shares,
        scores.unit[order],
        permuted,
    )
    return _shape(np.ascontiguousarray(np.moveaxis(out, 2, 0)), need)


def _permuted_pairs(
    scores: SortedScores, permuted: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    size, replicates = share.shape[1], permuted.shape[1]
    pairs = np.zeros((3, size, replicates))
    below, seen = np.zeros((size + 1, replicates)), np.zeros(replicates)
    permutation_kernels.rank_permuted(pairs, below, seen, scores.images, share[None], permuted)
    return pairs[0], _outside_pairs(pairs, below[:-1], seen)


def _permuted_precision(
    scores: SortedScores, permuted: np.ndarray, share: np.ndarray
) -> np.ndarray:
    sums = np.zeros((3, share.shape[1], permuted.shape[1]))
    permutation_kernels.sum_permuted_precision(sums, scores.images, share[None], permuted)
    return sums[0]


def _rest_precision(scores: SortedScores, permuted: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Sum precision over all other groups as if they were one, for each group."""
    images, rows = scores.images, []
    equal = bool((share == 1).all())
    if not equal:
        # A unit's weight depends on the image's label: one row of weights per label and unit.
        unit = (scores.unit + scores.positive * len(permuted)).astype(np.int32)
        images = images._replace(unit=unit)
    for g in range(share.shape[1]):
        weights = (permuted != g).view(np.uint8)
        if not equal:
            labels = [np.where(permuted != g, row[permuted], 0) for row in share]
            weights = np.concatenate(labels)
        sums = np.zeros((3, 1, permuted.shape[1]))
        bootstrap_kernels.sum_precision(sums, images, weights)
        rows.append(sums[0, 0])
    return np.array(rows)
