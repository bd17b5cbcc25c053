"""Bootstrap replicates of group metrics: all attributes from the same draws of patients."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from medaudit.core.entry_types import Evaluation
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.group_metrics import (
    ALL,
    GroupBlock,
    GroupMetrics,
    fill,
    group_names,
    measure_groups,
    sort_attribute,
)
from medaudit.metrics.resampling import cut_blocks, draw_patients, run_blocks
from medaudit.metrics.sample import Sample

Compute = Callable[[np.ndarray, np.ndarray], None]
"""Fills an array like the values, with a last axis of replicates, from the patients' weights."""

Draw = Callable[[slice], np.ndarray]
"""Returns the weights of patients, shape (patients, replicates), of a block of replicates."""


def bootstrap_metrics(
    sample: Sample, evaluation: Evaluation, threads: int, draw: Draw | None = None
) -> list[tuple[GroupMetrics, list[GroupBlock]]]:
    """Measure every attribute's groups, with replicates.

    Parameters
    ----------
    sample : Sample
        The test split.
    evaluation : Evaluation
        ``metrics``, ``minimum``, ``ece_bins`` and ``bootstrap`` (``draws``).
    threads : int
        Blocks of replicates computed at once; changes no number.
    draw : callable, optional
        Returns the weights of patients of a block of replicates; default: `draw_patients` within
        the sample's strata.

    Returns
    -------
    list of (GroupMetrics, list of GroupBlock)
        For each attribute its metrics, and the sorted scores that they come from.
    """
    found = []
    for attribute in sample.attributes:
        blocks = sort_attribute(sample, attribute, evaluation["ece_bins"])
        names = group_names(attribute)
        found.append((measure_groups(sample, attribute, names, blocks, evaluation), blocks))
    everybody = [_is_everybody(sample, attribute) for attribute in sample.attributes]
    # Where an attribute is known of everybody, its group `all` is that of the attribute `all`,
    # which comes first: its block is left out here and copied below.
    computes = [
        partial(_fill, metrics, blocks[:1] if same else blocks)
        for (metrics, blocks), same in zip(found, everybody, strict=True)
    ]
    every = [metrics for metrics, _ in found]
    draw_replicates(every, computes, sample, evaluation["bootstrap"]["draws"], threads, draw)
    for metrics, same in zip(every, everybody, strict=True):
        if same:
            metrics.replicates[-1] = every[0].replicates[0]
    return found


def _draw(sample: Sample, block: slice) -> np.ndarray:
    return draw_patients(sample.stratum, sample.stream, block, sample.identity)


def _fill(
    metrics: GroupMetrics, blocks: list[GroupBlock], target: np.ndarray, weights: np.ndarray
) -> None:
    fill(metrics, target, blocks, weights)


def _is_everybody(sample: Sample, attribute: Attribute) -> bool:
    """Return whether the group ``all`` of an attribute is that of the attribute ``all``."""
    weighted = any(name == attribute.name for name, _ in sample.weights)
    return attribute.name != ALL and not weighted and bool((attribute.codes >= 0).all())


def draw_replicates(
    metrics: Sequence[GroupMetrics],
    computes: Sequence[Compute],
    sample: Sample,
    draws: int,
    threads: int,
    draw: Draw | None = None,
) -> None:
    """Fill the replicates of several `GroupMetrics`, all with the same draws of patients.

    Parameters
    ----------
    metrics : sequence of GroupMetrics
        Their ``replicates`` are replaced.
    computes : sequence of Compute
        How to compute each of them.
    sample : Sample
        The test split; its patients are drawn.
    draws : int
        Number of replicates.
    threads : int
        Blocks of replicates computed at once; changes no number.
    draw : callable, optional
        As for `bootstrap_metrics`.
    """
    draw = draw or partial(_draw, sample)
    for one in metrics:
        one.replicates = np.full((*one.value.shape, draws), np.nan, np.float32)

    def compute(block: slice) -> None:
        weights = draw(block)
        for one, compute_one in zip(metrics, computes, strict=True):
            compute_one(one.replicates[..., block], weights)

    run_blocks(compute, cut_blocks(draws, sample.stratum.size), threads)
    for one in metrics:
        # A group of one patient is drawn alike in every replicate: it has no interval.
        varies = one.counts[:, None, :, None, 2] > 1
        one.replicates[(one.status != "ok") | ~varies] = np.nan
        one.average(one.replicates)
