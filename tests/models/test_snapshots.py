"""Weights of an earlier epoch count: an output of the same pretraining, named by a model."""

import json

import pytest

from checkout import Checkout
from medaudit.config import jobs
from medaudit.config.model_facts import model_facts
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, shipped


def with_snapshot(epochs: int, kept: list[int]) -> dict:
    config = shipped()
    constant = {"schedule": "constant", "snapshots": kept, "epochs": 20}
    config["pretrainings"]["kept"] = {**config["pretrainings"]["clip_small"], **constant}
    model = {**config["models"]["clip_small"], "pretrained": "kept"}
    config["models"]["early"] = {**model, "pretrained_epochs": epochs}
    config["models"]["late"] = model
    return config


def weights_of(config: dict, model: str) -> str:
    settings = jobs.settings(config, "embed", cohort="nih_6x200", model=model)
    return json.loads(settings)["entry"]["weights"]


def test_a_model_names_a_snapshot():
    config = check(with_snapshot(8, [4, 8]), SCHEMAS)
    assert weights_of(config, "early") == "results/pretrain/kept_snapshots/epoch_8.safetensors"
    assert weights_of(config, "late") == "results/pretrain/kept.safetensors"
    facts = [model_facts(config, model)["pretrained"] for model in ("early", "late")]
    assert [fact["epochs"] for fact in facts] == [8, 20]


def test_a_snapshot_that_is_not_kept_is_found_before_anything_runs():
    with pytest.raises(MedauditError, match=r"early.pretrained_epochs: 5 .*snapshots \[4, 8\]"):
        check(with_snapshot(5, [4, 8]), SCHEMAS)


@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
def test_a_snapshot_is_an_output_of_its_pretraining(tmp_path):
    checkout = Checkout.copy(tmp_path / "a checkout")
    config = with_snapshot(8, [8])
    own = {
        axis: {k: v for k, v in config[axis].items() if k in names} for axis, names in NEW.items()
    }
    (checkout.folder / "own.json").write_text(json.dumps(own))
    target = "results/embed/nih_6x200_small/early.parquet"
    jobs = checkout.plan("--configfile", "own.json", "--", target)
    assert ("pretrain", {"pretraining": "kept"}) in jobs


NEW = {"pretrainings": ["kept"], "models": ["early"]}
