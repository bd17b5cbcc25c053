import dataclasses
import json

import pytest

from medaudit.config import jobs
from medaudit.config.model_facts import family_of
from medaudit.config.selection import selected
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.models.pretrain.settings import Settings
from shipped_config import SCHEMAS, edited, shipped

CONFIG = check(shipped(), SCHEMAS)
NAMES = {"cohort": "nih_6x200", "model": "vit_random", "method": "linear"}


def settings(stage: str, config: dict = CONFIG, **names: str) -> dict:
    return json.loads(jobs.settings(config, stage, **names))


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


@pytest.mark.parametrize(
    ("path", "value", "reruns"),
    [
        ("evaluation/metrics", ["auc", "brier"], {"evaluate", "disparity"}),
        ("evaluation/gaps", ["max_min", "ratio"], {"disparity"}),
        (
            "evaluation/bootstrap/draws",
            77,
            {"evaluate", "disparity", "dialects", "gap_decomposition", "attribute_probes"},
        ),
        ("evaluation/null/draws", 77, {"disparity", "dialects", "attribute_probes"}),
        (
            "evaluation/threshold",
            {"rule": "youden"},
            {"evaluate", "disparity", "dialects", "gap_decomposition"},
        ),
    ],
)
def test_an_evaluation_setting_reaches_the_stages_that_use_it(path, value, reruns):
    """Another list of metrics plans no dialects, no decomposition, no probes."""
    changed = check(edited(path, value), SCHEMAS)
    jobs = dict.fromkeys(("evaluate", "disparity", "dialects", "gap_decomposition"), NAMES)
    jobs["attribute_probes"] = {"cohort": "nih_6x200", "model": "vit_random"}
    differ = {s for s, n in jobs.items() if settings(s, **n) != settings(s, changed, **n)}
    assert differ == reruns


def test_a_control_plans_conditional_gaps_of_every_run_and_nothing_else():
    changed = check(edited("evaluation/control", ["age_group", "view"]), SCHEMAS)
    stages = ("evaluate", "disparity", "dialects", "gap_decomposition", "sensitivity")
    for stage in stages:
        assert settings(stage, **NAMES) == settings(stage, changed, **NAMES)
    given = settings("conditional_gaps", changed, **NAMES)["evaluation"]
    assert given["control"] == ["age_group", "view"] and given["bootstrap"] == {"level": 0.95}
    for config, runs in ((CONFIG, []), (changed, jobs.runs(changed, "clip_nih"))):
        assert jobs.runs_needing(config, "clip_nih", "conditional_gaps") == runs
    assert jobs.runs_needing(changed, "fairtune", "conditional_gaps") == [
        run for run in jobs.runs(changed, "fairtune") if run["cohort"] == "ham10000_age_small"
    ]
    assumed = check(edited("evaluation/sensitivity", {"flagged": [0.8, 1.2]}), SCHEMAS)
    differ = {s for s in stages if settings(s, **NAMES) != settings(s, assumed, **NAMES)}
    assert differ == {"sensitivity"}


def test_settings_do_not_depend_on_the_order_of_keys():
    turned = {key: CONFIG[key] for key in reversed(CONFIG)}
    assert jobs.settings(CONFIG, "evaluate", **NAMES) == jobs.settings(turned, "evaluate", **NAMES)


def test_methods_that_tune_weights_skip_models_without_any():
    config = check(edited("studies/clip_nih/methods", ["linear", "full"]), SCHEMAS)
    pairs = [(run["model"], run["method"]) for run in jobs.runs(config, "clip_nih")]
    assert ("pixels", "linear") in pairs
    assert ("pixels", "full") not in pairs
    assert ("clip_small", "full") in pairs


def test_a_strangers_predictions_are_taken_as_given_and_by_nothing_else():
    stranger = {"kind": "predictions", "file": "x.csv", "licence": "none", "pretraining_data": []}
    config = edited("models/stranger", stranger)
    study = config["studies"]["clip_nih"]
    study["models"], study["methods"] = ["pixels", "stranger"], ["linear", "full", "given"]
    study["also"] = []
    checked = check(config, SCHEMAS)
    pairs = {(run["model"], run["method"]) for run in jobs.runs(checked, "clip_nih")}
    assert pairs == {("pixels", "linear"), ("stranger", "given")}
    names = {"cohort": "nih_6x200", "model": "stranger", "method": "given"}
    assert settings("predictions", checked, **names)["entry"]["file"] == "x.csv"


def with_also(*crosses: dict) -> dict:
    config = edited("studies/how_fair/also", list(crosses))
    study = config["studies"]["how_fair"]
    study["cohorts"], study["models"] = ["chexpert_balanced_small"], ["vit_random"]
    study["methods"] = ["linear"]
    return config


