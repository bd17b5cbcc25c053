"""Tables of a study of searches: every run with its published value, averages and rank tests."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.fairtune_comparisons import (
    ABLATION,
    MASKED,
    OVERLAPPING,
    RESULTS,
    TITLES,
    Comparison,
    comparisons,
)
from medaudit.report.studies.fairtune_outcomes import (
    POINTS,
    QUANTITIES,
    Outcome,
    Outcomes,
    Quantity,
    run_keys,
)
from medaudit.report.studies.published import SOURCES, read_published
from medaudit.report.studies.rank_tests import RankTest, rank_rows, rank_test
from medaudit.report.tables.columns import interval_text
from medaudit.report.tables.table import Column, Table
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import terms

PAPER = "fairtune"


def results(context: Context) -> Table | None:
    """Every method of the study's main grid, and from scratch (tables 1 and 3 of the paper)."""
    return _table_of_runs(RESULTS, context)


def masked_pretraining(context: Context) -> Table | None:
    """The same for other models pretrained by masking (table 4)."""
    return _table_of_runs(MASKED, context)


def overlapping(context: Context) -> Table | None:
    """Cohorts whose attribute is an intersection (table 5)."""
    return _table_of_runs(OVERLAPPING, context)


def ablation(context: Context) -> Table | None:
    """Searches of other spaces and for other objectives (tables 2 and 6)."""
    return _table_of_runs(ABLATION, context)


def _table_of_runs(name: str, context: Context) -> Table | None:
    evidence, extras = context.evidence, context.extras
    found = [part for part in comparisons(evidence, extras) if part.name == name]
    if not found:
        return None
    runs, outcomes = found[0].runs, Outcomes(evidence, extras)
    data = runs.assign(attribute_shown=runs["attribute"].map(terms.attribute))
    shown, paper = [], read_published(PAPER)
    for quantity in QUANTITIES:
        parts = [outcomes.get(*key, quantity) for key in run_keys(runs)]
        data = _add_points(data, quantity.key, parts)
        shown.append(Column(quantity.key, quantity.label, "estimate", 1))
        rows = (runs["dataset"] + " " + runs["pretraining"], runs["attribute"])
        values = _published(paper, quantity, runs["arm"], *rows) * POINTS
        if values.notna().any():
            data[f"{quantity.key}_published"] = values
            label = f"{quantity.label}, published"
            shown.append(Column(f"{quantity.key}_published", label, "number", 1))
    columns = (
        Column("dataset", "Dataset"),
        Column("attribute_shown", "Attribute"),
        *([Column("model", "Model")] if data["model"].nunique() > 1 else []),
        Column("method", "Method"),
        *shown,
    )
    return Table(name, TITLES[name], caption(evidence, shown), data, columns)


def averages(context: Context) -> Table | None:
    """Means over datasets and attributes, and mean ranks, by comparison."""
    evidence, extras = context.evidence, context.extras
    outcomes = Outcomes(evidence, extras)
    parts = [_averages(part, outcomes) for part in comparisons(evidence, extras)]
    parts = [part for part in parts if len(part)]
    if not parts:
        return None
    data = pd.concat(parts, ignore_index=True)
    shown = []
    for quantity in QUANTITIES:
        key, label = quantity.key, quantity.label
        shown.append(Column(key, label, "estimate", 1))
        shown.append(Column(f"{key}_rank", f"{label}, mean rank", "number", 1))
        for end, rank in (("", ""), ("_rank", ", rank")):
            column = f"{key}{end}_published"
            if data[column].notna().any():
                shown.append(Column(column, f"{label}{rank}, published", "number", 1))
    text = (
        "Methods that ran on every dataset and attribute of the comparison. Means and mean ranks "
        "(1 is best, tied methods share their ranks) are over the datasets and attributes on which "
        "each of them has a value, with equal weights. Attributes of one dataset share patients "
        "and are treated as perfectly dependent, datasets as independent. Tests are in the table "
        "'Do the methods differ?'."
    )
    columns = (
        Column("comparison_shown", "Comparison"),
        Column("label", "Method"),
        Column("n", "Datasets x attributes", "count"),
        *shown,
    )
    title = "Averages and mean ranks"
    return Table("averages", title, f"{text} {caption(evidence, shown)}", data, columns)


def _averages(part: Comparison, outcomes: Outcomes) -> pd.DataFrame:
    runs = complete(part, outcomes)
    heads = runs.drop_duplicates("label")
    if part.name == OVERLAPPING or len(heads) < 2:
        return pd.DataFrame()
    data = pd.DataFrame({"comparison": part.name, "label": heads["label"], "arm": heads["arm"]})
    data = data.assign(comparison_shown=TITLES[part.name].partition(":")[0]).reset_index(drop=True)
    paper = read_published(PAPER)
    masked = part.name == RESULTS and "mae" in set(heads["pretraining"])
    paper = paper[paper["table"] == (MASKED if masked else part.name)]
    for quantity in QUANTITIES:
        each = [outcomes.mean(runs[runs["label"] == name], quantity) for name in data["label"]]
        data = _add_points(data, quantity.key, each)
        ranks = rank_rows(outcomes.table(runs, quantity), quantity.sign)
        mean = ranks.mean() if len(ranks) else pd.Series(dtype=float)
        data[f"{quantity.key}_rank"] = data["label"].map(mean)
        for row, end, unit in (("average", "", POINTS), ("rank", "_rank", 1.0)):
            names = pd.Series(row, data.index) + " " + heads["pretraining"].to_numpy()
            values = _published(paper, quantity, data["arm"], names, ["all"] * len(data))
            data[f"{quantity.key}{end}_published"] = values * unit
    return data.assign(n=runs["cohort"].nunique())


