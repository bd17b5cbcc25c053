"""What the audit stages share: checked settings, planned groups, and bootstrap replicates drawn together."""

from collections.abc import Callable

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.group_metrics import ALL, Scores, make_plans
from medaudit.metrics.resampling import cut_blocks, draw_patients, run_blocks
from medaudit.metrics.sample import Sample
from medaudit.metrics.sorted_scores import Plan


def check_evaluation(settings: dict) -> dict:
    """Return the ``evaluation`` block with its defaults.

    Raises
    ------
    MedauditError
        A metric is unknown.
    """
    evaluation = {"ece_bins": 15, **settings["evaluation"]}
    unknown = [name for name in evaluation["metrics"] if name not in METRICS]
    if unknown:
        raise MedauditError(f"evaluation: metrics {unknown} are unknown; known: {list(METRICS)}")
    return evaluation


def group_names(attribute: Attribute) -> tuple[str, ...]:
    """Return the groups along the group axis of an attribute's scores."""
    return attribute.levels if attribute.name == ALL else (*attribute.levels, ALL)


def plan_attribute(
    sample: Sample, attribute: Attribute, evaluation: dict
) -> list[tuple[int, dict]]:
    """Return the plans of an attribute's groups and of all of them together, with their places."""
    bins, size = evaluation["ece_bins"], len(attribute.levels)
    plans = [(0, make_plans(sample, attribute, attribute.codes, size, bins))]
    if attribute.name != ALL:
        plans.append((size, {key: merge_groups(plan) for key, plan in plans[0][1].items()}))
    return plans


def merge_groups(plan: Plan) -> Plan:
    """Return a plan with all its images in one group."""
    return plan.keep(np.zeros_like(plan.group), 1)


def draw_replicates(
    scored: list[Scores], computes: list[Callable], sample: Sample, settings: dict, threads: int
) -> None:
    """Fill the replicates of several scores, all with the same draws of patients.

    Each of `computes` takes an array like the values, with an axis of replicates, and weights.
    """
    draws = settings["evaluation"]["bootstrap"]["draws"]
    for scores in scored:
        scores.replicates = np.full((*scores.value.shape, draws), np.nan, np.float32)

    def compute(block: slice) -> None:
        weights = draw_patients(sample.stratum, sample.stream, block, sample.identity)
        for scores, compute_one in zip(scored, computes, strict=True):
            compute_one(scores.replicates[..., block], weights)

    run_blocks(compute, cut_blocks(draws, sample.stratum.size), threads)
    for scores in scored:
        varies = scores.counts[:, None, :, None, 2] > 1
        scores.replicates[(scores.status != "ok") | ~varies] = np.nan
        scores.average(scores.replicates)
