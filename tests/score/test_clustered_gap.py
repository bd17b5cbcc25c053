"""Many images a patient: the gap is found, or it is said that there is no test; never "chance"."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.table_io import read_json
from medaudit.report.page.answers import answer
from medaudit.report.page.content import _read_facts
from medaudit.report.verdicts import Verdict
from medaudit.score import score


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> list:
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
    result = score(pd.DataFrame(rows, columns=names).round(4), draws=200)
    folder = tmp_path_factory.mktemp("clustered")
    result.write(folder)
    (facts,) = (folder / "compare").glob("*.csv")
    head = read_json(folder / "tables" / facts.stem / "index.json")
    return answer(_read_facts(facts), head, facts.stem)


def test_the_planted_gap_is_found_and_said(answers):
    (item,) = [a for a in answers if a.question == "How fair by group?"]
    said = " ".join(item.sentences)
    assert item.verdict == Verdict.SHOWN and "The data contradict this" in said
    assert "lowest in B" in said and "highest in A" in said
    assert "compatible" not in said and "chance" not in said


def test_groups_that_follow_the_label_are_not_compared_with_chance(answers):
    said = " ".join(sentence for a in answers for sentence in a.sentences)
    assert "by stage not estimable" in said
    (item,) = [a for a in answers if a.question == "How fair by stage?"]
    assert item.verdict == Verdict.UNKNOWN and "only one class" in item.sentences[0]
