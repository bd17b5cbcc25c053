"""Tables of gaps at equal age and of what would make a gap vanish: rows, numbers and sentences."""

import numpy as np
import pandas as pd
import pytest

from evaluate_case import make_case, make_settings
from medaudit.audit.conditional_gaps import find_conditional_gaps
from medaudit.audit.sensitivity import ask
from medaudit.core.audit_tables import CONDITIONAL, CRUDE, SENSITIVITY, STANDARDISED
from medaudit.report.tables import conditional_gaps as equal
from medaudit.report.tables import sensitivity as vanish
from report_context import changed, read_context
from synthetic_study import make_study


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    context = read_context(make_study(folder, cohorts=("c",), models=("m",), methods=("x",)))
    case = make_case(n=1500)
    cohort = case[1].assign(a_race=np.where(case[1]["age"].isna(), "a", "b"))
    cohort["a_race"] = np.random.default_rng(2).choice(["a", "b", None], len(cohort))
    settings = make_settings(metrics=["auc", "tpr", "fpr"], attributes=["sex", "race"])
    settings["evaluation"] |= {"control": ["age_group"]}
    return changed(
        context,
        conditional=find_conditional_gaps(case[0], cohort, settings),
        sensitivity=ask(case[0], cohort, settings),
    )


def test_a_table_shows_crude_and_equal_gaps_of_the_summary_task(context):
    table = equal.conditional_gaps(context)
    rows = context.extras.conditional
    rows = rows[(rows["kind"] == "gap") & (rows["task"] == "mean")]
    assert len(table.data) == 2 * 3 and set(table.data["task"]) == {"mean"}
    for row in table.data.itertuples():
        own = rows[(rows["attribute"] == row.attribute) & (rows["metric"] == row.metric)]
        own = own.set_index("stratum")
        assert row.crude == own.loc[CRUDE, "value"] and row.equal == own.loc[STANDARDISED, "value"]
        assert row.p_value == own.loc[STANDARDISED, "p_value"]
        assert row.crude_low == own.loc[CRUDE, "low"]
    assert "age group" in table.title and {c.key for c in table.columns} <= set(table.data)
    empty = pd.DataFrame(columns=list(CONDITIONAL.columns))
    assert equal.conditional_gaps(changed(context, conditional=empty)) is None


ROW = {
    "metric": "tpr", "attribute": "race", "control": "age_group & view", "status": "ok",
    "crude": 0.123, "equal": 0.045, "equal_low": 0.0, "equal_high": 0.1, "coverage": 1.0,
    "p_value": 0.2, "null_status": "ok",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said", "unsaid"),
    [
        ({}, "no difference is shown there, which does not prove that there is none (p = 0.20)", "remains"),
        ({"p_value": 0.004}, "a difference remains that age group and view does not explain", "no difference"),
        ({"p_value": np.nan}, "there is no test, because too few patients", "difference"),
        ({"coverage": 0.8}, "in strata that hold 80% of the images", "remains"),
        ({"status": "too_few", "equal": np.nan}, "cannot be compared at equal age group and view: too few", "0.123"),
    ],
)  # fmt: skip
def test_a_sentence_on_a_gap_at_equal_age_follows_its_test(change, said, unsaid):
    text = equal.in_words({**ROW, **change}, 0.05, "95 %")
    assert said in text and unsaid not in text
    if "status" not in change:
        assert "is 0.123 as the groups are, and 0.045 (95 % CI 0.000 to 0.100)" in text


def test_every_question_has_one_sentence_about_the_task_with_the_largest_gap(context):
    table = vanish.sensitivity(context)
    rows = context.extras.sensitivity
    rows = rows[rows["group"] == "max_min"]
    for row in table.data.itertuples():
        own = rows[(rows["attribute"] == row.attribute) & (rows["metric"] == row.metric)]
        own = own[own["question"] == row.question]
        assert row.value == own["value"].max() and row.words.endswith(".")
    assert len(table.data) == rows.groupby(["attribute", "question", "metric"]).ngroups
    assert set(table.data["question"]) == set(vanish.QUESTIONS)
    empty = pd.DataFrame(columns=list(SENSITIVITY.columns))
    for make in (vanish.sensitivity, vanish.target_population):
        assert make(changed(context, sensitivity=empty)) is None