def rank_tests(context: Context) -> Table | None:
    """Friedman's test of each quantity, and Nemenyi's test of each pair of methods."""
    evidence, extras = context.evidence, context.extras
    outcomes = Outcomes(evidence, extras)
    rows = [
        {"comparison": TITLES[part.name].partition(":")[0], "quantity": quantity.label, **row}
        for part in comparisons(evidence, extras)
        if part.name != OVERLAPPING and part.on_all_cohorts["label"].nunique() > 1
        for quantity in QUANTITIES
        for row in _test_rows(rank_methods(part, outcomes, quantity), 1 - evidence.level)
    ]
    if not rows:
        return None
    return Table(
        "rank_tests",
        "Do the methods differ?",
        "The blocks are datasets: attributes of one dataset are averaged first, because they are "
        "not independent. Only methods that ran on every cohort of the comparison, and datasets in "
        "which each of them has a value. Friedman's test uses the chi-square approximation, which "
        "is rough with few datasets; Nemenyi's test of each pair counts only if Friedman's test "
        "shows that the methods differ. Ranks: 1 is best. The intervals of single runs are not "
        "used.",
        pd.DataFrame(rows),
        (
            Column("comparison", "Comparison"),
            Column("quantity", "Quantity"),
            Column("datasets", "Datasets", "count"),
            Column("friedman", "Friedman's chi-square", "number", 2),
            Column("friedman_p", "p", "p"),
            Column("first", "First"),
            Column("second", "Second"),
            Column("difference", "Difference in mean rank", "number", 2),
            Column("critical", "Critical difference", "number", 2),
            Column("nemenyi_p", "p, Nemenyi", "p"),
            Column("verdict", "Verdict"),
        ),
    )


def _test_rows(test: RankTest, alpha: float) -> list[dict]:
    head = {"datasets": len(test.blocks), "friedman": test.statistic, "friedman_p": test.p_value}
    empty = dict.fromkeys(("difference", "critical", "nemenyi_p"), np.nan)
    if test.reason:
        return [{**head, "first": None, "second": None, **empty, "verdict": test.reason}]
    names = list(test.ranks.index)
    return [
        {
            **head,
            "first": first,
            "second": second,
            "difference": test.ranks[first] - test.ranks[second],
            "critical": test.critical,
            "nemenyi_p": test.pairs.loc[first, second],
            "verdict": _verdict(test, test.pairs.loc[first, second], alpha),
        }
        for k, first in enumerate(names)
        for second in names[k + 1 :]
    ]


def _verdict(test: RankTest, p: float, alpha: float) -> str:
    if test.p_value > alpha:
        return f"{Verdict.NOT_SHOWN} by Friedman's test"
    return Verdict.SHOWN if p <= alpha else Verdict.NOT_SHOWN


def rank_methods(part: Comparison, outcomes: Outcomes, quantity: Quantity) -> RankTest:
    """Test whether the methods of a comparison differ over datasets, see `rank_test`."""
    values = outcomes.table(part.on_all_cohorts, quantity).dropna()
    dataset = part.runs.drop_duplicates("cohort").set_index("cohort")["dataset"]
    blocks = values.groupby(dataset.reindex(values.index), sort=False).mean()
    return rank_test(blocks, quantity.sign, outcomes.level)


def complete(part: Comparison, outcomes: Outcomes) -> pd.DataFrame:
    """Return the runs that are averaged.

    Methods that ran on every cohort of the comparison, on the cohorts where the worst group's AUC
    is defined for each of them.
    """
    runs = part.on_all_cohorts
    if runs.empty:
        return runs
    values = outcomes.table(runs, QUANTITIES[1]).dropna()
    return runs[runs["cohort"].isin(values.index)]


def _add_points(data: pd.DataFrame, key: str, parts: list[Outcome]) -> pd.DataFrame:
    """Add a quantity in percentage points, one outcome per row of `data`."""
    return data.assign(
        **{
            key: [part.value * POINTS for part in parts],
            f"{key}_low": [part.low * POINTS for part in parts],
            f"{key}_high": [part.high * POINTS for part in parts],
            f"{key}_status": [part.status for part in parts],
        }
    )


def _published(
    paper: pd.DataFrame,
    quantity: Quantity,
    arms: pd.Series,
    rows: Iterable[str],
    attributes: Iterable[str],
) -> pd.Series:
    """Return the published values by arm, row and attribute; missing if there is none."""
    key = ["method", "row", "attribute"]
    # The paper prints some values in several tables, always the same.
    own = paper[paper["measure"].eq(quantity.measure)].drop_duplicates(key)
    values = own.set_index(key)["value"]
    keys = zip(arms, rows, attributes, strict=True)
    return pd.Series([values.get(key, np.nan) for key in keys], arms.index, dtype=float)


def caption(evidence: Evidence, shown: list[Column]) -> str:
    """Return the part of a caption that explains the numbers and names the published ones."""
    text = (
        f"In per cent, on test, mean over seeds; {interval_text(evidence)}, widened towards the "
        "fair end, because noise alone makes the worst group worse and gaps larger. EOddsD and "
        "DPD: differences in error rates and in selection rates (fairlearn), with decisions at 0.5 "
        "as in the paper."
    )
    if any("published" in column.key for column in shown):
        text += f" Published: {SOURCES[PAPER]}, on its own images, without intervals."
    return text
