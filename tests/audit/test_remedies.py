"""Changes by remedies against loops, planted effects, and what the stages read of the test split."""

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from medaudit.adapt.after_training import AFTER_TRAINING
from medaudit.adapt.mitigate import mitigate
from medaudit.adapt.mitigate.remedies import REMEDIES
from medaudit.adapt.mitigate.selection import RULES, choose, group_aucs
from medaudit.audit.remedies import remedies
from medaudit.audit.remedies.arms import Arm
from medaudit.audit.remedies.changes import compare_arms, on_front
from medaudit.core.audit_tables import MITIGATED
from medaudit.core.audit_tables import REMEDIES as TABLE
from medaudit.core.embeddings import write_embeddings
from medaudit.core.mitigation import BEST_SEED, OTHER_SEEDS, PLAIN
from medaudit.core.table_io import COHORT, read_metadata, read_table, write_table
from medaudit.metrics.simultaneous import simultaneous
from medaudit.report.wording.remedies import LABELS
from shipped_config import SCHEMAS

EVALUATION = {
    "threshold": {"rule": "youden"},
    "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
    "bootstrap": {"draws": 300, "level": 0.95},
    "ece_bins": 10,
    "mitigation": {
        "remedies": ["reweighting", "equal_sensitivity", "one_threshold"],
        "rules": ["auc", "worst_group"],
        "configurations": 2,
        "seeds": 2,
        "epochs": 4,
        "batch_size": 32,
        "learning_rate": [0.003, 0.03],
        "weight_decay": 0.0001,
        "hidden": 4,
    },
}


def draw_images(n, seed=0):
    rng = np.random.default_rng(seed)
    sex = rng.choice(["female", "male", "unknown"], n, p=[0.45, 0.45, 0.1])
    y = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k // 2}" for k in range(n)],
            "a_sex": sex,
            "y_edema": y.astype(float),
        }
    )


def arms_of(images, shift=0.0, seeds=3):
    """Plain scores that are lower for female, and a remedy that shifts their scores back."""
    rng = np.random.default_rng(1)
    female, y = (images["a_sex"] == "female").to_numpy(), images["y_edema"].to_numpy()
    z = np.stack([1.5 * y - 1.5 * female + rng.normal(size=len(y)) for _ in range(seeds)])
    score, corrected = expit(z), expit(z + shift * female)
    return [
        Arm("auc", PLAIN, score, (score >= 0.5).astype(float)),
        Arm("auc", "corrected", corrected, (corrected >= 0.5).astype(float), True),
        Arm("auc", OTHER_SEEDS, score[::-1], (score[::-1] >= 0.5).astype(float)),
    ]


def settings(**more):
    return {"cohort": "c", "model": "m", "evaluation": EVALUATION, **more}


def test_values_and_changes_are_those_of_a_loop():
    images = draw_images(300)
    arms = arms_of(images, 1.0)
    table = compare_arms(arms, images, "sex", "edema", settings())
    y = images["y_edema"].to_numpy()
    for row in table[table["group"].isin(["female", "male", "unknown", "all"])].itertuples():
        mask = (
            np.ones(len(y), bool)
            if row.group == "all"
            else (images["a_sex"] == row.group).to_numpy()
        )

        def mean(arm, metric=row.metric, mask=mask):
            values = []
            for score, decision in zip(arm.score, arm.decision, strict=True):
                s, d, own = score[mask], decision[mask], y[mask]
                if metric == "auc":
                    values.append(roc_auc_score(own, s))
                elif metric == "ece":
                    place = np.minimum((s * 10).astype(int), 9)
                    gaps = [abs((own[place == b] - s[place == b]).sum()) for b in range(10)]
                    values.append(sum(gaps) / len(own))
                else:
                    values.append(d[own == (metric == "tpr")].mean())
            return np.mean(values)

        arm = next(arm for arm in arms if arm.remedy == row.remedy)
        assert row.value == pytest.approx(mean(arm), abs=1e-6)
        if row.remedy != PLAIN:
            assert row.change == pytest.approx(mean(arm) - mean(arms[0]), abs=1e-6)
    worst = table[(table["group"] == "worst group") & (table["metric"] == "tpr")]
    single = table[table["group"].isin(["female", "male", "unknown"]) & (table["metric"] == "tpr")]
    for remedy, part in single.groupby("remedy"):
        expected = part["value"].min()
        assert worst.loc[worst["remedy"] == remedy, "value"].item() == pytest.approx(expected)


