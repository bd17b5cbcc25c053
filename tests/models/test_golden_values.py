"""What the catalogue's networks answer with weights that follow from their names.

The numbers are in ``golden_values.json``, written by ``python tests/support/golden_values.py``. The
tests of the kinds show that an architecture is its owner's; these show that an entry, a library or a
change of the code has not altered it.
"""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import golden_values  # noqa: E402
from golden_values import VALUES, entries, groups, reduced, values_of  # noqa: E402

STORED = json.loads(VALUES.read_text(encoding="utf-8"))
ENTRIES = entries()
FIRST = {names[0]: names for names in groups().values()}


def family(name: str) -> tuple:
    keys = ("kind", "layout", "pooling", "image_tower")
    return (*(ENTRIES[name].get(key) for key in keys), "reg" in name)


SLOW_LAYOUTS = {"bit"}  # the smallest has 25 million weights
FAST = [
    name
    for name in {family(name): name for name in reversed(FIRST)}.values()
    if ENTRIES[name].get("layout") not in SLOW_LAYOUTS
]
TOLERANCE = 1e-4


def differs(found: dict, stored: dict) -> bool:
    scale = max(abs(x) for values in stored.values() for x in values)
    return any(
        np.abs(np.subtract(found[key], stored[key])).max() > TOLERANCE * scale for key in stored
    )


def entry(name: str) -> dict:
    return reduced(ENTRIES[name] | {"name": name})


def test_every_network_has_values():
    assert STORED.keys() == ENTRIES.keys()
    for names in FIRST.values():
        assert all(STORED[name] == STORED[names[0]] for name in names)


@pytest.mark.parametrize("name", FAST)
def test_a_network_answers_as_before(name):
    assert not differs(values_of(entry(name)), STORED[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FIRST if name not in FAST])
def test_a_network_of_another_size_answers_as_before(name):
    assert not differs(values_of(entry(name)), STORED[name])


def with_arguments(name: str, **arguments) -> dict:
    made = entry(name)
    return made | {"arguments": made["arguments"] | arguments}


WRONG = {
    "activation of a ViT": ("mae_vit_b16", {"act_layer": "quick_gelu"}),
    "number of heads of a ViT": ("mae_vit_b16", {"num_heads": 6}),
    "activation of MedGemma's tower": ("medgemma_4b_tower", {"act_layer": "gelu"}),
    "number of heads of DINOv2": ("dinov2_vit_s14", {"num_heads": 3}),
    "positions of EVA-X": ("eva_x_tiny", {"use_rot_pos_emb": False}),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_part_changes_them(what):
    name, arguments = WRONG[what]
    assert differs(values_of(with_arguments(name, **arguments)), STORED[name])


def test_a_wrong_activation_of_clip_changes_image_and_text():
    name = "chexzero"
    found = values_of(entry(name) | {"architecture": "ViT-B-32"})
    for part in ("image", "text"):
        assert differs({part: found[part]}, {part: STORED[name][part]})


def test_wrong_preprocessing_changes_them():
    made = entry("dinov2_vit_s14")
    half = made["input"] | {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert differs(values_of(made | {"input": half}), STORED["dinov2_vit_s14"])


def test_a_transposed_weight_changes_them(monkeypatch):
    fill = golden_values.fill

    @torch.no_grad()
    def transposed(module) -> None:
        fill(module)
        weight = module.blocks[0].attn.proj.weight
        weight.copy_(weight.T.clone())

    monkeypatch.setattr(golden_values, "fill", transposed)
    assert differs(values_of(entry("dinov2_vit_s14")), STORED["dinov2_vit_s14"])
