import json

import pytest

from medaudit.config import jobs
from medaudit.config.declared import question_runs
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, edited

MARGINS, QUESTIONS = "evaluation/margins", "studies/clip_nih/questions"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (MARGINS, {"aucc": 0.1}, "evaluation.margins: 'aucc' is unknown (did you mean 'auc'?)"),
        (MARGINS, {"auc": 1}, "evaluation.margins.auc: 1 is greater than or equal to"),
        (MARGINS, {"auc": 0}, "evaluation.margins.auc: 0 is less than or equal to"),
        (MARGINS, {"auc": -0.1}, "evaluation.margins.auc: -0.1 is less than or equal to"),
        (MARGINS, {"auc": "0.1"}, "take the quotes off"),
        (MARGINS, {"auc": {"sex": 2}}, "evaluation.margins.auc.sex: 2 is greater than"),
        (MARGINS, {"auc": {"sxe": 0.1}}, "margins.auc: 'sxe' is unknown (did you mean 'sex'?)"),
        (MARGINS, {"brier": 0.1}, "'brier' is not among evaluation.metrics"),
        ("studies/clip_nih/gate", "unfair", "studies.clip_nih.gate: a gate needs margins"),
        ("studies/clip_nih/gate", "all", "studies.clip_nih.gate: 'all' is unknown"),
        ("studies/clip_nih/subjects", ["clip_smal"], "did you mean 'clip_small'?"),
        (QUESTIONS, [{"metric": "auc"}], "questions.0: 'attribute' is a required property"),
        (
            QUESTIONS,
            [{"metric": "brier", "attribute": "sex"}],
            "questions.0.metric: 'brier' is not",
        ),
        (QUESTIONS, [{"metric": "auc", "attribute": "sxe"}], "did you mean 'sex'?"),
        (
            QUESTIONS,
            [{"metric": "auc", "attribute": "sex", "gap": "ratio"}],
            "questions.0.gap: 'ratio' is not among evaluation.gaps",
        ),
        (
            QUESTIONS,
            [{"metric": "auc", "attribute": "sex", "models": ["mae_small"]}],
            "questions.0.models: 'mae_small' is not in the study",
        ),
        (
            QUESTIONS,
            [{"metric": "auc", "attribute": "sex", "models": ["pixels"], "methods": ["full"]}],
            "questions.0: no run of the study fits",
        ),
    ],
)
def test_a_wrong_declaration_is_found_before_any_job(path, value, said):
    with pytest.raises(MedauditError) as caught:
        check(edited(path, value), SCHEMAS)
    assert said in str(caught.value)


def test_margins_need_a_gap_that_they_judge():
    config = edited(MARGINS, {"auc": 0.1})
    config["evaluation"]["gaps"] = ["ratio"]
    with pytest.raises(MedauditError, match="evaluation.gaps has only ratio"):
        check(config, SCHEMAS)


def test_margins_by_attribute_and_an_intersection_are_valid():
    margins = {"auc": 0.05, "tpr": {"sex": 0.05, "sex & age_group": 0.2, "default": 0.1}}
    config = edited(MARGINS, margins)
    config["studies"]["clip_nih"]["gate"] = True
    assert check(config, SCHEMAS)["evaluation"]["margins"] == margins


def test_a_margin_plans_only_the_comparison_the_report_and_the_gate():
    run = {"cohort": "nih_6x200", "model": "pixels", "method": "linear"}
    before, after = (check(edited(MARGINS, m), SCHEMAS) for m in ({}, {"auc": 0.05}))
    names = {
        **{stage: {"study": "clip_nih"} for stage in ("compare", "gate")},
        **dict.fromkeys(("evaluate", "disparity", "dialects", "gap_decomposition", "probe"), run),
        "embed": {"cohort": "nih_6x200", "model": "pixels"},
        "attribute_probes": {"cohort": "nih_6x200", "model": "clip_small"},
        "lint": {"cohort": "nih_6x200"},
        "report": {},
    }
    differ = {
        stage
        for stage, wildcards in names.items()
        if jobs.settings(before, stage, **wildcards) != jobs.settings(after, stage, **wildcards)
    }
    assert differ == {"compare", "report", "gate"}


def test_a_question_is_about_the_subjects_unless_it_names_models():
    config = edited("studies/clip_nih/subjects", ["clip_small"])
    checked = check(config, SCHEMAS)
    question = {"metric": "auc", "attribute": "sex"}
    own = question_runs(checked, "clip_nih", question)
    assert {run["model"] for run in own} == {"clip_small"}
    other = question_runs(checked, "clip_nih", {**question, "models": ["pixels"]})
    assert {(run["model"], run["method"]) for run in other} == {("pixels", "linear")}


def test_a_gate_plans_no_other_job():
    changed = edited(MARGINS, {"auc": 0.05})
    gated = edited(MARGINS, {"auc": 0.05})
    gated["studies"]["clip_nih"]["gate"] = "unfair"
    first, second = (check(config, SCHEMAS) for config in (changed, gated))
    found = [json.loads(jobs.settings(c, "compare", study="clip_nih")) for c in (first, second)]
    assert found[0] == found[1]
