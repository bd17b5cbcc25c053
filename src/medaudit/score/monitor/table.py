"""What a monitor found: a table by series and period, alarms, and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.core.errors import GateFailure
from medaudit.core.table_io import REAL, TEXT, WHOLE, Table, write_json, write_table
from medaudit.metrics.thresholds import describe_rule
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import plural
from medaudit.score.monitor.series import Series
from medaudit.score.monitor.watch import Look, baseline_value, period_limits

if TYPE_CHECKING:
    from medaudit.score.monitor import Plan

LEVEL = 0.95
"""Level of the intervals of single periods, which are for one look."""

KEY = ("task", "metric", "attribute", "group", "period")
NUMBERS = ("limit_low", "limit_high", "overall", "overall_low", "overall_high", "z", "critical")
MONITOR = Table(
    "monitor",
    {
        **dict.fromkeys(KEY, TEXT),
        "kind": TEXT,
        "look": WHOLE,
        "weight": REAL,
        "n_patients": WHOLE,
        **dict.fromkeys(("value", "low", "high", "baseline", "limit_low", "limit_high"), REAL),
        "since": TEXT,
        **dict.fromkeys(("difference", "difference_low", "difference_high"), REAL),
        **dict.fromkeys(("overall", "overall_low", "overall_high"), REAL),
        **dict.fromkeys(("z", "critical"), REAL),
        "alarm": pa.bool_(),
        "state": TEXT,
    },
    key=KEY,
    required=("kind", "alarm", "state"),
)
"""One row per series and period. ``low`` and ``high`` are of the period by itself, for one look;
``limit_low`` and ``limit_high`` account for all looks. ``since``: the period from which the mean
differs most from the baseline; ``difference`` is of that mean, with limits for all looks;
``overall`` is the difference of the mean of all periods since the baseline."""


@dataclass(frozen=True)
class Monitored:
    """The result of `medaudit.score.monitor.monitor`.

    Parameters
    ----------
    table : pandas.DataFrame
        `MONITOR`.
    alarms : pandas.DataFrame
        The first alarm of each series that has one: rows of `table`.
    labels : list of str
        All periods.
    plan : Plan
        What was fixed before.
    details : dict
        ``model``, ``n_baseline``, ``n_watched`` (series that share the false alarms), ``undated``, ``has_patients``, ``threshold``, ``detected``,
        ``date_format``.
    """

    table: pd.DataFrame
    alarms: pd.DataFrame
    labels: list[str]
    plan: Plan
    details: dict[str, Any]

    def sentences(self) -> list[str]:
        """Return what was watched and what it shows, one sentence each."""
        return [*describe_plan(self), *describe_alarms(self)]

    def check_gate(self) -> None:
        """Raise `GateFailure` (exit code 3) if there was any alarm, or nothing could be tested."""
        if not self.table["state"].eq("tested").any():
            raise GateFailure(f"{self.details['model']}: no period could be tested")
        if len(self.alarms):
            raise GateFailure(
                f"{self.details['model']}: {plural(len(self.alarms), 'alarm')}:",
                [describe_alarm(row, self) for row in self.alarms.to_dict("records")],
            )

    def write(self, folder: str | Path) -> Path:
        """Write ``monitor.csv``, ``monitor.json`` and the figure; return the folder."""
        from medaudit.score.monitor.figure import draw

        folder = Path(folder)
        write_table(self.table, folder / "monitor.csv", MONITOR)
        write_json(
            {
                "plan": vars(self.plan) | {"metrics": list(self.plan.metrics)},
                **self.details,
                "periods": self.labels,
                "sentences": self.sentences(),
            },
            folder / "monitor.json",
        )
        draw(self, folder)
        return folder


def tabulate(
    series: list[Series],
    looks: dict[int, dict[int, Look]],
    labels: list[str],
    plan: Plan,
    details: dict[str, Any],
) -> Monitored:
    """Return the table of all series, with the first alarm of each."""
    rows = [
        row
        for number, one in enumerate(series)
        for row in _rows(one, looks[number], labels, plan, details["n_baseline"])
    ]
    table = pd.DataFrame(rows, columns=list(MONITOR.columns))
    for name, kind in MONITOR.columns.items():
        if kind == WHOLE:
            table[name] = table[name].astype("Int64")
    first = table[table["alarm"]].drop_duplicates(list(KEY[:-1]))
    return Monitored(table, first.reset_index(drop=True), labels, plan, details)


def _rows(
    series: Series, looks: dict[int, Look], labels: list[str], plan: Plan, n_baseline: int
) -> list[dict[str, Any]]:
    value, weight = series.value, series.weight
    low, high = _single_look(series)
    patients = np.array([(part.share > 0) for part in series.parts]).any(axis=0).sum(axis=0)
    reference = baseline_value(series, n_baseline)
    rows = []
    for k, label in enumerate(labels):
        look = looks.get(k)
        rows.append(
            {
                "task": series.task,
                "metric": series.metric,
                "attribute": series.attribute,
                "group": series.group,
                "period": label,
                "kind": "gap" if series.is_gap else "value",
                "look": k - n_baseline + 1 if k >= n_baseline else 0,
                "weight": weight[k],
                "n_patients": patients[k],
                "value": value[k] if weight[k] > 0 else np.nan,
                "low": low[k],
                "high": high[k],
                "baseline": reference,
                "since": None if look is None else labels[look.start],
                "difference": np.nan if look is None else look.difference,
                "difference_low": np.nan if look is None else look.low,
                "difference_high": np.nan if look is None else look.high,
                **{name: np.nan if look is None else getattr(look, name) for name in NUMBERS},
                "alarm": look is not None and look.alarms,
                "state": _state(k, weight[k], look, plan, n_baseline),
            }
        )
    return rows


def _state(k: int, weight: float, look: Look | None, plan: Plan, n_baseline: int) -> str:
    if k < n_baseline:
        return "baseline"
    if weight == 0:
        return "no data"
    if k - n_baseline >= plan.looks:
        return "beyond the planned looks"
    return "too few" if look is None else "tested"


def _single_look(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the intervals of single periods; of a difference by MOVER (Zou and Donner 2008)."""
    limits = [period_limits(part, LEVEL) for part in series.parts]
    if not series.is_gap:
        return limits[0]
    (low, high), (other_low, other_high) = limits
    first, second = series.parts[0].value, series.parts[1].value
    below = np.hypot(first - low, other_high - second)
    above = np.hypot(high - first, second - other_low)
    return first - second - below, first - second + above


