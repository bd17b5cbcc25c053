"""Columns and data that several tables share: runs, measures, intervals, published numbers."""

import pandas as pd

from medaudit.core.statuses import Status
from medaudit.report.studies.evidence import Evidence
from medaudit.report.tables.table import Column
from medaudit.report.wording import number_format, terms


def run_columns(evidence: Evidence) -> tuple[Column, ...]:
    """Return the columns that name a run; the cohort only if there are several."""
    return (*cohort_column(evidence), Column("model", "Model"), Column("method", "Method"))


def cohort_column(evidence: Evidence) -> tuple[Column, ...]:
    """Return the column of the cohort, if there are several."""
    return (Column("cohort", "Cohort"),) if len(evidence.cards) > 1 else ()


def measure_columns(measures: list[str]) -> list[Column]:
    """Return the columns of measures."""
    return [Column(name, terms.first_upper(terms.measure(name)), "estimate") for name in measures]


def shown_measures(evidence: Evidence, rows: pd.DataFrame) -> list[str]:
    """Return the measures of a table of `rows`; the threshold, which groups share, only if there."""
    own = rows["measure"].eq("threshold").any()
    return [name for name in evidence.measures if own or name != "threshold"]


def interval_text(evidence: Evidence) -> str:
    """Return the part of a caption that explains the brackets."""
    draws = evidence.evaluation.get("bootstrap", {}).get("draws")
    resampled = f", {number_format.count(draws)} draws" if draws else ""
    level = f"{evidence.level * 100:g} %"
    return f"{level} confidence intervals in brackets (bootstrap over patients{resampled})"


def choice_text(evidence: Evidence) -> str:
    """Return the sentence that says which intervals of decisions a table shows, if any."""
    rule = evidence.evaluation.get("threshold", {}).get("rule", "fixed")
    if rule == "fixed" or "threshold" not in evidence.measures:
        return ""
    return (
        " Intervals of decisions (TPR, FPR, F1 ...) are for the thresholds as chosen; the table "
        "Thresholds and the uncertainty of their choice shows those that include the choice."
    )


def pivot_measures(
    rows: pd.DataFrame, key: list[str], measures: list[str], extra: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return one row per key with the columns of each measure, from one row per key and measure.

    A measure that a key lacks gets the status ``missing``. `extra` are further columns of `rows`
    to keep for each measure.
    """
    names = {"value": "", "low": "_low", "high": "_high", "status": "_status"}
    names |= {column: f"_{column}" for column in extra}
    wide = rows[key].drop_duplicates().reset_index(drop=True)
    for measure in measures:
        found = rows.loc[rows["measure"] == measure, [*key, *names]]
        renamed = found.rename(columns={old: measure + new for old, new in names.items()})
        wide = wide.merge(renamed, on=key, how="left", validate="one_to_one")
        wide[f"{measure}_status"] = wide[f"{measure}_status"].fillna(Status.MISSING)
    return wide


def counts(
    rows: pd.DataFrame, key: list[str], columns: tuple[str, ...] = ("n", "n_patients")
) -> pd.DataFrame:
    """Return the counts of each key's first measure."""
    return rows.groupby(key, sort=False)[list(columns)].first().reset_index()
