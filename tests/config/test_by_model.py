"""A method's entry as each model gets it."""

import json

import pytest

from medaudit.config import jobs
from medaudit.config.entries import method_entry
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, edited, shipped

ENTRY = "methods/full/by_model"
NAMES = {"cohort": "nih_6x200", "method": "full", "seed": "0"}


def entry_of(config: dict, model: str) -> dict:
    return json.loads(jobs.settings(config, "finetune", model=model, **NAMES))["entry"]


def test_a_models_changes_reach_its_jobs_and_no_others():
    changes = {"vit_random": {"epochs": 200, "augmentation": {"flip": 0.5}}}
    before, after = check(shipped(), SCHEMAS), check(edited(ENTRY, changes), SCHEMAS)
    assert entry_of(after, "mae_vit_b16") == entry_of(before, "mae_vit_b16")
    changed, plain = entry_of(after, "vit_random"), entry_of(before, "vit_random")
    shipped_epochs = shipped()["methods"]["full"]["epochs"]
    assert (changed["epochs"], plain["epochs"]) == (200, shipped_epochs)
    assert changed["augmentation"] == {**plain["augmentation"], "flip": 0.5}
    rest = {key for key in plain if key not in ("epochs", "augmentation")}
    assert {key: changed[key] for key in rest} == {key: plain[key] for key in rest}
    assert "by_model" not in changed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vit_randm": {"epochs": 3}}, "methods.full.by_model: 'vit_randm'"),
        ({"vit_random": {"epoch": 3}}, "'epoch' is unknown.*did you mean 'epochs'"),
        ({"vit_random": {"seeds": 3}}, "'seeds' is unknown"),
        ({"vit_random": {"epochs": 0}}, "methods.full.by_model.vit_random.epochs"),
    ],
)
def test_wrong_changes_are_found_before_anything_runs(changes, words):
    with pytest.raises(MedauditError, match=words):
        check(edited(ENTRY, changes), SCHEMAS)


def test_drop_path_of_a_model_without_is_found_before_anything_runs():
    config = edited("methods/full/drop_path", 0.2)
    with pytest.raises(MedauditError, match="studies.clip_nih: methods.full.drop_path.*clip_small"):
        check(config, SCHEMAS)
    config["methods"]["full"]["by_model"] = {"clip_small": {"drop_path": 0}}
    check(config, SCHEMAS)


def test_the_papers_protocol():
    """Khan et al. 2023, section 3.2."""
    config = check(shipped(), SCHEMAS)
    found = {
        model: [
            method_entry(config, "full_layer_decay", model)[k] for k in ("epochs", "batch_size")
        ]
        for model in config["models"]
        if config["models"][model]["kind"] == "timm"
    }
    expected = {
        **{"mae_vit_b16": [200, 128], "moco_v3_vit_b16": [200, 128]},
        **{"medical_mae_vit_b16": [100, 128], "medical_moco_v3_vit_b16": [100, 128]},
        **{"bit_m_resnet152x2": [30, 32], "remedis_resnet152x2": [20, 32]},
        **{"scratch_vit_b16": [200, 128], "scratch_resnet152x2": [30, 32]},
    }
    assert {model: found[model] for model in expected} == expected
    entry = method_entry(config, "full_layer_decay", "mae_vit_b16")
    assert (entry["learning_rates"], entry["learning_rate_per"]) == ([2.5e-4], 256)
    assert (entry["betas"], entry["weight_decay"], entry["warmup_epochs"]) == ([0.9, 0.95], 0.05, 5)
    assert (entry["layer_decay"], entry["drop_path"], entry["schedule"]) == (0.55, 0.2, "cosine")
    assert entry["augmentation"]["randaugment"]["magnitude"] == 6
    assert entry["select"] == "val_auc"


def test_a_search_can_differ_by_cohort():
    config = {"methods": {"m": {"trials": 60, "by_cohort": {"a": {"trials": 40}}}}}
    assert method_entry(config, "m", "any", "a") == {"trials": 40}
    assert method_entry(config, "m", "any", "b") == {"trials": 60}


def test_a_cohort_that_does_not_exist_is_named():
    with pytest.raises(
        MedauditError, match="methods.fairtune.by_cohort: 'ham' is not in the catalogue"
    ):
        check(edited("methods/fairtune/by_cohort", {"ham": {"trials": 3}}), SCHEMAS)
