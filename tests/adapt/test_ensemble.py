"""Ensembles of stored predictions against plain loops; what does not belong together is refused."""

import itertools

import numpy as np
import pandas as pd
import pytest

from medaudit.adapt.ensemble import ensemble
from medaudit.config import jobs
from medaudit.config.selection import with_members
from medaudit.config.validation import check, check_files
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_metadata, read_table, write_table
from shipped_config import SCHEMAS, edited, shipped

TASKS = ["edema", "effusion", "mass"]
IMAGES = {f"i{n:02d}": "val" if n < 12 else "test" for n in range(30)}
MEMBERS = ["one", "two", "three"]


def member(index: int, multiclass: bool, seeds: int = 2) -> pd.DataFrame:
    """Return random predictions with ties; labels do not depend on the member."""
    rng = np.random.default_rng(index)
    rows = []
    for seed in range(seeds):
        scores = rng.dirichlet(np.ones(3), len(IMAGES)) if multiclass else rng.random((30, 3))
        scores = scores if multiclass else np.round(scores, 1)
        y = np.eye(3)[np.random.default_rng(1).integers(0, 3, 30)]
        if not multiclass:
            y = np.random.default_rng(2).choice([0.0, 1.0, np.nan], (30, 3))
        for (t, task), (i, image) in itertools.product(enumerate(TASKS), enumerate(IMAGES)):
            rows.append((image, IMAGES[image], task, seed, y[i, t], scores[i, t]))
    return pd.DataFrame(rows, columns=list(PREDICTIONS.columns))


def settings(mean: str, multiclass: bool) -> dict:
    return {
        "cohort": "c",
        "model": "all",
        "method": "linear",
        "entry": {"members": MEMBERS, "mean": mean},
        "task_type": "multiclass" if multiclass else "multilabel",
    }


def run(folder, mean: str, multiclass: bool, tables: list[pd.DataFrame]):
    paths = [folder / f"{name}.parquet" for name in MEMBERS]
    for path, table in zip(paths, tables, strict=True):
        write_table(table, path, PREDICTIONS, phantom=True, notes=["a note"], spec={"kind": "x"})
    output = folder / "ensemble.parquet"
    ensemble(settings(mean, multiclass), predictions=paths, output=output)
    return read_table(output, PREDICTIONS), read_metadata(output)


def plain(tables: list[pd.DataFrame], mean: str, multiclass: bool) -> dict:
    """Recompute every score with loops."""
    scores = [
        {(r.seed, r.task, r.image_id): r.score for r in table.itertuples()} for table in tables
    ]
    found = {}
    for key in scores[0]:
        seed, task, image = key
        values = []
        for part in scores:
            if mean == "probabilities":
                values.append(part[key])
            elif mean == "logits":
                p = min(max(part[key], 1e-15), 1 - 1e-15)
                values.append(np.log(p) if multiclass else np.log(p) - np.log1p(-p))
            else:
                peers = [part[seed, task, other] for other in IMAGES if same(other, image)]
                below = sum(peer < part[key] for peer in peers)
                equal = sum(peer == part[key] for peer in peers)
                values.append((below + equal / 2) / len(peers))
        found[key] = sum(values) / len(values)
        if mean == "logits":
            found[key] = np.exp(found[key]) if multiclass else 1 / (1 + np.exp(-found[key]))
    if multiclass:
        sums = {(s, i): sum(found[s, t, i] for t in TASKS) for s, _, i in found}
        found = {(s, t, i): value / sums[s, i] for (s, t, i), value in found.items()}
    return found


def same(image: str, other: str) -> bool:
    return IMAGES[image] == IMAGES[other]


@pytest.mark.parametrize("multiclass", [False, True])
@pytest.mark.parametrize("mean", ["probabilities", "logits", "ranks"])
def test_scores_are_those_of_a_plain_loop(tmp_path, mean, multiclass):
    tables = [member(index, multiclass) for index in range(3)]
    shuffled = [tables[0], tables[1].sample(frac=1, random_state=0), tables[2].iloc[::-1]]
    table, footer = run(tmp_path, mean, multiclass, shuffled)
    expected = plain(tables, mean, multiclass)
    keys = list(zip(table["seed"], table["task"], table["image_id"], strict=True))
    np.testing.assert_allclose(table["score"], [expected[key] for key in keys], rtol=1e-12)
    pd.testing.assert_frame_equal(table.drop(columns="score"), tables[0].drop(columns="score"))
    assert table["score"].between(0, 1).all()
    if multiclass:
        sums = table.groupby(["seed", "image_id"])["score"].sum()
        np.testing.assert_allclose(sums, 1, atol=1e-12)
    assert footer["spec"] == {"kind": "ensemble", "members": MEMBERS, "mean": mean}
    assert footer["phantom"] is True
    assert footer["notes"][:3] == [f"{name}: a note" for name in MEMBERS]


def test_notes_say_what_was_done_to_the_scores(tmp_path):
    def notes(mean, multiclass):
        tables = [member(index, multiclass) for index in range(3)]
        return " ".join(run(tmp_path, mean, multiclass, tables)[1]["notes"][3:])

    assert notes("probabilities", True) == notes("logits", False) == ""
    assert "divided by their sum" in notes("logits", True)
    assert "no probabilities" in notes("ranks", False)
    assert "divided by their sum" in notes("ranks", True)


