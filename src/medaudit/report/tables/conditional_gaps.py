"""Table: gaps at equal values of what is controlled for, next to the crude gaps."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.core.audit_tables import CRUDE, STANDARDISED
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN, overall
from medaudit.report.tables.columns import run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import number_format, terms

KEY = [*RUN, "attribute", "metric"]


def conditional_gaps(context: Context) -> Table | None:
    """The crude and the standardised gap of every run, attribute and measure."""
    rows = context.extras.conditional
    if rows.empty:
        return None
    data = side_by_side(rows)
    data = data.assign(
        attribute_shown=data["attribute"].map(terms.attribute),
        metric_shown=data["metric"].map(terms.measure),
        groups=data["n_estimable"].astype("string") + " of " + data["n_groups"].astype("string"),
        strata=data["n_compared"].astype("string") + " of " + data["n_strata"].astype("string"),
    )
    alpha = round(1 - context.evidence.level, 9)
    data["words"] = [in_words(row, alpha, context.level) for row in data.to_dict("records")]
    control = " and ".join(map(terms.attribute, sorted(data["control"].unique())))
    return Table(
        "conditional_gaps",
        f"Gaps at equal {control}",
        f"Largest difference between groups. Crude: as the groups are. At equal {control}: as if "
        "every group had the mix of the whole test set (direct standardisation over the strata in "
        "which all compared groups can be estimated); the crude gap is of the same images. "
        f"{context.level} confidence intervals in brackets. p: groups permuted between patients "
        "within strata; not adjusted for the number of rows. The gaps within strata are in "
        "results/conditional_gaps.",
        data.drop(columns=["stratum", "kind", "group", "share"]),
        _columns(context, control),
    )


def side_by_side(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run, attribute and measure, with the crude gap and that at equal strata.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of `medaudit.core.audit_tables.CONDITIONAL`.

    Returns
    -------
    pandas.DataFrame
        The rows of the standardised gaps, of the summary task; ``equal`` and ``crude`` are their
        values, each with ``_low``, ``_high`` and ``_status``.
    """
    gaps = rows[rows["kind"] == "gap"]
    gaps = overall(gaps.assign(measure=gaps["metric"]))
    names = ["value", "low", "high", "status"]
    crude = gaps[gaps["stratum"] == CRUDE].set_index(KEY)[names].add_prefix("crude_")
    data = gaps[gaps["stratum"] == STANDARDISED].reset_index(drop=True).join(crude, on=KEY)
    data = data.rename(columns={"value": "equal", "low": "equal_low", "high": "equal_high"})
    return data.rename(columns={"crude_value": "crude"}).assign(equal_status=data["status"])


def _columns(context: Context, control: str) -> tuple[Column, ...]:
    return (
        *run_columns(context.evidence),
        Column("attribute_shown", "Attribute"),
        Column("metric_shown", "Measure"),
        Column("crude", "Crude gap", "estimate"),
        Column("equal", f"Gap at equal {control}", "estimate"),
        Column("p_value", "p", "p"),
        Column("worst", "Worst group"),
        Column("groups", "Groups compared"),
        Column("strata", "Strata compared"),
        Column("coverage", "Share of images in them", "number"),
        Column("words", "In words"),
    )


def in_words(row: Mapping[str, Any], alpha: float, level: str) -> str:
    """Return a sentence on the gap as the groups are, and at equal values of the control.

    Parameters
    ----------
    row : mapping
        ``metric``, ``attribute``, ``control``, ``crude``, ``equal`` with its interval, ``p_value``,
        ``null_status``, ``coverage`` and ``status``.
    alpha : float
        Level of significance, e.g. 0.05.
    level : str
        Level of the interval in words.
    """
    control = terms.attribute(row["control"])
    if row["status"] != "ok" or number_format.missing(row["equal"]):
        reason = number_format.reason(row["status"])
        return f"The groups cannot be compared at equal {control}: {reason}."
    crude, equal, low, high = (
        number_format.number(row[name]) for name in ("crude", "equal", "equal_low", "equal_high")
    )
    text = (
        f"The gap in {terms.measure(row['metric'])} by {terms.attribute(row['attribute'])} is "
        f"{crude} as the groups are, and {equal} ({level} CI {low} to {high}) at equal {control}"
    )
    text += f": {_conclusion(row, alpha, control)}."
    if row["coverage"] < 0.995:
        text += f" Compared in strata that hold {row['coverage']:.0%} of the images."
    return text


def _conclusion(row: Mapping[str, Any], alpha: float, control: str) -> str:
    if number_format.missing(row["p_value"]):
        return "there is no test, because too few patients can exchange their groups"
    p = number_format.p_value(row["p_value"])
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    if row["p_value"] <= alpha:
        return f"a difference remains that {control} does not explain ({p})"
    return f"no difference is shown there, which does not prove that there is none ({p})"
