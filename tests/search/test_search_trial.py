"""Trials of a search equal a plain training loop: stored, shared, killed or refitted."""

import json
import multiprocessing
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from medaudit.adapt.finetune import finetune
from medaudit.adapt.finetune.cached_levels import choose_levels
from medaudit.adapt.finetune.frozen_blocks_cache import CachedLoader
from medaudit.adapt.finetune.loader import ImageLoader
from medaudit.adapt.finetune.network import build_network
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import (
    COHORT,
    IMAGES,
    PREDICTIONS,
    read_metadata,
    read_table,
    write_array,
    write_json,
    write_table,
)
from medaudit.search.subset import balanced_subset
from medaudit.search.trial_runner import TrialRunner
from medaudit.training.batches import epoch_order
from search_trials import (
    DEPTH,
    ENTRY,
    MASKS,
    MODEL,
    TRAIN,
    VAL,
    die_half_way,
    settings,
    train,
    work,
    work_apart,
)

LEVELS = {"deep": 2, "last": 3, "first": 0, "linear": DEPTH + 1, "full": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """80 noisy images; a bright left half is a sign of `sick`, a weaker one in women."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    count = TRAIN + VAL + 16
    y, sex = rng.integers(0, 2, count), rng.choice(["male", "female"], count)
    images = rng.normal(90, 30, (count, 16, 16))
    images[:, :, :8] += np.where(sex == "male", 40, 15)[:, None, None] * y[:, None, None]
    ids = [f"i{number:02d}" for number in range(count)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids})
    split = rng.permutation(["train"] * TRAIN + ["val"] * VAL + ["test"] * 16)
    frame = frame.assign(age=50.0, view="PA", split=split, y_sick=y.astype(float), a_sex=sex)
    write_table(frame, folder / "cohort.parquet", COHORT)
    store = folder / "images"
    write_array(images.clip(0, 255).astype(np.uint8), store / "images.npy")
    index = pd.DataFrame({"image_id": ids, "row": range(count), "status": "ok", "error": None})
    write_table(index, store / "index.parquet", IMAGES)
    write_json({"phantom": True}, store / "card.json")
    return {"cohort": folder / "cohort.parquet", "images": store}


def plain_loop(runner: TrialRunner, data: dict, mask: str, rate: float) -> np.ndarray:
    """Return the same of a loop written out: the whole network on every image in every step."""
    tune = {"tune": "mask", "mask": MASKS[mask]} if mask in MASKS else {"tune": mask}
    network = build_network(settings(**tune), runner.seed, torch.device("cpu"))
    pixels = np.load(data["images"] / "images.npy")
    frame = read_table(data["cohort"], COHORT)
    y = torch.tensor(frame["y_sick"].to_numpy(), dtype=torch.float32)[:, None]
    rows = {name: np.flatnonzero(frame["split"] == name) for name in ("train", "val")}
    x = network.encoder.prepare(pixels)
    kinds: dict[bool, list] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            token = name.endswith(("cls_token", "pos_embed"))
            kinds[parameter.ndim > 1 and not token].append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": kinds[True], "weight_decay": 0.01},
            {"params": kinds[False], "weight_decay": 0.0},
        ]
    )
    found, steps = [], -(-TRAIN // 16)
    for epoch in range(3):
        order = epoch_order(TRAIN, runner.seed, epoch)
        for step in range(steps):
            batch = rows["train"][order[step * 16 : (step + 1) * 16]]
            done = epoch + step / steps
            cosine = 0.5 * (1 + np.cos(np.pi * (done - 1) / 2))
            for group in optimizer.param_groups:
                group["lr"] = rate * (done if done < 1 else cosine)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            found.append(network(x[rows["val"]]).numpy())
    return np.stack(found)


@pytest.mark.parametrize("mask", LEVELS)
def test_a_trial_has_the_numbers_of_a_plain_loop(data, tmp_path, mask):
    runner = TrialRunner(settings(), **data, scratch=tmp_path)
    found = train(runner, mask)
    assert getattr(runner.cache.loader(), "level", 0) == LEVELS[mask]
    assert found.dtype == np.float32
    assert found.shape == (3, VAL, 1)
    assert np.ptp(found[-1]) > 0.01
    np.testing.assert_allclose(found, plain_loop(runner, data, mask, 3e-3), atol=1e-5)


@pytest.mark.parametrize("mask", ["deep", "last", "linear"])
def test_half_precision_is_within_the_stated_tolerance(data, tmp_path, mask):
    exact = train(TrialRunner(settings(), **data), mask)
    half = TrialRunner(settings(cache={"precision": "float16"}), **data, scratch=tmp_path)
    found = train(half, mask)
    assert next(tmp_path.rglob("*.npy")).stat().st_size < 1e6
    assert 0 < np.abs(found - exact).max() < 5e-3 * exact.std()


def test_a_trial_does_not_depend_on_those_before_it(data, tmp_path):
    runner = TrialRunner(settings(), **data, scratch=tmp_path)
    first = train(runner, "last")
    train(runner, "full", 1e-2)
    train(runner, "first", 1e-2)
    assert np.array_equal(train(runner, "last"), first)


def test_a_trial_ends_when_its_driver_says_so(data):
    runner = TrialRunner(settings(), **data)
    assert len(train(runner, "deep", epochs=2)) == 2
    assert np.array_equal(train(runner, "deep", epochs=1), train(runner, "deep")[:1])


def test_the_validation_frame_is_in_the_order_of_the_logits(data):
    runner = TrialRunner(settings(epochs=20), **data)
    frame = read_table(data["cohort"], COHORT)
    expected = frame.loc[frame["split"] == "val", "image_id"].tolist()
    assert runner.validation["image_id"].tolist() == expected
    men = (runner.validation["a_sex"] == "male").to_numpy()
    score = train(runner, "full", 1e-2)[-1, men, 0]
    assert roc_auc_score(runner.validation.loc[men, "y_sick"], score) > 0.85


def test_fixed_views_are_the_same_stored_or_not(data, tmp_path):
    views = {"augmentation": {"scale": [0.5, 0.9], "rotation": 10.0}, "views": 2}
    plain = TrialRunner(settings(**views), **data)
    stored = TrialRunner(settings(**views), **data, scratch=tmp_path)
    expected = train(plain, "deep")
    np.testing.assert_allclose(train(stored, "deep"), expected, atol=1e-5)
    loader = stored.cache.loader()
    assert isinstance(loader, CachedLoader)
    assert len(loader.values) == 2 * TRAIN + VAL
    assert not np.allclose(expected, train(TrialRunner(settings(), **data), "deep"), atol=1e-3)
    every = train(TrialRunner(settings(**{**views, "views": None}), **data), "deep")
    assert not np.allclose(expected, every, atol=1e-3)


def test_a_fixed_view_depends_on_image_and_number_alone(data):
    runner = TrialRunner(settings(augmentation={"scale": [0.3, 0.9]}, views=3), **data)
    loader, rows = runner.images, np.array([5, 9, 2, 7])
    assert isinstance(loader, ImageLoader)
    part = np.arange(4)
    whole = loader.training_batch(rows, part, (1, 0), 4)
    some = loader.training_batch(rows[::-1], part[:2], (2, 9), 4)
    assert torch.equal(some, whole.flip(0)[:2])
    assert torch.equal(loader.training_batch(rows, part, (1, 0), 7), whole)
    assert not torch.equal(loader.training_batch(rows, part, (1, 0), 5), whole)


def test_new_views_are_never_stored(data, tmp_path):
    runner = TrialRunner(
        settings(augmentation={"scale": [0.5, 0.9]}, views=None), **data, scratch=tmp_path
    )
    train(runner, "last", epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_what_is_stored_is_bounded(data, tmp_path):
    level = (TRAIN + VAL) * 5 * 24 * 4
    features = (TRAIN + VAL) * 24 * 4
    cache = {"gigabytes": (features + level + 1) / 1e9, "precision": "float32"}
    runner = TrialRunner(settings(cache=cache), **data, scratch=tmp_path)
    assert runner.cache.levels == (2, DEPTH + 1)
    used = {}
    for mask in ("last", "deep", "linear", "full"):
        train(runner, mask, epochs=1)
        used[mask] = getattr(runner.cache.loader(), "level", 0)
    assert used == {"last": 2, "deep": 2, "linear": DEPTH + 1, "full": 0}
    header = 128
    total = sum(path.stat().st_size for path in tmp_path.rglob("*.npy"))
    assert total <= features + level + 2 * header
    plain = train(TrialRunner(settings(), **data), "last")
    np.testing.assert_allclose(train(runner, "last"), plain, atol=1e-5)


def test_levels_are_chosen_by_what_they_save():
    sizes = [100] * 12 + [1]
    assert choose_levels(sizes, 10_000) == tuple(range(1, 14))
    assert choose_levels(sizes, 50) == (13,)
    assert choose_levels(sizes, 0) == ()
    few = choose_levels(sizes, 301)
    assert len(few) == 4
    saved = {levels: savings(levels) for levels in ((13,), (11, 12, 13), (10, 11, 12, 13), few)}
    assert saved[few] == max(saved.values())
    uneven = [5, 3, 8, 1]
    assert sum(uneven[level - 1] for level in choose_levels(uneven, 9)) <= 9


def savings(levels: tuple[int, ...]) -> int:
    return sum(max([0, *(lv for lv in levels if lv <= frozen)]) for frozen in range(14))


def test_two_workers_share_what_one_of_them_stored(data, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    other = context.Process(target=work_apart, args=(data, tmp_path, barrier, queue))
    other.start()
    found = [work(data, tmp_path, barrier), queue.get(timeout=300)]
    other.join()
    assert sorted(stored for _, stored in found) == [[], [2]]
    assert np.array_equal(found[0][0], found[1][0])
    assert len(list(tmp_path.rglob("level_2.npy"))) == 1
    plain = train(TrialRunner(settings(), **data), "deep")
    np.testing.assert_allclose(found[0][0], plain, atol=1e-5)


def test_what_a_killed_worker_left_is_never_read(data, tmp_path):
    worker = multiprocessing.get_context("spawn").Process(
        target=die_half_way, args=(data, tmp_path)
    )
    worker.start()
    worker.join(300)
    assert worker.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.rglob(".level_2.npy.*"))) == 1
    assert not list(tmp_path.rglob("level_2.npy"))
    runner = TrialRunner(settings(), **data, scratch=tmp_path)
    found = train(runner, "deep")
    assert runner.cache.loader().level == 2
    assert not list(tmp_path.rglob(".level_2.npy.*"))
    np.testing.assert_allclose(found, train(TrialRunner(settings(), **data), "deep"), atol=1e-5)


def test_a_full_disk_costs_time_and_no_number(data, tmp_path, caplog):
    runner = TrialRunner(settings(), **data, scratch=tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    runner.cache._store = full
    assert np.array_equal(train(runner, "deep"), train(TrialRunner(settings(), **data), "deep"))
    assert "No space left" in caplog.text


def test_what_half_precision_cannot_hold_is_not_stored(data, tmp_path, caplog):
    found = []
    for scratch in (None, tmp_path):
        runner = TrialRunner(settings(cache={}), **data, scratch=scratch)
        runner.network.initial["tower.blocks.0.mlp.fc2.bias"] += torch.linspace(0, 1e5, 24)
        found.append(train(runner, "deep"))
    assert "values beyond 65504" in caplog.text
    assert np.array_equal(*found)
    assert not list(tmp_path.rglob("*.npy"))


def test_other_images_or_weights_are_stored_apart(data, tmp_path):
    names = {TrialRunner(settings(), **data, scratch=tmp_path).cache.folder.name}
    other = np.load(data["images"] / "images.npy")
    other[read_table(data["cohort"], COHORT)["split"].eq("train").idxmax(), 0, 0] ^= 1
    store = tmp_path / "images"
    write_array(other, store / "images.npy")
    for name in ("index.parquet", "card.json"):
        (store / name).write_bytes((data["images"] / name).read_bytes())
    changed = TrialRunner(settings(), **{**data, "images": store}, scratch=tmp_path)
    names.add(changed.cache.folder.name)
    wider = {**MODEL, "arguments": {**MODEL["arguments"], "qkv_bias": False}}
    apart = TrialRunner({**settings(), "model_entry": wider}, **data, scratch=tmp_path)
    names.add(apart.cache.folder.name)
    names.add(TrialRunner(settings(cache={}), **data, scratch=tmp_path).cache.folder.name)
    assert len(names) == 4


def refit(data, tmp_path, point: dict, **entry) -> pd.DataFrame:
    write_json({"point": point, "value": 0.7}, tmp_path / "best.json")
    given = {**settings(**entry), "seed": 0}
    output = tmp_path / "p.parquet"
    finetune(given, **data, output=output, point=tmp_path / "best.json")
    assert not list(tmp_path.glob("p.parquet.*"))
    return output


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_a_refit_has_the_logits_of_its_trial(data, tmp_path, precision):
    entry = {"cache": {"precision": precision}, "class_weights": "balanced", "epochs": 6}
    runner = TrialRunner(settings(**entry), **data, scratch=tmp_path / "prefix")
    logits = train(runner, "deep", 1e-2)[..., 0].astype(float)
    y, sex = runner.validation["y_sick"], runner.validation["a_sex"]
    worst = [min(roc_auc_score(y[sex == s], z[sex == s]) for s in set(sex)) for z in logits]
    best = int(np.argmax(worst))
    point = {"mask": MASKS["deep"], "learning_rate": 1e-2}
    output = refit(data, tmp_path, point, **entry)
    table = read_table(output, PREDICTIONS)
    score = table.loc[table["split"] == "val", "score"].to_numpy()
    tolerance = {"float16": 1e-3, "float32": 1e-6}[precision]
    np.testing.assert_allclose(score, expit(logits[best]), atol=tolerance)
    footer = read_metadata(output)
    assert footer["runs"]["point"] == point
    chosen = footer["runs"]["chosen"][0]
    assert (chosen["epoch"], chosen["learning_rate"]) == (best + 1, 1e-2)
    assert chosen["criterion"] == pytest.approx(-max(worst), abs=1e-6)


def test_a_refit_records_group_curves_and_nothing_else_changes(data, tmp_path):
    point = {"mask": MASKS["deep"], "learning_rate": 1e-2}
    least = {**ENTRY["objective"], "minimum": {"n": 1, "n_pos": 1, "n_neg": 1}}
    entry = {
        "objective": least,
        "cache": {"precision": "float32"},
        "augmentation": {"flip": 0.5},
        "views": 2,
    }
    scores, curves = [], []
    for noted in (False, True):
        output = refit(data, tmp_path, point, group_curves=noted, **entry)
        scores.append(read_table(output, PREDICTIONS)["score"])
        curves.append(read_metadata(output)["runs"]["chosen"][0].pop("groups", None))
    assert scores[0].equals(scores[1]) and curves[0] is None and len(curves[1]) == 3
    frame = read_table(data["cohort"], COHORT)
    runner = TrialRunner(settings(**entry), **data)
    plain, seen = runner.images, []

    def report(epoch, logits):
        train = runner.splits["train"].rows
        with torch.no_grad():
            seen.append(
                {
                    "train": runner.network.eval()(plain.plain_batch(train))[:, 0],
                    "val": logits[:, 0],
                }
            )
        return False

    runner.run(point, report)
    for noted, logits in zip(curves[1], seen, strict=True):
        for split, values in logits.items():
            rows = frame[frame["split"] == split]
            for sex, value in noted[split].items():
                own = rows["a_sex"].eq(sex).to_numpy()
                expected = roc_auc_score(rows["y_sick"][own], np.asarray(values)[own])
                assert value == pytest.approx(expected, abs=1e-6)


def test_class_weights_change_the_training(data):
    plain = train(TrialRunner(settings(), **data), "deep")
    weighted = train(TrialRunner(settings(class_weights="balanced"), **data), "deep")
    assert not np.allclose(plain, weighted, atol=1e-4)


def test_a_search_needs_its_point_and_others_take_none(data, tmp_path):
    with pytest.raises(MedauditError, match="needs --point"):
        finetune({**settings(), "seed": 0}, **data, output=tmp_path / "p.parquet")
    tuned = {**settings(kind="finetune", tune="full"), "seed": 0}
    with pytest.raises(MedauditError, match="takes no --point"):
        finetune(tuned, **data, output=tmp_path / "p.parquet", point=tmp_path / "best.json")
    (tmp_path / "best.json").write_text(json.dumps({"value": 1}))
    with pytest.raises(MedauditError, match="has no key `point`"):
        finetune(
            {**settings(), "seed": 0},
            **data,
            output=tmp_path / "p.parquet",
            point=tmp_path / "best.json",
        )


def test_a_wrong_mask_is_refused(data):
    with pytest.raises(MedauditError, match="takes 12 bits"):
        train(TrialRunner(settings(), **data), "0101")


def test_a_subset_has_equally_many_of_each_group():
    sex = np.array(["male"] * 70 + ["female"] * 24 + [None] * 6, dtype=object)
    frame = pd.DataFrame({"a_sex": sex, "a_age": ["old", "young"] * 50})
    chosen = balanced_subset(frame, "sex", 0.2, "c")
    assert pd.Series(sex[chosen]).value_counts().to_dict() == {"male": 10, "female": 10}
    assert np.array_equal(chosen, balanced_subset(frame, "sex", 0.2, "c"))
    assert not np.array_equal(chosen, balanced_subset(frame, "sex", 0.2, "d"))
    assert (np.diff(chosen) > 0).all()
    large = pd.Series(sex[balanced_subset(frame, "sex", 0.6, "c")]).value_counts()
    assert large.to_dict() == {"male": 36, "female": 24}
    cells = frame.iloc[balanced_subset(frame, ["sex", "age"], 0.4, "c")]
    assert set(cells.value_counts(["a_sex", "a_age"])) == {10}


def test_trials_see_only_the_subset(data):
    runner = TrialRunner(settings(subset=0.5), **data)
    frame = read_table(data["cohort"], COHORT)
    rows = runner.splits["train"].rows
    assert len(rows) == TRAIN // 2
    assert (frame["split"].iloc[rows] == "train").all()
    assert set(frame["a_sex"].iloc[rows].value_counts()) == {TRAIN // 4}


def test_an_unknown_training_is_refused(data):
    with pytest.raises(MedauditError, match="training 'sgd' is unknown; there are .*erm"):
        train(TrialRunner(settings(training="sgd"), **data), "deep")


@pytest.mark.parametrize(("mask", "level"), [("00000011", 3), ("00010000", 1), ("linear", 5)])
def test_a_resnet_starts_from_a_stored_stage(data, tmp_path, mask, level):
    size = {**MODEL["input"], "size": 32}
    model = {**MODEL, "architecture": "resnet10t", "arguments": {}, "pooling": "avg", "input": size}
    given = {**settings(epochs=2), "model_entry": model}
    stored = TrialRunner(given, **data, scratch=tmp_path)
    found = train(stored, mask)
    assert stored.cache.loader().level == level
    np.testing.assert_allclose(found, train(TrialRunner(given, **data), mask), atol=1e-5)
