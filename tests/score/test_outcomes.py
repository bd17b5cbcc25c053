"""Measures of cases, grades, numbers and answers without scores, from files to tables."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

import medaudit
from medaudit.cli import main
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import GAPS, METRICS, read_table
from medaudit.score import score
from medaudit.score.outcome_audit import score_outcomes


def cases(n: int = 300) -> pd.DataFrame:
    """Return Dice and HD95 of organs; Dice is lower in women, HD95 is not."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(n // 2), 2)
    sex = rng.choice(["F", "M"], n // 2)[patient]
    grade = rng.integers(0, 5, n)
    return pd.DataFrame(
        {
            "image_id": [f"c{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in patient],
            "sex": sex,
            "site": rng.choice(["a", "b", "c"], n // 2)[patient],
            "Dice_liver": np.clip(rng.beta(20, 3, n) - 0.08 * (sex == "F"), 0, 1),
            "HD95 (mm)": np.exp(rng.normal(1.5, 0.6, n)),
            "grade": grade,
            "predicted": np.clip(grade + rng.integers(-1, 2, n) * (1 + (sex == "F")), 0, 4),
        }
    )


def questions(n: int = 800) -> pd.DataFrame:
    """Return answers of a model that misses more ill women, and refuses women more often."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(n // 2), 2)
    sex, y = rng.choice(["F", "M"], n // 2)[patient], rng.integers(0, 2, n)
    yes = rng.random(n) < np.where(y == 1, np.where(sex == "F", 0.6, 0.85), 0.15)
    reply = np.where(yes, "Yes.", "no").astype(object)
    refused = rng.random(n) < np.where(sex == "F", 0.2, 0.05)
    reply[refused] = np.where(rng.random(refused.sum()) < 0.5, "I am only an AI", None)
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in patient],
            "sex": sex,
            "label": y,
            "reply": reply,
        }
    )


REFUSAL = ["I am only an AI"]


@pytest.fixture(scope="module")
def measured():
    return medaudit.audit(cases(), measures=["Dice_liver", "HD95 (mm)"], draws=199)


@pytest.fixture(scope="module")
def answered():
    return medaudit.audit(questions(), answers="reply", refusals=REFUSAL, draws=100)


def test_groups_have_the_means_of_pandas(measured):
    means = cases().groupby("sex")[["Dice_liver", "HD95 (mm)"]].mean()
    np.testing.assert_allclose(measured.by_group.loc["sex"], means)
    np.testing.assert_allclose(measured.overall, cases()[["Dice_liver", "HD95 (mm)"]].mean())


def test_the_planted_gap_is_found_and_the_worse_group_named(measured):
    gap = measured.gaps.loc[("sex", "max_min", "Dice_liver")]
    assert gap["p_adjusted"] <= 0.05 and gap["worst"] == "F" and gap["low"] > 0
    assert gap["low"] < 0.08 < gap["high"] and gap["null"] == "equal_value"
    other = measured.gaps.loc[("sex", "max_min", "HD95 (mm)")]
    assert other["p_value"] > 0.05 and other["low"] == 0 and other["smallest_detectable"] > 0


def test_higher_distances_are_worse(measured):
    frame = cases()
    frame["HD95 (mm)"] += 4 * (frame["sex"] == "M")
    found = medaudit.audit(frame, measures=["HD95 (mm)"], attributes=["SEX"], draws=99)
    assert found.worst().loc[("sex", "HD95 (mm)"), "group"] == "M"


def test_grades_are_those_of_scikit_learn_from_a_file_and_from_arrays():
    frame = cases()
    found = medaudit.audit(
        frame, ordinal=["grade", "predicted"], attributes=["sex"], draws=99, patients="patient_id"
    )
    for group, part in frame.groupby("sex"):
        y, p = part["grade"], part["predicted"]
        row = found.by_group.loc[("sex", group)]
        expected = sk.cohen_kappa_score(y, p, weights="quadratic")
        assert row["quadratic_kappa"] == pytest.approx(expected)
        assert row["exact_agreement"] == pytest.approx(sk.accuracy_score(y, p))
        assert row["mean_absolute_error"] == pytest.approx(sk.mean_absolute_error(y, p))
        assert row["bias"] == pytest.approx((p - y).mean())
    arrays = medaudit.audit(
        frame["grade"],
        y_pred=frame["predicted"],
        ordinal=True,
        groups={"sex": frame["sex"]},
        patients=frame["patient_id"],
        draws=99,
    )
    pd.testing.assert_frame_equal(arrays.by_group, found.by_group)
    numbers = medaudit.audit(frame, continuous=["grade", "predicted"], draws=99)
    assert numbers.metrics == ["mean_absolute_error", "bias"]


def test_a_case_without_a_measure_is_counted_and_an_empty_mask_is_said():
    frame = cases()
    frame.loc[:9, "HD95 (mm)"] = np.inf
    frame.loc[10:14, "HD95 (mm)"] = np.nan
    found = score_outcomes(frame, columns_measured=["HD95 (mm)"], draws=50)
    notes = " ".join(note for _, note in found.study.detected)
    assert "5 cases without a value and 10 infinite ones are left out" in notes
    row = found.metrics[found.metrics["attribute"] == "all"].iloc[0]
    assert row["n"] == 285 and row["value"] == pytest.approx(frame["HD95 (mm)"][15:].mean())


def test_groups_that_are_too_small_and_unknown_are_said():
    frame = cases()
    frame.loc[:5, "site"] = "tiny"
    frame.loc[6:20, "site"] = None
    found = score_outcomes(frame, columns_measured=["Dice_liver"], attributes=["site"], draws=50)
    rows = found.metrics.set_index("group")["status"]
    assert rows["tiny"] == "too_few" and rows["missing"] == "missing"
    gap = found.gaps.iloc[0]
    assert (gap["n_estimable"], gap["n_groups"]) == (3, 4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"columns_measured": ["dize"]}, "has no column 'dize'"),
        ({"columns_measured": ["sex"]}, "are not numbers"),
        ({"ordinal": ["HD95 (mm)", "predicted"]}, "which is no grade"),
        ({"columns_measured": []}, "name at least one outcome"),
        ({"columns_measured": ["Dice_liver"], "margins": {"dice": 0.1}}, "there is no outcome"),
        ({"columns_measured": ["Dice_liver"], "margins": {"Dice_liver": 0}}, "is not above 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, message):
    with pytest.raises(MedauditError, match=re.escape(message)):
        score_outcomes(cases(), draws=50, **options)


def test_a_missing_prediction_is_refused():
    frame = cases().astype({"predicted": float})
    frame.loc[3, "predicted"] = np.nan
    with pytest.raises(MedauditError, match="first in row 4"):
        score_outcomes(frame, continuous=["grade", "predicted"], draws=50)


def test_the_command_writes_tables_and_a_page_and_its_gate_fails(tmp_path, capsys):
    path = tmp_path / "organs.csv"
    cases().to_csv(path, index=False)
    arguments = ["score", str(path), "--measures", "Dice_liver", "HD95 (mm)", "--draws", "99"]
    arguments += ["--output", str(tmp_path / "out"), "--margin", "Dice_liver=0.05"]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--gate"])
    assert caught.value.code == 3
    out = capsys.readouterr().out
    assert "Dice liver" in out and "equal_value" in out and "threshold" not in out
    for stage, schema in (("evaluate", METRICS), ("disparity", GAPS)):
        (file,) = (tmp_path / "out" / stage).rglob("*.csv")
        assert len(read_table(file, schema))
    assert "Dice liver" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--metrics", "auc"])
    assert caught.value.code == 1 or "--metrics" in str(caught.value)


def test_rates_of_answers_are_those_of_scikit_learn_among_the_answered(answered):
    frame = questions()
    frame = frame[frame["reply"].isin(["Yes.", "no"])]
    for group, part in frame.groupby("sex"):
        y, yes = part["label"], part["reply"] == "Yes."
        row = answered.by_group.loc[("sex", group)]
        assert row["tpr"] == pytest.approx(sk.recall_score(y, yes))
        assert row["tnr"] == pytest.approx(sk.recall_score(1 - y, ~yes))
        assert row["ppv"] == pytest.approx(sk.precision_score(y, yes))
        assert row["selection_rate"] == pytest.approx(yes.mean())


def test_answers_have_no_auc(answered):
    rows = answered.estimates[answered.estimates["metric"] == "auc"]
    assert (
        len(rows) and set(rows["status"]) == {"undefined:no_score"} and rows["value"].isna().all()
    )
    gap = answered.gaps.loc[("sex", "max_min", "auc")]
    assert gap["status"] == "undefined:no_score" and gap["n_estimable"] == 0
    found = score(
        questions(), answers="reply", refusals=REFUSAL, metrics=["brier", "tpr"], draws=20
    )
    brier = found.metrics[found.metrics["metric"] == "brier"]
    assert set(brier["status"]) == {"undefined:no_score"}


def test_refusals_are_an_outcome_of_their_own(answered):
    frame = questions()
    refused = ~frame["reply"].isin(["Yes.", "no"])
    for group, part in frame.assign(refused=refused).groupby("sex"):
        row = answered.by_group.loc[("sex", group)]
        assert row["refusal_rate"] == pytest.approx(part["refused"].mean())
        ill = part[part["label"] == 1]
        assert row["tpr_refusals_as_misses"] == pytest.approx((ill["reply"] == "Yes.").mean())
        well = part[part["label"] == 0]
        assert row["tnr_refusals_as_errors"] == pytest.approx((well["reply"] == "no").mean())
    gap = answered.gaps.loc[("sex", "max_min", "refusal_rate")]
    assert gap["p_adjusted"] <= 0.05 and gap["worst"] == "F" and gap["null"] == "equal_value"
    lint = answered.result.lint
    (message,) = lint.loc[lint["check"] == "refused", "message"]
    assert f"{int(refused.sum())} of 800 images got no answer" in message
    assert not lint["check"].isin(["score_range", "label_polarity"]).any()


def test_an_audit_of_answers_writes_the_report(answered, tmp_path):
    page = answered.write(tmp_path)
    assert "no score" in page.read_text()
    (file,) = (tmp_path / "evaluate").rglob("*.csv")
    assert "refusal_rate" in set(read_table(file, METRICS)["metric"])
    sensitivity = pd.read_csv(next((tmp_path / "sensitivity").rglob("*.csv")))
    assert "threshold" not in set(sensitivity["question"])


def test_decisions_as_arrays_are_answers():
    frame = questions()
    yes = (frame["reply"] == "Yes.").to_numpy()
    found = medaudit.audit(frame["label"], y_pred=yes, groups={"sex": frame["sex"]}, draws=20)
    own = frame["sex"] == "F"
    expected = sk.recall_score(frame["label"][own], yes[own])
    assert found.by_group.loc[("sex", "F"), "tpr"] == pytest.approx(expected)
    assert "refusal_rate" not in found.metrics


def test_an_answer_that_is_neither_yes_nor_no_is_asked_about():
    with pytest.raises(MedauditError, match="--refusal 'i am only an ai'"):
        score(questions(), answers="reply", draws=20)
    with pytest.raises(MedauditError, match="has no column"):
        score(questions(), answers="answer", draws=20)


def decided(name: str, truth: str, words: tuple[object, object]) -> pd.DataFrame:
    """Return a file whose only output is a decision, written in `words` for no and yes."""
    rng = np.random.default_rng(3)
    y, sex = rng.integers(0, 2, 400), rng.choice(["F", "M"], 400)
    yes = rng.random(400) < np.where(y == 1, np.where(sex == "F", 0.5, 0.9), 0.1)
    columns = {truth: [words[k] for k in y], "sex": sex, name: [words[int(k)] for k in yes]}
    return pd.DataFrame({"patient_id": [f"p{k}" for k in range(400)], **columns})


@pytest.mark.parametrize(
    ("name", "truth", "words"),
    [
        ("prediction", "truth", (0, 1)),
        ("y_pred", "y_true", (0.0, 1.0)),
        ("predicted_label", "label", (0, 1)),
    ],
)
def test_a_file_with_decisions_only_is_read_as_answers(name, truth, words):
    frame = decided(name, truth, words)
    result = score(frame, draws=50, yes=True)
    found = result.metrics[result.metrics["group"].eq("F")].groupby("metric").first()
    women = frame[frame["sex"].eq("F")]
    expected = sk.recall_score(women[truth].astype(int), women[name].astype(int))
    assert found.loc["tpr", "value"] == pytest.approx(expected, abs=1e-9)
    assert found.loc["auc", "status"] == "undefined:no_score"
    said = result.answers.runs[0].attributes[0].sentence
    assert "threshold" not in said and "By its own answers, it misses" in said


def test_words_without_scores_are_refused_with_the_option_that_reads_them():
    frame = decided("reply", "truth", ("no", "yes"))
    with pytest.raises(MedauditError, match="say --answers reply"):
        score(frame, draws=20, yes=True)
    result = score(frame, answers="reply", draws=20, yes=True)
    assert result.study.scored is False
