"""Columns of the tables of foundation models: AUC and gaps in percentage points, published beside.

AUC is of all test patients; a gap is the largest less the smallest AUC of an attribute's groups,
in both readings: of the groups' means over tasks, and the mean of the tasks' gaps.
"""

import pandas as pd

from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.how_fair_models import balance_of
from medaudit.report.studies.published import SOURCES, read_published
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

PAPER = "how_fair"
MEASURE = "auc"
POINTS = 100
NUMBERS = ("value", "low", "high")


def summary_table(
    name: str,
    title: str,
    caption: str,
    rows: pd.DataFrame,
    labels: tuple[Column, ...],
    evidence: Evidence,
    facts: pd.DataFrame,
) -> Table | None:
    """Return a table with AUC and gaps beside `rows`.

    Parameters
    ----------
    name, title, caption : str
        Of the table; the caption goes on with what the numbers are.
    rows : pandas.DataFrame
        The runs (`RUN`), what `labels` show, and the key of the published row of the same content:
        ``trained`` (`medaudit.report.studies.how_fair_models.way`) and ``row``.
    labels : tuple of Column
        Shown between the names of the run and the numbers.
    evidence, facts : Evidence, pandas.DataFrame
        Of the study.

    Returns
    -------
    Table or None
        None without rows or without AUC.
    """
    if rows.empty or MEASURE not in evidence.measures:
        return None
    data, shown = rows.reset_index(drop=True), []
    for key, label, found in _quantities(evidence, facts):
        data = _beside(data, key, found)
        shown.append(Column(key, label, "estimate", 2))
        printed = _printed(name, key, data, evidence)
        if printed.notna().any():
            data[f"{key}_published"] = printed
            shown.append(Column(f"{key}_published", f"{label}, published", "number", 2))
    data = data.drop(columns=["row", "trained", "series", "place"], errors="ignore")
    columns = (*run_columns(evidence), *labels, *shown)
    return Table(name, title, f"{caption} {_caption(evidence, shown)}", data, columns)


def _quantities(evidence: Evidence, facts: pd.DataFrame):
    """Give (key, label, facts) of each quantity."""
    auc = facts[facts["measure"] == MEASURE]
    yield "auc", "AUC", auc[auc["kind"] == "performance"]
    gaps = auc[auc["kind"].eq("gap") & auc["gap"].eq("max_min")]
    of_gaps = gaps["task"] == "mean_of_gaps"
    for attribute in (name for name in evidence.attributes if " & " not in name):
        own = gaps["attribute"] == attribute
        by = terms.attribute(attribute)
        yield f"gap_{attribute}", f"Gap by {by}", gaps[own & ~of_gaps]
        if (own & of_gaps).any():
            label = f"Gap by {by}, mean of gaps"
            yield f"mean_of_gaps_{attribute}", label, gaps[own & of_gaps]


def _beside(data: pd.DataFrame, key: str, found: pd.DataFrame) -> pd.DataFrame:
    points = found[[*RUN, *NUMBERS, "status"]].copy()
    points[list(NUMBERS)] *= POINTS
    names = {"value": key, "low": f"{key}_low", "high": f"{key}_high", "status": f"{key}_status"}
    data = data.merge(points.rename(columns=names), on=RUN, how="left", validate="many_to_one")
    data[f"{key}_status"] = data[f"{key}_status"].fillna("missing")
    return data


def _printed(table: str, key: str, data: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Return the published numbers of the rows, missing on other images or balanced training."""
    printed = read_published(PAPER)
    printed = printed[printed["table"] == table]
    attribute = "all" if key == "auc" else key.removeprefix("gap_")
    printed = printed[printed["attribute"] == attribute]
    values = printed.set_index(["method", "row"])["value"] * POINTS
    here = [
        name
        for name, card in evidence.cards.items()
        if card.get("dataset") == "chexpert" and balance_of(card) == "none"
    ]
    keys = zip(data["trained"], data["row"], strict=True)
    found = pd.Series([values.get(key) for key in keys], data.index, dtype=float)
    return found.where(data["cohort"].isin(here))


def _caption(evidence: Evidence, shown: list[Column]) -> str:
    text = (
        "AUC is the mean over tasks and seeds on the test set, a gap the largest less the smallest "
        "AUC of the attribute's groups: of their means over tasks, and (mean of gaps) task by task "
        f"before averaging. In percentage points; {interval_text(evidence)}. A gap is positive even "
        "for a fair model: the table 'All gaps' has what chance gives."
    )
    if any(column.key.endswith("_published") for column in shown):
        text += (
            f" Published: {SOURCES[PAPER]}; on its own images and at full size, which reading of "
            "the gap it prints is not stated."
        )
    return text
