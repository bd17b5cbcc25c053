"""Importance weights of the test split, against plain loops and known answers."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.groups.weights import resample, weigh, weight_columns

SETTINGS = {
    "name": "c",
    "tasks": ["Edema", "Mass"],
    "attributes": ["sex", ["sex", "race"]],
    "test_weights": "equal_prevalence",
    "age_given_label": False,
    "seed": 42,
}


def draw(n=4000, seed=0):
    """Return group, label and age bin that depend on each other."""
    rng = np.random.default_rng(seed)
    group = rng.choice(3, n, p=[0.78, 0.15, 0.07])
    label = (rng.random(n) < np.array([0.3, 0.1, 0.5])[group]).astype(int)
    age = np.clip(rng.poisson(2 + label + group), 0, 7)
    return group, label, age


def cohort(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male", "unknown"], n, p=[0.3, 0.6, 0.1])
    frame = pd.DataFrame(
        {
            "split": rng.choice(["train", "test"], n),
            "a_sex": pd.Series(sex, dtype="str"),
            "a_race": pd.Series(rng.choice(["asian", "black"], n), dtype="str"),
            "age": rng.integers(18, 91, n).astype(float),
            "y_Edema": (rng.random(n) < np.where(sex == "male", 0.5, 0.2)).astype(float),
            "y_Mass": (rng.random(n) < 0.1).astype(float),
        }
    )
    frame.index = rng.permutation(n) * 10
    return frame


def weighted(frame, **changes):
    columns, details = weight_columns(frame, {**SETTINGS, **changes})
    return pd.concat([frame, columns], axis=1), details


def plain_weights(group, label, age):
    """Return the weights by their definition: one cell after another."""
    n, groups = len(group), sorted(set(group))
    weights = np.zeros(n)
    for g in groups:
        for y in (0, 1):
            in_label = label == y
            present = [b for b in set(age) if ((group == g) & in_label & (age == b)).any()]
            covered = sum((age[in_label] == b).mean() for b in present)
            for b in present:
                cell = (group == g) & in_label & (age == b)
                target = in_label.mean() * (age[in_label] == b).mean() / covered / len(groups)
                weights[cell] = target / cell.sum() * n
    return weights


@pytest.mark.parametrize("ages", [False, True])
def test_weights_follow_their_definition(ages):
    group, label, age = draw()
    age = age * ages
    np.testing.assert_allclose(weigh(group, label, age), plain_weights(group, label, age))


def test_weights_equalise_mass_prevalence_and_ages():
    group, label, age = draw()
    age = np.clip(age, 2, 5) - 2
    weights = weigh(group, label, age)
    assert weights.mean() == pytest.approx(1)
    for g in range(3):
        own = group == g
        assert weights[own].sum() == pytest.approx(len(group) / 3)
        assert np.average(label[own], weights=weights[own]) == pytest.approx(label.mean())
        for y in (0, 1):
            part = own & (label == y)
            for b in range(4):
                share = np.average(age[part] == b, weights=weights[part])
                assert share == pytest.approx((age[label == y] == b).mean())


def test_an_empty_age_cell_keeps_mass_and_prevalence():
    group, label, age = draw()
    kept = ~((group == 2) & (label == 1) & (age < 4))
    group, label, age = group[kept], label[kept], age[kept]
    weights = weigh(group, label, age)
    own = group == 2
    assert weights[own].sum() == pytest.approx(len(group) / 3)
    assert np.average(label[own], weights=weights[own]) == pytest.approx(label.mean())


def test_a_group_of_one_class_is_undefined_and_the_others_are_not():
    group, label, age = draw()
    kept = ~((group == 1) & (label == 1))
    group, label, age = group[kept], label[kept], 0 * age[kept]
    weights = weigh(group, label, age)
    assert np.isnan(weights[group == 1]).all()
    for g in (0, 2):
        own = group == g
        assert weights[own].sum() == pytest.approx((group != 1).sum() / 2)
        assert np.average(label[own], weights=weights[own]) == pytest.approx(label.mean())


def test_a_label_that_nobody_has_equalises_groups_alone():
    group = np.array([0, 0, 0, 1])
    np.testing.assert_allclose(weigh(group, 0 * group, 0 * group), [2 / 3, 2 / 3, 2 / 3, 2])


def test_the_weighted_auc_ignores_a_confounder_of_prevalence():
    """The score is the label's in every group: weighting must not change a group's own AUC."""
    from sklearn.metrics import roc_auc_score

    group, label, _ = draw()
    score = label + np.random.default_rng(3).normal(size=len(label))
    weights = weigh(group, label, 0 * label)
    for g in range(3):
        own = group == g
        plain = roc_auc_score(label[own], score[own])
        assert roc_auc_score(label[own], score[own], sample_weight=weights[own]) == (
            pytest.approx(plain)
        )


def test_resampling_has_the_expectation_of_the_weights():
    group, label, age = draw(600)
    age = np.minimum(age, 2)
    draws = [resample(group, label, age, np.random.default_rng(seed)) for seed in range(400)]
    assert all(d.sum() == 3 * len(group) for d in draws)
    assert all((d == np.round(d)).all() for d in draws)
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    difference = np.mean(draws, axis=0) - 3 * weigh(group, label, age)
    assert (np.abs(difference) < 5 * error + 0.05).all()


def test_resampling_balances_each_draw():
    group, label, age = draw()
    counts = resample(group, label, age, np.random.default_rng(42))
    for g in range(3):
        own = group == g
        assert counts[own].sum() == pytest.approx(len(group), rel=0.05)
        assert np.average(label[own], weights=counts[own]) == pytest.approx(label.mean(), abs=0.03)
    assert (counts == 0).any()


def test_columns_stand_for_each_attribute_and_task_in_the_test_split_alone():
    frame, card = weighted(cohort())
    columns = [c for c in frame if c.startswith("w_")]
    assert columns == [
        "w_sex_Edema", "w_sex_Mass", "w_sex & race_Edema", "w_sex & race_Mass"
    ]  # fmt: skip
    test = frame["split"] == "test"
    assert frame.loc[~test, columns].isna().all(axis=None)
    assert frame.loc[test, columns].notna().all(axis=None)
    assert card["undefined"] == []
    own = frame[test]
    cells = own["a_sex"] + " & " + own["a_race"]
    mass = own["w_sex & race_Edema"].groupby(cells).sum()
    np.testing.assert_allclose(mass, len(own) / 6)
    positive = (own["w_sex & race_Edema"] * own["y_Edema"]).groupby(cells).sum()
    np.testing.assert_allclose(positive / mass, own["y_Edema"].mean())
    effective = {(e["attribute"], e["task"], e["group"]): e["n"] for e in card["effective_n"]}
    w = own.loc[own["a_sex"] == "female", "w_sex_Mass"]
    assert effective["sex", "Mass", "female"] == round((w.sum() ** 2 / (w**2).sum()), 1)


def test_missing_groups_labels_and_ages_have_no_weight():
    frame = cohort()
    test = frame.index[frame["split"] == "test"]
    frame.loc[test[:5], "a_sex"] = pd.NA
    frame.loc[test[5:10], "y_Edema"] = np.nan
    frame.loc[test[10:15], "age"] = np.nan
    found, _ = weighted(frame, age_given_label=True)
    assert found.loc[test, "w_sex_Edema"].isna().sum() == 15
    assert found.loc[test[:15], "w_sex_Edema"].isna().all()
    assert found.loc[test, "w_sex_Mass"].isna().sum() == 10


def test_what_cannot_be_equalised_is_in_the_card():
    frame = cohort()
    frame.loc[frame["a_sex"] == "unknown", "y_Mass"] = 0.0
    frame.loc[(frame["a_sex"] == "male") & (frame["y_Edema"] == 1), "age"] = 33
    found, card = weighted(frame, attributes=["sex"], age_given_label=True)
    assert [(u["task"], u["group"]) for u in card["undefined"]] == [("Mass", "unknown")]
    test = found[found["split"] == "test"]
    assert test.loc[test["a_sex"] == "unknown", "w_sex_Mass"].isna().all()
    uneven = {(a["task"], a["group"]): a["empty_cells"] for a in card["age_not_equal"]}
    bins = np.unique(np.searchsorted((20, 30, 40, 50, 60, 70, 80), test["age"]))
    assert uneven["Edema", "male"] == len(bins) - 1


def test_age_bins_have_the_originals_edges():
    frame = cohort(20_000)
    frame["a_race"] = pd.cut(frame["age"], [0, 20, 30, 40, 50, 60, 70, 80, 200]).astype("str")
    found, _ = weighted(frame, attributes=["sex"], age_given_label=True)
    test = found[found["split"] == "test"]
    for _, part in test.groupby(["a_sex", "y_Edema", "a_race"]):
        assert part["w_sex_Edema"].nunique() == 1


def test_ages_are_left_where_the_attribute_is_the_age_group():
    frame = cohort().rename(columns={"a_race": "a_age_group"})
    attributes = [["sex", "age_group"]]
    left, _ = weighted(frame, attributes=attributes, age_given_label=True)
    plain, _ = weighted(frame, attributes=attributes)
    assert left.equals(plain)


def test_draws_are_seeded_by_attribute_and_task():
    settings = {"test_weights": "resample", "attributes": ["sex"]}
    first, again = (weighted(cohort(), **settings)[0] for _ in range(2))
    assert first.equals(again)
    other, _ = weighted(cohort(), **settings, seed=43)
    assert not first["w_sex_Edema"].equals(other["w_sex_Edema"])
    total = first["w_sex_Edema"].sum()
    assert total == 3 * (first["split"] == "test").sum()


def test_no_weights_and_unknown_weights():
    frame = cohort()
    pd.testing.assert_frame_equal(weighted(frame, test_weights="none")[0], frame)
    with pytest.raises(MedauditError, match="test_weights is 'equal'"):
        weighted(frame, test_weights="equal")
