"""True values of metrics and gaps of a simulated population, from its distribution of scores."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from medaudit.metrics.audit_settings import ECE_BINS
from medaudit.metrics.gaps import Parts, measure
from medaudit.plan.population import Group, Population, clustered_normal

EDGES = np.linspace(-24, 24, 48_001)
"""Edges of the cells of latent scores on which distributions are summed; 0 is one of them."""

MIDDLE = (EDGES[1:] + EDGES[:-1]) / 2
EQUAL = 1e-6
"""Differences below this are errors of the sums."""


@dataclass(frozen=True)
class Calibrated:
    """A group whose latent score is normal, and whose risk is ``expit(latent + shift)``.

    Parameters
    ----------
    patients : int
    prevalence : float
        Share of positives; decides the mean of the latent scores.
    shift : float
        0: calibrated. 1: the model underestimates the risk by one logit.
    sd : float
        Standard deviation of the latent scores.
    """

    patients: int
    prevalence: float
    shift: float = 0.0
    sd: float = 1.5

    @cached_property
    def mean(self) -> float:
        """Mean latent score at which the prevalence is as stated."""

        def excess(mean: float) -> float:
            mass = np.diff(norm.cdf(EDGES, mean, self.sd))
            return float(mass @ expit(MIDDLE + self.shift)) - self.prevalence

        return float(brentq(excess, -10, 10))

    def draw(self, owner, rng, population):
        """Draw scores, then labels given the scores; see `Group.draw`."""
        noise = clustered_normal(owner, self.patients, population.score_correlation, rng)
        latent = self.mean + self.sd * noise
        return rng.random(owner.size) < expit(latent + self.shift), latent


def masses(group: Group | Calibrated) -> np.ndarray:
    """Return the share of images by label (0, 1) and cell of latent score, shape (2, cells)."""
    if isinstance(group, Calibrated):
        mass = np.diff(norm.cdf(EDGES, group.mean, group.sd))
        risk = expit(MIDDLE + group.shift)
        return np.stack([mass * (1 - risk), mass * risk])
    share = (1 - group.prevalence, group.prevalence)
    columns = zip(share, group.means, group.spread, strict=True)
    return np.stack([p * np.diff(norm.cdf(EDGES, mean, sd)) for p, mean, sd in columns])


def true_metrics(mass: np.ndarray) -> dict[str, float]:
    """Return the true value of each metric, with the decision ``score >= 0.5``."""
    (neg, pos), score = mass, expit(MIDDLE)
    n, p = neg.sum(), pos.sum()
    total, chosen = n + p, MIDDLE > 0
    tp, fp = pos[chosen].sum(), neg[chosen].sum()
    wins = (pos * (np.cumsum(neg) - neg / 2)).sum()
    above_p = np.cumsum(pos[::-1])[::-1] - pos / 2
    above_n = np.cumsum(neg[::-1])[::-1] - neg / 2
    precision = above_p / np.maximum(above_p + above_n, 1e-300)
    place = np.minimum((score * ECE_BINS).astype(int), ECE_BINS - 1)
    off = np.bincount(place, pos - score * (pos + neg), minlength=ECE_BINS)
    return {
        "auc": wins / (n * p),
        "average_precision": (pos * precision).sum() / p,
        "accuracy": (tp + n - fp) / total,
        "balanced_accuracy": (tp / p + 1 - fp / n) / 2,
        "f1": 2 * tp / (tp + fp + p),
        "tpr": tp / p,
        "fpr": fp / n,
        "ppv": tp / (tp + fp),
        "npv": (n - fp) / (n - fp + p - tp),
        "selection_rate": (tp + fp) / total,
        "brier": (pos * (1 - score) ** 2 + neg * score**2).sum() / total,
        "ece": np.abs(off).sum() / total,
        "calibration_intercept": _intercept(neg + pos, p),
    }


def _intercept(mass: np.ndarray, positives: float) -> float:
    """Return the shift of all logits at which as many positives are expected as there are."""

    def excess(shift: float) -> float:
        return float(mass @ expit(MIDDLE + shift)) - positives

    return float(brentq(excess, -30, 30))


@dataclass(frozen=True)
class Truth:
    """True values of one population.

    Parameters
    ----------
    groups : tuple of dict
        Metric to value, by group.
    rests : tuple of dict
        The same of all other groups together.
    whole : dict
        The same of everybody.
    nulls : dict of str to bool
        Which null hypotheses are true: ``separation``, ``calibration``, ``parity``.
    """

    groups: tuple[dict[str, float], ...]
    rests: tuple[dict[str, float], ...]
    whole: dict[str, float]
    nulls: dict[str, bool]

    def gap(self, gap: str, metric: str, kept: tuple[bool, ...]) -> float:
        """Return the true gap between the groups that `kept` marks; 0 where they are equal."""
        take = [g for g, keep in enumerate(kept) if keep]
        own = np.array([self.groups[g][metric] for g in take])
        rest = np.array([self.rests[g][metric] for g in take])
        if np.ptp(own) < EQUAL and np.abs(own - rest).max() < EQUAL:
            return 0.0
        return float(measure(gap, metric, Parts(own, rest, self.whole[metric])))


@cache
def truth_of(population: Population) -> Truth:
    """Return the true values of a population."""
    parts = np.array([masses(group) for group in population.groups])
    sizes = np.array([group.patients for group in population.groups], float)[:, None, None]
    scaled = parts * sizes
    rests = scaled.sum(axis=0) - scaled
    return Truth(
        tuple(true_metrics(part) for part in parts),
        tuple(true_metrics(rest) for rest in rests),
        true_metrics(scaled.sum(axis=0)),
        _true_nulls(parts),
    )


def _true_nulls(parts: np.ndarray) -> dict[str, bool]:
    given_label = parts / parts.sum(axis=2, keepdims=True)
    total = parts.sum(axis=1)
    # Where a group has hardly any images, its risk is a ratio of rounding errors.
    seen = (total > 1e-9).all(axis=0)
    risk = parts[:, 1][:, seen] / total[:, seen]
    chosen = (total[:, MIDDLE > 0]).sum(axis=1)
    return {
        "separation": bool(np.ptp(given_label, axis=0).max() < EQUAL**2),
        "calibration": bool(np.ptp(risk, axis=0).max() < EQUAL),
        "parity": bool(np.ptp(chosen) < EQUAL),
    }
