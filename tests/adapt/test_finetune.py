"""Fine-tuning end to end on planted images: tuned parameters, selection, resuming after a kill."""

import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from finetune_case import ENTRY, VIT, settings
from medaudit.adapt.finetune import finetune
from medaudit.adapt.finetune.losses import batch_loss, class_weights, target_weights
from medaudit.adapt.finetune.network import build_network
from medaudit.adapt.finetune.optimizer import make_optimizer
from medaudit.adapt.finetune.trainer import peak_rate
from medaudit.adapt.finetune.tuning import find_targets
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table

RESNET = {
    **VIT,
    "architecture": "resnet10t",
    "arguments": {"zero_init_last": False},
    "input": {**VIT["input"], "size": 32},
    "pooling": "avg",
}
LORA = {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": "auto"}


def auc(table: pd.DataFrame) -> float:
    from sklearn.metrics import roc_auc_score

    test = table[table["split"] == "test"]
    return np.mean([roc_auc_score(part["y"], part["score"]) for _, part in test.groupby("task")])


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_a_planted_difference_is_learnt(data, tmp_path, tune):
    entry = {"tune": tune, "lora": LORA, "epochs": 8, "learning_rates": [1e-6, 1e-2]}
    output = tmp_path / "p.parquet"
    finetune(settings(entry), **data, output=output)
    table = read_table(output, PREDICTIONS)
    assert set(table["split"]) == {"val", "test"}
    assert len(table) == 40 * 2
    assert auc(table) > 0.9
    runs = read_metadata(output)["runs"]
    assert runs["chosen"][0]["learning_rate"] == 1e-2
    best = min(runs["trials"], key=lambda trial: min(trial["curve"]))
    assert runs["chosen"][0]["epoch"] == 1 + int(np.argmin(best["curve"]))
    assert not output.with_name("p.parquet.partial").exists()


def test_the_labels_of_the_test_split_change_no_score(data, tmp_path):
    frame = read_table(data["cohort"], COHORT)
    flipped = frame.copy()
    test = flipped["split"] == "test"
    flipped.loc[test, ["y_left", "y_right"]] = 1 - flipped.loc[test, ["y_left", "y_right"]]
    write_table(flipped, tmp_path / "flipped.parquet", COHORT)
    outputs = []
    for number, cohort in enumerate((data["cohort"], tmp_path / "flipped.parquet")):
        outputs.append(tmp_path / f"{number}.parquet")
        finetune(settings(), cohort=cohort, images=data["images"], output=outputs[-1])
    first, second = (read_table(path, PREDICTIONS) for path in outputs)
    assert (first["score"] == second["score"]).all()
    assert (first["y"] != second["y"]).any()


@pytest.mark.parametrize("model", [VIT, RESNET], ids=["vit", "resnet"])
def test_lora_has_gradients_and_leaves_the_backbone_alone(model):
    network = build_network(settings({"tune": "lora", "lora": LORA}, model), 1, torch.device("cpu"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    size = network.input.size
    x, y = torch.randn(8, 3, size, size), torch.eye(2)[[0, 1] * 4]
    for step in range(2):
        network.train()
        optimizer.zero_grad()
        batch_loss(network(x), y, torch.ones_like(y) / 16, False).backward()
        adapters = {n: p for n, p in network.named_parameters() if "lora_" in n}
        moved = "lora_B" if step == 0 else "lora_"
        assert all(p.grad.abs().sum() > 0 for n, p in adapters.items() if moved in n)
        optimizer.step()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == set(adapters) | {"head.weight", "head.bias"}


def test_targets_are_attention_projections_or_convolutions():
    vit = build_network(settings(), 1, torch.device("cpu")).tower
    expected = {f"blocks.{b}.attn.{part}" for b in (0, 1) for part in ("qkv", "proj")}
    assert set(find_targets(vit, "auto")) == expected
    resnet = build_network(settings(model=RESNET), 1, torch.device("cpu")).tower
    assert all("conv" in n or "downsample" in n for n in find_targets(resnet, "auto"))
    assert find_targets(vit, r"blocks\.1\.mlp\.fc1") == ["blocks.1.mlp.fc1"]
    with pytest.raises(MedauditError, match="matches no module"):
        find_targets(vit, "nothing")


@pytest.mark.parametrize("architecture", ["resnetv2_50x1_bit", "resnetv2_50"])
def test_layer_decay_of_a_resnet_falls_from_head_to_stem(architecture):
    model = {**RESNET, "architecture": architecture, "arguments": {}}
    network = build_network(settings(model=model), 1, torch.device("cpu"))
    groups = make_optimizer(network, {**ENTRY, "layer_decay": 0.55}).param_groups
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    scales = {id(p): group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    tower = network.tower
    ordered = [network.head.weight, *(s.blocks[0].conv1.weight for s in tower.stages[::-1])]
    found = [scales[id(p)] for p in (*ordered, tower.stem.conv.weight)]
    assert found[0] == 1.0
    assert all(below < above for above, below in zip(found[:-1], found[1:], strict=True))
    powers = np.log(found) / np.log(0.55)
    np.testing.assert_allclose(powers, np.round(powers), atol=1e-9)


@pytest.mark.parametrize("model", [VIT, {**RESNET, "architecture": "resnetv2_50x1_bit"}])
def test_drop_path_is_timms_and_changes_no_initial_weight(model):
    from timm.layers import DropPath

    model = {**model, "arguments": VIT["arguments"] if model is VIT else {}}
    device = torch.device("cpu")
    plain = build_network(settings(model=model), 1, device)
    dropped = build_network(settings({"drop_path": 0.2}, model), 1, device)
    rates = [m.drop_prob for m in dropped.modules() if isinstance(m, DropPath)]
    assert max(rates) == pytest.approx(0.2)
    assert rates == sorted(rates)
    assert not [m for m in plain.modules() if isinstance(m, DropPath) and m.drop_prob]
    state = dropped.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())


def test_drop_path_is_refused_where_it_cannot_be():
    model = {"kind": "clip", "architecture": "ViT-B-16"}
    with pytest.raises(MedauditError, match="drop_path 0.2.*is of kind 'clip'"):
        build_network(settings({"drop_path": 0.2}, model), 1, torch.device("cpu"))


def test_a_learning_rate_may_scale_with_the_batch():
    scaled = {"batch_size": 64, "learning_rate_per": 256}
    assert peak_rate(2.5e-4, scaled) == pytest.approx(2.5e-4 / 4)
    assert peak_rate(2.5e-4, {"batch_size": 64}) == 2.5e-4


@pytest.mark.parametrize("layers", [None, 0.5])
def test_every_tuned_parameter_is_optimised_once(layers):
    network = build_network(settings({"layer_decay": layers}), 1, torch.device("cpu"))
    groups = make_optimizer(network, {**ENTRY, "layer_decay": layers}).param_groups
    ids = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in network.parameters() if p.requires_grad)
    scales = {id(p): group.get("lr_scale", 1.0) for group in groups for p in group["params"]}
    if layers:
        assert scales[id(network.head.weight)] == 1.0
        first, last = (
            network.tower.blocks[0].attn.qkv.weight,
            network.tower.blocks[1].mlp.fc1.weight,
        )
        assert scales[id(last)] == pytest.approx(0.5)
        assert scales[id(first)] == pytest.approx(0.25)


def plain_terms(logits, y, row, task):
    p = 1 / (1 + np.exp(-logits[row, task]))
    return -np.log(p if y[row, task] == 1 else 1 - p)


@pytest.mark.parametrize("kind", [None, "balanced"])
def test_the_loss_leaves_missing_targets_out_and_weighs_classes(kind):
    rng = np.random.default_rng(3)
    logits, y = rng.normal(size=(9, 2)), rng.integers(0, 2, (9, 2)).astype(np.float32)
    y[[0, 4, 5], [1, 0, 1]] = np.nan
    y[:, 0] = np.where(np.isnan(y[:, 0]), np.nan, [1, 0, 0, 0, 0, 0, 0, 1, 0])
    known = [(r, t) for r in range(9) for t in range(2) if np.isfinite(y[r, t])]
    total = 0.0
    for row, task in known:
        column = [y[r, t] for r, t in known if t == task]
        weight = len(column) / 2 / column.count(y[row, task]) if kind else 1
        total += weight * plain_terms(logits, y, row, task)
    weights = target_weights(y, class_weights(y, False, kind), False)
    parts = [
        batch_loss(
            *(torch.tensor(a[rows], dtype=torch.float64) for a in (logits, y, weights)), False
        )
        for rows in (slice(0, 4), slice(4, 9))
    ]
    assert sum(parts).item() == pytest.approx(total / len(known), rel=1e-6)


def test_class_weights_of_many_classes_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0, 0, 0, 1, 2, 2, 0, 1])
    y = np.eye(3, dtype=np.float32)[labels]
    found = class_weights(y, True, "balanced")
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(found[1], expected, rtol=1e-6)
    logits = np.random.default_rng(0).normal(size=(8, 3))
    power = np.exp(logits)
    rows = -np.log(power[np.arange(8), labels] / power.sum(axis=1)) * expected[labels]
    weights = target_weights(y, found, True)
    loss = batch_loss(*(torch.tensor(a, dtype=torch.float64) for a in (logits, y, weights)), True)
    assert loss.item() == pytest.approx(rows.mean(), rel=1e-6)


