"""Checkpoints as people save them: prefixes, heads and averages around one encoder."""

import logging

import pytest
import timm
import torch

from medaudit.core.errors import MedauditError
from medaudit.models.kinds import build
from medaudit.models.weights.prefixes import unwrap

SIZES = {"img_size": 32, "patch_size": 16, "embed_dim": 12, "depth": 2, "num_heads": 3}
INPUT = {"size": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
ENTRY = {"kind": "timm", "name": "mine", "architecture": "vit_tiny_patch16_224", "arguments": SIZES, "weights": "w.pt", "input": INPUT, "pooling": "token"}  # fmt: skip


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


def network(seed, **changes):
    torch.manual_seed(seed)
    made = timm.create_model("vit_tiny_patch16_224", num_classes=0, **{**SIZES, **changes})
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.state_dict()


def behind(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


HEAD = {"weight": torch.ones(2, 12), "bias": torch.ones(2)}
WRAPPED = {
    "none": lambda s: s,
    "module": lambda s: behind(s, "module."),
    "Lightning": lambda s: {"state_dict": behind(s, "model."), "epoch": 3, "optimizer_states": []},
    "compiled": lambda s: behind(s, "_orig_mod."),
    "all of them": lambda s: behind(s, "module._orig_mod.model.backbone."),
    "net": lambda s: {"net": s, "acc": 0.9},
    "teacher": lambda s: {"teacher": s},
    "teacher, nested": lambda s: {"teacher": behind(s, "backbone."), "epoch": 1},
    "any name": lambda s: behind(s, "my_own.vit."),
    "heads beside": lambda s: {
        "model": {
            **behind(s, "encoder."),
            **behind(HEAD, "fc.1."),
            **behind(HEAD, "encoder.head.0."),
        }
    },  # fmt: skip
    "head in front": lambda s: {
        **behind(s, "model.backbone."),
        **behind(HEAD, "model.classifier."),
        **behind(HEAD, "criterion.loss."),
    },  # fmt: skip
    "DINOv2 teacher": lambda s: {
        "teacher": {**behind(s, "backbone."), **behind(HEAD, "dino_head.mlp.0.")}
    },  # fmt: skip
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_one_encoder_is_found_behind_any_prefix_and_it_is_said(root, wrapping, caplog):
    state = network(1)
    torch.save(WRAPPED[wrapping](state), root / "w.pt")
    with caplog.at_level(logging.INFO):
        encoder = build(ENTRY)
    assert all(torch.equal(value, state[key]) for key, value in encoder.module.state_dict().items())
    found = encoder.spec()
    wrapped = wrapping not in ("none", "net", "teacher")
    assert bool(found["prefix"]) == wrapped == ("behind the prefix" in caplog.text)
    left = wrapping in ("heads beside", "head in front", "DINOv2 teacher")
    assert bool(found["left_out"]) == left == ("left out" in caplog.text)


def test_layouts_with_other_names_are_found_too(root):
    state = network(2)
    extra = {"decoder_embed.weight": torch.ones(3, 3), "mask_token": torch.ones(1)}
    torch.save(behind({**state, **extra}, "module."), root / "w.pt")
    found = build({**ENTRY, "layout": "mae"}).spec()
    assert found["prefix"] == "module." and set(found["left_out"]) == {*extra}


SEVERAL = {
    "student and teacher": lambda a, b: {
        "student": behind(a, "backbone."),
        "teacher": behind(b, "backbone."),
    },  # fmt: skip
    "flat": lambda a, b: {**behind(a, "student.backbone."), **behind(b, "teacher.backbone.")},
    "average": lambda a, b: {
        "model": behind(a, "net."),
        "model_ema": behind(b, "net."),
        "epoch": 1,
    },  # fmt: skip
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_which_of_two_encoders_is_a_question_with_an_answer(root, kind):
    first, second = network(3), network(4)
    torch.save(SEVERAL[kind](first, second), root / "w.pt")
    with pytest.raises(MedauditError, match="weights of 2 encoders of this architecture") as raised:
        build(ENTRY)
    answers = [part.split("`")[0] for part in str(raised.value).split("`prefix: ")[1:]]
    assert len(answers) == 2
    for answer in answers:
        encoder = build({**ENTRY, "prefix": answer})
        wanted = second if ("teacher" in answer or "ema" in answer) else first
        assert torch.equal(encoder.module.state_dict()["cls_token"], wanted["cls_token"])
        assert encoder.spec()["left_out"] and encoder.spec()["prefix"] == answer


def test_the_same_network_under_two_names_is_no_question(root):
    state = network(5)
    torch.save({**behind(state, "student."), **behind(state, "teacher.")}, root / "w.pt")
    with pytest.raises(MedauditError, match="unexpected .*teacher"):
        build(ENTRY)  # what is beside it is still said
    assert build({**ENTRY, "prefix": "student"}).spec()["prefix"] == "student."


def test_what_is_outside_the_prefix_and_no_head_stops(root):
    state = {**behind(network(6), "backbone."), "neck.conv.weight": torch.ones(2)}
    torch.save(state, root / "w.pt")
    with pytest.raises(MedauditError, match="unexpected 1: neck.conv.weight"):
        build(ENTRY)
    assert build({**ENTRY, "prefix": "backbone."}).spec()["left_out"] == ["neck.conv.weight"]


def test_a_wrong_prefix_lists_those_of_the_file(root):
    torch.save(behind(network(7), "model.backbone."), root / "w.pt")
    with pytest.raises(MedauditError, match="no key begins with `prefix: vit`.*model., model.backbone."):  # fmt: skip
        build({**ENTRY, "prefix": "vit"})


def test_another_size_behind_a_prefix_names_tensors_with_both_shapes(root):
    torch.save(behind(network(8, embed_dim=24), "net.model."), root / "w.pt")
    said = r"other shapes 30: blocks.0.attn.proj.bias \[24\] for \[12\].*or of another size"
    with pytest.raises(MedauditError, match=said):
        build(ENTRY)


def test_a_missing_block_behind_a_prefix_is_named(root):
    state = {key: value for key, value in network(9).items() if not key.startswith("blocks.1.norm1")}  # fmt: skip
    torch.save(behind(state, "model."), root / "w.pt")
    with pytest.raises(MedauditError, match=r"lacks 2: blocks.1.norm1.bias, .*another model"):
        build(ENTRY)


def test_wrappers_of_a_whole_vision_language_model_are_removed(caplog):
    state = {"visual.proj": torch.ones(1), "logit_scale": torch.ones(1)}
    with caplog.at_level(logging.INFO):
        assert unwrap(behind(state, "module._orig_mod."), "f").keys() == state.keys()
    assert "prefix module._orig_mod." in caplog.text
    assert unwrap(state, "f") is state


def test_moco_keeps_its_layout_whose_heads_no_shape_shows(root):
    torch.save({"state_dict": behind(network(1), "module.base_encoder.")}, root / "w.pt")
    with pytest.raises(MedauditError, match="MoCo v3's naming; is `layout: timm` right"):
        build(ENTRY)
    assert build({**ENTRY, "prefix": "module.base_encoder"}).spec()["left_out"] == []
