"""Sentences on gaps are true for the hypothesis that was tested, and claim no more."""

import re

import pandas as pd
import pytest

from checkout import ROOT
from medaudit.core.table_io import read_json
from medaudit.report.answers.reasons import explain
from medaudit.report.answers.sentences import Setting
from medaudit.report.answers.structure import from_json
from medaudit.report.compare import compare
from medaudit.report.page.answers import answer
from medaudit.report.page.content import _read_facts
from medaudit.report.page.gap_answers import all_runs
from medaudit.report.verdicts import Verdict, judge_gap
from medaudit.report.wording import nulls
from report_config import config_of
from report_context import read_context
from synthetic_study import EVALUATION, gap_row, make_study, write_page

NAN = float("nan")
HEAD = {"headline": "auc", "gap": "max_min", "level": 0.95}
SETTING = Setting(0.95, ("a", "b"), classes=False, threshold="at the threshold 0.5")
NO_NULL = {"p_value": NAN, "p_adjusted": NAN, "null_mean": NAN, "null_q95": NAN}
NO_NULL |= {"null_status": "undefined:no_null", "n_movable": 12, "n_patients": 60}
NO_NULL |= {"family_size": pd.NA, "null": "separation"}

OVERCLAIMS = (
    *("within chance", "within what chance", "larger than chance", "chance explains"),
    *(
        "probably go unseen",
        "would probably",
        "probably miss",
        "hardly one above",
        "probably no gap",
    ),
    *("treats all groups alike would", "treats the groups alike would", "if fair (95"),
    *("order may be chance", "order may be due to chance", "where intervals overlap"),
    *("not more often than stated", "more often than stated", "where groups are small"),
)
"""Phrases that were false for some run."""


