"""MAE, Medical MAE, MoCo v3, BiT and REMEDIS from files in their owners' layouts."""

import argparse

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import official_vision as official  # noqa: E402
import saved_model  # noqa: E402
from hostile_files import FileGadget  # noqa: E402
from medaudit.core.errors import MedauditError  # noqa: E402
from medaudit.models.kinds import build  # noqa: E402
from medaudit.models.weights.checkpoint_layouts import to_timm  # noqa: E402
from medaudit.models.weights.files import check_weights  # noqa: E402
from official_layouts import normalised  # noqa: E402

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
MEDICAL = ([0.5056] * 3, [0.252] * 3)
HALF = ([0.5] * 3, [0.5] * 3)
PREFIX = "base_model/module/resnet/"


def vit_entry(layout: str, statistics, heads: int, name: str = "w.pth") -> dict:
    return {
        "kind": "timm",
        "architecture": "vit_base_patch16_224",
        "arguments": official.VIT | {"num_heads": heads},
        "layout": layout,
        "weights": name,
        "pooling": "token",
        "input": entry_input(32, statistics),
    }


def entry_input(size: int, statistics) -> dict:
    mean, std = statistics
    return {"size": size, "channels": 3, "mean": mean, "std": std, "interpolation": "bicubic"}


BIT = {
    "kind": "timm",
    "architecture": "resnetv2_50x1_bit",
    "arguments": {"channels": [official.BIT_CHANNELS] * 4, "stem_chs": official.BIT_STEM},
    "layout": "bit",
    "weights": "w.npz",
    "pooling": "avg",
    "input": entry_input(64, HALF),
}
MAE = vit_entry("mae", IMAGENET, 3)
MOCO = vit_entry("moco_v3", IMAGENET, 12, "w.pth.tar")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


def pictures(size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, size, size), dtype=np.uint8)


def save_mae(root, state, **more):
    torch.save({"model": state, **more}, root / "w.pth")


def save_moco(root, state, prefix="module.base_encoder.", more=()):
    state = {prefix + key: value for key, value in state.items()} | dict(more)
    torch.save(
        {"epoch": 300, "arch": "vit_base", "state_dict": state, "optimizer": {}, "scaler": {}},
        root / "w.pth.tar",
    )


def head(prefix: str) -> dict:
    layers = {"0.weight": (8, 24), "1.weight": (8,), "1.running_mean": (8,), "3.weight": (8, 8)}
    return official.drawn({f"{prefix}head.{key}": shape for key, shape in layers.items()}, 9)


def npz(root, weights, prefix="resnet/"):
    np.savez(root / "w.npz", **{prefix + key: value for key, value in weights.items()})


