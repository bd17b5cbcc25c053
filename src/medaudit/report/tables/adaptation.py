"""Tables of a study of adaptation: zero-shot by prompt, fine-tuning by method, F1 in detail."""

import pandas as pd

from medaudit.audit.dialects.catalogue import CLIP_NIH
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.published import KEY, SOURCES, read_published
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

NUMBERS = ("value", "low", "high", "status")


def zero_shot(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Models by prompt formats: how well and how fair without any training."""
    kept = [name for name in evidence.runs["method"].unique() if extras.kind(name) == "zero_shot"]
    title = "Zero-shot: models by prompt formats"
    return _paper_table("zero_shot", title, kept, evidence, extras)


def fine_tuning(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Models by ways of fine-tuning: how well and how fair."""
    kept = [name for name in evidence.runs["method"].unique() if extras.kind(name) != "zero_shot"]
    title = "Fine-tuning: models by methods"
    return _paper_table("fine_tuning", title, kept, evidence, extras)


def _paper_table(
    name: str, title: str, methods: list[str], evidence: Evidence, extras: Extras
) -> Table | None:
    rows = paper_rows(extras)
    rows = rows[rows["method"].isin(methods)]
    if rows.empty:
        return None
    printed = read_published(evidence.study)
    rows = rows.merge(printed.rename(columns={"value": "printed"}), on=KEY, how="left")
    labels = rows.drop_duplicates("column").set_index("column")["label"]
    data, shown = rows[RUN].drop_duplicates().reset_index(drop=True), []
    for column, label in labels.items():
        own = rows[rows["column"] == column].set_index(RUN)
        wide = own[[*NUMBERS]].rename(columns={n: f"{column}_{n}" for n in NUMBERS})
        wide = wide.rename(columns={f"{column}_value": column})
        shown.append(Column(column, label, "estimate"))
        if own["printed"].notna().any():
            wide[f"{column}_published"] = own["printed"]
            shown.append(Column(f"{column}_published", f"{label}, published", "number"))
        data = data.merge(wide, left_on=RUN, right_index=True, how="left")
        data[f"{column}_status"] = data[f"{column}_status"].fillna("missing")
    text = f"The paper's own measures; test set, mean over seeds; {interval_text(evidence)}. "
    return Table(
        name,
        title,
        text
        + "Gaps here are sums or maxima of absolute differences: chance alone makes them "
        + f"positive, see the table 'All dialects' for what a fair model shows.{_source(evidence)}",
        data,
        (*run_columns(evidence), *shown),
    )


def paper_rows(extras: Extras) -> pd.DataFrame:
    """Return the rows of the CLIP study's dialect that its tables show, named by column."""
    rows = extras.dialects
    rows = rows[rows["seed"].eq("mean") & rows["dialect"].eq(CLIP_NIH)]
    rows = rows[~(rows["measure"].eq("F1") & rows["task"].ne("mean") & rows["n_groups"].eq(1))]
    of_cells = rows["measure"].str.startswith("F1 delta")
    by = " by " + rows["attribute"].map(terms.attribute)
    by = by.where(rows["attribute"].ne("all") & ~of_cells, "")
    labels = rows["measure"].str.replace("age_group", "age").map(terms.first_upper)
    return rows.assign(column=rows["measure"] + by, label=labels + by)


def _source(evidence: Evidence) -> str:
    source = SOURCES.get(evidence.study)
    if source is None:
        return ""
    return (
        f" Published: the paper's number ({source}) for the same model and method on its own "
        "images; ours stand on the data named here."
    )


def published(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every published number with ours beside it, where the same model and method ran here."""
    printed = read_published(evidence.study)
    if printed.empty:
        return None
    own = extras.dialects[extras.dialects["seed"] == "mean"]
    own = own[[*KEY, *NUMBERS]].rename(columns={n: f"ours_{n}" for n in NUMBERS})
    data = printed.merge(own.rename(columns={"ours_value": "ours"}), on=KEY, how="left")
    data["ours_status"] = data["ours_status"].fillna("missing")
    for name in ("model", "method"):
        data[name] = data[name].fillna("not stated")
    data["ran"] = ["no" if status == "missing" else "yes" for status in data["ours_status"]]
    return Table(
        "published",
        "Published numbers and ours",
        f"What the paper printed ({SOURCES[evidence.study]}) on its own images, and ours where "
        f"this run has the same model and method; {interval_text(evidence)}. 'No value': the run "
        "is not part of this study's selection, or the paper does not say which it was.",
        data,
        (
            *run_columns(evidence),
            Column("measure", "Measure"),
            Column("value", "Published", "number"),
            Column("ours", "Ours", "estimate"),
            Column("note", "Note"),
        ),
    )


def class_f1(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """F1 of every class, one row a run."""
    rows = evidence.metrics
    rows = rows[rows["attribute"].eq("all") & rows["group"].eq("all")]
    rows = rows[~rows["task"].isin(["all", "mean", "mean_of_gaps"])]
    title = "F1 by class"
    return _f1_table("class_f1", title, rows, rows["task"], evidence)


def group_f1(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Macro-F1 of every group, one row a run."""
    rows = evidence.metrics
    rows = rows[rows["task"].eq("mean") & ~rows["group"].isin(["all", "missing"])]
    return _f1_table("group_f1", "Macro-F1 by group", rows, rows["group"], evidence)


def _f1_table(name: str, title: str, rows, heads: pd.Series, evidence: Evidence) -> Table | None:
    kept = rows["measure"].eq("f1") & rows["seed"].eq("mean")
    rows, heads = rows[kept], heads[kept]
    if rows.empty:
        return None
    data = rows[RUN].drop_duplicates().reset_index(drop=True)
    for head in heads.unique():
        own = rows.loc[heads == head, [*RUN, *NUMBERS]]
        own = own.rename(columns={n: f"{head}_{n}" for n in NUMBERS})
        data = data.merge(own.rename(columns={f"{head}_value": head}), on=RUN, how="left")
        data[f"{head}_status"] = data[f"{head}_status"].fillna("missing")
    columns = [Column(head, head, "estimate") for head in heads.unique()]
    caption = f"Test set, mean over seeds; {interval_text(evidence)}."
    return Table(name, title, caption, data, (*run_columns(evidence), *columns))
