"""Tables of a study of adaptation: zero-shot, fine-tuning, published numbers, F1 in detail."""

import pandas as pd

from medaudit.audit.dialects.catalogue import CLIP_NIH
from medaudit.core.statuses import Status
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.published import KEY, SOURCES, read_published
from medaudit.report.tables.columns import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

NUMBERS = ("value", "low", "high", "status")


def zero_shot(context: Context) -> Table | None:
    """Performance and fairness without training, by model and prompt format."""
    methods = [name for name in _methods(context) if context.extras.kind(name) == "zero_shot"]
    return _paper_table("zero_shot", "Zero-shot, by model and prompt format", methods, context)


def fine_tuning(context: Context) -> Table | None:
    """Performance and fairness after training, by model and method."""
    methods = [name for name in _methods(context) if context.extras.kind(name) != "zero_shot"]
    return _paper_table("fine_tuning", "Fine-tuning, by model and method", methods, context)


def _methods(context: Context) -> list[str]:
    return context.evidence.runs["method"].unique().tolist()


def _paper_table(name: str, title: str, methods: list[str], context: Context) -> Table | None:
    evidence = context.evidence
    rows = paper_rows(context.extras)
    rows = rows[rows["method"].isin(methods)]
    if rows.empty:
        return None
    published_values = read_published(evidence.study).rename(columns={"value": "published"})
    rows = rows.merge(published_values, on=KEY, how="left")
    labels = rows.drop_duplicates("column").set_index("column")["label"]
    data, shown = rows[RUN].drop_duplicates().reset_index(drop=True), []
    for column, label in labels.items():
        own = rows[rows["column"] == column].set_index(RUN)
        wide = own[[*NUMBERS]].rename(columns={n: f"{column}_{n}" for n in NUMBERS})
        wide = wide.rename(columns={f"{column}_value": column})
        shown.append(Column(column, label, "estimate"))
        if own["published"].notna().any():
            wide[f"{column}_published"] = own["published"]
            shown.append(Column(f"{column}_published", f"{label}, published", "number"))
        data = data.merge(wide, left_on=RUN, right_index=True, how="left")
        data[f"{column}_status"] = data[f"{column}_status"].fillna(Status.MISSING)
    return Table(
        name,
        title,
        f"The paper's own measures; test set, mean over seeds; {interval_text(evidence)}. "
        "These gaps are sums or maxima of absolute differences, so noise alone makes them "
        "positive: the table 'All dialects' shows how large they are when groups are permuted."
        f"{_source(evidence.study)}",
        data,
        (*run_columns(evidence), *shown),
    )


def paper_rows(extras: Extras) -> pd.DataFrame:
    """Return the values in the dialect of the CLIP study, with ``column`` and ``label`` of each."""
    rows = extras.dialects
    rows = rows[rows["seed"].eq("mean") & rows["dialect"].eq(CLIP_NIH)]
    rows = rows[~(rows["measure"].eq("F1") & rows["task"].ne("mean") & rows["n_groups"].eq(1))]
    of_cells = rows["measure"].str.startswith("F1 delta")
    by = " by " + rows["attribute"].map(terms.attribute)
    by = by.where(rows["attribute"].ne("all") & ~of_cells, "")
    labels = rows["measure"].str.replace("age_group", "age").map(terms.first_upper)
    return rows.assign(column=rows["measure"] + by, label=labels + by)


def _source(study: str) -> str:
    source = SOURCES.get(study)
    if source is None:
        return ""
    return (
        f" Published: the paper's value ({source}) for the same model and method, on its own "
        "images; our values are on the cohorts named here."
    )


def published(context: Context) -> Table | None:
    """Every published value, next to ours if the same model and method ran here."""
    evidence, dialects = context.evidence, context.extras.dialects
    values = read_published(evidence.study)
    if values.empty:
        return None
    own = dialects[dialects["seed"] == "mean"]
    own = own[[*KEY, *NUMBERS]].rename(columns={n: f"ours_{n}" for n in NUMBERS})
    data = values.merge(own.rename(columns={"ours_value": "ours"}), on=KEY, how="left")
    data["ours_status"] = data["ours_status"].fillna(Status.MISSING)
    for name in ("model", "method"):
        data[name] = data[name].fillna("not stated")
    data["ran"] = ["no" if status == Status.MISSING else "yes" for status in data["ours_status"]]
    return Table(
        "published",
        "Published values and ours",
        f"The paper's values ({SOURCES[evidence.study]}) on its own images, and ours for the same "
        f"model and method; {interval_text(evidence)}. 'No value': this study does not include the "
        "run, or the paper does not state which run it was.",
        data,
        (
            *run_columns(evidence),
            Column("measure", "Measure"),
            Column("value", "Published", "number"),
            Column("ours", "Ours", "estimate"),
            Column("note", "Note"),
        ),
    )


def class_f1(context: Context) -> Table | None:
    """F1 of every class, one row per run."""
    rows = context.evidence.metrics
    rows = rows[rows["attribute"].eq("all") & rows["group"].eq("all")]
    rows = rows[~rows["task"].isin(["all", "mean", "mean_of_gaps"])]
    return _f1_table("class_f1", "F1 by class", rows, rows["task"], context)


def group_f1(context: Context) -> Table | None:
    """Macro-F1 of every group, one row per run."""
    rows = context.evidence.metrics
    rows = rows[rows["task"].eq("mean") & ~rows["group"].isin(["all", "missing"])]
    return _f1_table("group_f1", "Macro-F1 by group", rows, rows["group"], context)


def _f1_table(
    name: str, title: str, rows: pd.DataFrame, heads: pd.Series, context: Context
) -> Table | None:
    """Return a table with one column per value of `heads`, a class or group for each row."""
    kept = rows["measure"].eq("f1") & rows["seed"].eq("mean")
    rows, heads = rows[kept], heads[kept]
    if rows.empty:
        return None
    data = rows[RUN].drop_duplicates().reset_index(drop=True)
    for head in heads.unique():
        own = rows.loc[heads == head, [*RUN, *NUMBERS]]
        own = own.rename(columns={n: f"{head}_{n}" for n in NUMBERS})
        data = data.merge(own.rename(columns={f"{head}_value": head}), on=RUN, how="left")
        data[f"{head}_status"] = data[f"{head}_status"].fillna(Status.MISSING)
    columns = [Column(head, head, "estimate") for head in heads.unique()]
    caption = f"Test set, mean over seeds; {interval_text(context.evidence)}."
    return Table(name, title, caption, data, (*run_columns(context.evidence), *columns))
