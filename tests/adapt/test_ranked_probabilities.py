"""Probabilities that keep the order of logits, against scikit-learn on the logits themselves."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logsumexp, softmax
from sklearn.metrics import average_precision_score, roc_auc_score

from medaudit.adapt.logits import probabilities, ranked_probabilities
from medaudit.adapt.predictions.probabilities import as_probabilities

FLOATS = st.floats(-1e300, 1e300)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(FLOATS | st.floats(-50, 50) | st.sampled_from([0.0, -0.0, 1e-300, -1e-17]), min_size=1)
)
def test_order_ties_and_decisions_are_those_of_the_logits(values):
    logits = np.array(values)
    found = ranked_probabilities(logits[:, None], False)[:, 0]
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found, expit(logits), atol=1e-13)
    order = np.argsort(logits, kind="stable")
    rises = np.diff(logits[order]) > 0
    assert (np.diff(found[order])[rises] > 0).all() and (np.diff(found[order])[~rises] == 0).all()
    assert ((found >= 0.5) == (logits >= 0)).all()


def cases(scale, kind):
    rng = np.random.default_rng(7)
    y = rng.random(4000) < 0.3
    return y, ((rng.normal(size=4000) + 1.2 * y - 0.5) * scale).astype(kind)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("scale", [1, 30, 100, 1e6])
def test_large_logits_rank_as_given(scale, kind):
    y, logits = cases(scale, kind)
    found = ranked_probabilities(logits[:, None], False)[:, 0]
    assert roc_auc_score(y, found) == roc_auc_score(y, logits)
    assert average_precision_score(y, found) == average_precision_score(y, logits)
    np.testing.assert_allclose(found, expit(logits.astype(float)), atol=1e-9)
    if scale > 1:
        assert roc_auc_score(y, expit(logits.astype(float))) != roc_auc_score(y, logits)


@pytest.mark.parametrize("scale", [1, 25, 1e4])
def test_classes_rank_by_their_log_odds(scale):
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(2000, 4)) * scale
    truth = np.array([rng.choice(4, p=softmax(row / scale)) for row in logits])
    found = ranked_probabilities(logits, True)
    np.testing.assert_allclose(found, probabilities(logits, True), atol=1e-10)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    assert (found.argmax(axis=1) == logits.argmax(axis=1)).all()
    for k in range(4):
        odds = [row[k] - logsumexp(np.delete(row, k)) for row in logits]
        assert roc_auc_score(truth == k, found[:, k]) == roc_auc_score(truth == k, odds)


def test_a_file_of_classes_in_any_order_of_rows():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(50, 3)) * 60
    keys = {"model": "m", "method": "x", "seed": 0}
    rows = [
        {**keys, "image_id": f"i{i}", "task": f"c{k}", "score": logits[i, k]}
        for i in range(50)
        for k in range(3)
    ]
    frame = pd.DataFrame(rows).sample(frac=1, random_state=0).reset_index(drop=True)
    score, read = as_probabilities(frame, "auto", multiclass=True)
    assert read == "logits, through a softmax"
    expected = ranked_probabilities(logits, True)
    for row, value in zip(frame.itertuples(), score, strict=True):
        assert value == expected[int(row.image_id[1:]), int(row.task[1:])]
