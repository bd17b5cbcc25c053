"""SAM and SWAD: each formula against an independent statement, on cases worked by hand."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from medaudit.adapt.finetune.losses import batch_loss
from medaudit.adapt.finetune.trainers import swad as swad_module
from medaudit.adapt.finetune.trainers.sam import ascend
from medaudit.adapt.finetune.trainers.swad import find_window, recompute_statistics
from medaudit.adapt.finetune.training_loop import train_steps
from medaudit.adapt.finetune.trial import TrialData
from medaudit.search.trial_runner import TrialRunner
from tiny_baselines import settings, write_data

POINT = {"mask": "full", "learning_rate": 3e-3}
RESNET = {
    **settings()["model_entry"],
    "architecture": "resnet10t",
    "arguments": {},
    "input": {**settings()["model_entry"]["input"], "size": 32},
    "pooling": "avg",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


# SAM.


def test_the_ascent_by_hand():
    weights = [torch.nn.Parameter(torch.tensor([1.0])), torch.nn.Parameter(torch.tensor([2.0]))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0]), torch.tensor([-4.0])
    ascend(weights, 0.5)
    np.testing.assert_allclose([w.item() for w in weights], [1.3, 1.6], atol=1e-6)
    for gradient in (0.0, math.inf, math.nan):
        weights[0].grad, weights[1].grad = torch.tensor([gradient]), torch.tensor([0.0])
        ascend(weights, 0.5)
        np.testing.assert_allclose([w.item() for w in weights], [1.3, 1.6], atol=1e-6)


def test_the_step_is_along_the_gradient_at_the_ascended_weights(data):
    runner = TrialRunner(settings(training="sam", sam={"rho": 0.3}), **data)
    trainer = runner.begin(POINT)
    train = runner.splits["train"]
    batch = next(trainer.batches(runner.images, train, 0, 1, runner.processes))()
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    trainer.network.train()
    value = trainer.compute_gradients(batch, 0, 0)
    found = {name: p.grad.clone() for name, p in trainer.network.named_parameters()}
    for name, parameter in trainer.network.named_parameters():
        assert torch.equal(parameter, before[name]), name

    def loss_at(weights):
        logits = torch.func.functional_call(trainer.network, weights, (batch[0],))
        return batch_loss(logits, batch[1], batch[2], False)

    slopes = torch.func.grad(loss_at)(before)
    length = math.sqrt(sum(float(g.double().square().sum()) for g in slopes.values()))
    moved = {name: w + 0.3 * slopes[name] / length for name, w in before.items()}
    expected = torch.func.grad(loss_at)(moved)
    assert value.item() == pytest.approx(loss_at(before).item(), abs=1e-6)
    for name, gradient in expected.items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-6)
    assert max(float((expected[n] - slopes[n]).abs().max()) for n in slopes) > 1e-3


def batch_norms(network) -> list:
    return [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_running_statistics_are_those_of_the_first_pass(data):
    made = []
    for training in ("erm", "sam"):
        given = {**settings(training=training, sam={"rho": 0.3}), "model_entry": RESNET}
        runner = TrialRunner(given, **data)
        trainer = runner.begin(POINT)
        train = runner.splits["train"]
        batch = next(trainer.batches(runner.images, train, 0, 1, runner.processes))()
        trainer.network.train()
        trainer.compute_gradients(batch, 0, 0)
        made.append(
            [
                (m.running_mean, m.running_var, m.num_batches_tracked)
                for m in batch_norms(trainer.network)
            ]
        )
    assert len(made[0]) > 5 and made[0][0][2] == 1
    for one, two in zip(*made, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


# SWAD.


def by_the_algorithm(losses: list[float], n_s: int, n_e: int, r: float):
    """Return t_s and t_e as algorithm 1 is printed: E[i] is the loss of iteration i, from 1."""
    e = dict(enumerate(losses, start=1))
    t_s, t_e, limit = None, None, None
    for i in range(1, len(losses) + 1):
        if limit is None:
            last = [e.get(i - k) for k in range(n_s)]
            if None not in last and e[i - n_s + 1] == min(last):
                t_s, limit = i - n_s + 1, r / n_s * sum(last)
        elif i >= n_e and limit < min(e[i - k] for k in range(n_e)):
            t_e = i - n_e
            break
    return t_s, t_e


def test_the_window_by_hand():
    window = partial(find_window, optimum_patience=3, overfit_patience=2, tolerance=1.5)
    assert window([5, 4, 3, 2]) == (None, None)
    assert window([5, 2, 3, 4]) == (2, None)  # 2 is the lowest of 2, 3, 4; the limit is 4.5
    assert window([5, 2, 3, 4, 4.6]) == (2, None)
    assert window([5, 2, 3, 4, 4.6, 4.4, 4.7]) == (2, None)
    assert window([5, 2, 3, 4, 4.6, 4.7, 1]) == (2, 4)
    assert window([math.nan, math.nan, math.nan, 2]) == (None, None)
    assert window([math.nan, 2, 3, math.nan, math.inf, math.nan]) == (2, None)


def test_the_window_is_that_of_the_algorithm():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(300):
        losses = np.abs(rng.normal(1, 0.4, rng.integers(1, 20)) + np.linspace(0, rng.normal(), 1))
        n_s, n_e, r = int(rng.integers(1, 5)), int(rng.integers(1, 5)), 1 + rng.random() / 2
        found = find_window(losses.tolist(), n_s, n_e, r)
        assert found == by_the_algorithm(losses.tolist(), n_s, n_e, r)
        start, end = found
        assert end is None or end >= start
        seen.add((start is None, end is None))
    assert seen == {(True, True), (False, True), (False, False)}


@pytest.mark.parametrize(
    ("losses", "swad", "window", "found"),
    [
        ([3, 2, 1, 2, 3, 3, 9], (2, 2, 1.5), (3, 4), True),
        ([3, 2, 1, 1.2, 1.1, 1.3, 1.2], (3, 2, 1.3), (3, 7), True),
        ([7, 6, 5, 4, 3, 2, 1], (3, 6, 1.3), (7, 7), False),
        ([1, 2, 3, 1, 1, 1, 1], (1, 1, 1.0), (1, 1), True),
    ],
)
def test_the_result_is_the_mean_of_every_step_of_the_window(
    data, losses, swad, window, found, monkeypatch
):
    """Weights are written down after each step, and averaged afterwards with plain arithmetic."""
    names = ("optimum_patience", "overfit_patience", "tolerance")
    own = dict(zip(names, swad, strict=True))
    runner = TrialRunner(settings(epochs=7, training="swad", swad=own), **data)
    trainer = runner.begin(POINT)
    material = TrialData(runner.images, runner.splits, lambda logits: float(logits.mean()))
    written = []
    for step in train_steps(trainer, material, 0, runner.processes):
        written.append({n: p.detach().double() for n, p in trainer.network.tuned().items()})
        if step.logits is not None:
            epoch = len(trainer.trial.curve)
            # A planted validation loss in place of that of these logits.
            monkeypatch.setattr(swad_module, "whole_loss", lambda *_, value=losses[epoch]: value)
            trainer.record_epoch(step.logits, material)
    per_epoch = trainer.per_epoch(40)
    first, last = window
    inside = written[(first - 1) * per_epoch : last * per_epoch]
    for name, value in trainer.trial.state.items():
        expected = torch.stack([w[name] for w in inside]).mean(dim=0)
        np.testing.assert_allclose(value, expected, atol=1e-6)
    assert trainer.trial.facts == {"averaged_epochs": [first, last], "window_found": found}
    assert trainer.trial.epoch == last
    ended = len(trainer.trial.curve)
    assert trainer.trial.curve == losses[:ended] and len(written) == ended * per_epoch
    with torch.no_grad():
        val = runner.images.plain_batch(runner.splits["val"].rows)
        logits = trainer.network.eval()(val).numpy()
    assert trainer.trial.criterion == pytest.approx(float(logits.mean()), abs=1e-6)


def test_batch_norm_statistics_are_recomputed_for_the_mean(data):
    given = {**settings(), "model_entry": RESNET}
    runner = TrialRunner(given, **data)
    network, train = runner.network, runner.splits["train"]
    network.retune({**given["entry"], "tune": "full"})
    norms = batch_norms(network)
    for norm in norms:
        norm.running_mean.fill_(7.0)
    seen = []
    hook = norms[0].register_forward_hook(lambda _, given, __: seen.append(given[0].detach()))
    recompute_statistics(network, runner.images, train, 3)
    hook.remove()
    inputs = torch.cat(seen)
    assert len(inputs) == 40
    np.testing.assert_allclose(norms[0].running_mean, inputs.mean(dim=(0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(norms[0].running_var, inputs.var(dim=(0, 2, 3)), rtol=1e-4)
    assert norms[0].momentum == 0.1
    network.retune({**given["entry"], "tune": "linear"})
    kept = [norm.running_mean.clone() for norm in norms]
    recompute_statistics(network, runner.images, train, 3)
    assert all(torch.equal(a, norm.running_mean) for a, norm in zip(kept, norms, strict=True))
