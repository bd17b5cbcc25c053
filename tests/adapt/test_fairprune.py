"""FairPrune: saliencies, pruned weights, and that the unprivileged group is spared."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from medaudit.adapt.finetune import finetune
from medaudit.adapt.finetune.losses import class_weights
from medaudit.adapt.finetune.trainers.fairprune import (
    check_groups,
    group_aucs,
    prunable,
    prune,
    saliency,
    split_groups,
    squared_derivatives,
)
from medaudit.adapt.finetune.training_loop import train_steps
from medaudit.adapt.finetune.trial import TrialData, TrialKey
from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_json, read_metadata, read_table
from medaudit.search.best_trial import best_trial
from medaudit.search.search import search
from medaudit.search.space import suggest_point
from medaudit.search.trial_runner import TrialRunner
from shipped_config import SCHEMAS, shipped
from tiny_baselines import settings, train, write_data

FAIRPRUNE = {"pruning_ratio": [0.1, 0.4], "beta": [0.0, 1.0], "passes": 2, "images": 6}
MINIMUM = {"n": 4, "n_pos": 1, "n_neg": 1}


def fairprune(**entry) -> dict:
    return settings(training="fairprune", fairprune=FAIRPRUNE, **entry)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def logistic_losses(weight, x, y):
    for row, truth in zip(x, y, strict=True):
        yield torch.nn.functional.binary_cross_entropy_with_logits(row @ weight[0], truth)


def test_the_saliency_of_a_linear_model_is_that_by_hand():
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(7, 3)), rng.integers(0, 2, 7).astype(float), rng.normal(size=(1, 3))
    weight = torch.tensor(w, requires_grad=True)
    curvature = squared_derivatives(
        logistic_losses(weight, torch.tensor(x), torch.tensor(y)), [weight]
    )
    residual = expit(x @ w[0]) - y
    by_hand = 0.5 * (residual[:, None] ** 2 * x**2).mean(axis=0) * w[0] ** 2
    np.testing.assert_allclose(saliency([weight], curvature).numpy(), by_hand, rtol=1e-12)


def test_a_case_worked_by_hand():
    """One image a group, both orthogonal to the weights: p = 1/2, squared derivatives x^2 / 4."""
    weight = torch.tensor([[2.0, -1.0, 3.0]], requires_grad=True)
    found = []
    for row in ([1.0, 2.0, 0.0], [3.0, 0.0, -2.0]):
        x = torch.tensor([row])
        curvature = squared_derivatives(logistic_losses(weight, x, torch.zeros(1)), [weight])
        np.testing.assert_allclose(curvature[0].numpy(), x.numpy() ** 2 / 4, atol=1e-6)
        found.append(saliency([weight], curvature).numpy())
    np.testing.assert_allclose(found[0], [0.5, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(found[1], [4.5, 0, 4.5], atol=1e-6)
    pruned = torch.zeros(3, dtype=torch.bool)
    prune([weight], torch.tensor(found[0] - 0.5 * found[1]), pruned, 1)
    # 0.5 - 2.25 = -1.75, 0.5, -2.25
    assert weight.tolist() == [[2.0, -1.0, 0.0]]


@pytest.mark.parametrize("count", [0, 1, 5, 11, 24])
def test_exactly_count_weights_are_pruned_even_with_equal_scores(count):
    weights = [torch.full((3, 4), 7.0), torch.full((2, 6), 7.0)]
    scores = torch.tensor([2.0, 1.0, 1.0, 3.0] * 6)
    pruned = torch.zeros(24, dtype=torch.bool)
    prune(weights, scores, pruned, count)
    zero = torch.cat([w.reshape(-1) for w in weights]) == 0
    assert torch.equal(zero, pruned) and int(zero.sum()) == count
    order = np.argsort(scores.numpy(), kind="stable")[:count]
    assert set(np.flatnonzero(zero)) == set(order)


def test_what_is_pruned_stays_so_and_further_passes_add_to_it():
    weight = torch.arange(1.0, 7.0)[None]
    pruned = torch.zeros(6, dtype=torch.bool)
    prune([weight], torch.tensor([5.0, 4, 3, 2, 1, 0]), pruned, 2)
    prune([weight], torch.tensor([0.0, 4, 3, 2, 9, 9]), pruned, 4)
    assert weight.tolist() == [[0, 2, 3, 0, 0, 0]]
    prune([weight], torch.zeros(6), pruned, 3)
    assert int(pruned.sum()) == 4


def test_weights_that_serve_the_privileged_group_alone_go_first():
    """Planted: features 0 to 3 occur in the privileged group, 4 to 7 in the other, 8 in both."""
    rng = np.random.default_rng(1)
    serves = {"privileged": np.r_[:4, 8], "unprivileged": np.r_[4:9]}
    truth, x, y = rng.normal(size=9), {}, {}
    for name, features in serves.items():
        x[name] = np.zeros((60, 9))
        x[name][:, features] = rng.normal(size=(60, 5))
        y[name] = (x[name] @ truth + rng.normal(size=60) > 0).astype(float)
    weight = torch.tensor(truth[None], requires_grad=True)

    def losses(name):
        return [*logistic_losses(weight, torch.tensor(x[name]), torch.tensor(y[name]))]

    before = {name: torch.stack(losses(name)).detach() for name in serves}
    kept = {n: saliency([weight], squared_derivatives(losses(n), [weight])) for n in serves}
    prune([weight], kept["unprivileged"] - kept["privileged"], torch.zeros(9, dtype=torch.bool), 4)
    assert set(np.flatnonzero(weight.detach().numpy()[0] == 0)) == {0, 1, 2, 3}
    assert torch.equal(torch.stack(losses("unprivileged")), before["unprivileged"])
    assert torch.stack(losses("privileged")).mean() > before["privileged"].mean() + 0.05


def test_the_unprivileged_group_has_the_lowest_auc_on_validation():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, (90, 2)).astype(float)
    groups = np.array(["a", "b", "c", ""] * 20 + ["tiny"] * 2 + ["a"] * 8)
    noise = np.select([groups == "a", groups == "b", groups == "c"], [5, 0.4, 0.4], 30)
    logits = y + noise[:, None] * rng.normal(size=(90, 2))
    y[5, 0] = np.nan
    y[groups == "c", 1] = 1
    found = group_aucs(logits, y, groups, MINIMUM, False)
    assert set(found) == {"a", "b", "c"}
    for name in found:
        inside = groups == name
        tasks = [0] if name == "c" else [0, 1]
        aucs = []
        for task in tasks:
            known = inside & np.isfinite(y[:, task])
            aucs.append(roc_auc_score(y[known, task], logits[known, task]))
        assert found[name] == pytest.approx(np.mean(aucs))
    assert split_groups(found) == ("a", ["b", "c"])
    with pytest.raises(MedauditError, match="needs at least two groups"):
        split_groups({"a": 0.7})
    with pytest.raises(MedauditError, match="set objective.attribute"):
        check_groups(np.array(["", ""]))


def by_plain_loop(runner: TrialRunner, logits: np.ndarray, ratio: float, beta: float) -> np.ndarray:
    """Prune the runner's network, as a training without pruning left it; return its logits."""
    network, train_split, val = runner.network.eval(), runner.splits["train"], runner.splits["val"]
    aucs = {g: roc_auc_score(val.y[val.groups == g, 0], logits[val.groups == g, 0]) for g in "abc"}
    worst = min(aucs, key=aucs.get)
    trainer = runner.begin_of(ratio, beta)
    chosen = {
        0: trainer._draw(train_split.groups, [worst]),
        1: trainer._draw(train_split.groups, sorted(set("abc") - {worst})),
    }
    assert len(chosen[0]) == len(chosen[1]) == FAIRPRUNE["images"]
    assert set(train_split.groups[chosen[0]]) == {worst}
    assert set(train_split.groups[chosen[1]]) <= set("abc") - {worst}
    balance = class_weights(train_split.y, False, "balanced")
    weights = [p for n, p in network.named_parameters() if n.endswith("weight") and "norm" not in n]
    assert sum(w.numel() for w in weights) == sum(w.numel() for w in prunable(network))
    gone = np.zeros(sum(w.numel() for w in weights), bool)
    for share in (0.5, 1.0):
        kept = []
        for numbers in chosen.values():
            total = 0
            for number in numbers:
                network.zero_grad()
                x = network.encoder.prepare(runner.images.pixels[train_split.rows[[number]]])
                y = torch.tensor(train_split.y[[number]])
                scale = balance[int(y.item()), 0]
                value = torch.nn.functional.binary_cross_entropy_with_logits(network(x), y)
                (value * float(scale)).backward()
                total = total + np.concatenate([w.grad.numpy().ravel() ** 2 for w in weights])
            theta = np.concatenate([w.detach().numpy().ravel() for w in weights])
            kept.append(0.5 * theta**2 * total / len(numbers))
        score = np.where(gone, np.inf, kept[0] - beta * kept[1])
        gone[np.argsort(score, kind="stable")[: round(ratio * gone.size * share) - gone.sum()]] = 1
        start = 0
        for weight in weights:
            part = torch.tensor(gone[start : start + weight.numel()]).view_as(weight)
            weight.data[part] = 0
            start += weight.numel()
    with torch.no_grad():
        return network(network.encoder.prepare(runner.images.pixels[val.rows])).numpy()


