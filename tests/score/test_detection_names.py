"""No spelling of truth, decision and score, with any content, reaches a silent wrong number."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medaudit.core.errors import MedauditError
from predictions_tables import base, labels_and_scores, read, truth_and_probability

TRUTHS = (
    *("true_label", "label", "y_true", "ground_truth", "target", "gt", "truth", "TrueLabel"),
    *("True Label", "actual", "y", "labels", "diagnosis", "outcome", "class", "y_test", "yTrue"),
    *("label_true", "GroundTruth", "true_class", "targets", "reference", "label_numeric"),
)
DECISIONS = (
    *("predicted_label", "pred_label", "y_pred", "prediction", "predicted", "pred", "Predicted"),
    *("PredLabel", "predicted class", "pred_class", "model_prediction", "y_hat", "ai_decision"),
    *("label_pred", "preds", "model_output", "predictedLabel", "prediction_label", "decision"),
)
SCORES = (
    *("predicted_probability", "pred_prob", "y_pred_proba", "y_prob", "score", "probability"),
    *("prob", "y_score", "confidence", "pred_score", "PredProb", "model score", "probs", "scores"),
    *("risk_score", "proba", "predicted_prob", "y_scores", "sigmoid", "P(malignant)", "prob_1"),
    *("risk", "likelihood", "score_pred", "AI score", "pneumonia_prob", "output"),
)
EXTRAS = ("correct", "outcome_type", "risk_level", "fold", "is_correct", "error", "TP", "age")
WORDS = {
    "01": ("0", "1"),
    "floats": ("0.0", "1.0"),
    "yes": ("no", "yes"),
    "True": ("False", "True"),
    "classes": ("NORMAL", "PNEUMONIA"),
    "benign": ("benign", "malignant"),
    "other": ("control arm", "case arm"),
}
CONTENTS = ("probability", "confidence", "logit", "percent", "other class", "above half")


def score_column(content: str, p: np.ndarray) -> np.ndarray:
    columns = {
        "probability": p,
        "confidence": np.maximum(p, 1 - p),
        "logit": np.log(p / (1 - p)),
        "percent": np.round(100 * p, 2),
        "other class": 1 - p,
        "above half": 0.5 + p / 2,
    }
    return columns[content]


def extra(name: str, y: np.ndarray, p: np.ndarray, decision: np.ndarray):
    columns = {
        "correct": decision == y,
        "is_correct": (decision == y).astype(int),
        "outcome_type": np.where(decision == y, np.where(y, "TP", "TN"), np.where(y, "FN", "FP")),
        "risk_level": np.select([p < 0.2, p < 0.7], ["low", "middle"], "high"),
        "fold": np.arange(len(y)) % 5,
        "error": (decision != y).astype(int),
        "TP": decision & y,
        "age": 30 + np.arange(len(y)) % 60,
    }
    return columns[name]


SPEC = st.fixed_dictionaries(
    {
        "truth": st.sampled_from(TRUTHS),
        "decision": st.sampled_from([None, *DECISIONS, *DECISIONS]),
        "score": st.sampled_from(SCORES),
        "words": st.sampled_from(sorted(WORDS)),
        "decided": st.sampled_from(["half", "half", "low", "another"]),
        "in_words": st.booleans(),
        "content": st.sampled_from(["probability", "probability", *CONTENTS]),
        "extras": st.lists(st.sampled_from(EXTRAS), max_size=3, unique=True),
        "order": st.integers(0, 1000),
    }
)


def build(spec: dict) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    y, p = truth_and_probability()
    decisions = {
        "half": (p >= 0.5).astype(int),
        "low": (p >= 0.3).astype(int),
        "another": (truth_and_probability(seed=9)[1] >= 0.5).astype(int),
    }
    # the confidence in a class is that of the class that was predicted
    decided = "half" if spec["content"] == "confidence" else spec["decided"]
    decision, (negative, positive) = decisions[decided], WORDS[spec["words"]]
    columns = {spec["truth"]: np.where(y, positive, negative)}
    if spec["decision"]:
        words = (negative, positive) if spec["in_words"] else ("0", "1")
        columns[spec["decision"]] = np.where(decision, words[1], words[0])
    columns[spec["score"]] = score_column(spec["content"], p)
    columns |= {name: extra(name, y, p, decision) for name in spec["extras"]}
    names = np.random.default_rng(spec["order"]).permutation(list(columns))
    return base().assign(**{name: columns[name] for name in names}), y, p


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SPEC)
def test_a_triple_of_columns_gives_the_right_number_or_a_question(spec):
    frame, y, p = build(spec)
    try:
        study = read(frame)
    except MedauditError as error:
        assert "--" in str(error)
        return
    found, score = labels_and_scores(study)
    assert list(found) == list(y), "another truth"
    assert np.allclose(score, p, atol=1e-6), "another score"
    assert roc_auc_score(found, score) == pytest.approx(roc_auc_score(y, p))
    assert set(map(str, study.attributes)) <= {"sex", "age_group"}


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_usual_triple_needs_no_question(truth):
    y, p = truth_and_probability()
    frame = base().assign(**{truth: y, "predicted_label": (p >= 0.5).astype(int)})
    study = read(frame.assign(predicted_probability=p, correct=(p >= 0.5) == y))
    found, score = labels_and_scores(study)
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(score, p)
    assert study.attributes == ["sex"]


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("score", ["y_pred_proba", "probability", "confidence", "risk score"])
def test_the_names_of_decisions_are_never_truth_score_or_group(decision, score):
    y, p = truth_and_probability()
    frame = base().assign(**{decision: (p >= 0.5).astype(int), score: p, "label": y})
    study = read(frame)
    found, scores = labels_and_scores(study)
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(scores, p)
    assert study.attributes == ["sex"]


@pytest.mark.parametrize("score", SCORES)
def test_the_names_of_scores_are_found(score):
    y, p = truth_and_probability()
    found, scores = labels_and_scores(read(base().assign(label=y, **{score: p})))
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(scores, p)


def test_two_columns_that_could_be_the_truth_are_questioned():
    y, p = truth_and_probability()
    other = np.where(np.arange(len(y)) % 7 == 0, 1 - y, y)
    frame = base().assign(label=y, target=other, score=p)
    with pytest.raises(MedauditError, match="--label 'label'"):
        read(frame)
    found, _ = labels_and_scores(read(frame, columns={"label": "target"}))
    np.testing.assert_array_equal(found, other)
    same = pd.DataFrame({"diagnosis": np.where(y, "malignant", "benign")})
    found, _ = labels_and_scores(read(frame.drop(columns="target").join(same)))
    np.testing.assert_array_equal(found, y)
