"""Binned scores: counts of a plain loop, exact at the audit's threshold, no small bins."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medaudit.metrics.sample import read_sample
from medaudit.report.scores.binning import LEAST, bin_scores, choose_edges, join_small
from medaudit.report.scores.missed import count_missed, missed_findings, write_missed
from medaudit.report.scores.runs import ScoredRun

RULE = {"threshold": {"rule": "best_f1"}, "minimum": {"n": 10}}


def tables(weights: bool = False, seeds: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A cohort of 400 images of 150 patients, and scores that are worse for women."""
    random = np.random.default_rng(3)
    patient = random.integers(0, 150, 400)
    female = random.random(150) < 0.4
    cohort = pd.DataFrame(
        {"image_id": [f"i{k}" for k in range(400)], "patient_id": [f"p{k}" for k in patient]}
    )
    cohort["split"] = np.where(patient % 4 == 0, "val", "test")
    cohort["a_sex"] = np.where(female[patient], "female", "male")
    cohort["y_Edema"] = (random.random(400) < 0.3).astype(float)
    if weights:
        cohort["w_sex_Edema"] = np.where(cohort["split"] == "test", random.random(400), np.nan)
    noise = random.normal(0, 0.2, (seeds, 400))
    score = np.clip(0.3 + 0.3 * cohort["y_Edema"].to_numpy() + noise, 0, 1)
    rows = [
        cohort[["image_id", "split"]].assign(
            task="Edema", seed=seed, y=cohort["y_Edema"], score=score[seed]
        )
        for seed in range(seeds)
    ]
    return pd.concat(rows, ignore_index=True), cohort


def sample_of(weights: bool = False, seeds: int = 2):
    predictions, cohort = tables(weights, seeds)
    test_weights = "equal_prevalence" if weights else "none"
    entry = {"task_type": "binary", "tasks": ["Edema"], "attributes": ["sex"]}
    given = {**entry, "test_weights": test_weights, "evaluation": RULE}
    return read_sample(predictions, cohort, given), cohort


@pytest.mark.parametrize("weights", [False, True])
def test_counts_are_those_of_a_loop_over_images_and_seeds(weights):
    sample, _ = sample_of(weights)
    found = bin_scores(sample, 10)["Edema"]
    sex = sample.attributes[1]
    for code, group in enumerate(sex.levels):
        bins = found.groups["sex", group]
        for k in range(len(bins.at) - 1):
            low, high = found.edges[bins.at[k]], found.edges[bins.at[k + 1]]
            cells = [0.0, 0.0]
            for s in range(2):
                for i in range(len(sex.codes)):
                    if sex.codes[i] == code and low <= sample.score[s, i, 0] < high:
                        weight = sample.weights["sex", "Edema"][i] if weights else 1
                        cells[int(sample.y[i, 0])] += weight / 2
            assert bins.negative[k] == pytest.approx(cells[0])
            assert bins.positive[k] == pytest.approx(cells[1])


def test_with_one_seed_the_bins_give_the_audits_decisions_at_its_threshold():
    sample, _ = sample_of(seeds=1)
    found = bin_scores(sample, 10)["Edema"]
    assert found.threshold in found.edges
    for bins in found.groups.values():
        k = list(found.edges[bins.at]).index(found.threshold)
        tp, fp = bins.positive[k:].sum(), bins.negative[k:].sum()
        assert bins.decided.tolist() == [tp, bins.positive.sum() - tp, fp, bins.negative.sum() - fp]


def test_no_bin_holds_fewer_patients_than_said():
    sample, _ = sample_of()
    found = bin_scores(sample, 10)["Edema"]
    for (attribute, group), bins in found.groups.items():
        own = next(a for a in sample.attributes if a.name == attribute)
        rows = own.codes == own.levels.index(group)
        for k in range(len(bins.at) - 1):
            low, high = found.edges[bins.at[k]], found.edges[bins.at[k + 1]]
            for seed in range(2):
                inside = (
                    rows & (sample.score[seed, :, 0] >= low) & (sample.score[seed, :, 0] < high)
                )
                assert len(set(sample.patient[inside])) >= LEAST


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=30), st.integers(1, 8), st.integers(0, 2**30)
)
def test_joined_bins_are_large_and_keep_the_ends(patients, least, seed):
    keep = np.random.default_rng(seed).random(len(patients) + 1) < 0.2
    at = join_small(np.array(patients), least, keep)
    assert at[0] == 0 and at[-1] == len(patients) and (np.diff(at) > 0).all()
    if len(at) > 2:
        assert np.add.reduceat(patients, at[:-1]).min() >= least


def test_an_edge_is_a_rounded_quantile_or_a_threshold():
    scores = np.random.default_rng(0).random(500)
    edges = choose_edges(scores, np.array([0.123456789, np.nan]))
    inner = edges[1:-1]
    assert edges[0] == 0 and edges[-1] > 1 and 0.123456789 in edges
    assert all(float(f"{e:.3g}") == e for e in inner if e != 0.123456789)


def test_copies_of_a_patients_images_double_the_inflation():
    sample, _ = sample_of(seeds=1)
    bins = bin_scores(sample, 10)["Edema"].groups["sex", "male"]
    rows = (sample.attributes[1].codes == 1) & (sample.y[:, 0] == 1)
    counts = np.bincount(sample.patient[rows])
    assert bins.inflation[0] == pytest.approx((counts**2).sum() / counts.sum())


def test_missed_findings_are_the_positives_that_most_seeds_call_negative(tmp_path):
    sample, cohort = sample_of(seeds=3)
    rows = cohort[cohort["split"] == "test"].reset_index(drop=True)
    run = ScoredRun("clinic", "m", "linear", sample, rows)
    found = missed_findings(run)
    expected = {
        rows["image_id"][i]
        for i in range(len(rows))
        if sample.y[i, 0] == 1 and sum(sample.decision[s, i, 0] == 0 for s in range(3)) >= 2
    }
    assert set(found["image_id"]) == expected and expected
    assert (
        found.set_index("image_id")["sex"] == rows.set_index("image_id")["a_sex"][found["image_id"]]
    ).all()
    by_group = count_missed(run, "sex")
    assert sum(row["missed"] for row in by_group) == len(expected)
    assert (
        pd.read_csv(write_missed(run, tmp_path))["image_id"].tolist() == found["image_id"].tolist()
    )
