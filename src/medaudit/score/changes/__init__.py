"""What changed since an earlier audit, beyond chance: ``medaudit score --against EARLIER_RESULT``.

Patients who are in both audits are drawn together, all others independently, so that the same
patients give a paired comparison, other patients an unpaired one, and anything between what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import REAL, TEXT, WHOLE, Table, write_json, write_table
from medaudit.metrics.replicates import bootstrap_metrics
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import Sample
from medaudit.report.wording import number_format, terms
from medaudit.score.changes.audits import Audit, audit_of, read_earlier
from medaudit.score.changes.differences import group_changes, pair_changes, with_p_values
from medaudit.score.changes.same_terms import Terms, find_terms

if TYPE_CHECKING:
    from medaudit.score import Result

KEY = ("task", "metric", "attribute", "group")
CHANGES = Table(
    "changes",
    {
        **dict.fromkeys((*KEY, "kind"), TEXT),
        **dict.fromkeys(("before", "now", "change", "low", "high"), REAL),
        **dict.fromkeys(("p_value", "p_adjusted", "correlation"), REAL),
        **dict.fromkeys(("n_before", "n_now"), WHOLE),
        "verdict": TEXT,
    },
    key=KEY,
    required=("kind", "verdict"),
)
"""One row per metric and group (``kind`` ``value``), and per pair of groups (``difference``: how the
first's value minus the second's changed)."""

SMALLEST = 10
"""Fewer patients in a part (both, earlier only, now only) are not drawn as a part of their own."""


@dataclass(frozen=True)
class Changes:
    """What changed between two audits.

    Parameters
    ----------
    table : pandas.DataFrame
        `CHANGES`.
    counts : dict of str to int
        Patients in ``both``, ``earlier only`` and ``now only``.
    remarks : list of str
        What differs between the audits besides the results, and what was therefore not compared.
    level : float
        Level of the intervals; what changed is judged at 1 - level.
    names : tuple of str
        The earlier and the present model.
    """

    table: pd.DataFrame
    counts: dict[str, int]
    remarks: list[str]
    level: float
    names: tuple[str, str]

    def sentences(self) -> list[str]:
        """Return who was compared, and what changed, one sentence each."""
        both, before, now = self.counts.values()
        lines = [
            f"Compared: {self.names[0]} then, {self.names[1]} now; {both} patients in both audits, "
            f"{before} only then, {now} only now. {_pairing(both, before, now)}",
            *self.remarks,
        ]
        changed = self.table[self.table["verdict"] == "changed"].sort_values("p_value")
        lines += [_describe(row, self.level) for row in changed.to_dict("records")]
        tested = int(self.table["p_value"].notna().sum())
        if not tested:
            lines.append("Nothing could be compared.")
        elif changed.empty:
            lines.append(
                f"No change is shown in {tested} comparisons. That does not show that nothing changed: "
                "the intervals say how large a change is compatible with the data."
            )
        return lines

    def write(self, folder: Path) -> Path:
        """Write ``changes.csv`` and ``changes.json`` below `folder`; return the table's path."""
        write_table(self.table, folder / "changes.csv", CHANGES)
        write_json(
            {
                "models": {"then": self.names[0], "now": self.names[1]},
                "patients": self.counts,
                "remarks": self.remarks,
                "sentences": self.sentences(),
            },
            folder / "changes.json",
        )
        return folder / "changes.csv"


def compare_with(result: Result, folder: Path, threads: int = 1) -> list[Changes]:
    """Compare each model of an audit with the same model of an earlier one.

    Parameters
    ----------
    result : medaudit.score.Result
        The present audit.
    folder : Path
        What an earlier `medaudit score` or a run of the workflow wrote.
    threads : int
        Blocks of replicates computed at once; changes no number.

    Returns
    -------
    list of Changes
        One per model of the present audit.

    Raises
    ------
    MedauditError
        The folder cannot be read, has no such model, or nothing can be compared.

    Notes
    -----
    Intervals combine the intervals of both audits with their correlation (MOVER; Zou 2007), p-values
    follow from them. All changes of one metric are a family, adjusted by the step-down maximum over
    the common draws (Romano and Wolf 2005).
    """
    found = []
    for run in result.study.predictions:
        earlier = read_earlier(folder, run, len(result.study.predictions))
        found.append(compare(earlier, audit_of(result, run), threads))
    return found


