"""Every option of `medaudit score`: against scikit-learn, the permutations, and by its messages."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from medaudit.cli import main
from medaudit.cli.score_options import read_threshold
from medaudit.core.errors import MedauditError
from medaudit.score import score
from medaudit.score.gap_view import adjusted_gaps, finding_gaps

TASKS = ("Edema", "Mass", "Nodule", "Fracture")


def planted(n: int = 600, seed: int = 3) -> pd.DataFrame:
    """Return predictions of which the scores of ill women are too low."""
    rng = np.random.default_rng(seed)
    sex, y = rng.choice(["F", "M"], n), rng.integers(0, 2, n)
    shift = 1.6 * y - 1.2 * y * (sex == "F")
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k // 2}" for k in range(n)],
            "Sex": sex,
            "race": rng.choice(["A", "B", "C"], n),
            "weight": np.where(rng.random(n) < 0.3, 4.0, 1.0),
            "label": y,
            "score": 1 / (1 + np.exp(-(rng.normal(size=n) + shift - 0.8))),
        }
    )


def several(n: int = 500) -> pd.DataFrame:
    """Return predictions of four findings, with a gap by sex in the first only."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {"image_id": [f"i{k}" for k in range(n)], "sex": rng.choice(["F", "M"], n)}
    )
    for task in TASKS:
        y = rng.integers(0, 2, n)
        shift = 1.6 * y - (2.0 * y * (frame["sex"] == "F") if task == "Edema" else 0)
        frame[f"label_{task}"] = y
        frame[f"score_{task}"] = 1 / (1 + np.exp(-(rng.normal(size=n) + shift - 0.8)))
    return frame


@pytest.fixture(scope="module")
def asked():
    return score(
        planted(),
        attributes=["sex", "race"],
        metrics=["Sensitivity", "specificity", "PPV", "roc_auc"],
        gaps=["max_min", "ratio"],
        reference={"SEX": "m"},
        level=0.9,
        draws=60,
    )


def of(table: pd.DataFrame, **where: str) -> pd.Series:
    rows = table[table["seed"] == "mean"]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.squeeze()


def test_metrics_by_their_other_names_are_those_of_scikit_learn(asked):
    frame = planted()
    for group, part in frame.groupby("Sex"):
        y, decided = part["label"], part["score"] >= 0.5
        expected = {
            "tpr": sk.recall_score(y, decided),
            "tnr": sk.recall_score(1 - y, ~decided),
            "ppv": sk.precision_score(y, decided),
            "auc": sk.roc_auc_score(y, part["score"]),
        }
        for metric, value in expected.items():
            row = of(asked.metrics, attribute="Sex", group=group, metric=metric)
            assert row["value"] == pytest.approx(value, abs=1e-12)


def test_the_gap_to_the_reference_group_is_signed(asked):
    rows = asked.gaps[asked.gaps["gap"].str.startswith("reference:")]
    assert set(rows["gap"]) == {"reference:F"} and set(rows["attribute"]) == {"Sex"}
    row = of(asked.gaps, gap="reference:F", metric="tpr")
    value = {g: of(asked.metrics, attribute="Sex", group=g, metric="tpr")["value"] for g in "FM"}
    assert row["value"] == pytest.approx(value["F"] - value["M"])
    assert row["low"] < row["value"] < row["high"] < 0 and row["p_value"] <= 0.05


def test_a_lower_level_gives_narrower_intervals(asked):
    wide = score(planted(), attributes=["sex"], metrics=["tpr"], draws=60, level=0.99)
    row = of(asked.metrics, attribute="Sex", group="F", metric="tpr")
    other = of(wide.metrics, attribute="Sex", group="F", metric="tpr")
    assert other["low"] < row["low"] < row["high"] < other["high"]


def test_weights_are_those_of_scikit_learn_for_groups_and_for_all():
    frame = planted()
    names = ["auc", "tpr", "accuracy"]
    result = score(frame, attributes=["Sex"], metrics=names, columns={"weight": "weight"}, draws=20)
    parts = {("Sex", g): part for g, part in frame.groupby("Sex")} | {("all", "all"): frame}
    for (attribute, group), part in parts.items():
        y, decided, w = part["label"], part["score"] >= 0.5, part["weight"]
        expected = (
            sk.roc_auc_score(y, part["score"], sample_weight=w),
            sk.recall_score(y, decided, sample_weight=w),
            sk.accuracy_score(y, decided, sample_weight=w),
        )
        for metric, value in zip(names, expected, strict=True):
            row = of(result.metrics, attribute=attribute, group=group, metric=metric)
            assert row["value"] == pytest.approx(value, abs=1e-12), (group, metric)
    assert "weight" not in set(result.gaps["attribute"])


