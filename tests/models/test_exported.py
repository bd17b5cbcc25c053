"""Models in ONNX, torch.export and TorchScript files: the same numbers as torch, and nothing executed."""

import io
import json
import pickle
import warnings
import zipfile

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from exported_files import SIZE, Only, tiny, write_onnx, write_program
from medaudit.core.errors import MedauditError
from medaudit.models.exported import check_exported
from medaudit.models.kinds import build

INPUT = {"size": SIZE, "channels": 3, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}  # fmt: skip
EMBEDDING = {"name": "features", "holds": "embedding"}
ONNX = {"kind": "onnx", "name": "theirs", "weights": "m.onnx", "input": INPUT, "output": EMBEDDING}
PT2 = {**ONNX, "kind": "torch_export", "weights": "m.pt2", "output": {"holds": "embedding"}}
IMAGES = np.random.default_rng(0).integers(0, 256, (7, SIZE, SIZE), dtype=np.uint8)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


def pixels(low=0.0, high=1.0):
    """Return the images as the entry asks for them, one by one and by hand."""
    grey = low + (high - low) * torch.from_numpy(IMAGES).double() / 255
    parts = [(grey - mean) / std for mean, std in zip(INPUT["mean"], INPUT["std"], strict=True)]
    return torch.stack(parts, dim=1).float()


def problem(entry):
    (found,) = check_exported({"theirs": entry})
    assert "theirs" in found and entry["weights"] in found
    return found


@pytest.mark.parametrize("batch", [None, 1, 4])
@pytest.mark.parametrize("place, output", [(0, "features"), (1, "logits")])
def test_onnx_gives_what_torch_gives_for_any_batch(root, batch, place, output):
    model = tiny()
    write_onnx(model, root / "m.onnx", batch=batch)
    entry = {**ONNX, "output": {"name": output, "holds": "embedding"}}
    encoder = build(entry)
    with torch.no_grad():
        expected = model(pixels())[place].numpy()
    np.testing.assert_allclose(encoder.encode_images(IMAGES), expected, atol=1e-5)
    assert list(check_exported({"theirs": entry})) == []
    assert encoder.spec()["sha256"] and "onnxruntime" in encoder.spec()["versions"]


def test_threads_do_not_change_onnx_numbers(root):
    write_onnx(tiny(), root / "m.onnx")
    encoder, before = build(ONNX), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = encoder.encode_images(IMAGES)
        torch.set_num_threads(2)
        assert (encoder.encode_images(IMAGES) == one).all()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_program_gives_what_torch_gives(root, batch):
    model = Only(tiny(1), 1)
    write_program(model, root / "m.pt2", batch)
    with torch.no_grad():
        expected = model(pixels()).numpy()
    np.testing.assert_allclose(build(PT2).encode_images(IMAGES), expected, atol=1e-6)
    assert list(check_exported({"theirs": PT2})) == []


def test_one_of_several_outputs_of_a_program_is_named(root):
    write_program(tiny(1), root / "m.pt2")
    names = problem(PT2).split("its outputs are ")[1]
    second = names.split("), ")[1].split(" (")[0]
    found = build({**PT2, "output": {"holds": "embedding", "name": second}}).encode_images(IMAGES)
    with torch.no_grad():
        np.testing.assert_allclose(found, tiny(1)(pixels())[1].numpy(), atol=1e-6)


@pytest.mark.parametrize("low, high", [(0, 255), (-1024, 1024), (-1, 1)])
def test_a_range_is_what_black_and_white_are_before_mean_and_std(root, low, high):
    model = tiny(2)
    write_onnx(model, root / "m.onnx")
    found = build({**ONNX, "input": {**INPUT, "range": [low, high]}}).encode_images(IMAGES)
    with torch.no_grad():
        expected = model(pixels(low, high))[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def graph(nodes, inputs, outputs, weights=(), **more):
    made = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opset, ir_version=9, **more)


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def test_whole_grey_levels_and_channels_last_as_tensorflow_exports_them(root):
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["out"], axes=[1, 2], keepdims=0),
    ]
    shape = ["n", SIZE, SIZE, 3]
    onnx.save(graph(nodes, [value("image", shape, TensorProto.UINT8)], [value("out", ["n", 3])]), root / "m.onnx")  # fmt: skip
    entry = {
        **ONNX,
        "input": {**INPUT, "layout": "channels_last"},
        "output": {"holds": "embedding"},
    }
    assert "set `range: [0, 255]`, mean 0 and std 1" in problem(entry)
    raw = {**entry["input"], "range": [0, 255], "mean": [0, 0, 0], "std": [1, 1, 1]}
    found = build({**entry, "input": raw}).encode_images(IMAGES)
    expected = IMAGES.reshape(7, -1).mean(axis=1)[:, None].repeat(3, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "flatten"])
