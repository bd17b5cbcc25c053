"""Changes since an earlier audit: draws against a loop, paired and unpaired, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from medaudit.cli import main
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_table
from medaudit.metrics.group_audit import audit
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import read_sample
from medaudit.score import score
from medaudit.score.changes import CHANGES, compare, compare_with
from medaudit.score.changes.audits import Audit
from medaudit.score.changes.differences import mover

DRAWS = 300


def cohort(rng, ids, rate=0.8, images=2, sex=None):
    """Return predictions of patients, each with `images` images; sex follows from the id."""
    patient = np.repeat(ids, images)
    y = rng.random(len(patient)) < 0.5
    right = rng.random(len(patient)) < np.where(y, rate, 0.85)
    positive = np.where(y, right, ~right)
    frame = pd.DataFrame({"patient_id": [f"p{k:05d}" for k in patient], "label": y.astype(int)})
    frame["image_id"] = [f"{p}-{k % images}" for k, p in enumerate(frame["patient_id"])]
    frame["sex"] = np.where(patient % 3 == 0, "f", "m") if sex is None else sex
    frame["score"] = np.where(
        positive, rng.uniform(0.5, 1, len(frame)), rng.uniform(0, 0.49, len(frame))
    ).round(4)
    return frame


def as_audit(frame, metrics=("tpr", "auc"), draws=DRAWS):
    """Return an audit of a frame without the report's parts, which are slow."""
    table = frame.rename(columns={"label": "y_d", "sex": "a_sex"}).drop(columns="score")
    table = table.assign(split="test", path="", age=np.nan, view=None)
    predictions = frame.assign(split="test", task="d", seed=0, y=frame["label"].astype(float))
    evaluation = {
        "metrics": list(metrics),
        "threshold": {"rule": "fixed", "value": 0.5},
        "bootstrap": {"draws": draws, "level": 0.95},
        "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
        "ece_bins": 15,
    }
    settings = {"cohort": "c", "model": "m", "method": "k", "task_type": "binary", "tasks": ["d"]}
    settings |= {"attributes": ["sex"], "strata": [], "evaluation": evaluation}
    sample = read_sample(predictions, table, settings)
    rows, _ = audit(predictions, table, settings, sample=sample)
    rows = rows[rows["seed"] == "mean"].reset_index(drop=True)
    return Audit(("m", "k"), evaluation, sample, rows, table, True)


@pytest.mark.parametrize("shared", [0, 60, 200])
def test_draws_and_correlation_are_those_of_a_loop(shared):
    rng = np.random.default_rng(shared)
    then = cohort(rng, np.arange(200))
    now = cohort(rng, np.arange(200 - shared, 400 - shared))
    if shared:  # part of the images answered alike
        both = now.merge(then, on="image_id", suffixes=("", "_then"))
        alike = both["image_id"][rng.random(len(both)) < 0.8]
        now = now.set_index("image_id")
        now.loc[alike, ["label", "score"]] = then.set_index("image_id").loc[
            alike, ["label", "score"]
        ]
        now = now.reset_index()
    found = compare(as_audit(then), as_audit(now))
    assert found.counts == {
        "both": shared,
        "earlier only": 200 - shared,
        "now only": 200 - shared,
    }
    people = sorted({*then["patient_id"], *now["patient_id"]})
    in_both = {*then["patient_id"]} & {*now["patient_id"]}
    part = [0 if p in in_both else 1 if p in set(then["patient_id"]) else 2 for p in people]
    strata = np.unique(part, return_inverse=True)[1]
    weights = pd.DataFrame(draw_patients(strata, "changes", slice(0, DRAWS)), index=people)
    table = found.table.set_index(["metric", "group"])
    for group in ("all", "f", "m"):
        drawn = []
        for frame in (then, now):
            own = frame[(frame["label"] == 1) & ((frame["sex"] == group) | (group == "all"))]
            counts = weights.loc[own["patient_id"]].to_numpy(float)
            drawn.append(
                (counts * (own["score"] >= 0.5).to_numpy()[:, None]).sum(0) / counts.sum(0)
            )
        row = table.loc[("tpr", group)]
        assert row["correlation"] == pytest.approx(np.corrcoef(*drawn)[0, 1], abs=1e-4)
        assert row["change"] == pytest.approx(row["now"] - row["before"])
        if not shared:
            assert abs(row["correlation"]) < 0.2
        elif shared == 200:
            assert row["correlation"] > 0.5
        # Wilson's limits, Student's quantile and the lattice make it a little wider than the
        # normal interval of the loop's differences
        spread = np.std(drawn[1] - drawn[0])
        assert 0.85 < (row["high"] - row["low"]) / (2 * 1.96 * spread) < 1.35


def test_pairs_are_the_difference_of_the_groups():
    rng = np.random.default_rng(8)
    found = compare(
        as_audit(cohort(rng, np.arange(150))), as_audit(cohort(rng, np.arange(150, 300)))
    )
    table = found.table.set_index(["metric", "group"])
    for metric in ("tpr", "auc"):
        pair = table.loc[(metric, "f minus m")]
        for when in ("before", "now", "change"):
            first, second = (table.loc[(metric, group)][when] for group in ("f", "m"))
            assert pair[when] == pytest.approx(first - second)
        assert pair["kind"] == "difference" and pair["low"] < pair["change"] < pair["high"]


def test_the_same_audit_twice_has_not_changed():
    frame = cohort(np.random.default_rng(1), np.arange(120))
    table = compare(as_audit(frame), as_audit(frame)).table
    assert (table["change"] == 0).all() and (table["p_adjusted"] == 1).all()
    assert set(table["verdict"]) == {"no change shown"}
    assert table["correlation"].min() > 0.999


