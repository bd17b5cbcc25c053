"""`medaudit score --mitigate`: remedies after training on a stranger's file of predictions."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from medaudit.adapt.after_training import AFTER_TRAINING
from medaudit.core.errors import MedauditError
from medaudit.metrics.thresholds import choose_threshold
from medaudit.score import score


def strangers_file(n=1200, shift=1.5):
    """Scores that a vendor's model gave: lower for one sex by a planted shift, 2 images a patient."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["F", "M"], n // 2)[np.arange(n) // 2]
    y = rng.integers(0, 2, n)
    logit = 1.8 * y - shift * (sex == "F") + rng.normal(size=n)
    return pd.DataFrame(
        {
            "StudyUID": [f"1.2.840.{k}" for k in range(n)],
            "PatientID": np.arange(n) // 2,
            "PatientSex": sex,
            "set": np.where(np.arange(n) < n // 2, "validation", "test"),
            "Pneumonia": y,
            "prob_Pneumonia": expit(logit).round(4),
        }
    )


@pytest.fixture(scope="module")
def found():
    return score(strangers_file(), draws=200, mitigate=True)


def test_a_planted_shift_is_corrected_by_thresholds_and_the_price_is_shown(found):
    table = found.remedies.set_index(["remedy", "group", "metric"])
    assert set(found.remedies["remedy"]) == {"plain", *AFTER_TRAINING}
    for name in ("equal_sensitivity", "platt_by_group", "equalized_odds"):
        assert table.loc[(name, "F", "tpr"), "low"] > 0, name
        assert table.loc[(name, "F", "tpr"), "needs_group"] == "yes"
        assert table.loc[(name, "largest difference", "tpr"), "change"] < -0.1, name
    one = table.loc["one_threshold"]
    assert one.loc[("F", "tpr"), "low"] > 0 and one.loc[("M", "tpr"), "change"] >= 0
    assert one.loc[("M", "fpr"), "low"] > 0  # what it costs
    assert (table.loc["platt"].xs("tpr", level="metric")["change"].abs() < 1e-9).all()


def test_plain_is_the_audits_own_value(found):
    plain = found.remedies[found.remedies["remedy"] == "plain"]
    metrics = found.metrics[
        (found.metrics["seed"] == "mean") & (found.metrics["attribute"] == "PatientSex")
    ]
    for row in plain[plain["group"].isin(["F", "M", "all"])].itertuples():
        same = metrics[(metrics["group"] == row.group) & (metrics["metric"] == row.metric)]
        assert row.value == pytest.approx(same["value"].item(), abs=1e-6)


def test_thresholds_come_from_validation_rows_alone(found):
    frame = strangers_file()
    val, test = (frame[frame["set"] == name] for name in ("validation", "test"))
    best = choose_threshold(
        val["prob_Pneumonia"].to_numpy(), (val["Pneumonia"] == 1).to_numpy(), "best_f1"
    )
    target = (val.loc[val["Pneumonia"] == 1, "prob_Pneumonia"] >= best).mean()
    table = found.remedies.set_index(["remedy", "group", "metric"])
    for sex in ("F", "M"):
        own = val[(val["PatientSex"] == sex) & (val["Pneumonia"] == 1)]["prob_Pneumonia"]
        cut = max(c for c in own if (own >= c).mean() >= target - 1e-9)
        held = test[(test["PatientSex"] == sex) & (test["Pneumonia"] == 1)]["prob_Pneumonia"]
        assert table.loc[("equal_sensitivity", sex, "tpr"), "value"] == pytest.approx(
            (held >= cut).mean()
        )


def test_the_report_has_tables_and_a_figure(found, tmp_path):
    page = found.write(tmp_path).read_text()
    assert "What helps?" in page and "law and ethics" in page
    name = found.study.name
    assert (tmp_path / "remedies" / f"{name}.csv").is_file()
    assert (tmp_path / "figures" / name / "remedy_changes.png").is_file()
    assert (tmp_path / "tables" / name / "remedy_groups.csv").is_file()


def test_without_validation_rows_it_says_what_to_do():
    with pytest.raises(MedauditError, match="add a column `split` with val and test"):
        score(strangers_file().drop(columns="set"), draws=50, mitigate=True)


def test_several_findings_and_an_unknown_group():
    frame = strangers_file(600)
    frame["Edema"], frame["prob_Edema"] = frame["Pneumonia"], 1 - frame["prob_Pneumonia"] * 0.9
    frame.loc[frame.index[::7], "PatientSex"] = "unknown"
    table = score(frame, draws=50, mitigate=True, yes=True).remedies
    assert set(table["task"]) == {"Pneumonia", "Edema"}
    assert "unknown" in set(table["group"])  # a level of its own