class Plain(TrialRunner):
    """A runner that also gives the trainer of a point, without putting weights back."""

    def begin_of(self, ratio: float, beta: float):
        from medaudit.adapt.finetune.trainers.fairprune import Trainer

        entry = {**self.entry, "pruning_ratio": ratio, "beta": beta, "fairprune": FAIRPRUNE}
        return Trainer(self.network, entry, False, TrialKey(3e-3, self.seed), self.splits["train"])


def test_every_epoch_is_that_of_a_plain_loop(data):
    """Training must continue from the unpruned weights, so the second epoch is checked too."""
    found = train(TrialRunner(fairprune(), **data), pruning_ratio=0.3, beta=0.4)
    for epochs in (1, 2):
        plain = Plain(settings(), **data)
        unpruned = []
        plain.run(
            {"mask": "full", "learning_rate": 3e-3},
            lambda epoch, logits, last=epochs, seen=unpruned: seen.append(logits) or epoch == last,
        )
        expected = by_plain_loop(plain, unpruned[-1], 0.3, 0.4)
        assert not np.allclose(expected, unpruned[-1], atol=1e-3)
        np.testing.assert_allclose(found[epochs - 1], expected, atol=1e-5)


def test_without_pruning_it_is_fine_tuning(data):
    plain = train(TrialRunner(settings(), **data))
    assert np.array_equal(train(TrialRunner(fairprune(), **data), pruning_ratio=0, beta=1), plain)