def test_weights_of_a_multiclass_file_count_in_the_whole_decision():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 300)
    frame = pd.DataFrame(p, columns=["score_a", "score_b", "score_c"])
    frame["label"] = rng.choice(list("abc"), 300)
    frame["sex"] = rng.choice(["F", "M"], 300)
    frame["w"] = rng.uniform(0, 3, 300)
    result = score(
        frame, attributes=["sex"], metrics=["accuracy"], columns={"weight": "w"}, draws=20
    )
    chosen = np.array(list("abc"))[p.argmax(axis=1)]
    for group, part in frame.groupby("sex"):
        value = sk.accuracy_score(part["label"], chosen[part.index], sample_weight=part["w"])
        row = of(result.metrics, attribute="sex", group=group, metric="accuracy", task="all")
        assert row["value"] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "values, message",
    [([-1.0], "negative"), ([np.nan], "missing"), ([np.inf], "infinite"), ([0.0], "all weights")],
)
def test_weights_that_cannot_be_are_refused(values, message):
    frame = planted(60)
    if message == "all weights":
        frame["weight"] = 0.0
    frame.loc[0, "weight"] = values[0]
    with pytest.raises(MedauditError, match=message):
        score(frame, columns={"weight": "weight"}, draws=20)


def test_adjusted_p_values_are_the_reports(tmp_path):
    result = score(planted(300), attributes=["sex", "race"], metrics=["auc", "tpr"], draws=60)
    result.write(tmp_path)
    facts = pd.read_csv(next((tmp_path / "compare").glob("*.csv")))
    facts = facts[facts["kind"] == "gap"].set_index(["attribute", "gap", "metric"])
    mine = adjusted_gaps(result).set_index(["attribute", "gap", "metric"])
    assert len(mine) == len(facts) == 8
    expected = facts["p_adjusted"].reindex(mine.index)
    np.testing.assert_allclose(mine["p_adjusted"], expected, rtol=1e-5)


def test_a_gap_in_one_finding_is_shown_although_the_mean_hides_it(tmp_path, capsys):
    frame = several()
    found = finding_gaps(score(frame, attributes=["sex"], metrics=["tpr"], draws=200))
    found = found[found["gap"] == "max_min"].set_index("task")
    assert list(found.index) == list(TASKS)
    assert found.loc["Edema", "p_adjusted"] >= found.loc["Edema", "p_value"]
    assert found.loc["Edema", "p_adjusted"] <= 0.05
    frame.to_csv(tmp_path / "p.csv", index=False)
    arguments = ["--metrics", "recall", "--draws", "200", "--output", str(tmp_path / "out")]
    main(["score", str(tmp_path / "p.csv"), *arguments])
    out = capsys.readouterr().out
    assert all(re.search(rf"{task} +2 of 2 +0\.\d{{3}}", out) for task in TASKS)
    assert re.search(r"Edema +2 of 2 +0\.\d{3}\*", out)


def test_the_terminal_keeps_within_a_hundred_columns(tmp_path, capsys):
    frame = planted(300).rename(columns={"race": "self-reported race or ethnic origin"})
    frame.to_csv(tmp_path / "p.csv", index=False)
    main(
        ["score", str(tmp_path / "p.csv"), "--draws", "40", "--output", str(tmp_path / "out")]
        + ["--patient", "patient_id", "--weights", "weight", "--margin", "sensitivity=0.1"]
        + ["--reference-group", "sex=M", "--interval", "shrunk"]
    )
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines()[:-1])) <= 100
    for text in ("adj. p", "80 % find", "groups", "2 of 2", "F − M", "shrunken estimates"):
        assert text in out


@pytest.mark.parametrize(
    "options, message",
    [
        ({"metrics": ["sensitivty"]}, "did you mean 'sensitivity'"),
        ({"gaps": ["maxmin2"]}, "did you mean 'max_min'"),
        ({"reference": {"sex": "man"}}, "there is no group of Sex 'man'"),
        ({"reference": {"sexx": "M"}}, "did you mean 'Sex'"),
        ({"attributes": ["rase"]}, "did you mean 'race'"),
        ({"level": 95}, "not between 0.5 and 1"),
        ({"margins": {"tpr": 0.1, "sensitivity": 0.2}}, "given twice"),
    ],
)
def test_a_name_that_is_not_known_gets_the_nearest(options, message):
    with pytest.raises(MedauditError, match=re.escape(message)):
        score(planted(60), draws=20, **options)


def test_threshold_rules_with_their_value():
    assert read_threshold("sensitivity=0.95", None) == {"rule": "sensitivity", "value": 0.95}
    assert read_threshold("sensitivity", ["0.95"]) == read_threshold("sensitivity=0.95", None)
    assert read_threshold(None, ["Edema=0.3", "Mass=0.5"])["value"] == {"Edema": 0.3, "Mass": 0.5}
    assert read_threshold(None, None) is None
    for rule, given in (("sensitivity", None), ("best_f1=0.3", None), ("tpr=1", None)):
        with pytest.raises(MedauditError, match="threshold-rule"):
            read_threshold(rule, given)
    with pytest.raises(MedauditError, match="both give a value"):
        read_threshold("fpr=0.1", ["0.1"])
    with pytest.raises(MedauditError, match="not between 0 and 1"):
        read_threshold("fpr=ten", None)
