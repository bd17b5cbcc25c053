"""Verdicts against margins and gates: each case by hand, then a planted truth."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import GateFailure
from medaudit.core.table_io import GAPS, read_json, write_table
from medaudit.report.answers.measures import verdict_of
from medaudit.report.answers.reasons import explain, explain_margin
from medaudit.report.answers.sentences import Setting
from medaudit.report.equivalence import Equivalence, judge, judge_gaps, judged_rows
from medaudit.report.gate import check_gate

NAN = float("nan")
SETTING = Setting(0.95, ("a",), classes=False, threshold="at the threshold 0.5")
FAIR, UNFAIR, UNDECIDED, LOST = Equivalence


def gap(**changes) -> dict:
    row = {"cohort": "c", "model": "m", "method": "linear", "seed": "mean", "task": "Edema"}
    row |= {"attribute": "sex", "gap": "max_min", "metric": "auc", "value": 0.03, "low": 0.0}
    row |= {"high": 0.06, "upper": 0.055, "null_mean": 0.02, "null_q95": 0.05, "p_value": 0.2}
    row |= {"smallest_detectable": 0.06, "worst": "female", "best": "male", "null": "separation"}
    row |= {"null_status": "ok", "n_groups": 2, "n_estimable": 2, "n_movable": 90}
    return row | {"n_patients": 100, "dialect": "medaudit", "status": "ok"} | changes


@pytest.mark.parametrize(
    ("changes", "margin", "verdict"),
    [
        ({}, 0.1, FAIR),
        ({}, 0.055, UNDECIDED),  # the limit must be below the margin, not at it
        ({}, 0.05, UNDECIDED),
        ({"low": 0.051, "value": 0.08}, 0.05, UNFAIR),
        ({"low": 0.05, "value": 0.08}, 0.05, UNDECIDED),
        ({"upper": NAN}, 0.058, UNDECIDED),  # then the upper end of the interval, .06, counts
        ({"upper": NAN}, 0.061, FAIR),
        ({"n_groups": 3}, 0.1, UNDECIDED),  # a group that is left out may be the worst
        ({"n_groups": 3, "low": 0.2, "value": 0.3, "upper": 0.4}, 0.1, UNFAIR),
        ({"value": NAN, "low": NAN, "high": NAN, "upper": NAN, "status": "too_few"}, 0.1, LOST),
        ({"low": NAN, "high": NAN, "upper": NAN}, 0.1, LOST),
        ({"p_value": NAN, "null_status": "undefined:no_null"}, 0.1, FAIR),  # limits need no test
        ({"gap": "worst_rest", "value": -0.01, "low": -0.04, "upper": 0.02}, 0.05, FAIR),
    ],
)
def test_a_verdict_by_hand(changes, margin, verdict):
    assert judge(gap(**changes), margin) == verdict
    table = judge_gaps(pd.DataFrame([gap(**changes)]), {"auc": margin})
    assert table["equivalence"].tolist() == [str(verdict)] and table["margin"].tolist() == [margin]


def test_margins_apply_by_metric_attribute_and_kind_of_gap():
    kinds = ["max_min", "worst_rest", "ratio", "others:female"]
    rows = [gap(metric=m, attribute=a, gap=k) for m in ("auc", "tpr") for a in "ab" for k in kinds]
    judged = judge_gaps(pd.DataFrame(rows), {"tpr": {"a": 0.04, "default": 0.2}})
    found = {(r.metric, r.attribute, r.gap): (r.margin, r.equivalence) for r in judged.itertuples()}
    for (metric, attribute, kind), (margin, verdict) in found.items():
        if metric == "auc" or kind in ("ratio", "others:female"):
            assert np.isnan(margin) and verdict is None
        else:
            expected = {"a": (0.04, UNDECIDED), "b": (0.2, FAIR)}[attribute]
            assert (margin, verdict) == expected


def test_tasks_are_judged_one_by_one_and_seeds_together():
    rows = [gap(seed=s, task=t) for s in ("0", "mean") for t in ("a", "b", "mean", "mean_of_gaps")]
    judged = judged_rows(pd.DataFrame(rows), {"auc": 0.1})
    assert judged["task"].tolist() == ["a", "b", "mean", "mean_of_gaps"]
    assert judged_rows(pd.DataFrame(rows), {}).empty


def test_a_gap_at_the_margin_is_rarely_called_fair_and_rarely_unfair():
    """Two groups whose true difference is the margin; limits of a normal estimate."""
    rng, se, margin = np.random.default_rng(3), 0.03, 0.1
    values = np.abs(rng.normal(margin, se, 4000))
    verdicts = [
        judge(gap(value=v, low=v - 1.96 * se, high=v + 1.96 * se, upper=v + 1.645 * se), margin)
        for v in values
    ]
    share = {v: verdicts.count(v) / len(verdicts) for v in Equivalence}
    assert share[FAIR] == pytest.approx(0.05, abs=0.011)
    assert share[UNFAIR] == pytest.approx(0.025, abs=0.008)


@pytest.mark.parametrize(
    ("level", "fails"),
    [
        (True, [UNFAIR, UNDECIDED, LOST]),
        ("undecided", [UNFAIR, UNDECIDED]),
        ("unfair", [UNFAIR]),
    ],
)
def test_a_gate_lists_what_fails_its_level_the_worst_first(level, fails):
    rows = [
        gap(attribute="lost", value=NAN, low=NAN, high=NAN, upper=NAN, status="too_few"),
        gap(attribute="open", upper=0.2),
        gap(attribute="fair"),
        gap(attribute="bad", value=0.4, low=0.3, upper=0.5),
    ]
    judged = judged_rows(pd.DataFrame(rows), {"auc": 0.1})
    with pytest.raises(GateFailure) as caught:
        check_gate(judged, level, "x.csv")
    assert [text.partition(":")[0] for text in caught.value.problems] == [str(v) for v in fails]
    assert f"x.csv: {len(fails)} of 4 gaps with a margin fail" in str(caught.value)
    assert caught.value.exit_code == 3
    check_gate(judged[judged["attribute"] == "fair"], level, "x.csv")


def test_a_gate_over_nothing_does_not_pass():
    with pytest.raises(GateFailure, match="no gap has a margin"):
        check_gate(judged_rows(pd.DataFrame([gap()]), {}), "unfair", "x")


@pytest.mark.parametrize(("margin", "code"), [(0.1, 0), (0.05, 3)])
def test_the_stage_exits_with_3_and_a_list_or_writes_its_verdicts(tmp_path, margin, code):
    table, out = tmp_path / "gaps.csv", tmp_path / "gate.json"
    write_table(pd.DataFrame([gap()])[list(GAPS.columns)], table, GAPS)
    settings = f'{{"study": "s", "level": true, "margins": {{"auc": {margin}}}}}'
    command = [sys.executable, "-m", "medaudit.report.gate", "--settings", settings, "--gaps"]
    command += [str(table), "--page", str(tmp_path / "report.html"), "--output", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    if code:
        assert "medaudit gate: study s: 1 of 1 gaps with a margin fail the gate:" in done.stderr
        assert "- undecided: m / linear on c, AUC by sex" in done.stderr and not out.exists()
    else:
        assert read_json(out)["verdicts"]["fair within the margin"] == 1


@pytest.mark.parametrize(
    ("changes", "margin", "says"),
    [
        ({}, 0.1, "Fair within the margin of 0.100, which was declared before the run: the gap is"),
        ({"low": 0.2, "value": 0.3}, 0.1, "Unfair: the lower limit of the gap, 0.200, exceeds the"),
        ({}, 0.05, "Undecided: gaps below and above the margin of 0.050 are both compatible"),
        ({"n_groups": 3}, 0.1, "but a group that is left out may not"),
        ({"low": NAN, "high": NAN, "upper": NAN}, 0.1, "because there is no interval"),
    ],
)
def test_the_reason_of_a_verdict_is_said(changes, margin, says):
    judged = judge_gaps(pd.DataFrame([gap(**changes)]), {"auc": margin}).iloc[0]
    assert says in explain_margin(judged, SETTING)
    row = judged.to_dict() | {"p_adjusted": 0.4, "family_size": 3}
    verdict = verdict_of(row, 0.05)
    assert str(verdict) == judged["equivalence"] and says in explain(row, verdict, [], SETTING)


def test_nothing_is_called_fair_without_a_margin():
    row = pd.Series(gap(p_adjusted=0.4, family_size=3, margin=NAN, equivalence=None))
    said = explain(row, verdict_of(row, 0.05), [], SETTING)
    assert "air within" not in said and "no proof of fairness" in said