def test_an_interrupted_trial_goes_on_with_the_same_numbers(data):
    runner = TrialRunner(fairprune(), **data)
    point = {"mask": "full", "learning_rate": 3e-3, "pruning_ratio": 0.3, "beta": 0.4}
    whole = train(runner, **point)
    material = TrialData(runner.images, runner.splits, lambda logits: 0.0)
    first = runner.begin(point)
    for step in train_steps(first, material, 0, runner.processes):
        if step.number == first.per_epoch(len(runner.splits["train"].rows)):
            state = {**first.state(), "step": step.number}
            break
    second = runner.begin(point)
    steps = train_steps(second, material, second.restore(state), runner.processes)
    logits = [step.logits for step in steps if step.logits is not None]
    assert np.array_equal(logits[0], whole[1])


def test_images_without_a_group_are_an_error(data):
    runner = TrialRunner(fairprune(), **data)
    runner.splits["train"].groups[:] = ""
    with pytest.raises(MedauditError, match="needs the group of each training image"):
        train(runner, pruning_ratio=0.3, beta=0.4)


class Recorder:
    """Takes the place of Optuna's trial: remembers ranges, and answers with the lowest."""

    def __init__(self):
        self.ranges = {}

    def suggest_float(self, name, low, high, *, log=False):
        self.ranges[name] = (low, high, log)
        return low