def agree(found: np.ndarray, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    expected = expected.numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(("statistics", "args"), [(IMAGENET, False), (MEDICAL, True)])
def test_mae_and_medical_mae_give_their_owners_features(root, statistics, args):
    state = official.drawn(official.vit_shapes(), 1)
    more = official.drawn(official.decoder_shapes(), 2) if args else {}
    extra = {"args": argparse.Namespace(lr=1.0), "epoch": 1} if args else {}
    save_mae(root, state | more, **extra)
    encoder = build(vit_entry("mae", statistics, 3))
    pixels = normalised(pictures(32), *statistics)
    agree(encoder.encode_images(pictures(32)), official.class_token(state, pixels, 3))
    left_out = ["decoder_blocks.*", "decoder_embed.bias", "decoder_embed.weight"]
    left_out += ["decoder_norm.bias", "decoder_norm.weight", "decoder_pos_embed"]
    left_out += ["decoder_pred.bias", "decoder_pred.weight", "mask_token"]
    assert encoder.spec()["left_out"] == (left_out if args else [])
    assert encoder.spec()["fresh"] == []


def test_mean_pooling_is_that_of_the_owners_fine_tuning(root):
    state = official.drawn(official.vit_shapes(), 1)
    save_mae(root, state)
    pixels = normalised(pictures(32), *IMAGENET)
    encoder = build(MAE | {"pooling": "avg"})
    one, zero = torch.ones(24), torch.zeros(24)
    expected = official.mean_token(state, pixels, 3, one, zero)
    agree(encoder.encode_images(pictures(32)), expected)
    assert encoder.spec()["left_out"] == ["norm.bias", "norm.weight"]
    assert encoder.spec()["fresh"] == [r"fc_norm\.(weight|bias)"]


def test_a_fine_tuned_mae_brings_its_own_norm(root):
    state = official.drawn(official.vit_shapes(), 1)
    norm = {"fc_norm.weight": state.pop("norm.weight"), "fc_norm.bias": state.pop("norm.bias")}
    classifier = {"head.weight": torch.ones(14, 24), "head.bias": torch.ones(14)}
    save_mae(root, state | norm | classifier)
    encoder = build(MAE | {"pooling": "avg"})
    pixels = normalised(pictures(32), *IMAGENET)
    agree(
        encoder.encode_images(pictures(32)),
        official.mean_token(state, pixels, 3, norm["fc_norm.weight"], norm["fc_norm.bias"]),
    )
    assert encoder.spec()["left_out"] == ["head.bias", "head.weight"]
    with pytest.raises(MedauditError, match=r"lacks 2: norm\.bias.*unexpected 2: fc_norm"):
        build(MAE)


@pytest.mark.parametrize("prefix", ["module.base_encoder.", "module."])
def test_moco_v3_gives_its_owners_features(root, prefix):
    state = official.drawn(official.vit_shapes(), 3)
    other = official.drawn(official.vit_shapes(), 4)
    more = head(prefix)
    if prefix == "module.base_encoder.":
        more |= {f"module.momentum_encoder.{key}": value for key, value in other.items()}
        more |= {"module.predictor.0.weight": torch.ones(8, 8)}
    save_moco(root, state, prefix, more)
    encoder = build(MOCO)
    pixels = normalised(pictures(32), *IMAGENET)
    agree(encoder.encode_images(pictures(32)), official.class_token(state, pixels, 12))


def test_moco_v3_with_another_number_of_heads_is_refused(root):
    save_moco(root, official.drawn(official.vit_shapes(), 3))
    with pytest.raises(MedauditError, match=r"12 attention heads.*\[6\].*num_heads: 12"):
        build(MOCO | {"arguments": official.VIT | {"num_heads": 6}})


def test_two_weights_of_one_name_are_refused(root):
    state = official.drawn(official.vit_shapes(), 3)
    save_moco(root, state, more={"module.cls_token": torch.zeros(1, 1, 24)})
    with pytest.raises(MedauditError, match="two of its weights get the same name"):
        build(MOCO)


def test_our_own_pretraining_is_in_timms_names(root):
    from safetensors.torch import save_file

    state = official.drawn(official.vit_shapes(), 3)
    save_file(state, root / "w.safetensors")
    encoder = build(vit_entry("timm", IMAGENET, 3, "w.safetensors"))
    pixels = normalised(pictures(32), *IMAGENET)
    agree(encoder.encode_images(pictures(32)), official.class_token(state, pixels, 3))


def test_bit_gives_its_owners_features(root):
    weights = official.bit_weights(5)
    npz(root, weights)
    encoder = build(BIT)
    expected = official.bit_features(weights, normalised(pictures(64), *HALF))
    agree(encoder.encode_images(pictures(64)), expected)
    assert encoder.spec()["left_out"] == ["head.fc.bias", "head.fc.weight"]


def test_bit_with_small_kernels_needs_its_owners_epsilon(root):
    """Kernels of standard deviation 0.001: timm's own 1e-8 would be off by a percent."""
    weights = official.bit_weights(5)
    kernels = {name: value for name, value in weights.items() if "standardized" in name}
    small = {name: value * (1e-3 / value.std()) for name, value in kernels.items()}
    small = {name: value.astype(np.float32) for name, value in small.items()}
    npz(root, weights | small)
    expected = official.bit_features(weights | small, normalised(pictures(64), *HALF))
    agree(build(BIT).encode_images(pictures(64)), expected)


@pytest.mark.parametrize(("named", "shards", "size"), [(True, 1, 64), (False, 2, 65)])
def test_remedis_gives_the_same_features_from_a_saved_model(root, named, shards, size):
    weights = official.bit_weights(6)
    variables = {PREFIX + key: value for key, value in weights.items() if "head" not in key}
    variables["global_step"] = np.array(7)
    saved_model.write(root, variables, named, shards=shards)
    entry = BIT | {"weights": "variables/variables.index", "input": entry_input(size, HALF)}
    assert check_weights({"remedis": entry}) == []
    encoder = build(entry)
    expected = official.bit_features(weights, normalised(pictures(size), *HALF))
    agree(encoder.encode_images(pictures(size)), expected)
    assert encoder.spec()["left_out"] == ["global_step"]


def test_the_published_sizes_fit_names_and_shapes():
    """Every weight of R152x2 and of ViT-B, by the owners' names, without allocating it."""
    with torch.device("meta"):
        resnet = timm.create_model("resnetv2_152x2_bit", num_classes=0)
        vit = timm.create_model("vit_base_patch16_224", num_classes=0)
    shapes = official.bit_shapes((512, 1024, 2048, 4096), 128, (3, 8, 36, 3), 21843)
    state = {f"resnet/{key}": torch.empty(s, device="meta") for key, s in shapes.items()}
    renamed = to_timm(state, "bit", resnet, "R152x2")
    found, left_out = renamed.state, renamed.left_out
    expected = resnet.state_dict()
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}
    assert left_out == ["head.fc.bias", "head.fc.weight"]
    assert sum(value.numel() for value in found.values()) == pytest.approx(232e6, rel=0.01)
    assert len(vit.state_dict()) == 150
    assert {part.num_heads for part in vit.modules() if hasattr(part, "num_heads")} == {12}