def describe_plan(found: Monitored) -> list[str]:
    """Return what was fixed before, and what was looked at."""
    n, plan, labels = found.details["n_baseline"], found.plan, found.labels
    done = min(len(labels) - n, plan.looks)
    first = labels[0] if n == 1 else f"{labels[0]} to {labels[n - 1]}"
    lines = [
        f"Baseline: {first}. Watched: {plural(done, plan.length)} of {plan.looks} planned, up to "
        f"{labels[n + done - 1]}, in {found.details['n_watched']} series; "
        f"threshold {describe_rule(found.details['threshold'])}.",
        f"If nothing changed, the probability of any alarm in all of them and all {plan.looks} looks "
        f"is at most {plan.false_alarms:g}.",
    ]
    if len(labels) - n > plan.looks:
        lines.append(
            f"{plural(len(labels) - n - plan.looks, plan.length)} after the planned looks are shown "
            "without a verdict: plan a new baseline."
        )
    if found.details["undated"]:
        count = found.details["undated"]
        lines.append(
            f"{plural(count, 'image')} without a date {'is' if count == 1 else 'are'} left out."
        )
    if not found.details["has_patients"]:
        lines.append(
            "No column identifies patients: if some come again, alarms are more frequent than said."
        )
    return lines


def describe_alarms(found: Monitored) -> list[str]:
    """Return one sentence per alarm, or what its absence means."""
    if len(found.alarms):
        return [describe_alarm(row, found) for row in found.alarms.to_dict("records")]
    tested = found.table[found.table["state"] == "tested"]
    if tested.empty:
        return ["No period could be tested: too few images for any series."]
    last = tested.drop_duplicates(list(KEY[:-1]), keep="last")
    lines = [
        f"{terms.first_upper(_name(row))}: mean since the baseline minus baseline "
        f"{number_format.number(row['overall'], signed=True)} (limits for all looks "
        f"{number_format.number(row['overall_low'], signed=True)} to "
        f"{number_format.number(row['overall_high'], signed=True)}), up to {row['period']}."
        for row in last.to_dict("records")
    ]
    return ["No alarm. That does not show that nothing changed; the data allow:", *lines]


def describe_alarm(row: dict[str, Any], found: Monitored) -> str:
    """Write one alarm: what changed, since when, by how much."""
    down = row["difference"] < 0
    now = row["baseline"] + row["difference"]
    since = row["since"] if row["since"] == row["period"] else f"{row['since']} to {row['period']}"
    return (
        f"Alarm in {row['period']} (look {row['look']}): {_name(row)} is "
        f"{number_format.number(now)} in {since}, {'down' if down else 'up'} from "
        f"{number_format.number(row['baseline'])} at the baseline (change "
        f"{number_format.number(row['difference'], signed=True)}, limits for all looks "
        f"{number_format.number(row['difference_low'], signed=True)} to "
        f"{number_format.number(row['difference_high'], signed=True)})."
    )


def _name(row: dict[str, Any]) -> str:
    where = "all patients"
    if row["attribute"] != "all":
        group = " minus ".join(map(terms.group, row["group"].split(" minus ")))
        where = f"{terms.attribute(row['attribute'])} {group}"
    what = f"{terms.measure(row['metric'])} of {row['task']}, {where}"
    return f"the difference in {what}" if row["kind"] == "gap" else what