def test_further_crosses_add_their_runs_once_and_in_order():
    first = {"cohorts": ["chexpert_balanced_small"], "models": ["vit_random", "pixels"]}
    second = {"cohorts": ["chexpert_glocker_small"], "models": ["vit_random"]}
    config = check(
        with_also({**first, "methods": ["linear", "full"]}, {**second, "methods": ["mlp"]}), SCHEMAS
    )
    runs = [tuple(run.values()) for run in jobs.runs(config, "how_fair")]
    balanced = "chexpert_balanced_small"
    assert runs == [
        (balanced, "vit_random", "linear"),
        (balanced, "vit_random", "full"),
        (balanced, "pixels", "linear"),
        ("chexpert_glocker_small", "vit_random", "mlp"),
    ]
    config["run"] = ["how_fair"]
    used = selected(config)
    assert used["cohorts"] == [balanced, "chexpert_glocker_small"]
    assert used["models"] == ["vit_random", "pixels"]
    assert used["methods"] == ["linear", "full", "mlp"]
    given = settings("compare", config, study="how_fair")
    assert list(given["methods"]) == sorted(used["methods"])
    assert set(given["models"]) == {"vit_random", "pixels"}
    seen = {c: set(settings("lint", config, cohort=c)["models"]) for c in used["cohorts"]}
    assert seen == {balanced: {"vit_random", "pixels"}, "chexpert_glocker_small": {"vit_random"}}


def test_further_crosses_are_checked_with_their_place_and_what_is_known():
    bad = {"cohorts": ["chexpert_balanced_small"], "models": ["vit_rondom"], "methods": ["linear"]}
    with pytest.raises(MedauditError) as caught:
        check(with_also(bad), SCHEMAS)
    assert "studies.how_fair.also.0.models: 'vit_rondom' is unknown" in str(caught.value)
    assert "did you mean 'vit_random'?" in str(caught.value) and "pixels" in str(caught.value)
    with pytest.raises(MedauditError, match="'methods' is a required property"):
        check(with_also({k: v for k, v in bad.items() if k != "methods"}), SCHEMAS)


def test_a_leak_in_a_further_cross_is_found():
    config = with_also(
        {"cohorts": ["chexpert_glocker_small"], "models": ["clip_small"], "methods": ["linear"]}
    )
    config["pretrainings"]["clip_small"]["cohorts"] = ["chexpert_pretraining"]
    with pytest.raises(
        MedauditError, match="may have seen test patients of chexpert_glocker_small"
    ):
        check(config, SCHEMAS)


def test_what_is_only_said_of_a_model_reruns_nothing_but_compare():
    facts = {"objective": "supervised", "domain": "natural"}
    config = edited("models/vit_random/pretraining", facts)
    config["studies"]["clip_nih"]["models"] = ["vit_random"]
    changed = check(config, SCHEMAS)
    embed = {"cohort": "nih_6x200", "model": "vit_random"}
    assert settings("embed", **embed) == settings("embed", changed, **embed)
    full = {**NAMES, "method": "full", "seed": "0"}
    assert settings("finetune", **full) == settings("finetune", changed, **full)
    given = settings("compare", changed, study="clip_nih")["models"]["vit_random"]
    assert given["pretraining"] == facts
    assert given["family"] == "vit" and given["architecture"] == "vit_tiny_patch16_224"


def test_compare_knows_what_the_run_pretrains_and_the_members_of_ensembles():
    config = edited("models/both", {"kind": "ensemble", "members": ["pixels", "clip_small"]})
    config["studies"]["clip_nih"]["models"] = ["both"]
    given = settings("compare", check(config, SCHEMAS), study="clip_nih")["models"]
    assert set(given) == {"both", "pixels", "clip_small", "efficientnet_lite0_small"}
    pretrained = given["clip_small"]["pretrained"]
    entry = config["pretrainings"]["clip_small"]
    for key in ("algorithm", "epochs", "cohorts"):
        assert pretrained[key] == entry[key]
    assert (pretrained["datasets"], pretrained["fraction"]) == (["nih"], 1.0)
    assert pretrained["others"]["batch_size"] == entry["batch_size"]
    assert not {"audited", "warmup_epochs", "epochs"} & set(pretrained["others"])
    del config["pretrainings"]["clip_small"]["epochs"]
    given = settings("compare", check(config, SCHEMAS), study="clip_nih")["models"]
    official = {f.name: f.default for f in dataclasses.fields(Settings)}
    pretrained = given["clip_small"]["pretrained"]
    assert {name: pretrained[name] for name in ("epochs", "fraction")} == {
        name: official[name] for name in ("epochs", "fraction")
    }
    assert given["clip_small"]["family"] == "resnet" and given["pixels"]["family"] is None


def test_every_shipped_model_says_how_it_was_pretrained():
    for name, entry in CONFIG["models"].items():
        if entry["kind"] not in ("ensemble", "predictions"):
            facts = entry["pretraining"]
            assert (facts["domain"] == "none") == (facts["objective"] == "none"), name
            assert bool(entry["pretraining_data"]) == (facts["domain"] != "none"), name
    assert family_of(CONFIG["models"]["remedis_resnet152x2"]) == "resnet"
    assert family_of(CONFIG["models"]["gloria_resnet50"]) is None


def test_code_follows_the_backend():
    one = jobs.code(CONFIG, "embed", cohort="nih_6x200", model="pixels")
    assert one != jobs.code(CONFIG, "embed", cohort="nih_6x200", model="vit_random")
