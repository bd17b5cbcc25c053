"""The facts of a study: one tidy table of estimates with intervals, null values and p-values."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import COMPARISON
from medaudit.core.entry_types import StudyEntry
from medaudit.metrics.gaps import GAPS, SIGNED, parse_gap
from medaudit.report.equivalence import judge_gaps
from medaudit.report.studies.differences import gap_differences, performance_differences
from medaudit.report.studies.evidence import RUN, Evidence, direction, overall
from medaudit.report.studies.multiple_testing import (
    EXPLORATORY,
    PRIMARY,
    PRIMARY_FAMILY,
    roles_of,
    step_down,
)

FAMILIES = {
    "gap": ["kind", "cohort", "measure", "gap", "task"],
    "performance_difference": ["kind", "cohort", "measure"],
    "gap_difference": ["kind", "cohort", "measure"],
}
"""Kind of fact to the columns that name its family of tests."""

GROUPED = [*RUN, "task", "attribute", "measure"]
EXTREMES = ["lowest", "lowest_value", "highest", "highest_value"]


def gather_facts(evidence: Evidence) -> pd.DataFrame:
    """Return the `COMPARISON` rows of a study, with a further column ``measure``.

    Kinds: ``performance`` (overall value of a run), ``gap`` (with its null distribution, its
    margin and the groups with the lowest and highest value), ``performance_difference`` and
    ``gap_difference`` (paired). P-values are adjusted by
    `medaudit.report.studies.multiple_testing.step_down` within their ``family``: the primary
    questions of the study, if it names any; else all tests of one kind, measure and definition on
    one cohort (`FAMILIES`).
    """
    parts = [performance(evidence), gaps(evidence)]
    parts += [performance_differences(evidence), gap_differences(evidence)]
    facts = pd.concat([part for part in parts if len(part)], ignore_index=True)
    facts = facts.reindex(columns=["measure", *COMPARISON.columns]).assign(study=evidence.study)
    for column in ("against_model", "against_method"):
        facts[column] = facts[column].astype(object).where(facts[column].notna(), "none")
    for column in ("family_size", "n", "n_patients", "n_movable", "n_groups", "n_estimable"):
        facts[column] = facts[column].astype("Int64")
    if facts["role"].notna().any():
        facts["role"] = facts["role"].fillna(EXPLORATORY)
    return name_families(facts)


def performance(evidence: Evidence) -> pd.DataFrame:
    """Return the overall value of each run and measure, with its standard deviation over seeds."""
    rows = overall(evidence.metrics)
    rows = rows[(rows["attribute"] == "all") & rows["group"].eq("all")]
    key = [*RUN, "task", "measure"]
    everything = evidence.metrics
    seeds = everything[
        (everything["attribute"] == "all")
        & everything["group"].eq("all")
        & everything["seed"].ne("mean")
    ]
    spread = seeds.groupby(key)["value"].std(ddof=1).rename("seed_sd").reset_index()
    return rows.merge(spread, on=key, how="left").assign(kind="performance", gap="none")


def gaps(evidence: Evidence) -> pd.DataFrame:
    """Return the gaps of the summary task of each measure, and of the mean of gaps over tasks."""
    rows = evidence.gaps
    means = rows[(rows["task"] == "mean_of_gaps") & rows["seed"].eq("mean")]
    found = pd.concat([overall(rows), means], ignore_index=True)
    found = judge_gaps(found, evidence.evaluation.get("margins") or {})
    found = found.merge(extremes(evidence.metrics), on=[*GROUPED, "gap"], how="left")
    asked = (evidence.lead, evidence.gap)
    found = found.assign(kind="gap", role=roles_of(found, evidence.entry, asked))
    families = family_of(
        found, evidence.answered, evidence.gap, bool(evidence.entry.get("questions"))
    )
    return adjust_within_families(found.assign(family=families), evidence.permutations)


def findings(evidence: Evidence) -> pd.DataFrame:
    """Return the gaps of single tasks in the leading measures, where a run has several tasks.

    P-values are adjusted within one family per run: all its tasks, attributes and leading measures.
    """
    rows = evidence.gaps
    single = ~rows["task"].isin(["all", "mean", "mean_of_gaps"]) & rows["seed"].eq("mean")
    wanted = rows["measure"].isin(evidence.lead) & rows["gap"].eq(evidence.gap)
    found = rows[single & wanted & (rows["row"] >= 0)].reset_index(drop=True)
    found = found[found.groupby(RUN)["task"].transform("nunique") > 1].reset_index(drop=True)
    found = judge_gaps(found, evidence.evaluation.get("margins") or {})
    family = "findings; " + found[RUN].agg("; ".join, axis=1) if len(found) else None
    found = adjust_within_families(
        found.assign(kind="gap", family=family, role=None), evidence.permutations
    )
    return name_families(found)


def adjust_within_families(
    gaps: pd.DataFrame, permutations: Callable[[pd.DataFrame], np.ndarray]
) -> pd.DataFrame:
    """Add ``p_adjusted`` to gaps with their ``family``.

    Parameters
    ----------
    gaps : pandas.DataFrame
        ``family``, ``gap``, ``value`` and ``p_value``.
    permutations : callable
        Returns the permutations of some rows of `gaps`, shape (rows, draws).
    """
    found = gaps.assign(p_adjusted=np.nan)
    for _, part in found[found["p_value"].notna()].groupby("family", sort=False):
        found.loc[part.index, "p_adjusted"] = adjust_gaps(part, permutations(part))
    return found


def extremes(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the groups with the lowest and the highest value, by run, task and attribute.

    Columns `GROUPED`, ``gap`` (``max_min``), ``lowest``, ``lowest_value``, ``highest`` and
    ``highest_value``. Which of the two is worse depends on the measure.
    """
    rows = metrics[metrics["seed"].eq("mean") & metrics["status"].eq("ok")]
    rows = rows[~rows["group"].isin(["all", "missing"])].sort_values("value", kind="stable")
    by = rows.groupby(GROUPED, sort=False)
    low, high = by[["group", "value"]].first(), by[["group", "value"]].last()
    low, high = low.set_axis(EXTREMES[:2], axis=1), high.set_axis(EXTREMES[2:], axis=1)
    return pd.concat([low, high], axis=1).reset_index().assign(gap="max_min")


