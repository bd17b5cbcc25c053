"""Spaces, objectives and halving of a search against enumeration, scikit-learn and Optuna."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from medaudit.adapt.objective import Objective, direction_of
from medaudit.core.errors import MedauditError
from medaudit.search.halving import Halving
from medaudit.search.space import suggest_point
from shipped_config import SCHEMAS

VIT = ("norms", "attention", "mlp")
MINIMUM = {"n": 10, "n_pos": 3, "n_neg": 3}


class Recorder:
    """Answers from a script and records the number of choices."""

    def __init__(self, script: tuple[int, ...]) -> None:
        self.script, self.options = script, []

    def _answer(self, choices: list):
        at = len(self.options)
        self.options.append(len(choices))
        return choices[self.script[at] if at < len(self.script) else 0]

    def suggest_int(self, name, low, high):
        return self._answer(list(range(low, high + 1)))

    def suggest_categorical(self, name, choices):
        return self._answer(choices)

    def suggest_float(self, name, low, high, *, log):
        return low


def every_mask(space: str, units: int, components=VIT) -> list[str]:
    """Walk through all answers that a space can be given."""
    layout = SimpleNamespace(units=tuple(range(units)), components=components)
    entry = {"space": space, "learning_rate": [1e-4, 1e-2]}
    masks, waiting = [], [()]
    while waiting:
        script = waiting.pop()
        recorder = Recorder(script)
        mask = suggest_point(recorder, entry, layout)["mask"]
        if len(recorder.options) == len(script):
            masks.append(mask)
        else:
            waiting += [(*script, i) for i in range(recorder.options[len(script)])]
    return masks


@pytest.mark.parametrize("space", ["blocks36", "depth_first36"])
@pytest.mark.parametrize(("units", "components"), [(3, VIT), (4, ("norms", "convolutions"))])
def test_both_parametrisations_describe_every_mask_exactly_once(space, units, components):
    bits = units * len(components)
    masks = every_mask(space, units, components)
    assert len(masks) == 2**bits
    assert set(masks) == {"".join(bits) for bits in product("01", repeat=bits)}


def test_one_bit_spaces_are_the_masks_of_one_component():
    assert set(every_mask("attention12", 2)) == {"000000", "010000", "000010", "010010"}
    assert set(every_mask("layernorm12", 2)) == {"000000", "100000", "000100", "100100"}


def test_the_lowest_tuned_block_of_a_depth_first_point_is_the_drawn_one():
    layout = SimpleNamespace(units=tuple(range(5)), components=VIT)
    entry = {"space": "depth_first36", "learning_rate": [1e-4, 1e-2]}
    for first in range(6):
        mask = suggest_point(Recorder((first,)), entry, layout)["mask"]
        assert mask.find("1") // 3 == first if first < 5 else mask == "0" * 15


def test_a_named_mask_leaves_the_learning_rate_and_a_lacking_component_is_refused():
    recorder = Recorder(())
    entry = {"space": "bitfit", "learning_rate": [1e-4, 1e-2]}
    assert suggest_point(recorder, entry, None) == {"mask": "bitfit", "learning_rate": 1e-4}
    assert recorder.options == []
    resnet = SimpleNamespace(units=("a",), components=("norms", "convolutions"))
    with pytest.raises(MedauditError, match="attention of each block"):
        suggest_point(recorder, {**entry, "space": "attention12"}, resnet)


def patients(n: int = 400, tasks: int = 1, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a validation split of three groups, one too small, and logits that know something."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (n, tasks)).astype(float)
    group = rng.choice(["a", "b"], n).astype(object)
    group[:5] = "rare"
    frame = pd.DataFrame({"patient_id": [str(i) for i in range(n)], "a_race": group})
    for t in range(tasks):
        frame[f"y_task{t}"] = y[:, t]
    noise = np.where(group == "a", 1.0, 3.0)[:, None] * rng.normal(size=y.shape)
    return frame, (2 * y - 1 + noise).astype(np.float32)


def measured(metric: str, frame, logits, task_type="multilabel", attribute="race") -> float:
    tasks = [column[2:] for column in frame if column.startswith("y_")]
    wanted = {"metric": metric, "attribute": attribute, "minimum": MINIMUM}
    found = Objective(wanted, frame, tasks, task_type).measure(logits)
    assert found.status == "ok"
    return found.value


def by_group(function, frame, values) -> list[float]:
    """Apply a function of labels and values to the groups that are large enough."""
    groups = [(frame["a_race"] == name).to_numpy() for name in ("a", "b")]
    return [function(frame["y_task0"][rows], values[rows, 0]) for rows in groups]


def test_objectives_are_those_of_scikit_learn_and_fairlearn():
    frame, logits = patients()
    aucs = by_group(roc_auc_score, frame, logits)
    assert measured("auc_min", frame, logits) == pytest.approx(min(aucs), abs=1e-9)
    assert measured("auc_gap", frame, logits) == pytest.approx(max(aucs) - min(aucs), abs=1e-9)
    far = np.hypot(1 - aucs[0], 1 - aucs[1])
    assert measured("dto", frame, logits) == pytest.approx(far, abs=1e-9)
    everybody = roc_auc_score(frame["y_task0"], logits[:, 0])
    assert measured("auc", frame, logits) == pytest.approx(everybody, abs=1e-9)
    balanced = by_group(balanced_accuracy_score, frame, logits >= 0)
    assert measured("balanced_accuracy_min", frame, logits) == pytest.approx(min(balanced))
    kept = (frame["a_race"] != "rare").to_numpy()
    parts = frame["y_task0"][kept], (logits[kept, 0] >= 0).astype(int)
    groups = {"sensitive_features": frame["a_race"][kept]}
    odds = equalized_odds_difference(*parts, **groups)
    assert measured("eoddsd", frame, logits) == pytest.approx(odds)
    parity = demographic_parity_difference(*parts, **groups)
    assert measured("dpd", frame, logits) == pytest.approx(parity)


def test_the_worst_brier_score_is_the_largest():
    frame, logits = patients()
    score = 1 / (1 + np.exp(-logits.astype(float)))
    brier = by_group(lambda y, s: float(((s - y) ** 2).mean()), frame, score)
    assert measured("brier_max", frame, logits) == pytest.approx(max(brier))
    assert max(brier) != min(brier)


def test_several_tasks_are_averaged_before_groups_are_compared():
    frame, logits = patients(tasks=3)
    means = [
        np.mean([roc_auc_score(frame[f"y_task{t}"][rows], logits[rows, t]) for t in range(3)])
        for rows in ((frame["a_race"] == name).to_numpy() for name in ("a", "b"))
    ]
    assert measured("auc_min", frame, logits) == pytest.approx(min(means), abs=1e-9)


def test_classes_are_decided_by_the_largest_score():
    frame, logits = patients(tasks=3)
    chosen = np.random.default_rng(1).integers(0, 3, len(frame))
    for t in range(3):
        frame[f"y_task{t}"] = (chosen == t).astype(float)
    right = float((logits.argmax(axis=1) == chosen).mean())
    assert measured("accuracy", frame, logits, "multiclass") == pytest.approx(right)


def test_an_intersection_has_groups_of_its_own():
    frame, logits = patients()
    frame["a_sex"] = np.where(np.arange(len(frame)) % 2, "male", "female")
    cells = frame["a_race"] + frame["a_sex"]
    aucs = [
        roc_auc_score(frame["y_task0"][cells == cell], logits[cells == cell, 0])
        for cell in cells.unique()
        if "rare" not in cell
    ]
    found = measured("auc_min", frame, logits, attribute=["race", "sex"])
    assert found == pytest.approx(min(aucs), abs=1e-9)


def test_a_group_that_is_left_out_is_named():
    frame, _ = patients()
    wanted = {"metric": "auc_min", "attribute": "race", "minimum": MINIMUM}
    groups = Objective(wanted, frame, ["task0"], "binary").groups()
    assert {g["group"]: g["status"] for g in groups} == {"a": "ok", "b": "ok", "rare": "too_few"}
    assert [g["n"] for g in groups] == frame["a_race"].value_counts().sort_index().tolist()


def test_an_objective_that_can_have_no_value_is_refused_before_training():
    frame, _ = patients()
    frame.loc[frame["a_race"] == "a", "y_task0"] = 1.0
    wanted = {"metric": "auc_min", "attribute": "race", "minimum": MINIMUM}
    with pytest.raises(MedauditError, match="no value on the validation split"):
        Objective(wanted, frame, ["task0"], "binary")


def test_output_that_is_not_finite_has_no_value():
    frame, logits = patients()
    wanted = {"metric": "auc_min", "attribute": "race", "minimum": MINIMUM}
    logits[3] = np.nan
    found = Objective(wanted, frame, ["task0"], "binary").measure(logits)
    assert np.isnan(found.value)
    assert "not finite" in found.status


def test_every_objective_of_the_schema_has_a_direction_and_a_value():
    schema = yaml.safe_load((SCHEMAS / "methods.schema.yaml").read_text())
    offered = schema["$defs"]["search"]["properties"]["objective"]["properties"]["metric"]["enum"]
    frame, logits = patients()
    for name in offered:
        better = measured(name, frame, logits + 100 * (2 * frame[["y_task0"]].to_numpy() - 1))
        worse = measured(name, frame, logits)
        if name != "dpd":
            assert (better > worse) == (direction_of(name) == "maximize"), name
    assert direction_of("dpd") == "minimize"
    for wrong in ("auc_max", "brier_min", "selection_rate", "acu"):
        with pytest.raises(MedauditError, match="unknown"):
            direction_of(wrong)


@pytest.mark.parametrize(("first", "factor"), [(1, 2), (2, 2), (1, 4)])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_halving_stops_the_trials_that_optunas_stops(first, factor, direction):
    sampler = optuna.samplers.RandomSampler(seed=0)
    values = np.random.default_rng(first).random((40, 8)).round(1)
    stopped = []
    for pruner in (
        Halving(first, factor, epochs=9),
        optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor),
    ):
        study = optuna.create_study(direction=direction, pruner=pruner, sampler=sampler)
        ends = []
        for row in values:
            trial = study.ask()
            for epoch, value in enumerate(row, start=1):
                trial.report(value, epoch)
                if trial.should_prune():
                    break
            ends.append(epoch)
            study.tell(trial, value)
        stopped.append(ends)
    assert stopped[0] == stopped[1]
    assert len(set(stopped[0])) > 2


def test_a_lost_trial_does_not_compete_and_nothing_stops_in_the_last_epoch():
    study = optuna.create_study(direction="maximize", pruner=Halving(1, 2, epochs=4))
    for value, state in ((0.9, optuna.trial.TrialState.FAIL), (0.5, None)):
        trial = study.ask()
        trial.report(value, 1)
        assert not trial.should_prune()
        study.tell(trial, None if state else value, state=state)
    worse = study.ask()
    worse.report(0.4, 1)
    assert worse.should_prune()
    assert Halving(1, 2, epochs=4).rungs == {1, 2}
