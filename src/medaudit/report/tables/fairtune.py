"""Tables of a study of searches: every run with its published value, and averages over datasets."""

import numpy as np
import pandas as pd

from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.fairtune_comparisons import (
    ABLATION,
    MASKED,
    OVERLAPPING,
    RESULTS,
    TITLES,
    Comparison,
    comparisons,
)
from medaudit.report.studies.fairtune_outcomes import POINTS, QUANTITIES, Outcomes, Quantity, places
from medaudit.report.studies.published import SOURCES, read_published
from medaudit.report.studies.rank_tests import RankTest, rank_rows, rank_test
from medaudit.report.tables.standard import interval_text
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

PAPER = "fairtune"


def results(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every method of the study's own cross, and from scratch (tables 1 and 3 of the paper)."""
    return _of_runs(RESULTS, evidence, extras)


def masked_pretraining(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """The same for other models pretrained by masking (table 4)."""
    return _of_runs(MASKED, evidence, extras)


def overlapping(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Cohorts whose attribute is an intersection (table 5)."""
    return _of_runs(OVERLAPPING, evidence, extras)


def ablation(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Searches of other spaces and for other objectives (tables 2 and 6)."""
    return _of_runs(ABLATION, evidence, extras)


def _of_runs(name: str, evidence: Evidence, extras: Extras) -> Table | None:
    found = [part for part in comparisons(evidence, extras) if part.name == name]
    if not found:
        return None
    runs, outcomes = found[0].runs, Outcomes(evidence, extras)
    data = runs.assign(attribute_shown=runs["attribute"].map(terms.attribute))
    shown, printed = [], read_published(PAPER)
    for quantity in QUANTITIES:
        parts = [outcomes.of(*row, quantity) for row in places(runs)]
        data = _beside(data, quantity.key, parts)
        shown.append(Column(quantity.key, quantity.label, "estimate", 1))
        rows = (runs["dataset"] + " " + runs["pretraining"], runs["attribute"])
        values = _printed(printed, quantity, runs["arm"], *rows) * POINTS
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


def averages(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Means over datasets and attributes and mean ranks, of each comparison."""
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
        for end, said, digits in (("", "", 1), ("_rank", ", rank", 1)):
            column = f"{key}{end}_published"
            if data[column].notna().any():
                shown.append(Column(column, f"{label}{said}, published", "number", digits))
    text = (
        "Of the methods that ran on every dataset and attribute of the comparison: means over those in "
        "which each of them has a value, each counting once, and mean ranks over them (1 is best, ties share their ranks). "
        "Attributes of one dataset share patients: their draws are taken to depend on each other "
        "wholly, those of datasets not at all. The table 'Do the methods differ?' has the tests."
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
    printed = read_published(PAPER)
    masked = part.name == RESULTS and "mae" in set(heads["pretraining"])
    own = printed["table"] == (MASKED if masked else part.name)
    for quantity in QUANTITIES:
        each = [outcomes.mean(runs[runs["label"] == name], quantity) for name in data["label"]]
        data = _beside(data, quantity.key, each)
        ranks = rank_rows(outcomes.table(runs, quantity), quantity.sign)
        mean = ranks.mean() if len(ranks) else pd.Series(dtype=float)
        data[f"{quantity.key}_rank"] = data["label"].map(mean)
        for what, end, unit in (("average", "", POINTS), ("rank", "_rank", 1.0)):
            rows = (pd.Series(what, data.index) + " " + heads["pretraining"].to_numpy(), "all")
            found = _printed(printed[own], quantity, data["arm"], *rows)
            data[f"{quantity.key}{end}_published"] = found * unit
    return data.assign(n=runs["cohort"].nunique())


def rank_tests(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Friedman's test of each quantity, and Nemenyi's of each pair where it was done."""
    outcomes = Outcomes(evidence, extras)
    rows = [
        {"comparison": TITLES[part.name].partition(":")[0], "quantity": quantity.label, **row}
        for part in comparisons(evidence, extras)
        if part.name != OVERLAPPING and part.everywhere["label"].nunique() > 1
        for quantity in QUANTITIES
        for row in _tested(tested(part, outcomes, quantity), 1 - evidence.level)
    ]
    if not rows:
        return None
    return Table(
        "rank_tests",
        "Do the methods differ?",
        "Datasets as blocks: attributes of one dataset are averaged first, since they are not "
        "independent; only methods that ran on every cohort of the comparison, and datasets in which "
        "each of them has a value. Friedman's test by its "
        "chi-square approximation, which is rough with few datasets; then Nemenyi's for each pair, "
        "to be read where Friedman's says that the methods differ at all. Ranks: 1 is best. The "
        "intervals of single runs have no part in it.",
        pd.DataFrame(rows),
        (
            Column("comparison", "Comparison"),
            Column("quantity", "Quantity"),
            Column("datasets", "Datasets", "count"),
            Column("friedman", "Friedman's chi-square", "number", 2),
            Column("friedman_p", "p", "p"),
            Column("first", "First"),
            Column("second", "Second"),
            Column("difference", "Ranks apart", "number", 2),
            Column("critical", "Critical difference", "number", 2),
            Column("nemenyi_p", "p, Nemenyi", "p"),
            Column("verdict", "Verdict"),
        ),
    )


def _tested(test: RankTest, alpha: float) -> list[dict]:
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
        return "no difference shown by Friedman's test"
    return "shown" if p <= alpha else "no difference shown"


def tested(part: Comparison, outcomes: Outcomes, quantity: Quantity) -> RankTest:
    """Rank the methods of a comparison over datasets, see `rank_test`."""
    values = outcomes.table(part.everywhere, quantity).dropna()
    dataset = part.runs.drop_duplicates("cohort").set_index("cohort")["dataset"]
    blocks = values.groupby(dataset.reindex(values.index), sort=False).mean()
    return rank_test(blocks, quantity.sign, outcomes.level)


def complete(part: Comparison, outcomes: Outcomes) -> pd.DataFrame:
    """Return the runs that averages are of.

    Methods that ran on every cohort of the comparison, on the cohorts where each of them has a
    worst group's AUC.
    """
    runs = part.everywhere
    if runs.empty:
        return runs
    values = outcomes.table(runs, QUANTITIES[1]).dropna()
    return runs[runs["cohort"].isin(values.index)]


def _beside(data: pd.DataFrame, key: str, parts: list) -> pd.DataFrame:
    return data.assign(
        **{
            key: [part.value * POINTS for part in parts],
            f"{key}_low": [part.low * POINTS for part in parts],
            f"{key}_high": [part.high * POINTS for part in parts],
            f"{key}_status": [part.status for part in parts],
        }
    )


def _printed(printed: pd.DataFrame, quantity: Quantity, arms, rows, attribute) -> pd.Series:
    """Return the published numbers of each arm, row and attribute; missing where there is none.

    What the paper prints in several tables it prints alike.
    """
    key = ["method", "row", "attribute"]
    own = printed[printed["measure"].eq(quantity.measure)].drop_duplicates(key)
    values = own.set_index(key)["value"]
    over = [attribute] * len(arms) if isinstance(attribute, str) else attribute
    keys = zip(arms, rows, over, strict=True)
    return pd.Series([values.get(key, np.nan) for key in keys], arms.index, dtype=float)


def caption(evidence: Evidence, shown: list[Column]) -> str:
    """Say what the numbers are, and whose the published ones."""
    text = (
        "In per cent, on test, mean over seeds; "
        f"{interval_text(evidence)}, widened towards the fair end, since noise alone makes the worst group "
        "worse and gaps larger. EOddsD, DPD: differences of error rates and of selection rates "
        "(fairlearn), decisions at 0.5 as in the paper."
    )
    if any("published" in column.key for column in shown):
        text += f" Published: {SOURCES[PAPER]}; on its own images, without intervals."
    return text