def test_mover_is_the_paired_formula():
    """Against a large bootstrap of correlated proportions."""
    rng = np.random.default_rng(2)
    n, p, q, rho = 400, 0.8, 0.7, 0.5
    from scipy.stats import norm

    common = rng.normal(size=(20_000, 2))
    both = np.sqrt(rho) * common[:, :1] + np.sqrt(1 - rho) * rng.normal(size=(20_000, 2))
    first, second = both[:, 0] < norm.ppf(p), both[:, 1] < norm.ppf(q)
    r = np.corrcoef(first, second)[0, 1]
    errors = [np.sqrt(x * (1 - x) / n) for x in (p, q)]
    limits = [(x, x - 1.96 * e, x + 1.96 * e) for x, e in zip((p, q), errors, strict=True)]
    low, high = mover(limits[0], limits[1], r)
    spread = np.sqrt(errors[0] ** 2 + errors[1] ** 2 - 2 * r * errors[0] * errors[1])
    assert (high - low) / 2 == pytest.approx(1.96 * spread)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0, 100, 200])
def test_false_changes(shared):
    rng, false, tested = np.random.default_rng(30 + shared), 0, 200
    for _ in range(tested):
        then = cohort(rng, np.arange(200))
        now = cohort(rng, np.arange(200 - shared, 400 - shared))
        table = compare(as_audit(then, ["tpr"]), as_audit(now, ["tpr"])).table
        false += bool((table["verdict"] == "changed").any())
    rate = false / tested
    error = np.sqrt(rate * (1 - rate) / tested)
    print(f"\n{shared} of 200 patients in both: {rate:.3f} ({error:.3f}) of equal pairs differ")
    assert rate <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / tested)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changes")
    frame = cohort(np.random.default_rng(4), np.arange(250))
    frame.to_csv(folder / "then.csv", index=False)
    score(frame, attributes=["sex"], draws=100).write(folder / "then")
    return folder


def worse_for_men(frame):
    hit = (frame["label"] == 1) & (frame["sex"] == "m") & (np.arange(len(frame)) % 2 == 0)
    return frame.assign(score=np.where(hit, frame["score"] * 0.3, frame["score"]))


def test_a_planted_change_is_found_and_named(earlier, capsys):
    frame = worse_for_men(pd.read_csv(earlier / "then.csv"))
    frame.to_csv(earlier / "now.csv", index=False)
    main(
        ["score", str(earlier / "now.csv"), "--attributes", "sex", "--draws", "100"]
        + ["--output", str(earlier / "now"), "--against", str(earlier / "then")]
    )
    said = capsys.readouterr().out
    assert "250 patients in both audits" in said and "The comparison is paired" in said
    table = read_table(earlier / "now" / "changes.csv", CHANGES)
    tpr = table[table["metric"] == "tpr"].set_index("group")
    assert tpr.at["m", "verdict"] == "changed" and tpr.at["m", "change"] < -0.3
    assert tpr.at["f", "verdict"] == "no change shown" and tpr.at["f", "change"] == 0
    assert tpr.at["f minus m", "verdict"] == "changed" and tpr.at["f minus m", "change"] > 0.3
    record = json.loads((earlier / "now" / "changes.json").read_text())
    assert any(line.startswith("TPR of label, sex m changed from") for line in record["sentences"])


def test_another_threshold_is_said_and_decisions_are_not_compared(earlier):
    now = score(
        pd.read_csv(earlier / "then.csv"),
        attributes=["sex"],
        draws=60,
        threshold={"rule": "fixed", "value": 0.4},
    )
    found = compare_with(now, earlier / "then")[0]
    assert set(found.table["metric"]) == {"auc", "average_precision", "ece"}
    assert any("--threshold 0.5" in remark for remark in found.remarks)


def test_ids_of_other_people_are_not_paired(earlier):
    frame = pd.read_csv(earlier / "then.csv")
    frame["sex"] = np.where(frame["sex"] == "m", "f", "m")
    found = compare_with(score(frame, attributes=["sex"], draws=60), earlier / "then")[0]
    assert found.counts["both"] == 0
    assert any("not taken to be of the same people" in remark for remark in found.remarks)
    assert found.table["correlation"].abs().max() < 0.4


def test_changed_labels_are_said(earlier):
    frame = pd.read_csv(earlier / "then.csv")
    frame.loc[:6, "label"] = 1 - frame.loc[:6, "label"]
    found = compare_with(score(frame, attributes=["sex"], draws=60), earlier / "then")[0]
    assert any(remark.startswith("7 of 500 images") for remark in found.remarks)


def test_what_cannot_be_compared_is_an_error(earlier, tmp_path):
    frame = pd.read_csv(earlier / "then.csv")
    with pytest.raises(SystemExit, match="no run.json"):
        main(["score", str(earlier / "then.csv"), "--against", str(tmp_path)])
    with pytest.raises(SystemExit, match="give another --output"):
        folder = str(earlier / "then")
        main(["score", str(earlier / "then.csv"), "--against", folder, "--output", folder])
    other = frame.rename(columns={"label": "label_a", "score": "score_a"})
    other = other.assign(label_b=other["label_a"], score_b=other["score_a"])
    with pytest.raises(MedauditError, match="earlier audit has the tasks label, this one a, b"):
        compare_with(score(other, attributes=["sex"], draws=20), earlier / "then")
    with pytest.raises(MedauditError, match="--level 0.95"):
        compare_with(score(frame, attributes=["sex"], draws=20, level=0.9), earlier / "then")