def test_a_model_without_weights_to_tune_is_refused(data, tmp_path):
    wrong = settings(model={"kind": "pixels", "dimension": 8})
    with pytest.raises(MedauditError, match="no weights to fine-tune"):
        finetune(wrong, **data, output=tmp_path / "p.parquet")


def test_a_killed_run_ends_with_the_same_bytes(data, tmp_path):
    import json
    import os

    augmentation = {"scale": [0.5, 1.0], "rotation": 7.0, "randaugment": {"magnitude": 6}}
    entry = {"epochs": 12, "augmentation": augmentation, "drop_path": 0.2}
    command = [
        sys.executable,
        "-m",
        "medaudit.adapt.finetune",
        "--settings",
        json.dumps(settings(entry)),
    ]
    command += ["--cohort", str(data["cohort"]), "--images", str(data["images"]), "--output"]
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    environment = {**os.environ, "MEDAUDIT_CHECKPOINT_SECONDS": "0"}
    subprocess.run([*command, str(whole)], check=True, env=environment, capture_output=True)
    partial = tmp_path / "killed.parquet.partial"
    for sent in (signal.SIGKILL, signal.SIGTERM):
        before = len(set(partial.glob("step_*.pt")))
        running = subprocess.Popen(
            [*command, str(killed)], env=environment, stderr=subprocess.DEVNULL
        )
        seen = set(partial.glob("step_*.pt"))
        while running.poll() is None and len(set(partial.glob("step_*.pt")) - seen) < 2 - min(
            before, 1
        ):
            time.sleep(0.02)
        running.send_signal(sent)
        assert running.wait() == (-9 if sent == signal.SIGKILL else 75)
        assert not killed.exists()
    subprocess.run([*command, str(killed)], check=True, env=environment, capture_output=True)
    assert killed.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_killed_five_times_at_any_moment_is_bit_identical(data, tmp_path):
    import json
    import os

    views = {"scale": [0.5, 1.0], "randaugment": {"magnitude": 6}}
    entry = {"epochs": 150, "augmentation": views, "drop_path": 0.2, "layer_decay": 0.75}
    command = [
        sys.executable,
        "-m",
        "medaudit.adapt.finetune",
        "--settings",
        json.dumps(settings(entry)),
    ]
    command += ["--cohort", str(data["cohort"]), "--images", str(data["images"]), "--output"]
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    often = {**os.environ, "MEDAUDIT_CHECKPOINT_SECONDS": "0.1"}
    subprocess.run([*command, str(whole)], check=True, env=often, capture_output=True)
    partial, rng = tmp_path / "killed.parquet.partial", np.random.default_rng()
    for _ in range(5):
        before = set(partial.glob("step_*.pt"))
        running = subprocess.Popen([*command, str(killed)], env=often, stderr=subprocess.DEVNULL)
        while running.poll() is None and set(partial.glob("step_*.pt")) <= before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.4))
        running.kill()
        assert running.wait() == -9, "it ended before it was killed: more epochs are needed"
    subprocess.run([*command, str(killed)], check=True, env=often, capture_output=True)
    assert killed.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("given, expected", [({}, 0.01), ({"head_std": 2e-5}, 2e-5)])
def test_the_new_head_starts_at_the_methods_scale(given, expected):
    many = {**settings(given), "tasks": [f"task_{i}" for i in range(400)]}
    head = build_network(many, 1, torch.device("cpu")).head
    assert head.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert not head.bias.any()