def test_no_text_of_the_project_overclaims():
    files = [p for kind in ("py", "html") for p in (ROOT / "src/medaudit").rglob(f"*.{kind}")]
    files += [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    found = []
    for path in files:
        text = re.sub(r'"\s*\n\s*f?"|\s+', " ", path.read_text())
        found += [(path.name, phrase) for phrase in OVERCLAIMS if phrase in text]
    assert found == []


@pytest.mark.parametrize(
    ("low", "says"),
    [(0.05, "judge the gap by its interval, which excludes 0"), (0.0, "which includes 0")],
)
def test_a_gap_without_a_null_is_never_compared_with_chance(low, says):
    row = gap_row(**NO_NULL, low=low)
    assert judge_gap(row, 0.05) == Verdict.UNTESTED
    said = explain(row, judge_gap(row, 0.05), [], SETTING)
    assert says in said
    assert "No permutation test can be had" in said and "only 12 of 60 patients" in said
    assert nulls.HYPOTHESES["separation"] in said
    assert "compatible" not in said and "contradict" not in said
    assert nulls.in_table(row) == "no test: separation (12 of 60 patients)"
    counted = " ".join(all_runs(pd.DataFrame([row, gap_row()]).assign(measure="auc"), HEAD))
    assert "1 of 1 tested gap in AUC" in counted and "1 gap is not tested" in counted


def test_a_p_value_next_to_a_missing_null_is_not_used():
    row = gap_row(**NO_NULL | {"p_value": 0.99, "p_adjusted": 1.0})
    assert judge_gap(row, 0.05) == Verdict.UNTESTED


@pytest.mark.parametrize("name", [*nulls.HYPOTHESES, None])
@pytest.mark.parametrize("p", [0.001, 0.4])
def test_the_hypothesis_that_a_row_names_is_the_one_that_is_said(name, p):
    row = gap_row(null=name, p_value=p, p_adjusted=p)
    said = explain(row, judge_gap(row, 0.05), [], SETTING)
    for other, text in nulls.HYPOTHESES.items():
        assert (f"test that {text}:" in said) == (other == name)
    assert said.count("no difference shown") == (p > 0.05)


def test_patients_who_cannot_be_exchanged_are_counted():
    row = gap_row(null="parity", n_movable=380, n_patients=400)
    assert "permutations of 380 of 400 patients;" in explain(row, Verdict.SHOWN, [], SETTING)
    whole = gap_row(n_movable=400, n_patients=400)
    assert "400 patients" not in explain(whole, Verdict.SHOWN, [], SETTING)


def test_lowest_and_highest_follow_the_values_where_lower_is_better(tmp_path):
    study = make_study(tmp_path, models=("pixels",), methods=("linear",))
    study["settings"]["evaluation"] = EVALUATION | {"metrics": ["ece", "auc", "f1", "accuracy"]}
    compare(**study)
    facts = _read_facts(study["output"])
    groups = read_context(study, facts=False).evidence.metrics
    groups = groups[groups["seed"].eq("mean") & groups["metric"].eq("ece")]
    groups = groups[groups["attribute"].eq("sex") & groups["task"].eq("mean")]
    value = groups.set_index("group")["value"]
    head = read_json(study["tables"] / "index.json")
    assert head["headline"] == "ece"
    answered = from_json(read_json(study["tables"] / "answers.json"))
    (found,) = [a for a in answer(facts, head, "cells", answered) if a.question.endswith("by sex?")]
    (said,) = [text for text in found.sentences if text.startswith("Calibration error")]
    low, high = value.idxmin(), value.idxmax()
    for name in (low, high):  # patients have several images here
        assert f"{value[name]:.3f} in images of {name} patients" in said
    assert "; lower is better." in said


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("judged")
    study = make_study(folder, name="demo")
    margins = {"auc": 0.03, "f1": {"sex": 0.4, "default": 0.001}}
    study["settings"]["evaluation"] = EVALUATION | {"margins": margins}
    entry = {"subjects": ["pixels"]}
    study["settings"]["entry"] = study["settings"]["entry"] | entry
    compare(**study)
    config = config_of(study, "Judged")
    config["evaluation"] = config["evaluation"] | {"margins": margins}
    text = write_page(study, config, folder).read_text()
    return study | {"facts": _read_facts(study["output"]), "text": text}


def test_facts_tables_and_answers_have_the_same_verdicts(judged):
    facts, context = judged["facts"], read_context(judged)
    gaps = facts[facts["kind"] == "gap"]
    known = gaps["equivalence"].notna()
    assert set(gaps.loc[known, "measure"]) == {"auc", "f1"}
    assert set(gaps.loc[known, "equivalence"]) >= {"fair within the margin", "undecided"}
    table = pd.read_csv(judged["tables"] / "equivalence.csv")
    both = table.merge(
        gaps[known],
        left_on=["cohort", "model", "method", "task", "attribute", "measure", "gap_name"],
        right_on=["cohort", "model", "method", "task", "attribute", "measure", "gap"],
    )
    assert len(both) == known.sum() and (both["equivalence_x"] == both["equivalence_y"]).all()
    assert set(table["task"]) > {"mean", "Effusion"}
    head = read_json(judged["tables"] / "index.json")
    answered = from_json(read_json(judged["tables"] / "answers.json"))
    answers = answer(facts, head, "cells", answered)
    fair = [a for a in answers if a.question.startswith("How fair")]
    assert {str(a.verdict) for a in fair} <= {"unfair", "undecided", "no difference shown"}
    assert any("Against their margins: " in " ".join(a.sentences) for a in answers)
    assert "margin of 0.030" in " ".join(fair[0].sentences)
    assert context.facts["role"].notna().all()


def test_the_page_shows_margins_roles_and_their_legend(judged):
    text = judged["text"]
    for part in (
        'data-verdict="UNDECIDED"',
        "adjusted over 6 tests",
        "Is each gap within its margin?",
        "auc 0.03; f1 0.4 by sex, 0.001 by any other attribute",
        'class="margin"',
    ):
        assert part in text, part
    index = read_json(judged["tables"] / "index.json")["tables"]
    fairness = next(table for table in index if table["name"] == "fairness")
    labels = [column["label"] for column in fairness["columns"]]
    assert {"Question", "Margin", "Verdict", "Null hypothesis"} <= set(labels)
    assert "exploratory" in fairness["caption"] and "fair within it" in fairness["caption"]


def test_without_margins_no_table_says_fair(tmp_path):
    study = make_study(tmp_path, models=("pixels",))
    compare(**study)
    index = read_json(study["tables"] / "index.json")["tables"]
    assert "equivalence" not in [table["name"] for table in index]
    for table in index:
        assert not {"Margin", "Verdict"} & {column["label"] for column in table["columns"]}
        assert "fair within" not in (study["tables"] / f"{table['name']}.html").read_text()
