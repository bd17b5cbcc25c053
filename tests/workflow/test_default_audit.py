"""The default audit finds what is planted in its phantoms, and no model is worse than the control."""

import html
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from checkout import ROOT, Checkout
from medaudit.core.table_io import read_json
from medaudit.report.answers.structure import CONTROL, StudyAnswers, from_json
from medaudit.report.page.planted import CALLED, FOUND, planted_rows

RESULTS = "MEDAUDIT_DEFAULT_RESULTS"
"""Results folder of a default audit that has run; without it the test runs one (minutes)."""
LIMIT = 3600

pytestmark = [
    pytest.mark.slow,
    pytest.mark.workflow,
    pytest.mark.xdist_group("workflow"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    if RESULTS in os.environ:
        return Path(os.environ[RESULTS])
    checkout = Checkout.copy(tmp_path_factory.mktemp("default") / "a checkout")
    done = checkout.snakemake("--cores", "2", timeout=LIMIT)
    assert done.returncode == 0, done.stdout[-6000:]
    return checkout.folder / "results"


@pytest.fixture(scope="module")
def studies(results) -> list[StudyAnswers]:
    return [from_json(read_json(path)) for path in sorted(results.glob("tables/*/answers.json"))]


@pytest.fixture(scope="module")
def rows(results, studies) -> pd.DataFrame:
    return pd.DataFrame(planted_rows(cards_of(results), studies))


def cards_of(results: Path) -> list[dict]:
    return [read_json(path) for path in sorted(results.glob("groups/[!.]*.json"))]


def test_every_planted_difference_is_found_in_a_leading_measure(rows, results):
    """By the best run of a model on the dataset's largest training set, after adjustment."""
    dataset = {card["name"]: card["dataset"] for card in cards_of(results)}
    planted = rows[rows["planted"]].assign(dataset=rows["cohort"].map(dataset))
    found = planted.groupby("dataset")["outcome"].agg(lambda each: FOUND in set(each))
    assert found.all(), planted[["cohort", "run", "whom", "outcome", "evidence"]].to_string()
    assert set(found.index) == {"nih", "chexpert", "ham10000", "fitzpatrick17k"}


def test_two_attributes_without_a_planted_difference_are_not_called(rows):
    others = rows[~rows["planted"]]
    called = others.groupby(["cohort", "attribute"])["outcome"].agg(
        lambda each: CALLED in set(each)
    )
    assert (~called).sum() >= 2, others[["cohort", "run", "attribute", "evidence"]].to_string()


def test_the_best_run_of_every_model_beats_the_untrained_control(studies):
    """A frozen encoder of minutes of training need not: the report warns of such runs. Zero-shot runs are not adapted to the task; cohorts without a control are not compared."""
    compared = 0
    for study in studies:
        for cohort in {run.cohort for run in study.runs if "_to_" not in run.cohort}:  # at home
            runs = study.on(cohort)
            values = {(run.model, run.method): auc_of(run) for run in runs}
            controls = [auc_of(run) for run in runs if run.role == CONTROL]
            if controls:
                trained = {
                    run: value
                    for run, value in values.items()
                    if run[0] not in study.controls and not run[1].startswith("zero_shot")
                }
                best = pd.Series(trained).groupby(level=0).max()
                assert best.min() > max(controls), values
                compared += 1
    assert compared >= 2


def auc_of(run) -> float:
    (value,) = [one.value for one in run.overall if one.metric == "auc"]
    return value


def test_the_page_that_explains_the_report_quotes_it(results):
    """Each quote of docs/first-report.md, and of the README, is on the first screen."""
    page = (results / "report.html").read_text(encoding="utf-8")
    screen = words(page[page.index('id="short"') : page.index('id="study-1"')])
    for name in ("docs/first-report.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        quotes = [line[2:] for line in text.splitlines() if line.startswith("> ")]
        assert quotes and [quote for quote in quotes if words(quote) not in screen] == []


def words(text: str) -> str:
    """Return the words of a text: no tags, no punctuation, which the terminal sets otherwise."""
    return re.sub(r"\W+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text))).strip()