def test_a_planted_remedy_is_found_and_other_seeds_are_not():
    images = draw_images(800)
    table = compare_arms(arms_of(images, 1.5), images, "sex", "edema", settings())
    tpr = table[(table["metric"] == "tpr")].set_index(["remedy", "group"])
    assert tpr.loc[("corrected", "female"), "low"] > 0.1
    assert tpr.loc[("corrected", "male"), ["low", "high"]].tolist() == [0, 0]  # nothing changes
    own = tpr.loc[OTHER_SEEDS]
    assert ((own["low"] <= 0) & (own["high"] >= 0)).all()


def test_intervals_of_trained_arms_include_the_luck_of_seeds():
    """Two arms that are plain training with other seeds: the wider the seeds, the wider the interval."""
    images, widths = draw_images(400), []
    for noise in (0.1, 2.0):
        rng = np.random.default_rng(0)
        base = 1.5 * images["y_edema"].to_numpy()
        scores = [expit(base + noise * rng.normal(size=(4, len(images)))) for _ in range(2)]
        arms = [
            Arm("auc", name, score, (score >= 0.5).astype(float))
            for name, score in zip((PLAIN, OTHER_SEEDS), scores, strict=True)
        ]
        table = compare_arms(arms, images, "sex", "edema", settings())
        row = table[table["metric"].eq("auc") & table["group"].eq("all") & table["change"].notna()]
        widths.append((row["high"] - row["low"]).item())
    assert widths[1] > 2 * widths[0]


def test_simultaneous_intervals_cover_the_whole_family():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        data = rng.normal(size=(6, 40))
        draws = data[:, rng.integers(0, 40, (200, 40))].mean(axis=2)
        low, high, p = simultaneous(data.mean(axis=1), draws, 0.9)
        covered += bool(((low <= 0) & (high >= 0)).all())
    assert 0.83 <= covered / 200 <= 0.97
    low, high, p = simultaneous(np.array([0.0, np.nan]), np.zeros((2, 50)), 0.95)
    assert (low[0], high[0], p[0]) == (0, 0, 1) and np.isnan([low[1], high[1], p[1]]).all()


def test_the_front_is_counted_draw_by_draw():
    rng = np.random.default_rng(0)
    overall, worst = rng.normal(size=(2, 4, 50))
    overall[1], worst[1] = overall[0], worst[0]  # equal arms do not beat each other
    found = np.zeros(4)
    for d in range(50):
        for k in range(4):
            found[k] += not any(
                overall[j, d] >= overall[k, d]
                and worst[j, d] >= worst[k, d]
                and (overall[j, d] > overall[k, d] or worst[j, d] > worst[k, d])
                for j in range(4)
            )
    np.testing.assert_allclose(on_front(overall, worst), found / 50)


def test_group_aucs_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    logits, y, group = rng.normal(size=(2, 3, 60)), rng.integers(0, 2, 60), rng.integers(-1, 2, 60)
    found = group_aucs(logits, y, group, 3)
    for place, mask in enumerate((group > -2, group == 0, group == 1)):
        for s, c in np.ndindex(2, 3):
            expected = roc_auc_score(y[mask], logits[s, c, mask])
            assert found[s, c, place] == pytest.approx(expected)


