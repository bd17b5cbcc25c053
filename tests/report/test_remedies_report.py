"""What the report says of remedies: effects from changes, the count, and what a remedy costs."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.audit_tables import SPREAD, WORST
from medaudit.report.page.mitigation_answers import answer_remedies, count_effects
from medaudit.report.studies.remedy_effects import Effect, judge
from medaudit.report.tables.mitigation import _rank_rows, _summary, _winner

HEAD = {"level": 0.95}


def rows_of(
    changes, spread=-0.1, remedy="one_threshold", kind="after training", needs="no", rise=0.2
):
    """Rows of one remedy: group to (plain, change, low, high) of its sensitivity."""
    shared = {"cohort": "c", "model": "m", "task": "t", "attribute": "age_group", "rule": "auc"}
    shared |= {"remedy": remedy, "kind": kind, "needs_group": needs, "front": 0.5, "status": "ok"}
    shared |= {"processor_seconds": 1.5}
    found = []
    for group, (plain, change, low, high) in changes.items():
        numbers = {
            "plain": plain,
            "value": plain + change,
            "change": change,
            "low": low,
            "high": high,
        }
        found.append({**shared, "group": group, "metric": "tpr", **numbers})
        price = {
            "plain": 0.1,
            "value": 0.1 + rise,
            "change": rise,
            "low": rise - 0.1,
            "high": rise + 0.1,
        }
        found.append({**shared, "group": group, "metric": "fpr", **price})
    numbers = {"plain": 0.3, "value": 0.3 + spread, "change": spread, "low": -1, "high": 1}
    found.append({**shared, "group": SPREAD, "metric": "tpr", **numbers})
    for metric, group in (("auc", "all"), ("auc", WORST), ("ece", WORST)):
        still = {"plain": 0.8, "value": 0.8, "change": 0.0, "low": 0.0, "high": 0.0}
        found.append({**shared, "group": group, "metric": metric, **still})
    return pd.DataFrame(found)


CASES = {
    Effect.LIFTED: {">60": (0.5, 0.2, 0.1, 0.3), "<=60": (0.8, 0.0, 0.0, 0.0)},
    Effect.TRADED: {">60": (0.5, 0.2, 0.1, 0.3), "<=60": (0.8, -0.02, -0.1, 0.06)},
    Effect.DOWN: {">60": (0.5, 0.0, -0.1, 0.1), "<=60": (0.8, -0.2, -0.3, -0.1)},
    Effect.NONE: {">60": (0.5, 0.2, -0.01, 0.4), "<=60": (0.8, -0.2, -0.4, 0.01)},
    Effect.UNKNOWN: {">60": (0.5, 0.2, 0.1, 0.3)},
}


@pytest.mark.parametrize("effect", CASES)
def test_effects(effect):
    assert judge(rows_of(CASES[effect])).effect == effect


def test_a_fall_that_widens_the_difference_is_no_levelling():
    assert judge(rows_of(CASES[Effect.DOWN], spread=0.1)).effect == Effect.LOWERED


def test_the_worst_group_is_that_of_plain_training():
    """A group that was not the worst does not count as lifted when it rises."""
    changes = {">60": (0.5, 0.0, -0.1, 0.1), "<=60": (0.8, 0.15, 0.1, 0.2)}
    found = judge(rows_of(changes))
    assert (found.worst, found.effect) == (">60", Effect.NONE)


def table_of(*judged):
    names = {"cohort": "c", "model": "m", "task": "t", "attribute": "age_group"}
    return pd.DataFrame([{**names, **_summary(one)} for one in judged])


def test_the_count_names_what_helps_and_what_does_harm():
    control = rows_of(CASES[Effect.NONE], remedy="plain_best_seed", kind="control")
    table = table_of(
        judge(rows_of(CASES[Effect.LIFTED])),
        judge(rows_of(CASES[Effect.TRADED], remedy="equal_sensitivity", needs="yes")),
        judge(rows_of(CASES[Effect.DOWN], remedy="equalized_odds", needs="yes")),
        judge(rows_of(CASES[Effect.NONE], remedy="leace", kind="embeddings")),
        judge(rows_of(CASES[Effect.NONE], remedy="group_dro", kind="embeddings")),
        judge(control),
    )
    said = count_effects(table)
    assert said == (
        "Of 5 remedies, 1 raises the worst group's sensitivity without lowering anyone's: one lower "
        "threshold for all; 1 raises it at the cost of another group's: a threshold per group; 1 "
        "levels down: it lowers a group's sensitivity and raises no worst group's: thresholds for "
        "equalised odds; 2 cannot be told from doing nothing."
    )
    sentences = answer_remedies(table, HEAD)["c"][1].sentences
    assert any(
        "the finding, 20 more (95" in s and "over 60" in s and "false alarms" in s
        for s in sentences
    )
    assert any("It needs the patient's group." in s for s in sentences)
    assert any(s.startswith("Controls") and "nothing is shown" in s for s in sentences)
    assert "law and ethics" in sentences[-1]


def test_nothing_helps_is_said_plainly():
    said = count_effects(table_of(judge(rows_of(CASES[Effect.NONE], remedy="leace"))))
    assert said == (
        "Of 1 remedy, none raise the worst group's sensitivity without lowering anyone's; 1 cannot be "
        "told from doing nothing."
    )


def test_false_alarms_that_fall_are_no_price():
    table = table_of(judge(rows_of(CASES[Effect.LIFTED], rise=-0.05)))
    sentences = answer_remedies(table, HEAD)["c"][1].sentences
    assert any("False alarms rise in no group." in s for s in sentences)


def test_the_winner_and_how_many_are_shown_better():
    part = pd.DataFrame(
        {
            "remedy": ["plain", "a", "b"], "value": [0.7, 0.8, 0.75], "plain": 0.7,
            "change": [np.nan, 0.1, 0.05], "low": [np.nan, 0.02, -0.01], "high": [np.nan, 0.2, 0.1],
            "status": "ok",
        }
    )  # fmt: skip
    found = _winner(part, "dto", WORST)
    assert (found["winner"], found["better"], found["worse"], found["remedies"]) == ("a", 1, 0, 2)
    assert found["change_low"] == pytest.approx(2)


def test_ranks_over_datasets_are_tested_against_plain():
    from scipy.stats import friedmanchisquare

    rng = np.random.default_rng(0)
    base = rng.uniform(0.7, 0.8, 8)
    wide = pd.DataFrame(
        {"plain": base, "good": base + 0.05, "other": base - 0.01 + 0.02 * rng.random(8)}
    )
    rows = {row["remedy"]: row for row in _rank_rows("AUC", wide, 0.95)}
    expected = friedmanchisquare(*wide.to_numpy().T).pvalue
    assert rows["good"]["friedman_p"] == pytest.approx(expected)
    assert rows["good"]["rank"] == 1 and rows["good"]["verdict"] == "difference shown"
    few = _rank_rows("AUC", wide.head(3), 0.95)
    assert all("too few" in row["verdict"] for row in few)