def test_tokens_and_maps_are_pooled(root, pooling):
    nodes = [helper.make_node("Identity", ["image"], ["map"])]
    shape = ["n", 3, SIZE, SIZE]
    onnx.save(graph(nodes, [value("image", shape)], [value("map", shape)]), root / "m.onnx")
    entry = {**ONNX, "output": {"holds": "embedding"}}
    assert "is not one vector per image; set `output: {pooling: ...}`" in problem(entry)
    found = build({**entry, "output": {"holds": "embedding", "pooling": pooling}}).encode_images(
        IMAGES
    )
    x = pixels().numpy()
    wanted = {"mean": x.mean((2, 3)), "max": x.max((2, 3)), "first": x[:, :, 0, 0], "flatten": x.reshape(7, -1)}  # fmt: skip
    np.testing.assert_allclose(found, wanted[pooling], atol=1e-5)


WRONG = {
    "size": (
        {"input": {**INPUT, "size": 32}},
        r"its input is image \(float32 \[any, 3, 16, 16\]\), the entry's `input` gives \[batch, 3, 32, 32\]",
    ),  # fmt: skip
    "layout": (
        {"input": {**INPUT, "layout": "channels_last"}},
        "correct `size`, `channels` or `lay",
    ),  # fmt: skip
    "channels": (
        {"input": {**INPUT, "channels": 1, "mean": [0.5], "std": [0.5]}},
        r"\[batch, 1, 16, 16\]",
    ),  # fmt: skip
    "input": ({"input": {**INPUT, "name": "x"}}, r"no input 'x'; its inputs are image \(float32"),
    "output": (
        {"output": {"holds": "embedding", "name": "z"}},
        "no output 'z'; its outputs are features",
    ),  # fmt: skip
    "which output": ({"output": {"holds": "embedding"}}, "name the output in `output: {name"),
    "tasks": (
        {"output": {"holds": "logits", "name": "logits", "tasks": ["a", "b"]}},
        r"\[any, 3\]\), and `output.tasks` names 2",
    ),  # fmt: skip
}


@pytest.mark.parametrize("what", WRONG)
def test_an_entry_that_does_not_fit_the_file_is_found_before_any_job(root, what):
    write_onnx(tiny(), root / "m.onnx")
    changes, said = WRONG[what]
    entry = {**ONNX, **changes}
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(problem(entry))
    with pytest.raises(MedauditError, match="does not fit its entry"):
        build(entry)


@pytest.mark.parametrize("keep", [0, 1, 40, 0.5, 0.95])
def test_a_truncated_onnx_is_found_before_any_job(root, keep):
    write_onnx(tiny(), root / "m.onnx")
    content = (root / "m.onnx").read_bytes()
    (root / "m.onnx").write_bytes(content[: int(keep if keep > 1 or keep == int(keep) else keep * len(content))])  # fmt: skip
    assert "is not a readable ONNX model" in problem(ONNX)


@pytest.mark.parametrize("content", [b"garbage" * 40, b"\x80\x04K\x01.", b"<html>no</html>" * 9])
@pytest.mark.parametrize("entry", [ONNX, PT2])
def test_other_files_are_refused_with_what_to_do(root, content, entry):
    (root / entry["weights"]).write_bytes(content)
    assert "export it" in problem(entry)


def test_weights_in_another_file_must_be_there_and_inside(root):
    def save(location):
        tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], np.ones(1, "<f4").tobytes(), raw=True)  # fmt: skip
        onnx.external_data_helper.set_external_data(tensor, location)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        nodes = [helper.make_node("Mul", ["image", "w"], ["features"])]
        shape = ["n", 3, SIZE, SIZE]
        made = graph(nodes, [value("image", shape)], [value("features", shape)], [tensor])
        (root / "m.onnx").write_bytes(made.SerializeToString())

    save("w.bin")
    assert "w.bin, which is not there; copy it next to the model" in problem(ONNX)
    save("../w.bin")
    assert "outside of its folder: refused" in problem(ONNX)


