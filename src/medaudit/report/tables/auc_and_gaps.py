"""Tables of foundation models that show AUC and its gaps in percentage points, next to published.

AUC is that of all test patients. A gap is the largest minus the smallest AUC of an attribute's
groups, in two readings: the gap of the groups' means over tasks, and the mean of the tasks' gaps.
"""

from collections.abc import Iterator

import pandas as pd

from medaudit.core.intersections import SEPARATOR
from medaudit.core.statuses import Status
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.how_fair_models import balance_of
from medaudit.report.studies.published import SOURCES, read_published
from medaudit.report.tables.columns import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

PAPER = "how_fair"
MEASURE = "auc"
POINTS = 100
NUMBERS = ["value", "low", "high"]


def auc_and_gaps_table(
    name: str,
    title: str,
    caption: str,
    rows: pd.DataFrame,
    labels: tuple[Column, ...],
    context: Context,
) -> Table | None:
    """Return a table of runs with their AUC and gaps; None without rows or without AUC.

    Parameters
    ----------
    name, title, caption : str
        Of the table; an explanation of the numbers is added to the caption.
    rows : pandas.DataFrame
        The runs (`RUN`), the columns of `labels`, and the key of the published row with the same
        content: ``trained`` (`medaudit.report.studies.how_fair_models.trained_part`) and ``row``.
    labels : tuple of Column
        Shown between the run's names and the numbers.
    context : Context
        The study's data.
    """
    evidence = context.evidence
    if rows.empty or MEASURE not in evidence.measures:
        return None
    data, shown = rows.reset_index(drop=True), []
    for key, label, found in _quantities(context):
        data = _add_points(data, key, found)
        shown.append(Column(key, label, "estimate", 2))
        published = _published(name, key, data, evidence)
        if published.notna().any():
            data[f"{key}_published"] = published
            shown.append(Column(f"{key}_published", f"{label}, published", "number", 2))
    data = data.drop(columns=["row", "trained", "series", "place"], errors="ignore")
    columns = (*run_columns(evidence), *labels, *shown)
    return Table(name, title, f"{caption} {_caption(evidence, shown)}", data, columns)


def _quantities(context: Context) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield (key, label, facts) of each quantity."""
    evidence, facts = context.evidence, context.facts
    auc = facts[facts["measure"] == MEASURE]
    yield "auc", "AUC", auc[auc["kind"] == "performance"]
    gaps = auc[auc["kind"].eq("gap") & auc["gap"].eq("max_min")]
    of_gaps = gaps["task"] == "mean_of_gaps"
    for attribute in (name for name in evidence.attributes if SEPARATOR not in name):
        own = gaps["attribute"] == attribute
        by = terms.attribute(attribute)
        yield f"gap_{attribute}", f"Gap by {by}", gaps[own & ~of_gaps]
        if (own & of_gaps).any():
            label = f"Gap by {by}, mean of gaps"
            yield f"mean_of_gaps_{attribute}", label, gaps[own & of_gaps]


def _add_points(data: pd.DataFrame, key: str, found: pd.DataFrame) -> pd.DataFrame:
    """Add a quantity in percentage points to the runs in `data`."""
    points = found[[*RUN, *NUMBERS, "status"]].copy()
    points[NUMBERS] *= POINTS
    names = {"value": key, "low": f"{key}_low", "high": f"{key}_high", "status": f"{key}_status"}
    data = data.merge(points.rename(columns=names), on=RUN, how="left", validate="many_to_one")
    data[f"{key}_status"] = data[f"{key}_status"].fillna(Status.MISSING)
    return data


def _published(table: str, key: str, data: pd.DataFrame, evidence: Evidence) -> pd.Series:
    """Return the published values of the rows; missing on other images or balanced training."""
    paper = read_published(PAPER)
    attribute = "all" if key == "auc" else key.removeprefix("gap_")
    paper = paper[paper["table"].eq(table) & paper["attribute"].eq(attribute)]
    values = paper.set_index(["method", "row"])["value"] * POINTS
    comparable = [
        name
        for name, card in evidence.cards.items()
        if card.get("dataset") == "chexpert" and balance_of(card) == "none"
    ]
    keys = zip(data["trained"], data["row"], strict=True)
    found = pd.Series([values.get(key) for key in keys], data.index, dtype=float)
    return found.where(data["cohort"].isin(comparable))


def _caption(evidence: Evidence, shown: list[Column]) -> str:
    text = (
        "AUC is the mean over tasks and seeds on the test set. A gap is the largest minus the "
        "smallest AUC of the attribute's groups: of their means over tasks or, in columns named "
        "'mean of gaps', task by task before averaging. In percentage points; "
        f"{interval_text(evidence)}. A gap is positive even where its null hypothesis "
        "holds: the table 'All gaps' shows how large it then is."
    )
    if any(column.key.endswith("_published") for column in shown):
        text += (
            f" Published: {SOURCES[PAPER]}, on its own images at full size; the paper does not "
            "state which reading of the gap it prints."
        )
    return text
