"""Trainings by group: each formula against an independent statement, on cases worked by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from medaudit.adapt.finetune.groups import NO_IMAGE, Groups
from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.trainers.domain_independent import combine, own_logits
from medaudit.adapt.finetune.trainers.end import disentangling, entangling
from medaudit.adapt.finetune.trainers.groupdro import update_weights
from medaudit.adapt.finetune.trainers.lnl import negative_entropy, reverse_gradient
from medaudit.adapt.finetune.trainers.resampling import draw_chances, inverse_frequencies
from medaudit.adapt.finetune.trainers.reweighting import balancing_weights
from medaudit.adapt.finetune.training_loop import train_steps
from medaudit.adapt.finetune.trial import TrialData
from medaudit.core.errors import MedauditError
from medaudit.search.trial_runner import TrialRunner
from medaudit.training.distributed import Processes
from tiny_baselines import settings, write_data
from tiny_groups import BY_GROUP

POINT = {"mask": "full", "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def begin(data, training: str, own: dict | None = None, **entry):
    """Return the trainer of a training, with everything else it needs."""
    own = {**BY_GROUP[training], **(own or {})}
    runner = TrialRunner(settings(training=training, **{training: own}, **entry), **data)
    return runner, runner.begin(POINT)


def batches(runner, trainer, first=0, last=3, processes=None) -> list:
    train = runner.splits["train"]
    made = trainer.batches(runner.images, train, first, last, processes or runner.processes)
    return [make() for make in made]


def cross_entropy(logit: float, y: float) -> float:
    return -math.log(expit(float(logit) if y == 1 else -float(logit)))


# Groups.


def test_images_without_a_group_are_a_group(data):
    runner, trainer = begin(data, "resampling")
    named = np.where(runner.splits["train"].groups == "", "unknown", runner.splits["train"].groups)
    assert trainer.groups.names == ("a", "b", "c", "unknown")
    assert [trainer.groups.names[code] for code in trainer.groups.codes] == named.tolist()
    assert trainer.groups.counts.sum() == 40 and (named == "unknown").any()


def test_one_group_and_no_attribute_are_errors(data):
    runner = TrialRunner(settings(training="lnl", lnl=BY_GROUP["lnl"]), **data)
    runner.splits["train"].groups[:] = "a"
    with pytest.raises(MedauditError, match="all 40 training images are of the group 'a'"):
        runner.begin(POINT)
    without = settings(training="lnl", lnl=BY_GROUP["lnl"])
    del without["entry"]["objective"]
    with pytest.raises(MedauditError, match="set `attribute`"):
        TrialRunner(without, **data)


# Resampling and reweighting. Groups 0, 0, 0, 1, 1 with labels 1, 0, 0, 1, missing.

CODES, LABELS = np.array([0, 0, 0, 1, 1]), np.array([1, 0, 0, 1, np.nan], np.float32)


def split_of(y: np.ndarray) -> Split:
    rows = np.arange(len(y))
    return Split(rows, rows, y, None)


def test_chances_by_hand():
    groups, y = Groups(("f", "m"), CODES), LABELS[:, None]
    found = draw_chances(groups, split_of(y), "group", False)
    np.testing.assert_allclose(found, [1 / 6, 1 / 6, 1 / 6, 1 / 4, 1 / 4], atol=1e-12)
    # Three cells have a labelled image: (0, 1), (0, 0) twice, (1, 1).
    found = draw_chances(groups, split_of(y), "group_and_class", False)
    np.testing.assert_allclose(found, [1 / 3, 1 / 6, 1 / 6, 1 / 3, 0], atol=1e-12)
    onehot = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 2]]
    found = draw_chances(groups, split_of(onehot), "group_and_class", True)
    np.testing.assert_allclose(found, [1 / 3, 1 / 6, 1 / 6, 1 / 6, 1 / 6], atol=1e-12)
    with pytest.raises(MedauditError, match="one task or exclusive classes"):
        draw_chances(groups, split_of(np.zeros((5, 2), np.float32)), "group_and_class", False)
    assert inverse_frequencies(np.array([-1, -1])).tolist() == [0, 0]


def test_resampling_draws_groups_equally_often_from_the_training_images(data):
    runner, trainer = begin(data, "resampling")
    drawn = np.concatenate([trainer.order(40, epoch) for epoch in range(300)])
    assert drawn.min() >= 0 and drawn.max() < 40
    shares = np.bincount(trainer.groups.codes[drawn]) / len(drawn)
    # 12,000 draws: four standard errors of a share of 1/4.
    np.testing.assert_allclose(shares, 0.25, atol=4 * math.sqrt(0.25 * 0.75 / 12000))
    inside = np.bincount(drawn, minlength=40)[trainer.groups.codes == 0]
    assert inside.min() > 0.7 * inside.mean()
    assert (trainer.order(40, 1) == trainer.order(40, 1)).all()
    assert (trainer.order(40, 1) != trainer.order(40, 2)).any()
    x, y, *_ = batches(runner, trainer)[0]
    chosen = trainer.order(40, 0)[:16]
    np.testing.assert_array_equal(y, runner.splits["train"].y[chosen])
    assert torch.equal(x, runner.images.plain_batch(runner.splits["train"].rows[chosen]))


def test_weights_by_hand():
    groups = Groups(("f", "m"), CODES)
    y = np.stack([LABELS, [1, 1, 1, 0, 1]], axis=1).astype(np.float32)
    found = balancing_weights(groups, y, "group", False)
    np.testing.assert_allclose(found, np.tile([[5 / 6]] * 3 + [[5 / 4]] * 2, 2), atol=1e-6)
    found = balancing_weights(groups, y, "group_and_class", False)
    # Task 1: four labels in three cells. Task 2: five labels in the cells (0, 1), (1, 0), (1, 1).
    np.testing.assert_allclose(found[:, 0], [4 / 3, 2 / 3, 2 / 3, 4 / 3, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 1], [5 / 9, 5 / 9, 5 / 9, 5 / 3, 5 / 3], atol=1e-6)
    onehot = np.eye(2, dtype=np.float32)[[0, 1, 1, 1, 1]]
    found = balancing_weights(groups, onehot, "group_and_class", True)
    np.testing.assert_allclose(found[:, 0], [5 / 3, 5 / 6, 5 / 6, 5 / 6, 5 / 6], atol=1e-6)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])


def test_reweighting_is_the_weighted_mean_of_the_losses(data):
    runner, trainer = begin(data, "reweighting", class_weights=None)
    batch = batches(runner, trainer)[0]
    logits = trainer.network(batch[0]).detach().numpy()[:, 0]
    chosen = trainer.choose(40, 0, runner.processes)[1]
    groups, y = trainer.groups, runner.splits["train"].y[chosen, 0]
    weights = [40 / (4 * groups.counts[groups.codes[i]]) for i in chosen]
    terms = [w * cross_entropy(*pair) for w, *pair in zip(weights, logits, y, strict=True)]
    assert trainer.loss(batch, 0).item() == pytest.approx(sum(terms) / 16, abs=1e-6)


# Group DRO.


def test_the_weights_of_groups_by_hand():
    q, losses = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([1.0, 2.0, 9.0])
    drawn = torch.tensor([True, True, False])
    found = update_weights(q, losses, drawn, 0.1)
    raw = [0.5 * math.exp(0.1), 0.25 * math.exp(0.2), 0.25]
    np.testing.assert_allclose(found, np.array(raw) / sum(raw), atol=1e-6)
    extreme = update_weights(q, torch.tensor([900.0, 1.0, 1.0]), torch.tensor([True] * 3), 1.0)
    np.testing.assert_allclose(extreme, [1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("world", [1, 2, 17])
def test_group_dro_is_algorithm_1_over_several_processes(data, world, monkeypatch):
    """Each process has a part of the batch; one of 17 has no image of the 16."""
    from medaudit.adapt.finetune.trainers import groupdro

    own = {"step_size": 0.5, "adjustment": 2.0}
    runner, trainer = begin(data, "groupdro", own)
    codes, counts = trainer.groups.codes, trainer.groups.counts
    train, weights = runner.splits["train"], trainer._class_weights(runner.splits["train"].y)
    q = np.full(4, 0.25)
    monkeypatch.setattr(groupdro, "world_size", lambda: world)
    for step in range(3):
        parts = [
            batches(runner, trainer, step, step + 1, Processes(rank, world, torch.device("cpu")))[0]
            for rank in range(world)
        ]
        assert sum(len(part[0]) for part in parts) == max(
            world, len(trainer.choose(40, step, runner.processes)[1])
        )
        with torch.no_grad():
            logits = [trainer.network(part[0]).double().numpy()[:, 0] for part in parts]
        chosen = trainer.choose(40, step, runner.processes)[1]
        flat = np.concatenate(logits)[: len(chosen)]
        y, of = train.y[chosen, 0], codes[chosen]
        terms = [cross_entropy(*p) * weights[int(p[1]), 0] for p in zip(flat, y, strict=True)]
        means = {g: np.mean(np.array(terms)[of == g]) for g in set(of.tolist())}
        raw = [
            q[g] * math.exp(0.5 * (means[g] + 2 / math.sqrt(counts[g]))) if g in means else q[g]
            for g in range(4)
        ]
        q = np.array(raw) / sum(raw)
        expected = sum(q[g] * mean for g, mean in means.items())
        sums = torch.zeros(4)
        for g, mean in means.items():
            sums[g] = float(mean)
        monkeypatch.setattr(groupdro, "sum_over_processes", lambda _, sums=sums: sums)
        before, found = trainer.group_weights, 0.0
        for part in parts:
            trainer.group_weights = before
            found += trainer.loss(part, 0).item() / world
        np.testing.assert_allclose(trainer.group_weights, q, atol=1e-6)
        assert found == pytest.approx(expected, abs=1e-6)


def test_the_sum_over_processes_of_one_is_the_tensor():
    from medaudit.training.distributed import sum_over_processes

    value = torch.tensor([1.0, 2.0], requires_grad=True)
    assert (
        torch.equal(sum_over_processes(value), value)
        and not sum_over_processes(value).requires_grad
    )


# Domain-independent training.


def test_an_image_has_the_loss_of_its_groups_head(data):
    runner, trainer = begin(data, "domain_independent", class_weights=None)
    batch = batches(runner, trainer)[0]
    x, y, _, codes, _ = batch
    features = trainer.network.features(x).detach().double().numpy()
    weight, bias = (p.detach().double().numpy() for p in (trainer.heads.weight, trainer.heads.bias))
    logits = [f @ weight[g] + bias[g] for f, g in zip(features, codes, strict=True)]
    terms = [cross_entropy(*pair) for pair in zip(logits, y[:, 0], strict=True)]
    assert trainer.loss(batch, 0).item() == pytest.approx(np.mean(terms), abs=1e-6)


def test_inference_sums_the_logits_of_all_heads(data):
    runner, trainer = begin(data, "domain_independent")
    material = TrialData(runner.images, runner.splits, lambda logits: 0.0)
    *_, last = [
        s for s in train_steps(trainer, material, 0, runner.processes) if s.logits is not None
    ]
    val = runner.images.plain_batch(runner.splits["val"].rows)
    with torch.no_grad():
        each = trainer.heads(trainer.network.eval().features(val)).numpy()
    assert each.shape[1] == 4
    np.testing.assert_allclose(last.logits[:, 0], each.sum(axis=1), atol=1e-5)
    assert np.abs(np.diff(each, axis=1)).min(axis=0).max() > 0  # the heads differ


def test_heads_by_hand():
    heads = torch.nn.Linear(1, 4)
    with torch.no_grad():
        heads.weight.copy_(torch.tensor([[1.0], [2], [3], [4]]))
        heads.bias.copy_(torch.tensor([0.5, 0, -1, 1]))
    # Two groups of two tasks; an image of weight 0 takes the first head.
    logits = heads(torch.tensor([[2.0], [2], [2]]))
    own = own_logits(logits, torch.tensor([1, 0, NO_IMAGE]), 2)
    np.testing.assert_allclose(own.detach(), [[5, 9], [2.5, 4], [2.5, 4]], atol=1e-6)
    for how, scale in (("sum", 1), ("mean", 0.5)):
        weight, bias = combine(heads, 2, how)
        np.testing.assert_allclose(weight[:, 0], np.array([4, 6]) * scale, atol=1e-6)
        np.testing.assert_allclose(bias, np.array([-0.5, 1]) * scale, atol=1e-6)


# EnD.


def end_by_pairs(f, labels, groups) -> tuple[float, float]:
    """Return R_o and R_p by their definition, one pair after the other."""
    within, across = {}, []
    for i, j in itertools.combinations(range(len(f)), 2):
        if groups[i] < 0 or groups[j] < 0:
            continue
        if groups[i] == groups[j]:
            within.setdefault(groups[i], []).append(f[i] @ f[j])
        elif labels[i] == labels[j]:  # NaN equals nothing
            across.append((1 + f[i] @ f[j]) / 2)
    pairs = sum(map(len, within.values()))
    r_o = sum(abs(sum(values)) for values in within.values()) / pairs if pairs else 0.0
    return r_o, 1 - np.mean(across) if across else 0.0


def test_end_by_hand():
    """Group 0: sick at (1, 0) and healthy at (0.6, 0.8); group 1: sick at (0, 1) twice."""
    f = torch.tensor([[1.0, 0], [0.6, 0.8], [0, 1], [0, 1]])
    labels, groups = torch.tensor([1.0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])
    assert disentangling(f, groups).item() == pytest.approx((0.6 + 1) / 2, abs=1e-6)
    assert entangling(f, labels, groups).item() == pytest.approx(1 - 0.5, abs=1e-6)
    alone = torch.tensor([0, 1, 2, NO_IMAGE])
    assert disentangling(f, alone).item() == 0
    assert entangling(f, labels, torch.zeros(4)).item() == 0


def test_end_is_that_of_a_double_loop():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        f = rng.normal(size=(17, 3))
        f /= np.linalg.norm(f, axis=1, keepdims=True)
        labels, groups = rng.integers(0, 2, 17).astype(float), rng.integers(-1, 3, 17)
        labels[rng.random(17) < 0.15] = np.nan
        r_o, r_p = end_by_pairs(f, labels, groups)
        arrays = (torch.tensor(a) for a in (f, labels, groups))
        features, labels, groups = arrays
        assert disentangling(features, groups).item() == pytest.approx(r_o, abs=1e-6)
        assert entangling(features, labels, groups).item() == pytest.approx(r_p, abs=1e-6)


def test_end_adds_both_terms_to_the_loss(data):
    runner, trainer = begin(data, "end", {"alpha": 0.7, "beta": 0.3}, class_weights=None)
    batch = batches(runner, trainer)[0]
    x, y, _, codes, _ = batch
    with torch.no_grad():
        f = trainer.network.features(x).double().numpy()
        logits = trainer.network(x).double().numpy()[:, 0]
    f /= np.linalg.norm(f, axis=1, keepdims=True)
    r_o, r_p = end_by_pairs(f, y[:, 0].numpy(), codes.numpy())
    task = np.mean([cross_entropy(*pair) for pair in zip(logits, y[:, 0], strict=True)])
    assert trainer.loss(batch, 0).item() == pytest.approx(task + 0.7 * r_o + 0.3 * r_p, abs=1e-5)


# LNL.


def test_the_entropy_and_the_reversal_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    expected = [-math.log(2), 0.75 * math.log(0.75) + 0.25 * math.log(0.25)]
    np.testing.assert_allclose(negative_entropy(logits), expected, atol=1e-6)
    features = torch.tensor([2.0], requires_grad=True)
    turned = reverse_gradient(features, 0.1)
    turned.square().sum().backward()
    assert turned.item() == 2 and features.grad.item() == pytest.approx(-0.1 * 2 * 2, abs=1e-6)


def test_lnl_descends_the_game_of_the_paper(data):
    """Encoder and head: L_c + lambda E[Q log Q] - mu L_B; the adversary: L_B."""
    runner, trainer = begin(
        data, "lnl", {"entropy_weight": 0.3, "reversal": 0.2}, class_weights=None
    )
    batch = batches(runner, trainer)[0]
    x, y, _, codes, _ = batch
    network, adversary = trainer.network, trainer.adversary
    features = network.features(x)
    hidden = adversary(features)
    q = softmax(hidden.detach().double().numpy(), axis=1)
    logits = network.head(features)[:, 0]
    task = [cross_entropy(*p) for p in zip(logits.detach().double(), y[:, 0], strict=True)]
    entropy = (q * np.log(q)).sum(axis=1).mean()
    group = -np.log(q[np.arange(len(q)), codes]).mean()
    assert trainer.loss(batch, 0).item() == pytest.approx(
        np.mean(task) + 0.3 * entropy + group, abs=1e-6
    )
    l_c = torch.nn.functional.binary_cross_entropy_with_logits(logits, y[:, 0])
    probabilities = hidden.softmax(dim=1)
    l_e = (probabilities * probabilities.log()).sum(dim=1).mean()
    l_b = torch.nn.functional.cross_entropy(hidden, codes)
    own, other = list(network.parameters()), list(adversary.parameters())
    expected = torch.autograd.grad(l_c + 0.3 * l_e - 0.2 * l_b, own, retain_graph=True)
    against = torch.autograd.grad(l_b, other)
    found = torch.autograd.grad(trainer.loss(batch, 0), [*own, *other])
    for one, two in zip(found, [*expected, *against], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_the_adversary_learns_the_group_and_is_in_the_optimizer(data):
    runner, trainer = begin(data, "lnl", {"reversal": 0.0, "entropy_weight": 0.0}, epochs=6)
    inside = {id(p) for g in trainer.optimizer.param_groups for p in g["params"]}
    assert {id(p) for p in trainer.adversary.parameters()} <= inside
    assert len(inside) == len(list(trainer.network.parameters())) + 4
    before = [p.detach().clone() for p in trainer.adversary.parameters()]
    material = TrialData(runner.images, runner.splits, lambda logits: 0.0)
    list(train_steps(trainer, material, 0, runner.processes))
    assert all(
        not torch.equal(a, b) for a, b in zip(before, trainer.adversary.parameters(), strict=True)
    )
