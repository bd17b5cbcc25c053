"""Performance and fairness of searched runs on test, by run and as means over cohorts."""

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
        Column and its heading.
    measure : str
        Name in the dialect FairTune; ``AUC`` is that of all test images.
    sign : int
        1 if higher is better, -1 if lower is.
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
    """An estimate with its interval; a fraction, not percentage points."""

    low: float = np.nan
    high: float = np.nan


class Outcomes:
    """The quantities of a study by run and attribute, means over seeds.

    Parameters
    ----------
    evidence, extras : Evidence, Extras
        The study's data.
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

    def get(self, run: Run, attribute: str, quantity: Quantity) -> Outcome:
        """Return a quantity of a run; with status ``missing`` if it was not computed."""
        over = "all" if quantity.measure == "AUC" else attribute
        absent = Outcome(np.nan, np.array([np.nan]), "missing")
        return self._found.get((*run, over, quantity.measure), absent)

    def table(self, runs: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
        """Return the values of `runs` as cohorts x labels; NaN where there is none."""
        values = [self.get(*key, quantity).value for key in run_keys(runs)]
        wide = runs.assign(value=values).pivot(index="cohort", columns="label", values="value")
        return wide.loc[runs["cohort"].unique(), runs["label"].unique()]

    def mean(self, runs: pd.DataFrame, quantity: Quantity) -> Outcome:
        """Return the mean of a quantity over the cohorts of `runs`, which have one label."""
        parts = [self.get(*key, quantity) for key in run_keys(runs)]
        pooled = mean_over_cohorts(list(zip(runs["dataset"], parts, strict=True)))
        if pooled.status != "ok":
            return Outcome(pooled.value, pooled.draws, pooled.status)
        ends = interval(quantity, pooled, self.level)
        return Outcome(pooled.value, pooled.draws, "ok", *ends)


def run_keys(runs: pd.DataFrame) -> list[tuple[Run, str]]:
    """Return (run, attribute) of each row."""
    return [
        ((row["cohort"], row["model"], row["method"]), row["attribute"])
        for row in runs.to_dict("records")
    ]


def interval(quantity: Quantity, estimate: Estimate, level: float) -> tuple[float, float]:
    """Return the interval of a quantity, as its dialect defines it (`medaudit.audit.dialects`)."""
    drawn = estimate.draws[None]
    if quantity.measure == "AUC":
        low, high = percentile_interval(drawn, level)
        return float(low[0]), float(high[0])
    # Noise alone makes gaps larger and worst groups worse: the interval is widened to the fair
    # end, at 0. For a worst group's AUC the fair end is 1, so distance from 1 is used instead.
    from_one = quantity.sign > 0
    value, moved = (1 - estimate.value, 1 - drawn) if from_one else (estimate.value, drawn)
    low, high = inflated_interval(np.array([value]), moved, level)
    ends = float(low[0]), min(float(high[0]), 1.0)
    return (1 - ends[1], 1 - ends[0]) if from_one else ends


def mean_over_cohorts(parts: list[tuple[str, Estimate]]) -> Estimate:
    """Return the mean over cohorts, given as (dataset, estimate); undefined if any part is.

    Cohorts of one dataset share patients, to an unknown extent: their draws are added in sorted
    order, as if perfectly dependent, which gives the widest interval. Datasets are independent:
    their draws are added in random order (seeded).
    """
    status = next((part.status for _, part in parts if part.status != "ok"), "ok")
    if status != "ok" or not parts:
        return Estimate(np.nan, np.array([np.nan]), status if parts else "missing")
    size = min(len(part.draws) for _, part in parts)
    total = np.zeros(size)
    for dataset in dict.fromkeys(name for name, _ in parts):
        own = np.sum(
            [np.sort(part.draws[:size]) for name, part in parts if name == dataset], axis=0
        )
        total += generator("pooled", dataset).permutation(own)
    return Estimate(float(np.mean([part.value for _, part in parts])), total / len(parts))


def _outcome(row: dict, draws: np.ndarray) -> Outcome:
    return Outcome(row["value"], draws, row["status"], row["low"], row["high"])
