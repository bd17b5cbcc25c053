"""What must hold in the simulations, and whether it does."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cells import Cell

FEW, MANY = 5, 25
"""Patients with positive, and with negative images, that each limit needs in a group."""

LIMITS: dict[str, tuple[float, float]] = {
    "coverage": (0.92, 1.0),
    "coverage, many": (0.92, 0.985),
    "coverage of gap": (0.92, 1.0),
    "zero width": (0.0, 0.0),
    "interval excludes 0": (0.0, 0.06),
    "p <= .05": (0.0, 0.065),
    "p <= .05, many": (0.025, 0.065),
    "equivalent": (0.0, 0.055),
    "family-wise error": (0.0, 0.055),
}
"""Lowest and highest share of samples. ``many``: at least `MANY` positives and negatives in the
group (coverage) or in every group (p); all others: at least `FEW`. Zero width counts everywhere.
Powers have limits of their own: `Cell.power`."""


@dataclass(frozen=True)
class Check:
    """One share of samples with the limits that it must keep.

    Parameters
    ----------
    cell, metric, what, where : str
        ``where`` is a group or a gap.
    share : float
        Share of `n` samples.
    n : int
    low, high : float
    """

    cell: str
    metric: str
    what: str
    where: str
    share: float
    n: int
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the share is within its limits; False if no sample counts."""
        return self.n > 0 and self.low - 1e-9 <= self.share <= self.high + 1e-9

    @property
    def se(self) -> float:
        """Standard error of the share; see `standard_error`."""
        return standard_error(self.share, self.n)

    @property
    def clearly_broken(self) -> bool:
        """Whether the share is outside its limits by more than two standard errors."""
        return not self.holds and not self.beyond() <= 2 * self.se

    def beyond(self) -> float:
        """Return by how much the share is outside its limits; negative: inside."""
        return max(self.low - self.share, self.share - self.high) if self.n else np.inf


def standard_error(share: float, n: int) -> float:
    """Return the standard error of a share, not 0 at 0 or 1 (Agresti and Coull 1998)."""
    if not n:
        return float("nan")
    shrunk = (share * n + 2) / (n + 4)
    return float(np.sqrt(shrunk * (1 - shrunk) / (n + 4)))


def check(cells: list[Cell], counts: dict[str, Counter]) -> list[Check]:
    """Compare all shares of all cells with their limits."""
    return [one for cell in cells for one in _check_cell(cell, counts[cell.name])]


def patients_of(counts: Counter) -> dict[str, tuple[float, float]]:
    """Return the mean numbers of patients with positive and with negative images by group."""
    groups = sorted({key.split("/")[1] for key in counts if key.startswith("patients/")})
    return {
        group: tuple(counts[f"patients/{group}/{w}"] / counts["samples"] for w in ("pos", "neg"))
        for group in groups
    }


def keys_of(counts: Counter, kind: str) -> list[tuple[str, str]]:
    """Return the pairs (metric, group or gap) that were counted."""
    found = {tuple(key.split("/")[1:3]) for key in counts if key.startswith(f"{kind}/")}
    return sorted(found)


def _check_cell(cell: Cell, counts: Counter) -> Iterator[Check]:
    if cell.kind == "family":
        for metric in cell.metrics:
            n = int(counts[f"family/{metric}/tested"])
            share = counts[f"family/{metric}/any"] / n
            limits = LIMITS["family-wise error"]
            yield Check(cell.name, metric, "family-wise error", "all", share, n, *limits)
        return
    patients = patients_of(counts)
    yield from _check_groups(cell, counts, patients)
    fewest = min(min(pair) for pair in patients.values())
    for metric, gap in keys_of(counts, "gap"):
        yield from _check_gap(cell, counts, metric, gap, fewest)


def _check_groups(cell: Cell, counts: Counter, patients: dict) -> Iterator[Check]:
    for metric, group in keys_of(counts, "metric"):
        key, fewest = f"metric/{metric}/{group}", min(patients[group])
        n = int(counts[f"{key}/ok"])
        if not n:
            continue
        zero = counts[f"{key}/zero"] / n
        yield Check(cell.name, metric, "zero width", group, zero, n, *LIMITS["zero width"])
        if fewest >= FEW:
            limits = LIMITS["coverage, many" if fewest >= MANY else "coverage"]
            share = counts[f"{key}/covered"] / n
            yield Check(cell.name, metric, "coverage", group, share, n, *limits)


def _check_gap(
    cell: Cell, counts: Counter, metric: str, gap: str, fewest: float
) -> Iterator[Check]:
    key = f"gap/{metric}/{gap}"
    n, tested = int(counts[f"{key}/ok"]), int(counts[f"{key}/tested"])
    rejected = counts[f"{key}/p05"] / tested if tested else float("nan")
    if gap == "max_min" and metric in cell.power:
        yield Check(cell.name, metric, "power", gap, rejected, tested, *cell.power[metric])
    if not n or fewest < FEW:
        return

    def share(word):
        return counts[f"{key}/{word}"] / n

    yield Check(
        cell.name, metric, "coverage of gap", gap, share("covered"), n, *LIMITS["coverage of gap"]
    )
    if share("no_gap") == 1:
        limits = LIMITS["interval excludes 0"]
        yield Check(cell.name, metric, "interval excludes 0", gap, share("excludes"), n, *limits)
    if tested and (share("null_true") == 1 or share("no_gap") == 1):
        limits = LIMITS["p <= .05, many" if fewest >= MANY else "p <= .05"]
        yield Check(cell.name, metric, "p <= .05", gap, rejected, tested, *limits)
    if cell.margin is not None and gap == "max_min":
        upper = int(counts[f"{key}/upper"])
        value = counts[f"{key}/equivalent"] / upper if upper else float("nan")
        yield Check(cell.name, metric, "equivalent", gap, value, upper, *LIMITS["equivalent"])
