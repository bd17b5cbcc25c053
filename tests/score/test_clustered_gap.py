"""Many images a patient: the gap is found, or it is said that there is no test; never "chance"."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from medaudit.report.answers.attributes import _others
from medaudit.report.verdicts import Verdict
from medaudit.score import Result, score


@pytest.fixture(scope="module")
def result() -> Result:
    """Sixty patients with 10 to 40 images; AUC about .92 in group A, .68 in group B."""
    rng, rows = np.random.default_rng(1), []
    for patient in range(60):
        group, n = "AB"[patient % 2], rng.integers(10, 41)
        y = (rng.random(n) < 0.35).astype(int)
        logit = rng.normal(0, 0.5) + rng.normal(0, 1, n) + y * (2.2 if group == "A" else 0.75) - 1
        rows += [
            (f"{patient}_{k}", patient, y[k], 1 / (1 + np.exp(-logit[k])), group, f"stage {y[k]}")
            for k in range(n)
        ]
    names = ["image_id", "patient_id", "label", "score", "group", "stage"]
    return score(pd.DataFrame(rows, columns=names).round(4), draws=200)


def test_the_planted_gap_is_found_and_said(result):
    (item,) = result.answers.runs[0].attributes
    assert item.label == "group" and item.verdict == "difference shown"
    assert "100 images of patients with group B" in item.sentence
    assert item.sentence.endswith("Differences also in: AUC.")
    assert "chance" not in item.sentence and "compatible" not in item.sentence


def test_groups_that_follow_the_label_are_not_compared(result):
    said = [text for _, text in result.study.detected]
    assert "not used as groups: stage (follows from the label and the score)" in said
    assert set(result.gaps["attribute"]) == {"group"}


def test_a_difference_that_is_only_suggested_is_not_said_to_be_one(result):
    (item,) = result.answers.runs[0].attributes
    first, second, third = item.measures[:3]
    pairs = [(Verdict.SHOWN, first), (Verdict.HINT, second), (Verdict.SHOWN, third)]
    assert _others(first, pairs) == [
        f"Differences also in: {third.label}.",
        f"Suggestive only, not shown, in: {second.label}.",
    ]
    finding = replace(first, task="Edema")
    assert _others(finding, pairs[:1]) == [f"Differences also in: the mean of {first.label}."]