def headline_gaps(facts: pd.DataFrame, headline: str, gap: str) -> pd.DataFrame:
    """Return the gaps that summarise runs: kind `gap` of the measure `headline`.

    Gaps of means over tasks, not the means of the tasks' gaps.
    """
    kept = facts["kind"].eq("gap") & facts["measure"].eq(headline) & facts["gap"].eq(gap)
    return facts[kept & facts["task"].ne("mean_of_gaps")]


def best_run(
    facts: pd.DataFrame, headline: str, cohort: str, entry: StudyEntry | None = None
) -> pd.Series | None:
    """Return the performance of the best run on a cohort; None if no run is estimable.

    Of a study that names its subjects, the best of these; a control is best only if nothing else
    was run.
    """
    rows = facts[facts["kind"].eq("performance") & facts["measure"].eq(headline)]
    known = rows[rows["cohort"].eq(cohort) & rows["value"].notna()]
    if known.empty:
        return None
    controls = known["model"].isin((entry or {}).get("controls") or [])
    known = known if controls.all() else known[~controls]
    subjects = known["model"].isin((entry or {}).get("subjects") or [])
    known = known[subjects] if subjects.any() else known
    order = known["value"] * direction(headline)
    return known.loc[order.sort_values(ascending=False, kind="stable").index[0]]


def family_of(
    gaps: pd.DataFrame, answered: list[str], gap: str, questions: bool = False
) -> pd.Series:
    """Return the family of tests of each gap.

    Parameters
    ----------
    gaps : pandas.DataFrame
        The columns of `FAMILIES` for gaps, and ``role``.
    answered : list of str
        Measures that answers are about: of one run, their gaps of the kind `gap` are a family.
    gap : str
        Kind of gap.
    questions : bool
        Whether primary gaps are those of the study's questions, which are one family.
    """
    if gaps.empty:
        return pd.Series(dtype=object)
    names = gaps[FAMILIES["gap"]].agg("; ".join, axis=1)
    names = names.where(gaps["role"].ne(EXPLORATORY), EXPLORATORY + "; " + names)
    own = gaps["measure"].isin(answered) & gaps["gap"].eq(gap) & gaps["task"].ne("mean_of_gaps")
    names = names.mask(own, "answers; " + gaps[RUN].agg("; ".join, axis=1))
    return names.mask(gaps["role"].eq(PRIMARY) & questions, PRIMARY_FAMILY)


def name_families(facts: pd.DataFrame) -> pd.DataFrame:
    """Fill in ``family`` and ``family_size`` (the number of p-values in the family).

    Gaps have their family already (`family_of`); where there is no p-value there is no family.
    """
    facts = facts.assign(family_size=pd.NA)
    facts["family"] = facts["family"].astype(object).where(facts["p_value"].notna(), None)
    for kind, columns in FAMILIES.items():
        tested = facts[facts["kind"].eq(kind) & facts["p_value"].notna()]
        for names, rows in tested.groupby("family" if kind == "gap" else columns, sort=False):
            name = names if isinstance(names, str) else "; ".join(names)
            facts.loc[rows.index, "family"] = name
            facts.loc[rows.index, "family_size"] = len(rows)
    return facts.astype({"family_size": "Int64"})


def adjust_gaps(rows: pd.DataFrame, null: np.ndarray) -> np.ndarray:
    """Return the p-values of gaps adjusted over all rows by their permutations.

    The statistic is (gap - mean of its permutations) / their standard deviation, signed so that
    larger is less fair. All runs on a cohort share the permutations of an attribute; different
    attributes are permuted independently, which is conservative where they are correlated. No
    adjusted p-value is below the unadjusted one.

    Parameters
    ----------
    rows : pandas.DataFrame
        Gaps of one family: ``gap``, ``value``, ``p_value``.
    null : numpy.ndarray
        Shape (rows, permutations); NaN where undefined.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), in (0, 1].
    """
    null = null[:, np.isfinite(null).any(axis=0)]
    centre, spread = np.nanmean(null, axis=1), np.nanstd(null, axis=1)
    spread[spread == 0] = np.inf
    drawn = (null - centre[:, None]) / spread[:, None]
    statistics = (rows["value"].to_numpy(float) - centre) / spread
    kinds = [parse_gap(name).kind for name in rows["gap"]]
    signed = np.array([kind in SIGNED for kind in kinds])
    sign = np.array([-1 if GAPS[kind].fairer_when_large else 1 for kind in kinds])
    statistics, drawn = sign * statistics, sign[:, None] * drawn
    statistics[signed], drawn[signed] = np.abs(statistics[signed]), np.abs(drawn[signed])
    slack = 1e-6 / spread  # permutations are stored as float32: closer values are ties
    together = step_down(statistics - slack, drawn)
    return np.maximum(together, rows["p_value"].to_numpy(float))
