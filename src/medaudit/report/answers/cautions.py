"""Warnings that follow from a run's own numbers: degenerate thresholds, no better than a control."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from medaudit.report.answers.roles import Roles
from medaudit.report.answers.structure import CONTROL, Caution
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.differences import compare_paired
from medaudit.report.studies.evidence import RUN, Evidence, direction
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names
from medaudit.report.wording.people import finding, people

LEAST_AUC = 0.5


def run_cautions(
    run: dict[str, str], evidence: Evidence, values: pd.DataFrame, roles: Roles, names: Names
) -> Iterator[Caution]:
    """Yield the warnings about one run.

    Parameters
    ----------
    run : dict
        ``cohort``, ``model`` and ``method``.
    evidence : Evidence
        The study.
    values : pandas.DataFrame
        Values of all groups together.
    roles : Roles
        Who is a control.
    names : Names
        Display names.
    """
    yield from degenerate(_own(evidence.metrics, run))
    yield from below_chance(_own(evidence.metrics, run))
    if roles.of(run) != CONTROL and run["cohort"] in roles.best_control:
        control = dict(zip(RUN, roles.best_control[run["cohort"]], strict=True))
        yield from against_control(run, control, values, evidence, names)


def study_cautions(evidence: Evidence) -> Iterator[Caution]:
    """Yield a warning per comparison of balanced with unbalanced training on unequal sizes."""
    if "claims" not in (evidence.entry.get("tables") or []):
        return
    for plain, balanced in how_fair_models.balanced_pairs(evidence):
        sizes = [
            how_fair_models.training_images(evidence.cards[name]) for name in (balanced, plain)
        ]
        alike = how_fair_models.same_size_as(evidence, plain) is not None
        if alike or None in sizes or sizes[0] == sizes[1]:
            continue
        shown = [number_format.count(size) for size in sizes]
        yield Caution(
            "unequal_training_sets",
            f"Balanced and unbalanced training are compared on {shown[0]} and {shown[1]} images: "
            "the difference may be one of size and not of balance.",
            "table:claims",
        )


def _own(rows: pd.DataFrame, run: Mapping[str, str]) -> pd.DataFrame:
    kept = rows["seed"].eq("mean") & rows["status"].eq("ok") & rows["group"].ne("missing")
    for column in RUN:
        kept &= rows[column].eq(run[column])
    return rows[kept]


def degenerate(rows: pd.DataFrame) -> Iterator[Caution]:
    """Yield a warning per task whose decision is the same for everybody, or for a whole group."""
    single = rows[~rows["task"].isin(["mean", "all"])]
    for task, part in single.groupby("task", sort=False):
        constant = [
            (row, said)
            for row in part[part["measure"].eq("selection_rate")].to_dict("records")
            if (said := _same(row["value"])) is not None
        ] or _from_rates(part)
        if not constant:
            continue
        whole = [pair for pair in constant if pair[0]["group"] == "all"]
        row, said = (whole or constant)[0]
        who = "every test image" if whole else f"all {_whom(row)}"
        more = "" if whole or len(constant) == 1 else f" (and {len(constant) - 1} more groups)"
        yield Caution(
            "degenerate_threshold",
            f"At its threshold, {who}{more} {'is' if whole else 'are'} called {said} for "
            f"{finding(str(task))}: sensitivity and false alarms there say nothing about the model, "
            "and a difference of 0 is no fairness.",
            "table:groups",
        )


def _whom(row: Mapping[str, Any]) -> str:
    return people(row["attribute"], row["group"])


def _same(value: float) -> str | None:
    return {0.0: "negative", 1.0: "positive"}.get(float(value))


def _from_rates(part: pd.DataFrame) -> list[tuple[dict[str, Any], str]]:
    """Return the groups whose TPR and FPR are both 0 or both 1."""
    rates = part[part["measure"].isin(["tpr", "fpr"])]
    found = []
    for _, pair in rates.groupby(["attribute", "group"], sort=False):
        said = {_same(value) for value in pair["value"]}
        if len(pair) == 2 and len(said) == 1 and None not in said:
            found.append((pair.iloc[0].to_dict(), str(said.pop())))
    return found


def below_chance(rows: pd.DataFrame) -> Iterator[Caution]:
    """Yield a warning per task whose AUC is below one half with its whole interval."""
    auc = rows[rows["measure"].eq("auc") & rows["group"].eq("all")]
    for row in auc.to_dict("records"):
        if row["high"] < LEAST_AUC and row["task"] != "mean":
            yield Caution(
                "auc_below_half",
                f"AUC for {finding(row['task'])} is {number_format.number(row['value'])}, clearly "
                "below 0.5: the score points the wrong way, or its label is inverted.",
                "table:performance",
            )


def against_control(
    run: dict[str, str],
    control: dict[str, str],
    values: pd.DataFrame,
    evidence: Evidence,
    names: Names,
) -> Iterator[Caution]:
    """Yield a warning if a run is not shown to be better than the best control of its cohort."""
    rows = values[values["measure"] == evidence.headline]
    own, other = (_one(rows, one) for one in (run, control))
    if own is None or other is None:
        return
    draws = evidence.replicates(pd.concat([own, other]))
    low, high, _ = compare_paired(draws[0], draws[1], evidence.level)
    sign = direction(evidence.headline)
    value = float(own["value"].iloc[0] - other["value"].iloc[0])
    if sign * (low if sign > 0 else high) > 0:
        return
    worse = sign * (high if sign > 0 else low) < 0
    shown = [number_format.number(one["value"].iloc[0]) for one in (own, other)]
    ends = f"{number_format.number(low)} to {number_format.number(high)}"
    name = terms.measure(evidence.headline)
    verb = "is worse than" if worse else "is not shown to be better than"
    yield Caution(
        "worse_than_control" if worse else "not_better_than_control",
        f"{names.run(run)} {verb} the control {names.run(control)}: {name} {shown[0]} against {shown[1]} (difference "
        f"{number_format.number(value, signed=True)}, {evidence.level * 100:g} % CI {ends}).",
        "table:performance",
    )


def _one(rows: pd.DataFrame, run: Mapping[str, str]) -> pd.DataFrame | None:
    kept = rows["value"].notna()
    for column in RUN:
        kept &= rows[column].eq(run[column])
    found = rows[kept]
    return found if len(found) == 1 else None
