"""Planted and found: the box says found only where the planted group is worse beyond chance."""

from dataclasses import replace

import pytest

from medaudit.report.answers.structure import (
    AttributeAnswer,
    MeasureAnswer,
    RunAnswer,
    StudyAnswers,
)
from medaudit.report.page.planted import CALLED, FOUND, HINT, MISSED, NOT_CALLED, planted_rows

COUNTS = {
    "sex": {"female": (0, 60), "male": (2, 60)},
    "race": {"black": (40, 40), "white": (0, 40), "asian": (0, 40)},
    "age_group": {"<=60": (0, 50), ">60": (40, 70)},
    "sex & race": {"female & black": (20, 20), "female & white": (0, 20)},
}
CARD = {
    "name": "c",
    "planted": [
        {
            "where": {"race": "black"},
            "findings": "all",
            "visibility": 0.5,
            "groups": [
                {"attribute": name, "group": group, "n_images": n, "n_planted": k}
                for name, groups in COUNTS.items()
                for group, (k, n) in groups.items()
            ],
        }
    ],
}


def measure(metric: str, kind: str, worst: str, p: float = 0.01) -> MeasureAnswer:
    return MeasureAnswer(
        metric=metric,
        label={"tpr": "sensitivity", "auc": "AUC", "fpr": "false positive rate"}[metric],
        task="mean",
        attribute="race",
        groups=(),
        gap=0.2,
        low=0.1,
        high=0.3,
        p_value=p,
        p_adjusted=p,
        family_size=3,
        smallest_detectable=None,
        chance=None,
        margin=None,
        worst=worst,
        best=None,
        verdict=kind.lower(),
        kind=kind,
        sentence="",
        evidence="",
    )


def answers(race: list[MeasureAnswer], sex: list[MeasureAnswer], **changes) -> StudyAnswers:
    attributes = [("race", race), ("sex", sex), ("age_group", race), ("sex & race", race)]
    run = RunAnswer(
        **{"cohort": "c", "model": "m", "method": "linear", "name": "m + linear"},
        **{"role": "subject", "first": True, "sentence": "", "overall": ()},
        attributes=tuple(
            AttributeAnswer(name, name, "", "", "", tuple(own)) for name, own in attributes
        ),
    )
    runs = (run, replace(run, role="control"), replace(run, first=False))
    return StudyAnswers(
        "s", "Title", 0.95, ("tpr", "fpr", "auc"), "", "", ("m",), (), runs=runs, **changes
    )


@pytest.mark.parametrize(
    ("race", "outcome"),
    [
        ([measure("tpr", "SHOWN", "black"), measure("auc", "NOT_SHOWN", "white")], FOUND),
        ([measure("tpr", "SHOWN", "white"), measure("auc", "NOT_SHOWN", "black")], MISSED),
        ([measure("fpr", "SHOWN", "white")], FOUND),
        ([measure("auc", "HINT", "black")], HINT),
        ([measure("tpr", "NOT_SHOWN", "black")], MISSED),
    ],
)
def test_a_planted_difference_is_found_in_the_group_it_is_planted_in(race, outcome):
    rows = planted_rows([CARD], [answers(race, [measure("tpr", "NOT_SHOWN", "male")])])
    assert [(row.attribute, row.planted) for row in rows] == [("race", True), ("sex", False)]
    planted, other = rows
    assert planted.outcome == outcome
    assert planted.whom == "black patients"
    assert planted.what == "all findings drawn at 0.5 of their contrast"
    assert other.outcome == NOT_CALLED


def test_an_attribute_without_a_planted_difference_that_is_called_is_said():
    rows = planted_rows([CARD], [answers([], [measure("fpr", "SHOWN", "male", 0.002)])])
    (row,) = [row for row in rows if not row.planted]
    assert row.outcome == CALLED
    assert row.evidence == (
        "false positive rate: difference 0.200 (0.100 to 0.300), adjusted p 0.002",
    )


def test_a_single_finding_that_is_shown_calls_the_attribute_different():
    study = answers([], [measure("tpr", "NOT_SHOWN", "male")])
    (run, *others) = study.runs
    finding = replace(measure("fpr", "SHOWN", "male", 0.002), task="No Finding")
    told = [replace(one, findings=(finding,)) for one in run.attributes]
    rows = planted_rows(
        [CARD], [replace(study, runs=(replace(run, attributes=tuple(told)), *others))]
    )
    (row,) = [row for row in rows if not row.planted]
    assert row.outcome == CALLED
    assert row.evidence[0].startswith("false positive rate for no finding: difference 0.200")


def test_a_run_that_answers_two_studies_is_one_comparison():
    study = answers([measure("tpr", "SHOWN", "black")], [measure("tpr", "NOT_SHOWN", "male")])
    once = planted_rows([CARD], [study])
    assert planted_rows([CARD], [study, replace(study, title="Another")]) == once


def test_real_images_and_measures_that_do_not_lead_have_no_rows():
    study = answers([measure("tpr", "SHOWN", "black")], [])
    assert planted_rows([{"name": "c"}], [study]) == []
    led_by_auc = replace(study, lead=("auc",))
    assert planted_rows([CARD], [led_by_auc])[0].outcome == MISSED
