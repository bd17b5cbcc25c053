"""Level and coverage of outcomes by group: samples of known truth, 600 or more each.

``python tests/simulations/outcome_samples.py [SAMPLES]`` prints the table of docs/outcomes.md.
"""

import sys
from collections.abc import Callable

import numpy as np

from medaudit.metrics.outcome_gaps import assess_outcome
from medaudit.metrics.outcome_groups import group_outcomes, outcome_limits, sum_units
from medaudit.metrics.outcome_metrics import KAPPA, MEAN, Outcome, mean_of, moments_of

DRAWS, LEVEL = 199, 0.95
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Columns, patient and group of each image."""


def _patients(rng: np.random.Generator, sizes: tuple[int, ...], images: int) -> tuple:
    group = np.repeat(np.arange(len(sizes)), sizes)
    number = rng.integers(1, images + 1, group.size)
    patient = np.repeat(np.arange(group.size), number)
    return patient, group[patient]


def dice(rng: np.random.Generator, sizes: tuple[int, ...], gap: float = 0.0) -> Sample:
    """Return Dice of organs: mostly near 0.9, one in 12 a failure near 0; groups differ in spread."""
    patient, group = _patients(rng, sizes, 3)
    effect = rng.normal(0, 0.4, patient.max() + 1)[patient]
    spread = np.where(group == 0, 14.0, 30.0)
    centre = 0.88
    value = rng.beta(centre * spread, (1 - centre) * spread)
    value = np.clip(value + 0.03 * effect, 0, 1)
    value = np.where(rng.random(value.size) < 1 / 12, 0.05 * rng.random(value.size), value)
    return mean_of(value - gap * (group == 0)), patient, group


def hd95(rng: np.random.Generator, sizes: tuple[int, ...], gap: float = 0.0) -> Sample:
    """Return HD95 in mm: log-normal, skewed, with patients of their own mean."""
    patient, group = _patients(rng, sizes, 3)
    log = rng.normal(0, 0.5, patient.max() + 1)[patient] + rng.normal(1.5, 0.5, patient.size)
    return mean_of(np.exp(log) + gap * (group == 0)), patient, group


def error(rng: np.random.Generator, sizes: tuple[int, ...], gap: float = 0.0) -> Sample:
    """Return signed errors of an age in years; the first group has twice the spread."""
    patient, group = _patients(rng, sizes, 2)
    value = rng.normal(0, 3, patient.max() + 1)[patient] + rng.normal(0, 4, patient.size)
    return mean_of(value * np.where(group == 0, 2, 1) + gap * (group == 0)), patient, group


def refusal(rng: np.random.Generator, sizes: tuple[int, ...], gap: float = 0.0) -> Sample:
    """Return refusals of 8 %."""
    patient, group = _patients(rng, sizes, 2)
    refused = rng.random(patient.size) < 0.08 + gap * (group == 0)
    return mean_of(refused.astype(float)), patient, group


def grades(rng: np.random.Generator, sizes: tuple[int, ...], gap: float = 0.0) -> Sample:
    """Return five grades and predictions of them."""
    patient, group = _patients(rng, sizes, 2)
    true = np.digitize(rng.normal(size=patient.size), [-0.8, 0, 0.8, 1.6]).astype(float)
    noise = 0.8 + gap * (group == 0)
    found = np.clip(np.round(true + noise * rng.normal(size=true.size)), 0, 4)
    return moments_of(true, found), patient, group


CASES: dict[str, tuple[Callable[..., Sample], str, tuple[float, float] | None]] = {
    "Dice": (dice, MEAN, (0.0, 1.0)),
    "HD95": (hd95, MEAN, (0.0, np.inf)),
    "signed error": (error, MEAN, None),
    "refusal rate": (refusal, MEAN, (0.0, 1.0)),
    "quadratic kappa": (grades, KAPPA, (-1.0, 1.0)),
}
"""What is simulated: how a sample is drawn, the kind of metric and its bounds."""
SIZES = {"2 groups of 30 and 90": (30, 90), "4 groups of 20 to 160": (20, 40, 80, 160)}


def one_sample(
    name: str, sizes: tuple[int, ...], rng: np.random.Generator, truth: float
) -> tuple[bool, float, bool]:
    """Return whether the test rejects, the share of group intervals that cover, and of the gap's."""
    draw, kind, bounds = CASES[name]
    columns, patient, group = draw(rng, sizes)
    outcome = Outcome("x", "x", kind, columns, bounds)
    units = sum_units(outcome, patient, group)
    found = group_outcomes(units, units.group[:, None], len(sizes))
    limits = outcome_limits(outcome, found, LEVEL)
    kept = np.isfinite(found.value[:, 0])
    names = ("simulation", name, str(rng.integers(2**31)))
    assessed, _ = assess_outcome(units, found, kept, names, DRAWS, LEVEL)
    covered = (limits.low <= truth) & (truth <= limits.high)
    return assessed.p_value <= 1 - LEVEL, float(covered.mean()), assessed.low <= 0


def truth_of(name: str) -> float:
    """Return the value of all groups, from half a million images."""
    draw, kind, bounds = CASES[name]
    values = []
    for first in (0, 1):  # groups that differ in spread have the same value
        sizes = (250_000, 1) if first == 0 else (1, 250_000)
        columns, _, group = draw(np.random.default_rng(first), sizes)
        own = columns[group == first].sum(axis=0)[:, None]
        from medaudit.metrics.outcome_metrics import OUTCOME_METRICS

        values.append(float(OUTCOME_METRICS[kind].compute(own)[0]))
    return float(np.mean(values))


def simulate(name: str, sizes: tuple[int, ...], samples: int) -> tuple[float, float]:
    """Return the level of the test and the coverage of the groups' intervals."""
    truth = truth_of(name)
    rows = [
        one_sample(name, sizes, np.random.default_rng([k, len(sizes)]), truth)
        for k in range(samples)
    ]
    return float(np.mean([r[0] for r in rows])), float(np.mean([r[1] for r in rows]))


def main() -> None:
    """Print the table."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    print("| outcome | groups (patients) | level | coverage |\n|---|---|---|---|")
    for name in CASES:
        for label, sizes in SIZES.items():
            level, coverage = simulate(name, sizes, samples)
            print(f"| {name} | {label} | {level:.3f} | {coverage:.3f} |", flush=True)


if __name__ == "__main__":
    main()
