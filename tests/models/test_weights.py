"""Reading weights: containers, refusals, strictness, the golden image."""

import argparse
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.models.weights import load
from official_chest import lightning
from official_layouts import Foreign, torch_script

LEGACY = {"_use_new_zipfile_serialization": False}


class Gadget:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.fixture
def state():
    torch.manual_seed(0)
    grid = torch.randn(4, 6)
    return {
        "layer.weight": grid,
        "layer.half_": grid.half(),
        "layer.brain": grid.bfloat16(),
        "turned": torch.randn(3, 5).t(),
        "part": grid[1:3, ::2],
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "nothing": torch.empty(0, 3),
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "args": argparse.Namespace(lr=0.1, out=pathlib.Path("x"))},
        lambda state: {"epoch": np.float64(2.5), "model_state_dict": state, "optimizer": {"a": {}}},
        lambda state: {key: nn.Parameter(v, requires_grad=False) for key, v in state.items()},
    ],
)
def test_torch_files_of_any_age_and_wrapping(tmp_path, state, wrap, legacy):
    path = tmp_path / "weights.pth"
    torch.save(wrap(state), path, **(LEGACY if legacy else {}))
    assert_same(load.read_state(path), state)


def test_safetensors_and_npz(tmp_path, state):
    whole = {key: value.contiguous() for key, value in state.items()}
    save_file(whole, tmp_path / "w.safetensors")
    assert_same(load.read_state(tmp_path / "w.safetensors"), whole)
    arrays = {"resnet/root/kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}
    np.savez(tmp_path / "w.npz", **arrays)
    found = load.read_state(tmp_path / "w.npz")
    assert_same(found, {key: torch.from_numpy(value) for key, value in arrays.items()})


def test_torchscript_is_read_without_its_code(tmp_path, state):
    path = tmp_path / "w.pt"
    torch_script({key: value.contiguous() for key, value in state.items()}, path)
    hollow = tmp_path / "hollow.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(hollow, "w") as target:
        for info in source.infolist():
            is_code = "/code/" in info.filename
            target.writestr(info.filename, b"broken" if is_code else source.read(info))
    assert_same(load.read_state(hollow), state)


def test_lightning_with_foreign_classes(tmp_path, state):
    lightning(state, tmp_path / "g.ckpt")
    assert "omegaconf" not in sys.modules
    assert_same(load.read_state(tmp_path / "g.ckpt"), state)
    assert "omegaconf" not in sys.modules
    assert "pytorch_lightning" not in sys.modules


def test_modules_that_contain_themselves_are_refused(tmp_path):
    path, good = tmp_path / "w.pt", tmp_path / "good.pt"
    torch_script({"a.w": torch.ones(2)}, good)
    with Foreign("__torch__.Node") as kinds:
        node = kinds["Node"]()
        node.__dict__["child"] = node
        loop = pickle.dumps(node, 2)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            is_data = info.filename.endswith("/data.pkl")
            target.writestr(info, loop if is_data else source.read(info))
    with pytest.raises(MedauditError, match="nested more than 50 deep"):
        load.read_state(path)


def test_shared_storage_is_read_once(tmp_path):
    tied = torch.randn(5, 2)
    torch.save({"a": tied, "b": tied, "c": tied[2:]}, tmp_path / "w.pt")
    found = load.read_state(tmp_path / "w.pt")
    assert found["a"].data_ptr() == found["b"].data_ptr()
    assert torch.equal(found["c"], tied[2:])


GADGETS = {
    "os.system": lambda mark: Gadget(os.system, f"touch {mark}"),
    "eval": lambda mark: Gadget(eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: Gadget(exec, f"open({str(mark)!r}, 'w')"),
    "getattr": lambda mark: Gadget(getattr, mark, "touch"),
    "open": lambda mark: Gadget(open, str(mark), "w"),
    "Popen": lambda mark: Gadget(subprocess.Popen, ["touch", str(mark)]),
    "torch.load": lambda mark: Gadget(torch.load, str(mark)),
    "np.save": lambda mark: Gadget(np.save, str(mark), 1),
    "touch": lambda mark: Gadget(pathlib.Path.touch, mark),
}


@pytest.mark.parametrize("gadget", GADGETS)
@pytest.mark.parametrize("container", ["zip", "legacy", "lightning", "torchscript"])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, container, gadget):
    mark, path = tmp_path / "mark", tmp_path / "bad.pt"
    evil = GADGETS[gadget](mark)
    if container == "lightning":
        lightning({"w": torch.ones(2), "evil": evil}, path)
    elif container == "torchscript":
        good = tmp_path / "good.pt"
        torch_script({"w": torch.ones(2)}, good)
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
            for info in source.infolist():
                is_data = info.filename.endswith("/data.pkl")
                target.writestr(info, pickle.dumps(evil, 2) if is_data else source.read(info))
    else:
        torch.save(
            {"w": torch.ones(2), "x": evil}, path, **(LEGACY if container == "legacy" else {})
        )
    with pytest.raises(MedauditError, match=r"refused"):
        load.read_state(path)
    assert not mark.exists()


def test_the_gadget_would_have_worked(tmp_path):
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(GADGETS["os.system"](mark)))
    assert mark.exists()