def test_a_custom_operator_is_named_by_the_runtime(root):
    nodes = [helper.make_node("Strange", ["image"], ["features"], domain="ours")]
    made = helper.make_graph(nodes, "g", [value("image", ["n", 3, SIZE, SIZE])], [value("features", ["n", 4])])  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ours", 1)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=9), root / "m.onnx")
    with pytest.raises(
        MedauditError, match="onnxruntime cannot load it: .*without custom operators"
    ):
        build(ONNX).encode_images(IMAGES)


def rewrite(path, change):
    """Write an archive again with its members changed by ``change(name, content)``."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, content in members.items():
            new.writestr(name, change(name, content))


class Gadget:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def in_graph(edit):
    def change(name, content):
        if not name.endswith("models/m.json") and "/models/" not in name:
            return content
        graph = json.loads(content)
        edit(graph)
        return json.dumps(graph).encode()

    return change


def attack_guards(graph):
    graph["guards_code"] = ["__import__('pathlib').Path('ran').touch()"]


def attack_target(graph):
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def attack_module(graph):
    graph["graph_module"]["graph"]["nodes"][0]["target"] = "torch.load"


def attack_name(graph):
    graph["graph_module"]["graph"]["nodes"][0]["inputs"][0]["name"] = "x=open('ran','w')"


def attack_size(graph):
    sizes = graph["graph_module"]["graph"]["tensor_values"]["linear"]["sizes"]
    sizes[0] = {"as_expr": {"expr_str": "open('ran', 'w')", "hint": None}}


def test_example_inputs_and_guards_that_would_run_code_are_never_read(root, monkeypatch):
    monkeypatch.chdir(root)
    model = Only(tiny(1), 1)
    write_program(model, root / "m.pt2")
    buffer = io.BytesIO()
    torch.save((Gadget(root / "ran"),), buffer)
    assert pickle.dumps(Gadget(root / "ran"))
    edit = in_graph(attack_guards)
    rewrite(root / "m.pt2", lambda name, content: buffer.getvalue() if "sample_inputs" in name else edit(name, content))  # fmt: skip
    found = build(PT2).encode_images(IMAGES)
    with torch.no_grad():
        np.testing.assert_allclose(found, model(pixels()).numpy(), atol=1e-6)
    assert not (root / "ran").exists()


@pytest.mark.parametrize("attack", [attack_target, attack_module, attack_name, attack_size])
def test_a_graph_that_asks_for_more_than_arithmetic_is_refused(root, attack, monkeypatch):
    monkeypatch.chdir(root)
    write_program(Only(tiny(1), 1), root / "m.pt2")
    rewrite(root / "m.pt2", in_graph(attack))
    assert "refused; save it again" in problem(PT2)
    with pytest.raises(MedauditError, match="refused"):
        build(PT2)
    assert not (root / "ran").exists()


def test_pickled_weights_in_a_program_are_refused(root):
    write_program(Only(tiny(1), 1), root / "m.pt2")

    def pickled(name, content):
        return content.replace(b'"use_pickle": false', b'"use_pickle": true') if name.endswith("weights_config.json") else content  # fmt: skip

    rewrite(root / "m.pt2", pickled)
    assert "are pickles or objects, which could execute code: refused" in problem(PT2)


def test_a_state_dict_is_no_program(root):
    torch.save(tiny().state_dict(), root / "m.pt2")
    assert "is a torch file of weights (a pickle)" in problem(PT2)


def test_torchscript_needs_its_hash(root):
    model = Only(tiny(3), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, torch.zeros(1, 3, SIZE, SIZE)).save(str(root / "m.pt"))
    entry = {**PT2, "weights": "m.pt"}
    assert "is TorchScript, a program that runs when it is loaded: set `sha256`" in problem(entry)
    from medaudit.core.files import sha256

    found = build({**entry, "sha256": sha256(root / "m.pt")}).encode_images(IMAGES)
    with torch.no_grad():
        np.testing.assert_allclose(found, model(pixels()).numpy(), atol=1e-6)
    with pytest.raises(MedauditError, match="has SHA-256"):
        build({**entry, "sha256": "0" * 64})
