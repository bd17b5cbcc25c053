"""First guess of a plan from the normal approximation, which simulation then corrects."""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.plan.population import Group, Population, draw
from medaudit.plan.worse import true_value, worsen

PATIENTS = 20_000
"""Simulated patients from whom the variance of one patient's contribution is estimated."""


def critical_value(groups: int, alpha: float) -> float:
    """Return the normal quantile for the largest of all signed differences between groups."""
    return float(norm.ppf(1 - alpha / (groups * (groups - 1))))


def patient_variance(group: Group, metric: str, population: Population) -> float:
    """Return the variance of a group's metric times its number of patients.

    It is the variance between patients of the summed influence of a patient's images on the
    metric, so the design effect of clustered images is in it.

    Parameters
    ----------
    group : Group
        Its number of patients does not matter.
    metric : str
        One of `medaudit.plan.worse.PLANNED`.
    population : Population
        Gives the images per patient and their correlations.
    """
    many = replace(population, groups=(replace(group, patients=PATIENTS),))
    drawn = draw(many, generator("first guess", repr(many)))
    influence = _influence(group, metric, drawn.y, drawn.latent)
    # The influence is per image; patients are the units that are drawn.
    summed = np.bincount(drawn.patient, influence, minlength=PATIENTS)
    return float(summed.var() * (PATIENTS / drawn.y.size) ** 2)


def _influence(group: Group, metric: str, y: np.ndarray, latent: np.ndarray) -> np.ndarray:
    value, right = true_value(group, metric), (latent >= 0) == y
    positives, negatives = y.mean(), 1 - y.mean()
    if metric == "accuracy":
        return right - value
    if metric == "auc":
        (low, high), (narrow, wide) = group.means, group.spread
        won = np.where(y, norm.cdf((latent - low) / narrow), norm.sf((latent - high) / wide))
        return (won - value) / np.where(y, positives, negatives)
    of_positives = np.where(y, right - group.tpr, 0) / positives
    of_negatives = np.where(y, 0, right - (1 - group.fpr)) / negatives
    if metric == "tpr":
        return of_positives
    return of_negatives if metric in ("fpr", "tnr") else (of_positives + of_negatives) / 2


def hardest_group(
    population: Population, metric: str, gap: float, alpha: float
) -> tuple[int, float]:
    """Return the group whose being worse is hardest to find, and the distance in that case.

    Parameters
    ----------
    population : Population
        Groups that are treated alike.
    metric, gap, alpha
        As for `medaudit.plan.plan_patients`.

    Returns
    -------
    worse : int
        Index of the group.
    distance : float
        Gap / standard error - critical value; its normal probability approximates the power.
    """
    fair = [patient_variance(g, metric, population) / g.patients for g in population.groups]
    spread: dict[int, float] = {}
    for worse, group in enumerate(population.groups):
        changed = worsen(group, metric, gap)
        variance = patient_variance(changed, metric, population) / changed.patients
        # The best comparison counts: the gap is found if any pair is far enough apart.
        spread[worse] = variance + min(fair[:worse] + fair[worse + 1 :])
    hardest = max(spread, key=lambda worse: spread[worse])
    distance = gap / np.sqrt(spread[hardest]) - critical_value(len(fair), alpha)
    return hardest, float(distance)


def guess_factor(
    population: Population, metric: str, gap: float, alpha: float, power: float
) -> tuple[int, float]:
    """Return the group that is hardest to find, and the factor by which to multiply patients."""
    worse, distance = hardest_group(population, metric, gap, alpha)
    critical = critical_value(len(population.groups), alpha)
    return worse, float(((critical + norm.ppf(power)) / (distance + critical)) ** 2)


def guess_gap(population: Population, metric: str, alpha: float, power: float) -> tuple[int, float]:
    """Return the group that is hardest to find, and the gap that is found with `power`.

    Raises
    ------
    MedauditError
        No possible gap is found with this power.
    """
    value = true_value(population.groups[0], metric)
    largest = 0.98 * (1 - value if metric == "fpr" else value)
    target = norm.ppf(power)

    def excess(gap: float) -> float:
        return hardest_group(population, metric, gap, alpha)[1] - target

    if excess(largest) < 0:
        raise MedauditError(no_gap(population, metric, power))
    gap = float(brentq(excess, 1e-4, largest, xtol=1e-4))
    return hardest_group(population, metric, gap, alpha)[0], gap


def no_gap(population: Population, metric: str, power: float) -> str:
    """Return the message that no gap is large enough."""
    return (
        f"{population.patients} patients find no gap of {metric} with a power of {power:g}, "
        "however large; plan with more patients"
    )