def test_object_arrays_in_npz_are_refused(tmp_path):
    mark = tmp_path / "mark"
    np.savez(tmp_path / "w.npz", w=np.array([GADGETS["os.system"](mark)], dtype=object))
    with pytest.raises(MedauditError, match="could run code: refused"):
        load.read_state(tmp_path / "w.npz")
    assert not mark.exists()


def test_an_npy_header_that_lies_is_refused(tmp_path):
    header = b"\x93NUMPY\x01\x00v\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("w.npy", header + text.ljust(117) + b"\n" + b"\0" * 8)
    with pytest.raises(MedauditError, match="more than it contains"):
        load.read_state(tmp_path / "w.npz")


def test_compressed_torch_members_are_refused(tmp_path):
    torch.save({"w": torch.zeros(1000)}, tmp_path / "good.pt")
    with (
        zipfile.ZipFile(tmp_path / "good.pt") as source,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    with pytest.raises(MedauditError, match="compressed or larger"):
        load.read_state(tmp_path / "bomb.pt")


@pytest.mark.parametrize("kwargs", [{}, LEGACY])
@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_file_cut_short_is_refused(tmp_path, kwargs, keep):
    path = tmp_path / "w.pt"
    torch.save({"w": torch.randn(3000)}, path, **kwargs)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(MedauditError, match=r"w\.pt"):
        load.read_state(path)


@pytest.mark.parametrize("stride", [0, 1])
def test_a_tensor_larger_than_its_storage_is_refused(tmp_path, stride):
    class Liar:
        def __reduce__(self):
            storage = torch.ones(4)._typed_storage()
            return torch._utils._rebuild_tensor_v2, (storage, 0, (4000,), (stride,), False, {})

    torch.save({"w": Liar()}, tmp_path / "w.pt")
    with pytest.raises(MedauditError, match="larger than its storage"):
        load.read_state(tmp_path / "w.pt")


@pytest.mark.parametrize("content", [[1, 2], {"lr": 0.1}, {"a": {"b": 1}}])
def test_a_file_without_a_state_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(MedauditError, match="contains no dictionary of tensors"):
        load.read_state(tmp_path / "w.pt")


def test_load_strict_shows_the_difference_and_changes_nothing():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    wrong = {"0.weight": torch.ones(3, 4), "1.weight": torch.ones(2, 4), "2.bias": torch.ones(1)}
    with pytest.raises(MedauditError) as raised:
        load.load_strict(module, wrong, "model x (x.pt)")
    message = str(raised.value)
    assert "model x (x.pt)" in message
    assert "lacks 2: 0.bias, 1.bias" in message
    assert "unexpected 1: 2.bias" in message
    assert "0.weight [3, 4] for [4, 3] (transposed)" in message
    assert_same(module.state_dict(), before)


def test_load_strict_allows_what_is_named_only():
    module = nn.Linear(3, 4)
    half = {"weight": torch.full((4, 3), 0.5, dtype=torch.float16), "old.buffer": torch.ones(1)}
    with pytest.raises(MedauditError):
        load.load_strict(module, half, "x", allow_extra=["old"])
    load.load_strict(module, half, "x", allow_missing=["bias"], allow_extra=[r"old\..*"])
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, torch.full((4, 3), 0.5))


class Scaled:
    """An encoder whose embedding is known."""

    def encode_images(self, images):
        return images.reshape(len(images), -1)[:, :4].astype(np.float32) * self.factor

    factor = 2.0


def test_golden_numbers_are_compared():
    encoder = Scaled()
    expected = load.golden(encoder.encode_images(load.golden_image()), 4)
    load.check_golden(encoder, {"golden": expected})
    load.check_golden(encoder, {})
    encoder.factor = 2.01
    with pytest.raises(MedauditError, match="the activation, the preprocessing or the file"):
        load.check_golden(encoder, {"name": "m", "golden": expected})
