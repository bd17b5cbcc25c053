"""Contrasts between sets of runs over the same patients: in AUC and in the gaps between groups."""

from dataclasses import dataclass

import numpy as np

from medaudit.report.studies.differences import paired
from medaudit.report.studies.evidence import RUN, Evidence, overall

Run = tuple[str, str, str]


@dataclass(frozen=True)
class Estimate:
    """A value with its replicates, shape (draws,); NaN and the reason where it is undefined."""

    value: float
    draws: np.ndarray
    status: str = "ok"


class Quantities:
    """One measure of a study's runs, ready to be compared.

    Parameters
    ----------
    evidence : Evidence
        Of the study.
    measure : str
        E.g. ``auc``; the mean over tasks and seeds is taken.
    """

    def __init__(self, evidence: Evidence, measure: str) -> None:
        rows = overall(evidence.metrics)
        rows = rows[rows["measure"].eq(measure) & rows["group"].ne("missing")]
        keys = rows[[*RUN, "attribute", "group"]].itertuples(index=False, name=None)
        parts = zip(rows["value"], evidence.replicates(rows), rows["status"], strict=True)
        self._found = {key: Estimate(*part) for key, part in zip(keys, parts, strict=True)}
        self.level = evidence.level

    def groups(self, run: Run, attribute: str) -> list[str]:
        """Return the groups of an attribute that are estimable in a run."""
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
        """Return the largest less the smallest value of `groups` in a run."""
        if len(groups) < 2:
            return Estimate(np.nan, np.array([np.nan]), "too_few")
        parts = [self.value(run, attribute, group) for group in groups]
        draws = np.ptp([part.draws for part in parts], axis=0)
        return Estimate(float(np.ptp([part.value for part in parts])), draws)


def less(first: list[Estimate], second: list[Estimate]) -> Estimate:
    """Return the mean of `first` less the mean of `second`; their draws are of the same patients.

    Undefined where any of them is: a mean over fewer runs would be another quantity.
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
    """Return the mean of contrasts."""
    return less(parts, [Estimate(0.0, np.zeros(()))])


def summarise(estimate: Estimate, level: float, unit: float = 1.0) -> dict:
    """Return ``value``, ``low``, ``high``, ``p_value``, ``status`` of a contrast (see `paired`)."""
    low, high, p = paired(estimate.draws, np.zeros(()), level)
    numbers = {"value": estimate.value * unit, "low": low * unit, "high": high * unit}
    return {**numbers, "p_value": p, "status": estimate.status}


def shared_groups(quantities: Quantities, runs: list[Run], attribute: str) -> list[str]:
    """Return the groups that are estimable in all of `runs`, so that gaps are over the same."""
    found = [quantities.groups(run, attribute) for run in runs]
    return [name for name in found[0] if all(name in other for other in found[1:])]