def mae_files():
    state = official.drawn(official.vit_shapes(), 1)
    return MAE, state, lambda root, state: save_mae(root, state), "norm.weight"


def moco_files():
    state = official.drawn(official.vit_shapes(), 1)
    return MOCO, state, lambda root, state: save_moco(root, state), "norm.weight"


def bit_files():
    state = {key: torch.from_numpy(value) for key, value in official.bit_weights(5).items()}

    def save(root, state):
        npz(root, {key: value.numpy() for key, value in state.items()})

    return BIT, state, save, "block2/unit01/b/group_norm/gamma"


def remedis_files():
    entry, state, _, key = bit_files()

    def save(root, state):
        saved_model.write(root, {PREFIX + name: value.numpy() for name, value in state.items()})

    return entry | {"weights": "variables/variables.index"}, state, save, key


@pytest.mark.parametrize("files", [mae_files, moco_files, bit_files, remedis_files])
@pytest.mark.parametrize("damage", ["lacks", "unexpected", "shapes", "not finite"])
def test_a_file_that_does_not_fit_says_where(root, files, damage):
    entry, state, save, key = files()
    if damage == "lacks":
        state.pop(key)
    elif damage == "unexpected":
        state[f"{key}_of_another"] = torch.ones(2)
    else:
        state[key] = torch.ones(3) if damage == "shapes" else state[key] / 0
    save(root, state)
    with pytest.raises(MedauditError, match=f"{damage}.*norm.*another model"):
        build(entry)


@pytest.mark.parametrize("one", [mae_files, moco_files, bit_files])
@pytest.mark.parametrize("other", [mae_files, moco_files, bit_files])
def test_the_file_of_another_model_is_refused(root, one, other):
    if one is other:
        return
    entry, name = one()[0], other()[0]["weights"]
    _, state, save, _ = other()
    save(root, state)
    with pytest.raises(MedauditError, match=r"does not fit|is `layout: \w+` right"):
        build(entry | {"weights": name})


@pytest.mark.parametrize("entry", [MAE, MOCO, BIT])
def test_a_pickle_that_runs_code_is_refused(root, entry):
    target, path = root / "ran", root / entry["weights"]
    if path.suffix == ".npz":
        content = {"resnet/group_norm/gamma": np.array([FileGadget(target)], dtype=object)}
        np.savez(path, **content, allow_pickle=True)
    else:
        torch.save({"model": {"cls_token": torch.zeros(1)}, "x": FileGadget(target)}, path)
    with pytest.raises(MedauditError, match=path.name):
        build(entry)
    assert not target.exists()


def test_two_networks_in_one_file_are_refused(root):
    weights = official.bit_weights(5)
    other = {"resnet/" + key: value for key, value in weights.items()}
    npz(root, other | {"resnet/twin/" + key: value for key, value in weights.items()}, "")
    with pytest.raises(MedauditError, match="contains 2 BiT networks"):
        build(BIT)


def test_the_gate_asks_for_the_data_next_to_the_index(root):
    index = saved_model.write(root, {"a": np.zeros(2, np.float32)})
    index.with_suffix(".data-00000-of-00001").unlink()
    problems = check_weights({"remedis": BIT | {"weights": "variables/variables.index"}})
    assert len(problems) == 1
    assert "no variables.data-00000-of-... next to it" in problems[0]