def test_the_pruning_ratio_is_searched_beside_the_learning_rate():
    recorder = Recorder()
    point = suggest_point(recorder, fairprune()["entry"], None)
    assert point == {"mask": "full", "learning_rate": 1e-3, "pruning_ratio": 0.1, "beta": 0.0}
    assert recorder.ranges == {
        "learning_rate": (1e-3, 1e-2, True),
        "pruning_ratio": (0.1, 0.4, False),
        "beta": (0.0, 1.0, False),
    }


def test_a_search_is_refitted_at_its_point(data, tmp_path):
    given = fairprune()
    output = tmp_path / "search" / "0.json"
    search(given, **data, output=output, worker=0)
    best_trial(given, search=output, output=tmp_path / "best.json", trials=tmp_path / "trials.csv")
    best = read_json(tmp_path / "best.json")
    assert set(best["point"]) == {"mask", "learning_rate", "pruning_ratio", "beta"}
    assert 0.1 <= best["point"]["pruning_ratio"] <= 0.4
    refit = tmp_path / "p.parquet"
    finetune({**given, "seed": 0}, **data, output=refit, point=tmp_path / "best.json")
    runs = read_metadata(refit)["runs"]
    assert runs["point"] == best["point"]
    chosen = runs["chosen"][0]
    assert chosen["criterion"] == pytest.approx(-best["value"], abs=1e-5)
    assert chosen["pruned"] == round(best["point"]["pruning_ratio"] * chosen["prunable"])
    assert sorted([chosen["unprivileged"], *chosen["privileged"]]) == ["a", "b", "c"]
    table = read_table(refit, PREDICTIONS)
    score = table.loc[table["split"] == "val", "score"].to_numpy()
    trial = train(TrialRunner(given, **data), **best["point"])[chosen["epoch"] - 1]
    np.testing.assert_allclose(score, expit(trial[:, 0].astype(float)), atol=1e-6)


def with_methods(*methods: str, **changes) -> dict:
    """Return the shipped configuration with a study of some methods, one of them changed."""
    config = deepcopy(shipped())
    cohort, model = "nih_6x200", "vit_random"
    config["studies"] = {
        "s": {"title": "S", "cohorts": [cohort], "models": [model], "methods": list(methods)}
    }
    config["run"] = ["s"]
    for key, value in changes.items():
        config["methods"][methods[0]] |= {key: value}
    return config


def test_the_catalogue_has_both_methods_and_a_refit_knows_its_training():
    config = check(with_methods("fairprune", "fscl", "search_full"), SCHEMAS)
    names = {"cohort": "nih_6x200", "model": "vit_random"}
    codes = {
        m: jobs.code(config, "search", **names, method=m, worker="0")
        for m in config["methods"]
        if m in ("fairprune", "fscl", "search_full")
    }
    assert len(set(codes.values())) == 3
    entry = config["methods"]["fairprune"]
    same = {**config["methods"]["search_full"], "group_curves": False}
    different = {key for key in entry if entry[key] != same.get(key)} - {"label"}
    assert different == {"training", "fairprune"}
    assert {k for k, v in config["methods"]["fscl"].items() if v != same.get(k)} == {
        "label",
        "training",
        "fscl",
        "views",
    }


@pytest.mark.parametrize(
    ("method", "changes", "said"),
    [
        ("fairprune", {"fairprune": {"beta": [0, 1]}}, "'pruning_ratio' is a required property"),
        (
            "fairprune",
            {"fairprune": {"pruning_ratio": [0.5, 0.1], "beta": [0, 1]}},
            "0.5 is not below 0.1",
        ),
        ("search_full", {"training": "fairprune"}, "'fairprune' is a required property"),
        ("search_full", {"training": "fscl"}, "'fscl' is a required property"),
        ("fscl", {"augmentation": None}, "compares two views"),
        ("fscl", {"views": 1}, "compares two views"),
    ],
)
def test_settings_that_cannot_be_trained_are_found_before_anything_runs(method, changes, said):
    with pytest.raises(MedauditError, match=said):
        check(with_methods(method, **changes), SCHEMAS)
