"""Training many runs at once: optimizer, losses, heads and selection against torch and sklearn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from medaudit.adapt.adamw import AdamW, cosine
from medaudit.adapt.logits import loss, loss_gradient, mean_auc, probabilities
from medaudit.adapt.probe.heads import find_head
from medaudit.adapt.probe.sweep import Examples, predict, train_sweep
from medaudit.core.errors import MedauditError

ENTRY = {
    "epochs": 6,
    "batch_size": 16,
    "learning_rates": [0.001, 0.01, 0.1],
    "weight_decay": 0.01,
    "select": "val_loss",
    "hidden": 8,
    "dropout": 0.25,
}


def data(rows=70, inputs=5, tasks=3, multiclass=True, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, inputs), dtype=np.float32)
    z = x[:, :tasks] + 0.5 * rng.standard_normal((rows, tasks))
    if multiclass:
        return x, np.eye(tasks, dtype=np.float32)[z.argmax(axis=1)]
    y = (z > 0.3).astype(np.float32)
    y[rng.random(y.shape) < 0.2] = np.nan
    return x, y


def sweep(head, multiclass, rates=(0.001, 0.01, 0.1), seeds=(0, 1), **changes):
    entry = {**ENTRY, "learning_rates": list(rates), **changes}
    rngs = [np.random.default_rng(seed) for seed in seeds]
    train = Examples(*data(multiclass=multiclass))
    val = Examples(*data(40, multiclass=multiclass, seed=1))
    return train_sweep(find_head(head), entry, train, val, rngs, multiclass)


def test_adamw_agrees_with_torch(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("medaudit.adapt.adamw.BLOCK", 7)
    rng = np.random.default_rng(0)
    rates = np.array([0.003, 0.1])
    ours = [
        rng.standard_normal((2, 2, 5, 3)).astype("f"),
        rng.standard_normal((2, 2, 4)).astype("f"),
    ]
    theirs = [[torch.nn.Parameter(torch.tensor(p[:, r])) for p in ours] for r in range(2)]
    optimizers = [
        torch.optim.AdamW(group, lr=rate, weight_decay=0.05)
        for group, rate in zip(theirs, rates, strict=True)
    ]
    optimizer = AdamW(ours, rates, 0.05)
    for step in range(50):
        gradients = [rng.standard_normal(p.shape).astype("f") * 10.0 ** -(step % 4) for p in ours]
        optimizer.step([g.astype("f") for g in gradients], cosine(step, 50))
        for rate, group, torch_optimizer in zip(rates, theirs, optimizers, strict=True):
            index = int(np.flatnonzero(rates == rate)[0])
            for parameter, gradient in zip(group, gradients, strict=True):
                parameter.grad = torch.tensor(gradient[:, index].astype("f"))
            torch_optimizer.param_groups[0]["lr"] = rate * cosine(step, 50)
            torch_optimizer.step()
    for index, group in enumerate(theirs):
        for found, expected in zip(ours, group, strict=True):
            np.testing.assert_allclose(found[:, index], expected.detach(), rtol=1e-5, atol=1e-5)


def test_cosine_agrees_with_torch():
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for step in range(40):
        assert cosine(step, 40) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_losses_and_gradients_agree_with_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z = (4 * rng.standard_normal((2, 3, 10, 4))).astype("f")
    y = np.eye(4, dtype="f")[rng.integers(0, 4, (2, 1, 10))]
    masked = (rng.random((2, 1, 10, 4)) < 0.5).astype("f")
    masked[rng.random(masked.shape) < 0.3] = np.nan
    for seed in range(2):
        for rate in range(3):
            logits = torch.tensor(z[seed, rate], requires_grad=True)
            value = torch.nn.functional.cross_entropy(logits, torch.tensor(y[seed, 0]))
            value.backward()
            assert loss(z, y, True)[seed, rate] == pytest.approx(value.item(), rel=1e-5)
            np.testing.assert_allclose(
                loss_gradient(z, y, True)[seed, rate], logits.grad, atol=1e-6
            )
            logits = torch.tensor(z[seed, rate], requires_grad=True)
            target = torch.tensor(masked[seed, 0])
            known = ~target.isnan()
            value = torch.nn.functional.binary_cross_entropy_with_logits(
                logits[known], target[known]
            )
            value.backward()
            assert loss(z, masked, False)[seed, rate] == pytest.approx(value.item(), rel=1e-5)
            np.testing.assert_allclose(
                loss_gradient(z, masked, False)[seed, rate], logits.grad, atol=1e-6
            )


def test_a_batch_without_known_labels_teaches_nothing():
    z = np.ones((1, 1, 4, 2), np.float32)
    y = np.full((1, 1, 4, 2), np.nan, np.float32)
    assert not loss_gradient(z, y, False).any()
    assert np.isnan(loss(z, y, False)).all()


def test_large_logits_stay_finite():
    z = np.array([[500.0, -500.0], [-500.0, 500.0]], np.float32)
    y = np.eye(2, dtype=np.float32)
    assert loss(z, y, True) == 0
    assert loss(z, y, False) == pytest.approx(0, abs=1e-200)
    assert np.isfinite(loss_gradient(-z, y, False)).all()
    high = np.array([[[500.0, 450.0]]], np.float32)
    assert loss_gradient(high, y[None, 1:], True)[0, 0] == pytest.approx([1, -1])
    assert loss(-z, y, True) == pytest.approx(1000)
    assert np.array_equal(probabilities(z, False), y)
    tiny = probabilities(np.array([-50.0, -60.0]), False)
    np.testing.assert_allclose(tiny, np.exp([-50.0, -60.0]))


def test_moments_of_a_dead_weight_become_zero_not_denormal():
    optimizer = AdamW([np.ones((1, 1, 8), np.float32)], np.array([0.01]), 0.0)
    optimizer.step([np.ones((1, 1, 8), np.float32)], 1.0)
    for _ in range(1100):
        optimizer.step([np.zeros((1, 1, 8), np.float32)], 1.0)
        moment = np.abs(optimizer.first[0])
        assert ((moment == 0) | (moment > np.finfo(np.float32).tiny)).all()
    assert not optimizer.first[0].any()


def test_mean_auc_is_sklearns_over_defined_tasks():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 6, (2, 3, 50, 3)).astype("f")
    y = (rng.random((50, 3)) < 0.4).astype("f")
    y[rng.random(y.shape) < 0.2] = np.nan
    y[:, 2] = np.where(np.isnan(y[:, 2]), np.nan, 0)
    known = [np.isfinite(y[:, task]) for task in range(2)]
    for seed in range(2):
        for rate in range(3):
            expected = [
                roc_auc_score(y[known[task], task], z[seed, rate, known[task], task])
                for task in range(2)
            ]
            assert mean_auc(z, y, False)[seed, rate] == pytest.approx(np.mean(expected), abs=1e-12)
    one_hot = np.eye(3, dtype="f")[rng.integers(0, 3, 50)]
    z = rng.standard_normal((1, 1, 50, 3)).astype("f")
    expected = roc_auc_score(
        one_hot.argmax(axis=1), probabilities(z[0, 0].astype(float), True), multi_class="ovr"
    )
    assert mean_auc(z, one_hot, True)[0, 0] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(mean_auc(z, np.zeros((50, 3), "f"), False)).all()


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_heads_agree_with_torch(name):
    torch = pytest.importorskip("torch")
    head, rng = find_head(name), np.random.default_rng(0)
    settings = {"hidden": 6, "dropout": 0.0}
    runs = [[head.initial(settings, 5, 3, rng) for _ in range(2)] for _ in range(2)]
    parameters = [
        np.stack([np.stack(p) for p in zip(*s, strict=True)])
        for s in zip(*[list(zip(*seed, strict=True)) for seed in runs], strict=True)
    ]
    parameters = [
        np.stack([np.stack([runs[s][r][i] for r in range(2)]) for s in range(2)])
        for i in range(len(runs[0][0]))
    ]
    x = rng.standard_normal((2, 9, 5)).astype("f")
    upstream = rng.standard_normal((2, 2, 9, 3)).astype("f")
    logits, cache = head.forward(settings, parameters, x)
    gradients = head.backward(parameters, cache, upstream)
    for seed in range(2):
        for rate in range(2):
            layers = [torch.tensor(p[seed, rate], requires_grad=True) for p in parameters]
            out = torch.tensor(x[seed]) @ layers[0].T + layers[1]
            if name == "mlp":
                out = out.relu() @ layers[2].T + layers[3]
            (out * torch.tensor(upstream[seed, rate])).sum().backward()
            np.testing.assert_allclose(logits[seed, rate], out.detach(), atol=1e-5)
            for found, layer in zip(gradients, layers, strict=True):
                np.testing.assert_allclose(found[seed, rate], layer.grad, atol=1e-5)


def test_dropout_keeps_the_mean_and_its_gradient_follows_its_mask():
    head, rng = find_head("mlp"), np.random.default_rng(0)
    settings = {"hidden": 50, "dropout": 0.4}
    parameters = [p[None, None] for p in head.initial(settings, 4, 2, rng)]
    x = rng.standard_normal((1, 3000, 4)).astype("f")
    plain, _ = head.forward(settings, parameters, x)
    dropped, cache = head.forward(settings, parameters, x, [np.random.default_rng(1)])
    zeroed = (cache[2] == 0).mean() - (head.forward(settings, parameters, x)[1][2] == 0).mean()
    assert 0.15 < zeroed < 0.25
    assert not np.allclose(plain, dropped)
    np.testing.assert_allclose(plain.mean(axis=2), dropped.mean(axis=2), atol=0.02)
    upstream = np.ones_like(dropped)
    step = 1e-2
    gradient = head.backward(parameters, cache, upstream)[2]
    parameters[2] = parameters[2] + step * gradient / np.linalg.norm(gradient)
    moved, _ = head.forward(settings, parameters, x, [np.random.default_rng(1)])
    change = (moved.astype(float) - dropped).sum()
    assert change == pytest.approx(step * np.linalg.norm(gradient), rel=1e-2)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("multiclass", [True, False])
def test_the_batched_sweep_is_each_run_alone(head, multiclass):
    together = sweep(head, multiclass)
    for seed in range(2):
        for rate, value in enumerate((0.001, 0.01, 0.1)):
            alone = sweep(head, multiclass, rates=(value,), seeds=(seed,))
            np.testing.assert_allclose(
                alone.losses[:, 0, 0], together.losses[:, seed, rate], rtol=1e-6, atol=1e-6
            )
            if together.rate[seed] == rate:
                assert alone.epoch[0] == together.epoch[seed]
                for one, all_runs in zip(alone.parameters, together.parameters, strict=True):
                    np.testing.assert_allclose(one[0], all_runs[seed], atol=1e-6)


def test_a_run_is_plain_torch_training():
    """The whole loop, stated again with torch: order, batches, loss, optimizer, schedule."""
    torch = pytest.importorskip("torch")
    (x, y), (x_val, y_val) = data(), data(40, seed=1)
    found = sweep("linear", True, rates=(0.03,), seeds=(4,))
    rng = np.random.default_rng(4)
    layer = torch.nn.Linear(5, 3)
    bound = 5**-0.5
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rng.uniform(-bound, bound, (3, 5))))
        layer.bias.copy_(torch.tensor(rng.uniform(-bound, bound, 3)))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.03, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6 * 5)
    expected = []
    for _ in range(6):
        order = rng.permutation(70)
        for start in range(0, 70, 16):
            rows = order[start : start + 16]
            logits = layer(torch.tensor(x[rows]))
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits, torch.tensor(y[rows])).backward()
            optimizer.step()
            schedule.step()
        scores = layer(torch.tensor(x_val)).softmax(dim=1).detach().numpy().astype(float)
        scores /= scores.sum(axis=1, keepdims=True)
        expected.append(log_loss(y_val.argmax(axis=1), scores))
    np.testing.assert_allclose(found.losses[:, 0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("multiclass", [True, False])
def test_trained_to_the_end_it_is_logistic_regression_on_the_known_labels(multiclass):
    x, y = data(400, multiclass=multiclass)
    entry = {**ENTRY, "epochs": 800, "batch_size": 400, "weight_decay": 0.0}
    entry["learning_rates"] = [0.1]
    rngs = [np.random.default_rng(0)]
    found = train_sweep(
        find_head("linear"), entry, Examples(x, y), Examples(x, y), rngs, multiclass
    )
    logits = predict(find_head("linear"), entry, found.parameters, x)[0, 0]
    scores = probabilities(logits.astype(float), multiclass)
    if multiclass:
        expected = LogisticRegression(C=np.inf).fit(x, y.argmax(axis=1)).predict_proba(x)
        np.testing.assert_allclose(scores, expected, atol=2e-3)
    for task in range(0 if multiclass else 3):
        known = np.isfinite(y[:, task])
        oracle = LogisticRegression(C=np.inf).fit(x[known], y[known, task])
        np.testing.assert_allclose(scores[:, task], oracle.predict_proba(x)[:, 1], atol=2e-3)


@pytest.mark.parametrize("select", ["val_loss", "val_auc"])
def test_epoch_and_rate_are_the_best_on_validation_and_their_weights_are_kept(select):
    found = sweep("mlp", True, epochs=12, select=select)
    x_val, y_val = data(40, seed=1)
    entry = {**ENTRY, "learning_rates": [0.001, 0.01, 0.1]}
    logits = predict(find_head("mlp"), entry, found.parameters, x_val)
    for seed in range(2):
        best = found.criterion[:, seed].min()
        assert found.criterion[found.epoch[seed] - 1, seed, found.rate[seed]] == best
        scores = probabilities(logits[seed, 0].astype(float), True)
        value = log_loss(y_val.argmax(axis=1), scores)
        if select == "val_auc":
            value = -roc_auc_score(y_val.argmax(axis=1), scores, multi_class="ovr")
        assert value == pytest.approx(best, abs=1e-6)


def test_labels_of_validation_decide():
    """With validation labels of another rule, the run that learnt least is chosen."""
    rngs = [np.random.default_rng(0)]
    (x, y), (x_val, y_val) = data(300), data(200, seed=1)
    train, val = Examples(x, y), Examples(x_val, y_val)
    entry = {**ENTRY, "learning_rates": [1e-6, 0.1]}
    right = train_sweep(find_head("linear"), entry, train, val, rngs, True)
    rotated = Examples(x_val, np.roll(y_val, 1, axis=1))
    wrong = train_sweep(find_head("linear"), entry, train, rotated, rngs, True)
    assert right.rate[0] == 1
    assert wrong.rate[0] == 0


def test_prediction_in_chunks_is_prediction_at_once(monkeypatch):
    found = sweep("mlp", True)
    x = data(50)[0]
    whole = predict(find_head("mlp"), ENTRY, found.parameters, x)
    monkeypatch.setattr("medaudit.adapt.probe.sweep.CHUNK", 7)
    np.testing.assert_allclose(
        predict(find_head("mlp"), ENTRY, found.parameters, x), whole, atol=1e-6
    )


def test_a_diverged_learning_rate_is_never_chosen_and_all_diverged_is_an_error():
    found = sweep("mlp", True, rates=(0.01, 1e38), weight_decay=10.0)
    assert not np.isfinite(found.losses[:, :, 1]).all()
    assert (found.rate == 0).all()
    with pytest.raises(
        MedauditError, match=r"not finite in any epoch for seeds \[0, 1\], at learning rates"
    ):
        sweep("mlp", True, rates=(1e38,), weight_decay=10.0)


def test_an_unknown_head_lists_the_known_ones():
    with pytest.raises(MedauditError, match=r"'ridge' is unknown; there are \['linear', 'mlp'\]"):
        find_head("ridge")
