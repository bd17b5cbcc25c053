"""Each way in which a file of predictions misleads a reader, in at least ten variations."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from medaudit.core.errors import MedauditError
from predictions_tables import base, labels_and_scores, read, truth_and_probability

Y, P = truth_and_probability()
N = len(Y)


def frame(**columns) -> pd.DataFrame:
    return base().assign(**columns)


def same(study, y=Y, p=P, task=None, groups=("sex",)) -> None:
    found, score = labels_and_scores(study, task)
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(score, p, atol=1e-5)
    assert roc_auc_score(found, score) == pytest.approx(roc_auc_score(y, p))
    if groups is not None:
        assert set(map(str, study.attributes)) == set(groups)


def text_of(study) -> str:
    return " ".join(f"{role} {text}" for role, text in study.detected)


DECISION = (P >= 0.5).astype(int)
ABOUT_THE_MODEL = {
    "correct": DECISION == Y,
    "Correct?": np.where(DECISION == Y, "yes", "no"),
    "predicted_label": DECISION,
    "Predicted": np.where(DECISION, "sick", "well"),
    "outcome": np.where(DECISION == Y, np.where(Y, "TP", "TN"), np.where(Y, "FN", "FP")),
    "status at exit": np.where(DECISION == Y, "TP/TN", "FP/FN"),
    "risk_level": np.select([P < 0.2, P < 0.7], ["low", "middle"], "high"),
    "triage": np.select([P < 0.1, P < 0.35], ["green", "amber"], "red"),
    "benign_malignant": np.where(Y, "malignant", "benign"),
    "label_numeric": Y,
    "error": (DECISION != Y).astype(int),
    "False Positive": DECISION & (1 - Y),
    "AI decision": np.where(DECISION, "refer", "keep"),
    "decile": np.digitize(P, np.quantile(P, np.arange(0.1, 1, 0.1))),
    "flagged at 0.3": (P >= 0.3).astype(int),
    "fold": np.arange(N) % 5,
    "cv_fold": np.arange(N) % 5,
    "StudyDate": [f"2020010{k % 9 + 1}" for k in range(N)],
    "exam date": [f"{k % 9 + 1:02d}.01.2020" for k in range(N)],
    "misclassified": DECISION != Y,
}


@pytest.mark.parametrize("name", ABOUT_THE_MODEL)
def test_what_follows_from_label_and_score_is_no_group(name):
    study = read(frame(label=Y, probability=P, **{name: ABOUT_THE_MODEL[name]}))
    same(study)
    asked = read(frame(label=Y, probability=P, **{name: ABOUT_THE_MODEL[name]}), attributes=[name])
    assert asked.attributes == [name]


def test_a_real_group_stays_one_however_it_is_related():
    rng = np.random.default_rng(3)
    site = np.where(Y == 1, rng.choice(["a", "b"], N, p=[0.8, 0.2]), rng.choice(["a", "b"], N))
    scanner = np.where(P > 0.5, rng.choice(["x", "y"], N, p=[0.9, 0.1]), "y")
    same(
        read(frame(label=Y, score=P, site=site, scanner=scanner)), groups=("sex", "site", "scanner")
    )


SOFTMAX = [
    ("NORMAL", "PNEUMONIA", "prob_NORMAL", "prob_PNEUMONIA", None),
    ("normal", "pneumonia", "prob_NORMAL", "prob_PNEUMONIA", None),
    ("benign", "malignant", "benign_prob", "malignant_prob", None),
    ("0", "1", "prob_0", "prob_1", None),
    ("0", "1", "prob_negative", "prob_positive", None),
    ("0", "1", "prob_normal", "prob_tuberculosis", None),
    ("0.0", "1.0", "p_0", "p_1", None),
    ("no", "yes", "score_no", "score_yes", None),
    ("Healthy", "Glaucoma", "P(healthy)", "P(glaucoma)", None),
    ("No Finding", "Pleural Effusion", "prob_No_Finding", "prob_Pleural_Effusion", None),
    ("NORMAL", "PNEUMONIA", "prob_0", "prob_1", None),
    ("left", "right", "prob_left", "prob_right", "right"),
    ("MEL", "NV", "prob_mel", "prob_nv", "NV"),
    ("adenoma", "cancer", "probability_adenoma", "probability_cancer", "cancer"),
]


@pytest.mark.parametrize(("negative", "positive", "first", "second", "named"), SOFTMAX)
def test_two_probabilities_of_two_classes_are_one_task(negative, positive, first, second, named):
    columns = {"label": np.where(Y, positive, negative), first: np.round(1 - P, 5), second: P}
    if named:
        with pytest.raises(MedauditError, match="--positive"):
            read(frame(**columns))
    study = read(frame(**columns), positive=named)
    same(study)
    assert len(study.predictions) == 1
    turned = read(frame(**columns), positive=negative)
    same(turned, 1 - Y, 1 - P)


def test_two_scores_of_classes_that_do_not_sum_to_one_are_questioned():
    with pytest.raises(MedauditError, match="--score 'prob_1'"):
        read(frame(label=Y, prob_0=np.round(1 - P**2, 4), prob_1=P))


CONFIDENCES = [
    ("pred_label", "pred_prob"),
    ("predicted_label", "confidence"),
    ("prediction", "score"),
    ("y_pred", "y_prob"),
    ("Predicted", "Confidence"),
    ("pred_class", "probability"),
    ("predicted class", "max probability"),
    ("y_hat", "conf"),
    ("model_prediction", "pred_confidence"),
    ("PredLabel", "PredScore"),
]


@pytest.mark.parametrize(("decision", "score"), CONFIDENCES)
def test_the_confidence_in_a_decision_is_turned(decision, score):
    columns = {decision: DECISION, score: np.maximum(P, 1 - P), "true_label": Y}
    same(read(frame(**columns)))
    words = np.where(DECISION, "positive", "negative")
    same(read(frame(**{**columns, decision: words})))
    with pytest.raises(MedauditError, match="no score of label is below 0.5"):
        read(frame(**columns).drop(columns=decision))
    with pytest.raises(MedauditError, match="--yes"):
        read(frame(**columns), columns={"ignore": [decision]})
    as_it_is = read(frame(**columns), columns={"ignore": [decision]}, yes=True)
    same(as_it_is, p=np.maximum(P, 1 - P))
    assert [doubt.task for doubt in as_it_is.doubts] == ["label"]


TASKS = [
    ("label_Edema", "prob_Edema", "label_Pleural Effusion", "prob_Pleural_Effusion"),
    ("label_pneumothorax", "prob_Pneumothorax", "label_mass", "prob_Mass"),
    ("y_edema", "score_edema", "y_mass", "score_mass"),
    ("Edema", "prob_Edema", "Mass", "prob_Mass"),
    ("Edema", "Edema_pred", "Mass", "Mass_pred"),
    ("Lung Opacity", "lung_opacity_score", "Mass", "mass_score"),
    ("edema_label", "edema_prob", "mass_label", "mass_prob"),
    ("true_edema", "pred_edema", "true_mass", "pred_mass"),
    ("gt.Edema", "pred.Edema", "gt.Mass", "pred.Mass"),
    ("target_0", "prob_0", "target_1", "prob_1"),
    ("EdemaLabel", "EdemaScore", "MassLabel", "MassScore"),
    ("label:Edema", "logit:Edema", "label:Mass", "logit:Mass"),
]


@pytest.mark.parametrize("names", TASKS)
def test_labels_and_scores_pair_however_they_are_spelt(names):
    y2, p2 = truth_and_probability(seed=8)
    first, second = P, p2
    if "logit" in names[1]:
        first, second = np.log(P / (1 - P)), np.log(p2 / (1 - p2))
    study = read(frame(**dict(zip(names, (Y, first, y2, second), strict=True))))
    assert len(study.tasks) == 2 and study.task_type == "multilabel"
    same(study, task=study.tasks[0])
    same(study, y2, p2, task=study.tasks[1])


def test_what_does_not_pair_is_an_error_that_lists_both():
    columns = {"label_Edema": Y, "prob_Edema": P, "label_Effusion": Y, "prob_PleuralEffusion": P}
    with pytest.raises(MedauditError, match="labels without a score: label_Effusion; scores without a label: prob_PleuralEffusion"):  # fmt: skip
        read(frame(**columns))
    ignored = {"ignore": ["label_Effusion", "prob_PleuralEffusion"]}
    same(read(frame(**columns), columns=ignored), task="Edema")


AGES = ["age_approx", "Age_at_scan", "age_at_cxr", "anchor_age", "age_years_old", "Age (years)"]
AGES += ["PatientAge", "age at study", "AgeYears", "patient_age", "AGE", "age_at_diagnosis"]


@pytest.mark.parametrize("name", AGES)
def test_the_column_of_ages_is_found_by_its_words(name):
    study = read(frame(label=Y, score=P, **{name: 30 + np.arange(N) % 60}))
    same(study, groups=("sex", "age_group"))
    old = (study.cohort["a_age_group"] == ">=60").to_numpy()
    np.testing.assert_array_equal(old, 30 + np.arange(N) % 60 >= 60)


WRITTEN = {
    ">89": (90, None),
    "90+": (90, None),
    "045Y": (45, None),
    "011M": (11 / 12, None),
    "003W": (3 * 7 / 365.2425, None),
    "010D": (10 / 365.2425, None),
    "046 years": (46, None),
    "46y": (46, None),
    "unknown": (np.nan, "no ages"),
    "-": (np.nan, "no ages"),
    "-1": (np.nan, "no ages"),
    "999": (np.nan, "no ages"),
    "57.0": (57, None),
}


@pytest.mark.parametrize("value", WRITTEN)
def test_ages_are_read_as_they_are_written(value):
    ages = [str(30 + k % 60) for k in range(N)]
    ages[3] = ages[17] = value
    study = read(frame(label=Y, score=P, age=ages))
    same(study, groups=("sex", "age_group"))
    expected, note = WRITTEN[value]
    assert study.cohort["age"].iloc[3] == pytest.approx(expected, nan_ok=True)
    assert note is None or note in text_of(study)
    same(read(frame(label=Y, score=P, age=ages), attributes=["sex"]))


@pytest.mark.parametrize("bands", [("18-40", "41-60", "61+"), ("<40", "40 to 60", ">60")])
def test_bands_of_ages_are_groups_of_their_own(bands):
    study = read(frame(label=Y, score=P, age=np.array(bands)[np.arange(N) % 3]))
    assert set(study.cohort["a_age"]) == set(bands)


def test_no_column_that_nobody_asked_for_stops_a_run():
    odd = {"age": np.where(np.arange(N) % 2, "old", "young"), "bmi": ["x"] * N, "empty": [None] * N}
    same(read(frame(label=Y, score=P, **odd)), groups=("sex", "age"))
    with pytest.raises(MedauditError, match="--age"):
        read(frame(label=Y, score=P, **odd), columns={"age": "age"})
    named = read(frame(label=Y, score=P, years=30 + np.arange(N) % 60), columns={"age": "years"})
    same(named, groups=("sex", "age_group"))


@pytest.mark.parametrize("name", ["age_group", "Age Group", "agegroup", "AgeGroup", "age_groups"])
def test_the_files_own_age_group_is_kept(name):
    own = np.array(["18-40", "41-65", "66+"])[np.arange(N) % 3]
    columns = {"label": Y, "score": P, "age": 20 + np.arange(N) % 70, name: own}
    study = read(frame(**columns))
    assert list(study.cohort[f"a_{name}"]) == list(own) and "--ignore" in text_of(study)
    cut = read(frame(**columns), columns={"ignore": [name]})
    assert set(cut.cohort["a_age_group"]) == {"<60", ">=60"}


ROLE_NAMES = ["finding", "condition", "class", "disease", "method", "network", "run", "set"]
ROLE_NAMES += ["subset", "model", "partition", "task", "pathology", "algorithm", "repeat"]


@pytest.mark.parametrize("name", ROLE_NAMES)
def test_metadata_that_is_named_like_a_role_is_an_attribute(name):
    levels = np.where(np.random.default_rng(6).random(N) < 0.5, "COVID-19", "influenza")
    study = read(frame(label=Y, score=P, **{name: levels}))
    same(study, groups=("sex", name))
    assert len(study.predictions) == 1
    same(read(frame(label=Y, score=P, **{name: levels}), columns={"not_a_role": name}), groups=("sex", name))  # fmt: skip


@pytest.mark.parametrize("code", ["-", "-1", "-9", "9", "u", "unk", ".", "?", "2", "uncertain"])
def test_a_code_in_the_labels_is_no_negative(code):
    labels = Y.astype(str).astype(object)
    labels[::11] = code
    with pytest.raises(MedauditError, match=f"--missing '[{code}]"):
        read(frame(label=labels, score=P))
    kept = np.arange(N) % 11 != 0
    same(read(frame(label=labels, score=P), columns={"missing": [code]}), Y[kept], P[kept])


def test_plus_and_minus_are_labels_together():
    same(read(frame(label=np.where(Y, "+", "-"), score=P)))


MULTICLASS = [
    ("mel", "prob_MEL"),
    ("Melanocytic nevi", "prob_Melanocytic_nevi"),
    ("class a", "score_class_a"),
    ("COVID-19", "COVID_19_prob"),
    ("type II", "P(type II)"),
    ("akiec", "logit_akiec"),
    ("3.0", "prob_3"),
    ("Bcc", "probBCC"),
    ("lung opacity", "lung_opacity"),
    ("df", "softmax_df"),
]


@pytest.mark.parametrize(("level", "column"), MULTICLASS[:8] + MULTICLASS[9:])
@pytest.mark.parametrize("digits", [2, 6])
def test_classes_are_matched_however_they_are_spelt(level, column, digits):
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, N)
    logits = rng.normal(size=(N, 3)) + 2 * np.eye(3)[truth]
    share = np.round(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), digits)
    others = [column.replace(level, x) if level in column else column + x for x in ("1", "2")]
    names = [level, *(f"{level}{x}" for x in ("1", "2"))]
    names = ["3.0", "1.0", "2.0"] if level == "3.0" else names
    others = ["prob_1", "prob_2"] if level == "3.0" else [_with(column, x) for x in ("1", "2")]
    given = logits if "logit" in column else share
    columns = {c: given[:, k] for k, c in enumerate([column, *others])}
    study = read(frame(label=np.array(names)[truth], **columns))
    assert study.task_type == "multiclass"
    for k, task in enumerate(study.tasks[:1]):
        y, score = labels_and_scores(study, task)
        which = names.index(task) if task in names else k
        expected = given[:, which] if "logit" not in column else share[:, which]
        assert roc_auc_score(y, score) == pytest.approx(
            roc_auc_score(truth == which, expected), abs=2e-3 if "logit" in column else 1e-9
        )


def _with(column: str, suffix: str) -> str:
    for end in ("_prob", ")"):
        if column.endswith(end):
            return column[: -len(end)] + suffix + end
    return column + suffix


def test_codes_of_classes_with_names_are_questioned():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, N)
    share = rng.dirichlet([1, 1, 1], N)
    columns = {f"prob_{name}": share[:, k] for k, name in enumerate(("akiec", "mel", "nv"))}
    with pytest.raises(MedauditError, match="--classes 'akiec' 'mel' 'nv'"):
        read(frame(label=truth, **columns))
    study = read(frame(label=truth, **columns), columns={"classes": ["nv", "akiec", "mel"]})
    y, score = labels_and_scores(study, "0")
    np.testing.assert_array_equal(y, truth == 0)
    np.testing.assert_allclose(score, share[:, 2])


PROBABILITIES = ["y_pred_proba", "pred_proba", "predicted_probability", "confidence", "probs"]
PROBABILITIES += ["y_scores", "prob_1", "risk_score", "raw_probability", "sigmoid", "likelihood"]


@pytest.mark.parametrize("name", PROBABILITIES)
@pytest.mark.parametrize("decision", ["y_pred", "prediction"])
def test_probabilities_come_before_decisions(name, decision):
    same(read(frame(y_true=Y, **{decision: DECISION, name: P})))


def test_of_several_probabilities_the_same_order_is_one_score_and_another_order_a_question():
    logit = np.log(P / (1 - P))
    cal = 1 / (1 + np.exp(-0.7 * logit))
    columns = {"raw_probability": P, "cal_probability": cal, "risk_score": np.round(100 * P)}
    study = read(frame(label=Y, prediction=DECISION, logit=logit, **columns))
    same(study)
    other = truth_and_probability(seed=5)[1]
    with pytest.raises(MedauditError, match="--score 'probability'"):
        read(frame(label=Y, probability=P, risk=other))
    both = read(
        frame(label=Y, probability=P, risk=other), columns={"score": ["probability", "risk"]}
    )
    assert len(both.predictions) == 2


@pytest.mark.parametrize("first", ["prob", "logit"])
@pytest.mark.parametrize("stem", ["class_0 class_1 class_2", "a b c", "mel nv bcc"])
def test_probabilities_come_before_logits_of_the_same_classes(first, stem):
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, N)
    logits = np.round(rng.normal(size=(N, 3)) + 2 * np.eye(3)[truth], 5)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = stem.split()
    kinds = {"prob": share, "logit": logits}
    columns: dict = {}
    for kind in (first, "prob" if first == "logit" else "logit"):
        columns |= {f"{kind}_{name}": kinds[kind][:, k] for k, name in enumerate(names)}
    study = read(frame(**columns, **{f"target_{n}": truth == k for k, n in enumerate(names)}))
    assert study.task_type == "multiclass"
    for k, task in enumerate(study.tasks):
        y, score = labels_and_scores(study, task)
        np.testing.assert_array_equal(y, truth == k)
        np.testing.assert_allclose(score, share[:, k])


def test_a_perfect_and_an_inverted_auc_are_questioned():
    with pytest.raises(
        MedauditError, match=r"the label of label is \(score >= 0.5\d*\) in every row"
    ):
        read(frame(label=DECISION, score=P))
    same(read(frame(label=DECISION, score=P), yes=True), DECISION)
    same(
        read(frame(label=DECISION, score=P), columns={"label": "label", "score": "score"}), DECISION
    )
    with pytest.raises(MedauditError, match="score of the other class"):
        read(frame(label=Y, score=1 - P))
    same(read(frame(label=Y, score=1 - P), yes=True), Y, 1 - P)
    same(read(frame(label=Y, score=1 - P), positive="0"), 1 - Y, 1 - P)
