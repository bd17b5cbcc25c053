"""The values of a study's runs at home and elsewhere, over the findings that both places have."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from medaudit.metrics.intervals import variance_of_draws
from medaudit.report.studies.evidence import Evidence

Key = tuple[str, str, str, str]
"""Model, method, attribute and group."""


@dataclass(frozen=True)
class Pair:
    """A home cohort and an external one.

    Parameters
    ----------
    home, cohort : str
        Name of the home cohort, and of the pair's cohort, whose test split is elsewhere.
    tasks : list of str
        Findings that both have.
    paired : bool
        Whether the test images, groups and weights are the same in both places, so that their
        bootstrap draws are paired; else they are independent.
    """

    home: str
    cohort: str
    tasks: list[str]
    paired: bool


@dataclass(frozen=True)
class Quantity:
    """One value of a run: a group's, in one place.

    Parameters
    ----------
    value : float
        NaN where `status` is not ``ok``.
    draws : numpy.ndarray
        Bootstrap replicates.
    inflation : float
        What the standard deviation of the draws is multiplied by: the audit's own limits reach
        further where a group is small.
    n : int
        Images.
    """

    value: float
    draws: np.ndarray
    inflation: float
    status: str
    n: int

    @property
    def spread(self) -> np.ndarray:
        """Draws minus their mean, times `inflation`; their standard deviation is the error."""
        return (self.draws - np.nanmean(self.draws)) * self.inflation


def pairs_of(evidence: Evidence) -> list[Pair]:
    """Return the pairs of a study, from the cards of its cohorts."""
    found = []
    for name, card in evidence.cards.items():
        external = card.get("external")
        if not external or external["home"] not in evidence.cards:
            continue
        same = evidence.cards[external["home"]].get("test_sha256") == card.get("test_sha256")
        found.append(Pair(external["home"], name, card["tasks"], same))
    return found


class Place:
    """The values of one measure of all runs on one cohort; means over seeds and shared findings.

    Parameters
    ----------
    evidence : Evidence
        The study's merged tables.
    cohort : str
        Of the runs.
    tasks : list of str
        Findings to average over. A measure of the joint decision of classes is taken as it is.
    measure : str
        E.g. ``tpr``.
    """

    def __init__(self, evidence: Evidence, cohort: str, tasks: list[str], measure: str) -> None:
        rows = evidence.metrics
        rows = rows[rows["cohort"].eq(cohort) & rows["measure"].eq(measure)]
        rows = rows[rows["seed"].eq("mean") & rows["group"].ne("missing")]
        own = rows[rows["task"].isin(tasks)]
        rows = own if len(own) else rows[rows["task"] == "all"]
        self.found: dict[Key, Quantity] = {}
        draws = evidence.replicates(rows)
        rows = rows.reset_index(drop=True)
        reach = float(ndtri((1 + evidence.level) / 2))
        for key, part in rows.groupby(["model", "method", "attribute", "group"], sort=False):
            self.found[key] = _mean(part, draws[part.index], reach)

    def runs(self) -> list[tuple[str, str]]:
        """Return model and method of each run, in the study's order."""
        return list(dict.fromkeys((key[0], key[1]) for key in self.found))

    def groups(self, run: tuple[str, str], attribute: str) -> list[str]:
        """Return the estimable groups of an attribute in a run."""
        return [
            key[3]
            for key, found in self.found.items()
            if key[:2] == run and key[2] == attribute and key[3] != "all" and found.status == "ok"
        ]

    def attributes(self) -> list[str]:
        """Return the attributes, without ``all``."""
        return [a for a in dict.fromkeys(key[2] for key in self.found) if a != "all"]

    def get(self, run: tuple[str, str], attribute: str, group: str) -> Quantity | None:
        """Return the value of a group in a run; None where it is not there."""
        return self.found.get((*run, attribute, group))

    def gap(self, run: tuple[str, str], attribute: str, groups: list[str]) -> Quantity:
        """Return the largest difference between `groups` in a run, draw by draw."""
        parts = [self.found[(*run, attribute, group)] for group in groups]
        draws = np.ptp([part.draws for part in parts], axis=0)
        value = float(np.ptp([part.value for part in parts]))
        return Quantity(value, draws, 1.0, "ok", sum(part.n for part in parts))


def _mean(rows: pd.DataFrame, draws: np.ndarray, reach: float) -> Quantity:
    """Return the mean over tasks of one run, attribute and group."""
    bad = [status for status in rows["status"] if status != "ok"]
    numbers: dict[str, Any] = {k: rows[k].to_numpy(float) for k in ("value", "low", "high")}
    value = np.nan if bad else float(numbers["value"].mean())
    far = np.fmax(numbers["value"] - numbers["low"], numbers["high"] - numbers["value"]) / reach
    shown, drawn = np.nansum(far**2), variance_of_draws(draws).sum()
    inflation = float(np.sqrt(shown / drawn)) if drawn > 0 else 1.0
    mean = draws.mean(axis=0)
    if drawn == 0 and shown > 0:  # all draws are alike: a spread like that of the limits
        grid = ndtri((np.arange(mean.size) + 0.5) / mean.size)
        mean = mean + grid * np.sqrt(shown) / len(rows)
    status = bad[0] if bad else "ok"
    return Quantity(value, mean, max(inflation, 1.0), status, int(rows["n"].max()))
