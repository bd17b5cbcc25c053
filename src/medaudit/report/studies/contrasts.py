"""Paired contrasts between sets of runs: in one measure and in its gaps between groups."""

from dataclasses import dataclass

import numpy as np

from medaudit.report.studies.differences import compare_paired
from medaudit.report.studies.evidence import RUN, Evidence, overall

Run = tuple[str, str, str]
"""Cohort, model and method."""


@dataclass(frozen=True)
class Estimate:
    """A value with its replicates, shape (draws,); if undefined, NaN and a status."""

    value: float
    draws: np.ndarray
    status: str = "ok"


class Quantities:
    """The values of one measure, by run and group.

    Parameters
    ----------
    evidence : Evidence
        The study's merged tables.
    measure : str
        E.g. ``auc``; means over tasks and seeds.
    """

    def __init__(self, evidence: Evidence, measure: str) -> None:
        rows = overall(evidence.metrics)
        rows = rows[rows["measure"].eq(measure) & rows["group"].ne("missing")]
        keys = rows[[*RUN, "attribute", "group"]].itertuples(index=False, name=None)
        parts = zip(rows["value"], evidence.replicates(rows), rows["status"], strict=True)
        self._found = {key: Estimate(*part) for key, part in zip(keys, parts, strict=True)}
        self.level = evidence.level

    def groups(self, run: Run, attribute: str) -> list[str]:
        """Return the estimable groups of an attribute in a run."""
        head = (*run, attribute)
        return [
            key[-1]
            for key, found in self._found.items()
            if key[:-1] == head and key[-1] != "all" and found.status == "ok"
        ]

    def value(self, run: Run, attribute: str = "all", group: str = "all") -> Estimate:
        """Return a group's value in a run."""
        absent = Estimate(np.nan, np.array([np.nan]), "missing")
        return self._found.get((*run, attribute, group), absent)

    def gap(self, run: Run, attribute: str, groups: list[str]) -> Estimate:
        """Return the maximum minus the minimum over `groups` in a run."""
        if len(groups) < 2:
            return Estimate(np.nan, np.array([np.nan]), "too_few")
        parts = [self.value(run, attribute, group) for group in groups]
        draws = np.ptp([part.draws for part in parts], axis=0)
        return Estimate(float(np.ptp([part.value for part in parts])), draws)


def difference_of_means(first: list[Estimate], second: list[Estimate]) -> Estimate:
    """Return the paired difference mean(first) - mean(second), draw by draw.

    Undefined if any estimate is: a mean over fewer runs would be another quantity.
    """
    status = next((part.status for part in (*first, *second) if part.status != "ok"), "ok")
    if status != "ok":
        return Estimate(np.nan, np.array([np.nan]), status)
    value, draws = (
        np.mean([getattr(part, name) for part in first], axis=0)
        - np.mean([getattr(part, name) for part in second], axis=0)
        for name in ("value", "draws")
    )
    return Estimate(float(value), draws)


def mean(parts: list[Estimate]) -> Estimate:
    """Return the mean of estimates, draw by draw."""
    return difference_of_means(parts, [Estimate(0.0, np.zeros(()))])


def summarise(estimate: Estimate, level: float, unit: float = 1.0) -> dict:
    """Return ``value``, ``low``, ``high``, ``p_value`` and ``status`` of a contrast.

    The interval and the p-value are those of `medaudit.report.studies.differences.compare_paired`;
    value and interval are multiplied by `unit`.
    """
    low, high, p = compare_paired(estimate.draws, np.zeros(()), level)
    numbers = {"value": estimate.value * unit, "low": low * unit, "high": high * unit}
    return {**numbers, "p_value": p, "status": estimate.status}


def shared_groups(quantities: Quantities, runs: list[Run], attribute: str) -> list[str]:
    """Return the groups that are estimable in all `runs`, so that their gaps are comparable."""
    found = [quantities.groups(run, attribute) for run in runs]
    return [name for name in found[0] if all(name in other for other in found[1:])]
