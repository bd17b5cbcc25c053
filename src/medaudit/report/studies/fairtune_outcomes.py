"""How well and how fair the runs of a study of searches are on test, by run and over datasets."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.audit.dialects.catalogue import FAIRTUNE
from medaudit.core.seeds import generator
from medaudit.metrics.intervals import inflated_interval, percentile_interval
from medaudit.report.studies.contrasts import Estimate, Run
from medaudit.report.studies.evidence import RUN, Evidence, overall
from medaudit.report.studies.extras import Extras

POINTS = 100.0


@dataclass(frozen=True)
class Quantity:
    """One number of the paper's tables.

    Parameters
    ----------
    key, label : str
        Column, and its heading.
    measure : str
        In the dialect FairTune; ``AUC`` is that of all test images.
    sign : int
        1 where more is better, -1 where less is.
    """

    key: str
    label: str
    measure: str
    sign: int


QUANTITIES = (
    Quantity("auc", "AUC", "AUC", 1),
    Quantity("min_auc", "Worst group's AUC", "min AUC", 1),
    Quantity("gap_auc", "Gap in AUC", "gap AUC", -1),
    Quantity("eoddsd", "EOddsD", "EOddsD (argmax)", -1),
    Quantity("dpd", "DPD", "DPD (argmax)", -1),
)
BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}


@dataclass(frozen=True)
class Outcome(Estimate):
    """An estimate with its interval; shares, not percentage points."""

    low: float = np.nan
    high: float = np.nan


class Outcomes:
    """The quantities of a study's runs by run, mean over seeds.

    Parameters
    ----------
    evidence, extras : Evidence, Extras
        Of the study.
    """

    def __init__(self, evidence: Evidence, extras: Extras) -> None:
        self.level = evidence.level
        whole = overall(evidence.metrics)
        whole = whole[whole["measure"].eq("auc") & whole["attribute"].eq("all")]
        whole = whole[whole["group"].eq("all")]
        draws = evidence.replicates(whole)
        self._found = {
            (*(row[name] for name in RUN), "all", "AUC"): _outcome(row, moved)
            for row, moved in zip(whole.to_dict("records"), draws, strict=True)
        }
        rows = extras.dialects
        rows = rows[rows["seed"].eq("mean") & rows["dialect"].eq(FAIRTUNE)]
        for row in rows.to_dict("records"):
            key = (*(row[name] for name in RUN), row["attribute"], row["measure"])
            self._found[key] = _outcome(row, extras.replicates(row))

    def of(self, run: Run, attribute: str, quantity: Quantity) -> Outcome:
        """Return a quantity of a run; status ``missing`` where it was not computed."""
        over = "all" if quantity.measure == "AUC" else attribute
        absent = Outcome(np.nan, np.array([np.nan]), "missing")
        return self._found.get((*run, over, quantity.measure), absent)

    def table(self, runs: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
        """Return the values of `runs` as cohorts x labels; NaN where there is none."""
        values = [self.of(*row, quantity).value for row in places(runs)]
        wide = runs.assign(value=values).pivot(index="cohort", columns="label", values="value")
        return wide.loc[runs["cohort"].unique(), runs["label"].unique()]

    def mean(self, runs: pd.DataFrame, quantity: Quantity) -> Outcome:
        """Return the mean of a quantity over the cohorts of `runs`, all of one label."""
        parts = [self.of(*row, quantity) for row in places(runs)]
        pooled = pool(list(zip(runs["dataset"], parts, strict=True)))
        if pooled.status != "ok":
            return Outcome(pooled.value, pooled.draws, pooled.status)
        ends = interval(quantity, pooled, self.level)
        return Outcome(pooled.value, pooled.draws, "ok", *ends)


def places(runs: pd.DataFrame) -> list[tuple[Run, str]]:
    """Return (run, attribute) of each row."""
    return [(tuple(row[name] for name in RUN), row["attribute"]) for row in runs.to_dict("records")]


def interval(quantity: Quantity, estimate: Estimate, level: float) -> tuple[float, float]:
    """Return the interval of a quantity: that of its dialect (`medaudit.audit.dialects.dialect_rows`)."""
    drawn = estimate.draws[None]
    if quantity.measure == "AUC":
        return tuple(float(end[0]) for end in percentile_interval(drawn, level))
    turned = quantity.sign > 0
    away, moved = (1 - estimate.value, 1 - drawn) if turned else (estimate.value, drawn)
    low, high = (float(end[0]) for end in inflated_interval(away, moved, level))
    return (1 - min(high, 1.0), 1 - low) if turned else (low, min(high, 1.0))


def pool(parts: list[tuple[str, Estimate]]) -> Estimate:
    """Return the mean over cohorts, each given with its dataset.

    Cohorts of one dataset share patients, by how much is not known here: their draws are put
    together in rising order, as if they depended on each other wholly, which gives the widest
    interval. Datasets are independent: their draws are put together at random (seeded). Undefined
    where any part is.
    """
    status = next((part.status for _, part in parts if part.status != "ok"), "ok")
    if status != "ok" or not parts:
        return Estimate(np.nan, np.array([np.nan]), status if parts else "missing")
    size = min(len(part.draws) for _, part in parts)
    total = np.zeros(size)
    for dataset in dict.fromkeys(name for name, _ in parts):
        own = sum(np.sort(part.draws[:size]) for name, part in parts if name == dataset)
        total += generator("pooled", dataset).permutation(own)
    return Estimate(float(np.mean([part.value for _, part in parts])), total / len(parts))


def _outcome(row: dict, draws: np.ndarray) -> Outcome:
    return Outcome(row["value"], draws, row["status"], row["low"], row["high"])