def compare(earlier: Audit, now: Audit, threads: int = 1) -> Changes:
    """Compare two audits; see `compare_with`."""
    terms_of = find_terms(earlier, now)
    draws = now.evaluation["bootstrap"]["draws"]
    if terms_of.paired:
        order = np.union1d(earlier.patients, now.patients)
    else:
        order = np.concatenate([earlier.patients, now.patients])
    tables = []
    strata, places = _places(earlier, now, order, terms_of.paired)
    for audit, place in zip((earlier, now), places, strict=True):
        tables.append(_drawn(audit, place, strata, draws, threads))
    level = now.evaluation["bootstrap"]["level"]
    if earlier.evaluation["bootstrap"]["level"] != level:
        then = earlier.evaluation["bootstrap"]["level"]
        raise MedauditError(
            f"--against: the intervals of the earlier audit have the level {then:g}, these {level:g}; "
            f"audit with --level {then:g}"
        )
    rows = group_changes(tables[0], tables[1], terms_of)
    pairs = pair_changes(rows)
    table = with_p_values(rows, pairs, level)
    both = int(np.isin(earlier.patients, now.patients).sum()) if terms_of.paired else 0
    counts = {
        "both": both,
        "earlier only": len(earlier.patients) - both,
        "now only": len(now.patients) - both,
    }
    names = (" / ".join(earlier.run), " / ".join(now.run))
    table = table.reindex(columns=list(CHANGES.columns))
    return Changes(table, counts, terms_of.remarks, level, names)


def _places(
    earlier: Audit, now: Audit, order: np.ndarray, paired: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the stratum of each patient drawn, and where each audit's patients are among them."""
    if not paired:
        size = len(earlier.patients)
        strata = np.repeat([0, 1], [size, len(now.patients)])
        return strata, [np.arange(size), size + np.arange(len(now.patients))]
    places = [np.searchsorted(order, audit.patients) for audit in (earlier, now)]
    then, present = (np.isin(order, audit.patients) for audit in (earlier, now))
    part = np.where(then & present, 0, np.where(then, 1, 2))
    sizes = np.bincount(part, minlength=3)
    if (sizes[sizes > 0] < SMALLEST).any():
        part = np.zeros(len(order), int)
    return np.unique(part, return_inverse=True)[1], places


def _drawn(
    audit: Audit, place: np.ndarray, strata: np.ndarray, draws: int, threads: int
) -> pd.DataFrame:
    """Return the audit's metrics with a column ``draws`` of replicates."""
    sample: Sample = audit.sample

    def draw(block: slice) -> np.ndarray:
        return draw_patients(strata, "changes", block)[place]

    evaluation = {
        **audit.evaluation,
        "bootstrap": {**audit.evaluation["bootstrap"], "draws": draws},
    }
    parts = []
    for metrics, _ in bootstrap_metrics(sample, evaluation, threads, draw):  # type: ignore[arg-type]
        for g, group in enumerate(metrics.groups):
            for t, task in enumerate(metrics.tasks):
                for m, metric in enumerate(metrics.metrics):
                    if metrics.status[g, -1, t, m]:
                        found = metrics.value[g, -1, t, m], metrics.replicates[g, -1, t, m]
                        parts.append((task, metric, metrics.attribute, group, *found))
    # The value is computed again: that of a file has six digits.
    drawn = pd.DataFrame(parts, columns=[*KEY, "value", "draws"])
    known = audit.metrics.drop(columns="value")
    return known.merge(drawn, on=list(KEY), how="inner", validate="1:1")


def _pairing(both: int, before: int, now: int) -> str:
    if not both:
        return "The comparison is between different patients."
    if not before and not now:
        return "The comparison is paired: the same patients."
    return "The patients in both are compared with themselves, the others are independent."


def _describe(row: dict[str, Any], level: float) -> str:
    where = "all patients"
    if row["attribute"] != "all":
        group = " minus ".join(map(terms.group, row["group"].split(" minus ")))
        where = f"{terms.attribute(row['attribute'])} {group}"
    mean = {"all": "", "mean": " (mean over tasks)"}.get(row["task"], f" of {row['task']}")
    what = f"{terms.measure(row['metric'])}{mean}, {where}"
    if row["kind"] == "difference":
        what = f"The difference in {what}"
    ends = " to ".join(number_format.number(row[end], signed=True) for end in ("low", "high"))
    return (
        f"{what} changed from {number_format.number(row['before'])} to "
        f"{number_format.number(row['now'])}: {number_format.number(row['change'], signed=True)} "
        f"({level * 100:g} % CI {ends}; adjusted p {number_format.p_value(row['p_adjusted'])})."
    )


__all__ = ["CHANGES", "Changes", "Terms", "compare", "compare_with"]