def test_the_groups_are_shown_at_the_target_prevalence(context):
    table = vanish.target_population(context)
    rows = context.extras.sensitivity
    for row in table.data.itertuples():
        own = rows[(rows["group"] == row.group) & (rows["task"] == row.task)]
        own = own[own["attribute"] == row.attribute].set_index("metric")
        for metric in ("ppv", "npv", "net_benefit"):
            assert getattr(row, metric) == own.loc[metric, "adjusted"]
        assert row.ppv_own == own.loc["ppv", "value"]
    assert len(table.data) == 2 * (3 + 2)


GAP = {"worst": "b", "best": "a", "metric": "tpr", "value": 0.2, "status": "ok", "n_unknown": 40}
SENTENCES = [
    (
        {"question": "missing_attribute", "present": 0.1, "low": -0.05, "high": 0.3, "tipping": 0.25},
        "yes",
        "It would take 25 % of the 40 images of unknown group (10 % of all that count here)",
    ),
    (
        {"question": "missing_attribute", "present": 0.1, "low": 0.05, "high": 0.3, "tipping": np.nan},
        "no",
        "No assignment of the 40 images of unknown group (10 % of all that count here) to groups "
        "removes the difference in TPR between a and b: it would be between 0.050 and 0.300.",
    ),
    (
        {"question": "missing_attribute", "n_unknown": 0},
        "no",
        "The group of every image that counts here is known.",
    ),
    (
        {"question": "label_noise", "present": 1.0, "tipping": 0.94, "share": 0.25},
        "yes",
        "25 % of the positive labels in b were false: a specificity of the label of 0.940 there, "
        "against 1.000 in a.",
    ),
    (
        {"question": "label_noise", "metric": "fpr", "present": 1.0, "tipping": 0.8, "share": 0.07},
        "yes",
        "7 % of the negative labels in b missed the finding: a sensitivity of the label of 0.800",
    ),
    (
        {"question": "label_noise", "tipping": np.nan},
        "no",
        "No error of the reference label in b alone can explain the difference in TPR",
    ),
    (
        {"question": "prevalence", "metric": "ppv", "assumed": 0.1, "adjusted": -0.02, "present": 0.2}
        | {"tipping": 0.31},
        "yes",
        "At a prevalence of 0.100 in both groups the difference in PPV between a and b is −0.020, "
        "and +0.200 at their own prevalences; it would vanish if the prevalence in b were 0.310 "
        "instead of 0.200.",
    ),
    (
        {"question": "prevalence", "metric": "net_benefit", "assumed": 0.1, "adjusted": 0.02}
        | {"tipping": np.nan},
        "no",
        "the difference in net benefit between a and b is +0.020; it is never 0.",
    ),
    (
        {"question": "threshold", "threshold_low": 0.3, "threshold_high": 0.7, "range_low": 0.2}
        | {"range_high": 0.5, "low": 0.1, "high": 0.3, "tipping": 0.04, "threshold_tipping": 0.9},
        "no",
        "Over thresholds from 0.300 to 0.700, which flag 20 % to 50 % of the images, the "
        "difference in TPR between a and b is between 0.100 and 0.300 and keeps its sign; nearest "
        "to the chosen threshold, it vanishes at 0.900, which flags 4 %.",
    ),
    (
        {"question": "threshold", "threshold_low": 0.3, "threshold_high": 0.7, "range_low": 0.2}
        | {"range_high": 0.5, "low": 0.1, "high": 0.3, "tipping": np.nan},
        "no",
        "keeps its sign; it vanishes at no threshold.",
    ),
    ({"question": "threshold", "status": "undefined:no_decision"}, None, "Not estimable: no decision."),
    ({"question": "threshold", "value": 0.0}, "yes", "The two groups do not differ in TPR."),
]  # fmt: skip


@pytest.mark.parametrize(("row", "vanishes", "said"), SENTENCES)
def test_a_sentence_says_what_its_row_holds(row, vanishes, said):
    assert said in vanish.in_words({**GAP, **row, "vanishes": vanishes})


def test_groups_of_intersections_are_told_apart():
    row = {"question": "label_noise", "worst": "b & >=60", "best": "a & <60", "vanishes": "no"}
    text = vanish.in_words({**GAP, **row})
    assert "between (a, under 60) and (b, 60 and older)" in text
