"""FSCL: the loss of a plain double loop, the classifier, and trials that can be refitted."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from medaudit.adapt.finetune import finetune
from medaudit.adapt.finetune.losses import class_weights, target_weights
from medaudit.adapt.finetune.trainers.fscl import contrast, even_weights, fit_classifier
from medaudit.adapt.finetune.training_loop import train_steps
from medaudit.adapt.finetune.trial import TrialData
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_json, read_metadata, read_table
from medaudit.search.best_trial import best_trial
from medaudit.search.search import search
from medaudit.search.trial_runner import TrialRunner
from tiny_baselines import settings, train, write_data


def fscl(**entry) -> dict:
    given = {
        "training": "fscl",
        "fscl": {"temperature": 0.1, "projection": 8},
        "augmentation": {"scale": [0.8, 1.0], "rotation": 5.0},
        "views": 2,
    }
    return settings(**{**given, **entry})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def by_double_loop(z, labels, groups, tau) -> float:
    """Return the loss by its definition, one pair after the other."""
    known = [i for i in range(len(z)) if not math.isnan(labels[i]) and groups[i] >= 0]
    cells = {}
    for i in known:
        others = [j for j in known if j != i]
        negatives = [j for j in others if labels[j] != labels[i] and groups[j] == groups[i]]
        positives = [j for j in others if labels[j] == labels[i]]
        if not negatives or not positives:
            continue
        below = sum(math.exp(z[i] @ z[n] / tau) for n in negatives)
        terms = {}
        for p in positives:
            pair = -math.log(math.exp(z[i] @ z[p] / tau) / below)
            terms.setdefault(groups[p], []).append(pair)
        anchor = np.mean([np.mean(part) for part in terms.values()])
        cells.setdefault((labels[i], groups[i]), []).append(anchor)
    return float(np.mean([np.mean(part) for part in cells.values()])) if cells else 0.0


def directions(rng, n: int, d: int) -> np.ndarray:
    z = rng.normal(size=(n, d))
    return z / np.linalg.norm(z, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("n", "classes", "groups", "tau"),
    [(24, 2, 2, 0.1), (30, 2, 3, 0.5), (40, 4, 3, 0.2), (6, 3, 3, 0.1), (9, 2, 1, 1.0)],
)
def test_the_loss_is_that_of_a_double_loop(n, classes, groups, tau):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        z = directions(rng, n, 5)
        labels, of = rng.integers(0, classes, n).astype(float), rng.integers(0, groups, n)
        labels[rng.random(n) < 0.1], of[rng.random(n) < 0.1] = np.nan, -1
        found = contrast(*map(torch.tensor, (z, labels, of)), tau)
        assert found.item() == pytest.approx(by_double_loop(z, labels, of, tau), rel=1e-5, abs=1e-6)


def test_a_case_worked_by_hand():
    """Two views each of a sick image at (1, 0), a healthy one at (0, 1), one of group 1 at (-1, 0).

    Cosines are 1, 0 or -1, over tau = 1/2.
    """
    z = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1], [-1, 0], [-1, 0]])
    labels = torch.tensor([1.0, 1, 0, 0, 0, 0])
    groups = torch.tensor([0, 0, 0, 0, 1, 1])
    sick = math.log(2) - 2  # negatives: the two healthy views of group 0, e^0 each; positive at 2
    healthy = math.log(2) - (2 + 0) / 2  # positives: the other view at 2; those of group 1 at 0
    # Nobody in group 1 is sick, so its images have no negatives: they are positives, not anchors.
    found = contrast(z, labels, groups, 0.5)
    assert found.item() == pytest.approx((sick + healthy) / 2)


def test_no_anchor_is_a_loss_of_zero_that_can_be_derived():
    z = torch.randn(4, 3, requires_grad=True)
    found = contrast(z, torch.tensor([0.0, 0, 1, 1]), torch.tensor([0, 0, 1, 1]), 0.1)
    found.backward()
    assert found.item() == 0 and torch.equal(z.grad, torch.zeros(4, 3))


def test_images_of_no_group_change_nothing():
    rng = np.random.default_rng(3)
    z, labels = (
        torch.tensor(directions(rng, 20, 4)),
        torch.tensor(rng.integers(0, 2, 20).astype(float)),
    )
    groups = torch.tensor([0, 1, -1, 0, 1] * 4)
    moved = torch.where((groups < 0)[:, None], -z.flip(1), z)
    assert torch.equal(contrast(z, labels, groups, 0.1), contrast(moved, labels, groups, 0.1))


def test_telling_groups_apart_does_not_lower_the_loss():
    """Planted: embeddings of the class alone, and of class and group, both perfectly clustered."""
    labels, groups = torch.tensor([0.0, 1] * 8), torch.tensor([0, 0, 1, 1] * 4)
    sign, site = 2 * labels - 1, 2.0 * groups - 1
    both = torch.stack([sign, site], dim=1) / math.sqrt(2)
    alone = torch.stack([sign, torch.zeros(16)], dim=1)
    of_site = torch.stack([torch.zeros(16), site], dim=1)
    losses = [contrast(z, labels, groups, 0.1).item() for z in (alone, both, of_site)]
    assert losses == sorted(losses) and losses[1] > losses[0] + 5


def test_even_weights_make_a_mean_of_means():
    rng = np.random.default_rng(4)
    chosen, groups, values = rng.random((4, 12)) < 0.6, rng.integers(0, 4, 12), rng.normal(size=12)
    together = groups[:, None] == groups
    weights = even_weights(torch.tensor(chosen), torch.tensor(together)).double().numpy()
    for row, weight in zip(chosen, weights, strict=True):
        means = [values[row & (groups == g)].mean() for g in np.unique(groups[row])]
        assert weight @ values == pytest.approx(np.mean(means), rel=1e-5)


@pytest.mark.parametrize("kind", [None, "balanced"])
def test_the_classifier_is_scikit_learns(kind):
    rng = np.random.default_rng(5)
    x = rng.normal(3, [1, 5, 0.2, 1, 1], (150, 5))
    x[:, 4] = 2.5
    y = (x[:, :2] @ [[1, 0.5], [-0.3, 0.1]] + rng.normal(0, 2, (150, 2)) > 2).astype(np.float32)
    weights = target_weights(y, class_weights(y, False, kind), False)
    weight, bias = fit_classifier(x, y, weights, False)
    scaled = StandardScaler().fit_transform(x)
    for task in range(2):
        oracle = LogisticRegression(class_weight=kind, tol=1e-8).fit(scaled, y[:, task])
        expected = oracle.decision_function(scaled)
        np.testing.assert_allclose(x @ weight[task] + bias[task], expected, atol=2e-3)


def test_the_classifier_of_classes_is_scikit_learns():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(120, 4)), rng.integers(0, 3, 120)
    x[:, 0] += y
    onehot = np.eye(3, dtype=np.float32)[y]
    weights = target_weights(onehot, class_weights(onehot, True, None), True)
    weight, bias = fit_classifier(x, onehot, weights, True)
    scaled = StandardScaler().fit_transform(x)
    oracle = LogisticRegression(tol=1e-8).fit(scaled, y)
    logits = x @ weight.T + bias
    found = np.exp(logits - logits.max(1, keepdims=True))
    found /= found.sum(1, keepdims=True)
    np.testing.assert_allclose(found, oracle.predict_proba(scaled), atol=1e-3)


def test_missing_targets_take_no_part_in_the_classifier():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(60, 3))
    y = (x[:, :1] + rng.normal(size=(60, 1)) > 0).astype(np.float32)
    y[40:] = np.nan
    weights = target_weights(y, np.ones((2, 1), np.float32), False)
    first = fit_classifier(x, y, weights, False)
    assert np.isfinite(first[0]).all() and not weights[40:].any()
    scaled = StandardScaler().fit(x).transform(x)
    oracle = LogisticRegression(tol=1e-8).fit(scaled[:40], y[:40, 0])
    expected = oracle.decision_function(scaled)
    np.testing.assert_allclose(x @ first[0][0] + first[1][0], expected, atol=2e-3)


def test_the_logits_are_those_of_a_classifier_on_the_frozen_encoder(data):
    runner = TrialRunner(fscl(class_weights=None), **data)
    logits = train(runner)
    network, splits = runner.network.eval(), runner.splits
    with torch.no_grad():
        rows = splits["train"].rows
        views = runner.images.fixed_views(rows, rows % 2)
        features = network.tower(views).double().numpy()
        val = network.tower(runner.images.plain_batch(splits["val"].rows)).double().numpy()
    scaler = StandardScaler().fit(features)
    oracle = LogisticRegression(tol=1e-8, max_iter=1000)
    oracle.fit(scaler.transform(features), splits["train"].y[:, 0])
    np.testing.assert_allclose(
        logits[-1][:, 0], oracle.decision_function(scaler.transform(val)), atol=0.02
    )


def test_the_first_step_is_that_of_a_double_loop(data):
    runner = TrialRunner(fscl(), **data)
    trainer = runner.begin({"mask": "full", "learning_rate": 3e-3})
    steps = trainer.batches(runner.images, runner.splits["train"], 0, 3, runner.processes)
    for batch in [make() for make in steps]:
        first, second, y, codes = batch
        assert not torch.equal(first, second)
        with torch.no_grad():
            z = trainer.projection(runner.network.tower(torch.cat([first, second])))
        z = (z / z.norm(dim=1, keepdim=True)).double().numpy()
        expected = by_double_loop(z, np.tile(y[:, 0], 2), np.tile(codes, 2), 0.1)
        assert trainer.loss(batch, 0).item() == pytest.approx(expected, rel=1e-3, abs=1e-3)
    groups = runner.splits["train"].groups
    assert (codes == -1).any() == (groups[trainer.choose(40, 2, runner.processes)[1]] == "").any()


def test_training_lowers_the_loss_and_is_the_same_each_time(data):
    runner = TrialRunner(fscl(epochs=8), **data)
    trainer = runner.begin({"mask": "full", "learning_rate": 3e-3})
    material = TrialData(runner.images, runner.splits, lambda logits: 0.0)
    losses = [step.loss.item() for step in train_steps(trainer, material, 0, runner.processes)]
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 1
    first, second = (train(TrialRunner(fscl(views=None), **data)) for _ in range(2))
    assert np.array_equal(first, second)


def test_an_interrupted_trial_goes_on_with_the_same_numbers(data):
    runner = TrialRunner(fscl(), **data)
    point = {"mask": "full", "learning_rate": 3e-3}
    whole = train(runner, **point)
    material = TrialData(runner.images, runner.splits, lambda logits: 0.0)
    first = runner.begin(point)
    for step in train_steps(first, material, 0, runner.processes):
        if step.number == 4:
            state = {**first.state(), "step": step.number}
            break
    second = runner.begin(point)
    steps = train_steps(second, material, second.restore(state), runner.processes)
    logits = [step.logits for step in steps if step.logits is not None]
    np.testing.assert_allclose(logits[0], whole[1], atol=1e-6)


def test_one_view_and_no_groups_are_errors(data):
    for wrong in ({"augmentation": None}, {"views": 1}):
        with pytest.raises(MedauditError, match="two views"):
            train(TrialRunner(fscl(**wrong), **data))
    runner = TrialRunner(fscl(), **data)
    runner.splits["train"].groups[:] = ""
    with pytest.raises(MedauditError, match="the group of each training image"):
        train(runner)


def test_a_search_is_refitted_at_its_point(data, tmp_path):
    given = fscl()
    output = tmp_path / "search" / "0.json"
    search(given, **data, output=output, worker=0)
    best_trial(given, search=output, output=tmp_path / "best.json", trials=tmp_path / "trials.csv")
    best = read_json(tmp_path / "best.json")
    assert set(best["point"]) == {"mask", "learning_rate"}
    refit = tmp_path / "p.parquet"
    finetune({**given, "seed": 0}, **data, output=refit, point=tmp_path / "best.json")
    runs = read_metadata(refit)["runs"]
    assert runs["point"] == best["point"]
    chosen = runs["chosen"][0]
    assert chosen["criterion"] == pytest.approx(-best["value"], abs=1e-5)
    table = read_table(refit, PREDICTIONS)
    score = table.loc[table["split"] == "val", "score"].to_numpy()
    trial = train(TrialRunner(given, **data), **best["point"])[chosen["epoch"] - 1]
    np.testing.assert_allclose(score, expit(trial[:, 0].astype(float)), atol=1e-6)