def test_rules_of_selection():
    # all, group 0, group 1: point 2 has the best worst group, but point 3 beats it in both
    aucs = np.array([[0.9, 0.95, 0.5], [0.7, 0.72, 0.71], [0.8, 0.75, 0.75], [0.8, 0.9, 0.75]])
    assert [choose(rule, aucs) for rule in ("auc", "worst_group", "dto")] == [0, 3, 3]
    assert choose("worst_group", aucs[:, :1]) == 0  # no group is large enough


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mitigate")
    images = draw_images(240, 3)
    images["split"] = np.repeat(["train", "val", "test"], 80)
    images.loc[5, "a_sex"] = None
    images = images.assign(path="x", age=np.nan, view="frontal")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 5)) + images["y_edema"].to_numpy()[:, None]
    write_embeddings(images["image_id"].to_numpy(), x.astype(np.float32), folder / "e.parquet")
    order = list(COHORT.columns)
    images = images[[*order, "y_edema", "a_sex"]]
    write_table(images, folder / "c.parquet", COHORT)
    flipped = images.copy()
    test = flipped["split"] == "test"
    flipped.loc[test, "y_edema"] = 1 - flipped.loc[test, "y_edema"]
    write_table(flipped, folder / "flipped.parquet", COHORT)
    asked = settings(tasks=["edema"], attributes=["sex"])
    for name in ("c", "flipped"):
        mitigate(
            asked, cohort=folder / f"{name}.parquet", embeddings=folder / "e.parquet",
            output=folder / f"{name}_out.parquet",
        )  # fmt: skip
    return folder


def test_the_stage_does_not_read_the_labels_of_test(run):
    first, second = (read_table(run / f"{n}_out.parquet", MITIGATED) for n in ("c", "flipped"))
    pd.testing.assert_frame_equal(first, second)


def test_every_arm_is_there_for_every_rule(run):
    table = read_table(run / "c_out.parquet", MITIGATED)
    wanted = {PLAIN, OTHER_SEEDS, BEST_SEED, *EVALUATION["mitigation"]["remedies"]}
    for _, part in table.groupby("rule"):
        assert set(part["remedy"]) == wanted
    seeds = table.groupby("remedy")["seed"].nunique()
    assert seeds[PLAIN] == 2 and seeds[OTHER_SEEDS] == 2 and seeds[BEST_SEED] == 1
    assert table["image_id"].nunique() == 80
    records = {run["remedy"]: run for run in read_metadata(run / "c_out.parquet")["runs"]}
    assert set(records) == wanted
    assert len(records["reweighting"]["points"]) == len(records[PLAIN]["points"]) == 2
    assert records["equal_sensitivity"]["needs_group"] and not records[PLAIN]["needs_group"]


def test_the_table_of_remedies(run):
    remedies(
        settings(), mitigated=run / "c_out.parquet", cohort=run / "c.parquet", output=run / "r.csv"
    )
    table = read_table(run / "r.csv", TABLE)
    assert set(table["group"]) == {
        *("female", "male", "unknown", "all"), *("worst group", "largest difference"),
    }  # fmt: skip
    kinds = table.drop_duplicates("remedy").set_index("remedy")["kind"]
    assert kinds["reweighting"] == "embeddings" and kinds["one_threshold"] == "after training"
    assert kinds[PLAIN] == kinds[BEST_SEED] == "control"
    small = table[table["group"].eq("unknown") & table["metric"].eq("tpr")]
    assert set(small["status"]) == {"too_few"} or small["value"].notna().all()


def test_the_configuration_knows_the_same_names():
    schema = yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text())
    asked = schema["properties"]["evaluation"]["properties"]["mitigation"]["properties"]
    assert asked["remedies"]["items"]["enum"] == [*REMEDIES, *AFTER_TRAINING]
    assert set(asked["rules"]["items"]["enum"]) == set(RULES)
    assert set(LABELS) == {PLAIN, OTHER_SEEDS, BEST_SEED, *REMEDIES, *AFTER_TRAINING}
