import json

import pytest

from medaudit import plan
from medaudit.config import check
from test_config import SCHEMAS, edited, shipped

CONFIG = check(shipped(), SCHEMAS)
NAMES = {"cohort": "nih_6x200", "model": "vit_random", "method": "linear"}


def settings(stage: str, config: dict = CONFIG, **names: str) -> dict:
    return json.loads(plan.settings(config, stage, **names))


def test_a_job_sees_only_what_it_depends_on():
    changed = check(edited("evaluation/bootstrap/draws", 77), SCHEMAS)
    for stage in ("embed", "probe"):
        names = dict(list(NAMES.items())[: 2 if stage == "embed" else 3])
        assert settings(stage, **names) == settings(stage, changed, **names)
    assert settings("evaluate", **NAMES) != settings("evaluate", changed, **NAMES)


@pytest.mark.parametrize(
    ("path", "value", "reruns"),
    [
        ("cohorts/nih_6x200/image_size", 32, {"images"}),
        ("cohorts/nih_6x200/seed", 1, {"cohort"}),
        ("datasets/nih/phantom/planted", [], {"images"}),
        ("models/vit_random/pooling", "avg", {"embed", "finetune"}),
        ("methods/linear/epochs", 7, {"probe"}),
    ],
)
def test_a_setting_reaches_the_stages_that_use_it(path, value, reruns):
    changed = check(edited(path, value), SCHEMAS)
    jobs = {
        "manifest": {"dataset": "nih"},
        "cohort": {"cohort": "nih_6x200"},
        "images": {"cohort": "nih_6x200"},
        "embed": {"cohort": "nih_6x200", "model": "vit_random"},
        "probe": NAMES,
        "finetune": {**NAMES, "method": "full", "seed": "0"},
        "evaluate": NAMES,
    }
    differ = {s for s, n in jobs.items() if settings(s, **n) != settings(s, changed, **n)}
    assert differ == reruns


def test_settings_do_not_depend_on_the_order_of_keys():
    turned = {key: CONFIG[key] for key in reversed(CONFIG)}
    assert plan.settings(CONFIG, "evaluate", **NAMES) == plan.settings(turned, "evaluate", **NAMES)


def test_methods_that_tune_weights_skip_models_without_any():
    config = check(edited("studies/clip_nih/methods", ["linear", "full"]), SCHEMAS)
    pairs = [(run["model"], run["method"]) for run in plan.runs(config, "clip_nih")]
    assert ("pixels", "linear") in pairs
    assert ("pixels", "full") not in pairs
    assert ("vit_random", "full") in pairs


def test_a_strangers_predictions_are_taken_as_given_and_by_nothing_else():
    stranger = {"kind": "predictions", "file": "x.csv", "licence": "none", "pretraining_data": []}
    config = edited("models/stranger", stranger)
    study = config["studies"]["clip_nih"]
    study["models"], study["methods"] = ["pixels", "stranger"], ["linear", "full", "given"]
    checked = check(config, SCHEMAS)
    pairs = {(run["model"], run["method"]) for run in plan.runs(checked, "clip_nih")}
    assert pairs == {("pixels", "linear"), ("stranger", "given")}
    names = {"cohort": "nih_6x200", "model": "stranger", "method": "given"}
    assert settings("predictions", checked, **names)["entry"]["file"] == "x.csv"


def test_code_follows_the_backend():
    one = plan.code(CONFIG, "embed", cohort="nih_6x200", model="pixels")
    assert one != plan.code(CONFIG, "embed", cohort="nih_6x200", model="vit_random")
