"""The point at which a simulated power curve reaches its target."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import norm

FIRST = (0.8, 1.0, 1.25)
LATER = (0.94, 1.06)
"""Sizes at which samples are drawn, as multiples of the first guess and of the estimate so far."""

ROUNDS = 5
REACH = 0.25
"""Relative distance from the estimate at which a sample counts about .6: the curve is a probit
line near the target alone."""


@dataclass(frozen=True)
class Curve:
    """A power curve ``Phi(intercept + slope * size)``, fitted to simulated samples.

    Parameters
    ----------
    intercept, slope : float
    covariance : ndarray, shape (2, 2)
        Of intercept and slope, from the simulation.
    samples : int
        Number of simulated samples.
    """

    intercept: float
    slope: float
    covariance: np.ndarray
    samples: int

    def power(self, size: float) -> float:
        """Return the fitted power."""
        return float(norm.cdf(self.intercept + self.slope * size))

    def power_error(self, size: float) -> float:
        """Return the Monte-Carlo standard error of the fitted power."""
        return float(norm.pdf(self.intercept + self.slope * size)) * self._error(size)

    def size(self, power: float) -> float:
        """Return the size at which the fitted power is reached."""
        return float((norm.ppf(power) - self.intercept) / self.slope)

    def size_error(self, power: float) -> float:
        """Return the Monte-Carlo standard error of `size`."""
        return self._error(self.size(power)) / self.slope

    def _error(self, size: float) -> float:
        at = np.array([1.0, size])
        return float(np.sqrt(at @ self.covariance @ at))


def find_curve(
    simulate: Callable[[list[tuple[float, int]]], list[int]],
    power: float,
    critical: float,
    samples: int,
) -> Curve:
    """Simulate in rounds, each nearer to the size that has the wanted power, and fit the curve.

    Parameters
    ----------
    simulate : callable
        Takes pairs (size, number of samples) and returns in how many samples of each the gap was
        found. A size of 1 is the first guess; power must rise with the size, and its normal
        quantile must be nearly linear in it.
    power : float
        Wanted power.
    critical : float
        Critical value of the test, on which a weak prior for the curve rests.
    samples : int
        Number of samples in all.

    Returns
    -------
    Curve
    """
    slope = critical + norm.ppf(power)
    estimate = 1.0
    sizes: list[float] = []
    counts: list[int] = []
    found: list[int] = []
    for number in range(ROUNDS):
        chosen = [estimate * step for step in (LATER if number else FIRST)]
        each = samples // (ROUNDS * len(chosen))
        sizes += chosen
        counts += [each] * len(chosen)
        found += simulate([(size, each) for size in chosen])
        weight = _nearness(np.array(sizes), estimate)
        prior = np.array([-critical, slope / estimate])
        curve = _fit(np.array(sizes), np.array(counts), np.array(found), weight, prior)
        # A round where all or no gaps were found says only in which direction to go.
        estimate = float(np.clip(curve.size(power), estimate / 2, estimate * 2))
    return curve


def _nearness(sizes: np.ndarray, estimate: float) -> np.ndarray:
    return np.exp(-0.5 * ((sizes / estimate - 1) / REACH) ** 2)


def _fit(sizes, counts, found, weight, prior) -> Curve:
    spread = np.array([2.0, prior[1] / 2])
    design = np.stack([np.ones(sizes.size), sizes], axis=1)

    def loss(parameters: np.ndarray) -> float:
        line = design @ parameters
        likelihood = found * log_ndtr(line) + (counts - found) * log_ndtr(-line)
        return float(0.5 * (((parameters - prior) / spread) ** 2).sum() - weight @ likelihood)

    best = minimize(loss, prior, method="BFGS").x
    line = design @ best
    chance = np.clip(norm.cdf(line), 1e-6, 1 - 1e-6)
    # Expected information of the probit model (McCullagh and Nelder 1989, 4.4).
    information = weight * counts * norm.pdf(line) ** 2 / (chance * (1 - chance))
    covariance = np.linalg.inv(design.T @ (information[:, None] * design) + np.diag(spread**-2.0))
    return Curve(float(best[0]), float(max(best[1], 1e-3)), covariance, int(counts.sum()))