def test_an_ensemble_of_equals_is_each_of_them(tmp_path):
    for mean in ("probabilities", "logits"):
        table, _ = run(tmp_path, mean, True, [member(0, True)] * 3)
        np.testing.assert_allclose(table["score"], member(0, True)["score"], rtol=1e-9)


def test_certain_members_leave_finite_scores(tmp_path):
    tables = [member(0, False).assign(score=value) for value in (0.0, 1.0, 1.0)]
    table, _ = run(tmp_path, "logits", False, tables)
    assert table["score"].between(0.99, 1).all()


def test_the_result_is_the_same_to_the_last_byte(tmp_path):
    tables = [member(index, True) for index in range(3)]
    run(tmp_path, "ranks", True, tables)
    first = (tmp_path / "ensemble.parquet").read_bytes()
    run(tmp_path, "ranks", True, tables)
    assert (tmp_path / "ensemble.parquet").read_bytes() == first


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda t: t.iloc[:-3],
            r"two lacks 3 of the 180 predictions that one has, e\.g\. .*image_id i27",
        ),
        (lambda t: t[t["seed"] == 0], "two lacks 90 .*seed 1,"),
        (lambda t: t[t["task"] != "mass"], "two lacks 60 .*task mass,"),
        (
            lambda t: pd.concat([t, t.iloc[:1].assign(image_id="new")]),
            "one lacks 1 of the 181 predictions that two has.*image_id new",
        ),
        (lambda t: t.assign(y=t["y"].fillna(1)), "column y differs between two and one"),
        (lambda t: t.assign(split="test"), "column split differs between two and one"),
    ],
)
def test_members_that_do_not_belong_together_are_refused(tmp_path, damage, message):
    tables = [member(index, False) for index in range(3)]
    tables[1] = damage(tables[1])
    with pytest.raises(MedauditError, match=f"ensemble all on c with linear: {message}"):
        run(tmp_path, "probabilities", False, tables)
    assert not (tmp_path / "ensemble.parquet").exists()


def configured(**entry) -> dict:
    config = edited("studies/clip_nih/models", ["both"])
    config["models"]["both"] = {"kind": "ensemble", "members": ["pixels", "vit_random"], **entry}
    return config


def test_an_ensemble_is_a_model_of_a_study():
    config = check(configured(), SCHEMAS)
    names = {"cohort": "nih_6x200", "model": "both", "method": "linear"}
    assert names in jobs.runs(config, "clip_nih")
    assert jobs.JOBS["ensemble"][0](config, **names) == {
        **names,
        "entry": {"members": ["pixels", "vit_random"], "mean": "probabilities"},
        "task_type": "multiclass",
    }
    assert jobs.code(config, "ensemble", **names)
    assert not jobs.method_fits(config, "both", "full")
    assert not jobs.method_fits(config, "both", "zero_shot_clip")
    trainable = check(configured(members=["vit_random", "scratch_vit_b16"]), SCHEMAS)
    assert jobs.method_fits(trainable, "both", "full")


def test_an_ensemble_saw_what_its_members_saw():
    config = configured(members=["medical_mae_vit_b16", "bit_m_resnet152x2"])
    config["run"] = ["clip_nih"]
    lint = jobs.JOBS["lint"][0](check(config, SCHEMAS), cohort="nih_6x200")
    seen = ["CheXpert", "ImageNet-21K", "MIMIC-CXR", "NIH"]
    assert lint["models"]["both"] == {"pretraining_data": seen}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"members": ["pixels", "pixel"]}, r"members: 'pixel' is unknown \(did you mean 'pixels'"),
        ({"members": ["pixels", "both"]}, "members: 'both' is an ensemble itself"),
        ({"members": ["pixels", "ensemble_all"]}, "'ensemble_all' is an ensemble itself"),
        ({"members": ["pixels"]}, r"models\.both\.members"),
        ({"members": ["pixels", "pixels"]}, r"models\.both\.members"),
        ({"mean": "median"}, r"models\.both\.mean: 'median' is unknown"),
        ({"weights": None}, "key 'weights' is unknown"),
    ],
)
def test_an_ensemble_that_cannot_be_is_refused(entry, message):
    with pytest.raises(MedauditError, match=message):
        check(configured(**entry), SCHEMAS)


def test_the_files_of_members_are_asked_for():
    config = check(configured(members=["pixels", "mae_vit_b16"]), SCHEMAS)
    with pytest.raises(MedauditError, match=r"model mae_vit_b16: there is no .*mae_pretrain"):
        check_files(config)


def test_members_that_could_see_audited_patients_are_refused():
    config = configured(members=["pixels", "clip_small"])
    config["pretrainings"]["clip_small"]["audited"] = []
    with pytest.raises(MedauditError, match="clip_small is pretrained on nih"):
        check(config, SCHEMAS)


def test_members_are_listed_once():
    models = shipped()["models"]
    found = with_members(["ensemble_resnet", "bit_m_resnet152x2", "pixels"], models)
    assert found == ["ensemble_resnet", "bit_m_resnet152x2", "remedis_resnet152x2", "pixels"]
