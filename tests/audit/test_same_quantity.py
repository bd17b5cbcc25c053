"""A dialect's measure that the audit reports too has the audit's interval, and no other has."""

import numpy as np
import pandas as pd
import pytest

from medaudit.audit.dialects.same_quantity import quote_audit
from medaudit.score import score


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(2)
    n = 400
    frame = pd.DataFrame({"image_id": range(n), "sex": rng.choice(["f", "m"], n)})
    for task in ("edema", "mass"):
        y = (rng.random(n) < 0.4).astype(int)
        frame[f"label_{task}"] = y
        frame[f"score_{task}"] = np.round(1 / (1 + np.exp(1 - rng.normal(1.4 * y, 1))), 4)
    return score(frame, draws=60)


def row(frame: pd.DataFrame, **wanted) -> pd.Series:
    for column, value in {"seed": "mean", "attribute": "sex", **wanted}.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.mark.parametrize(
    ("dialect", "measure", "metric", "task"),
    [
        ("How fair", "fairness gap (gap of means)", "auc", "mean"),
        ("How fair", "fairness gap (mean of gaps)", "auc", "mean_of_gaps"),
        ("FairTune", "gap AUC", "auc", "mean"),
        ("FairTune", "DPD (fairlearn)", "selection_rate", "mean_of_gaps"),
        ("FairMedFM", "eo", "tpr", "mean_of_gaps"),
        ("textbook", "F1 delta", "f1", "mean"),
        ("textbook", "ECE delta", "ece", "mean_of_gaps"),
    ],
)
def test_the_same_gap_has_one_interval_and_one_test(result, dialect, measure, metric, task):
    own = row(result.dialects, dialect=dialect, measure=measure)
    audit = row(result.gaps, metric=metric, task=task, gap="max_min")
    names = ["value", "low", "high", "null_mean", "null_q95", "p_value"]
    assert own[names].to_numpy(float) == pytest.approx(audit[names].to_numpy(float), nan_ok=True)


def test_performance_of_all_quotes_the_metrics(result):
    own = row(result.dialects, attribute="all", measure="macro F1")
    audit = row(result.metrics, attribute="all", group="all", metric="f1", task="mean")
    names = ["value", "low", "high"]
    assert own[names].to_numpy(float) == pytest.approx(audit[names].to_numpy(float))


def test_other_measures_and_other_values_keep_their_own_interval(result):
    shifted = result.gaps.assign(low=-9.0, high=9.0)
    quoted = quote_audit(result.dialects, result.metrics, shifted)
    odds = quoted["measure"].isin(["EqOdds", "EOddsD (fairlearn)", "min AUC", "eod"])
    assert odds.any() and not quoted.loc[odds, "high"].eq(9.0).any()
    assert quoted.loc[quoted["measure"].eq("gap AUC"), "high"].eq(9.0).all()
    other = quote_audit(result.dialects, result.metrics, shifted.assign(value=0.5))
    pd.testing.assert_frame_equal(other, result.dialects)
