"""Read a ``torch.export`` file (.pt2) without what `torch.export.load` would execute.

`torch.export.load` unpickles the example inputs, and weights that were saved as pickles, with all
of pickle's power; it compiles the file's ``guards_code`` as Python; it gives symbolic sizes to
sympy, which evaluates them; and the names in the graph become generated Python. Here the graph is
checked first: operators are those of ``aten``, names are plain names, sizes are arithmetic, weights
are raw numbers. Example inputs and guards are never read.
"""

import json
import math
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medaudit.core.errors import MedauditError
from medaudit.models.exported.signature import Signature, Value

TYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32"}
TYPES |= {8: "float64", 12: "bool", 13: "bfloat16"}
"""NumPy's names of torch's types, by their number in the file (``ScalarType`` of its schema)."""

CONVERT = (
    "save it again: torch.export.save(torch.export.export(model, (example,), dynamic_shapes=...), "
    "file), or export it to ONNX"
)
_NAME = re.compile(r"[A-Za-z0-9_.]*")
_TARGET = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(getitem|add|sub|mul|floordiv|mod|neg|eq|ne|ge|gt|le|lt)"
)
_REFUSED = ("from_file", "_debug", "open_file")
_SYMBOL = re.compile(r"'[su]\d+'")
_EXPRESSION = re.compile(r"[A-Za-z0-9_+\-*/%(),= ]*")
_WORDS = {
    *("Symbol", "positive", "nonnegative", "integer", "real", "finite", "True", "False"),
    *("Add", "Mul", "Pow", "Integer", "Rational", "Max", "Min", "Mod", "PythonMod", "FloorDiv"),
    *("CleanDiv", "CeilDiv", "ModularIndexing", "ceiling", "floor", "Eq", "Ne", "Lt", "Le"),
}
"""What sizes may be made of: sympy evaluates them."""
_TREES = re.compile(
    r'"(?:type|context)": ?(?:null|"(?:builtins\.(?:tuple|list|dict)|\[[^{}]*\]|null)"|\[\])'
)
_FREE = ("as_string", "torch_version", "in_spec", "out_spec")
_LARGEST_GRAPH = 1 << 28


@dataclass(frozen=True)
class Program:
    """A checked file: its graph as JSON, and where the numbers of its weights are.

    Parameters
    ----------
    folder : str
        The archive's folder.
    graph : dict
        ``models/<name>.json``, without guards and metadata.
    weights, constants : dict
        Payload of each by name, see torch's schema.
    signature : Signature
        What goes in and out.
    """

    folder: str
    graph: dict[str, Any]
    weights: dict[str, Any]
    constants: dict[str, Any]
    signature: Signature


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a TorchScript archive: it contains code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read_program(path: Path) -> Program:
    """Read and check the graph; no number of a weight is read.

    Raises
    ------
    MedauditError
        The file is damaged, of another format, or asks for something that would execute code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path)
    except MedauditError:
        raise
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise MedauditError(
            f"{path} is not a readable torch.export file ({type(error).__name__}: {error}); {CONVERT}"
        ) from error


def _read(archive: zipfile.ZipFile, path: Path) -> Program:
    names = archive.namelist()
    graphs = [name for name in names if re.fullmatch(r"[^/]+/models/[^/]+\.json", name)]
    if len(graphs) != 1:
        what = "a torch file of weights (a pickle)" if any(n.endswith("/data.pkl") for n in names) else "no exported program"  # fmt: skip
        raise MedauditError(f"{path} is {what}; {CONVERT}")
    folder, _, file = graphs[0].partition("/models/")
    model = file.removesuffix(".json")
    graph = _json(archive, graphs[0])
    graph["guards_code"] = []  # Python source, which would be compiled
    for node in _nodes(graph):
        node["metadata"] = {}
    for problem in _unsafe(graph, "graph"):
        raise MedauditError(f"{path}: {problem}: refused; {CONVERT}")
    weights, constants = (
        _payload(archive, f"{folder}/data/{kind}/{model}_{kind}_config.json", path)
        for kind in ("weights", "constants")
    )
    return Program(folder, graph, weights, constants, _signature(graph["graph_module"]))


def _json(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _LARGEST_GRAPH:
        raise ValueError(f"{name} is too large")
    content = json.loads(archive.read(name))
    if not isinstance(content, dict):
        raise ValueError(f"{name} is no mapping")
    return content


def _payload(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    """Return where the numbers of weights or constants are; refuse pickles."""
    config = _json(archive, name)["config"]
    pickled = [
        key
        for key, part in config.items()
        if part["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", part["path_name"])
    ]
    if pickled:
        raise MedauditError(
            f"{path}: {len(pickled)} of its weights or constants, e.g. {pickled[0]!r}, are pickles or "
            f"objects, which could execute code: refused; {CONVERT}"
        )
    return config


def _nodes(graph: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of the graph, also of graphs inside it."""
    if isinstance(graph, dict):
        if "target" in graph and "metadata" in graph:
            yield graph
        for value in graph.values():
            yield from _nodes(value)
    elif isinstance(graph, list):
        for value in graph:
            yield from _nodes(value)


def _unsafe(value: Any, key: str) -> Iterator[str]:
    """Yield what in a graph is more than arithmetic on tensors."""
    if isinstance(value, dict):
        for name, part in value.items():
            if not _NAME.fullmatch(name):
                yield f"it has the name {name[:40]!r}"
            yield from _unsafe(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _unsafe(part, key)
    elif isinstance(value, str):
        yield from _unsafe_text(value, key)


def _unsafe_text(value: str, key: str) -> Iterator[str]:
    if key == "target":
        if not _TARGET.fullmatch(value) or any(word in value for word in _REFUSED):
            yield f"it uses the operator {value[:60]!r}, which is not plain arithmetic of aten"
    elif key == "expr_str":
        plain = _SYMBOL.sub("", value)
        words = {*re.findall(r"[A-Za-z_]\w*", plain)}
        known = all(word in _WORDS or re.fullmatch(r"[su]\d+", word) for word in words)
        if not _EXPRESSION.fullmatch(plain) or not known:
            yield f"it has the size {value[:40]!r}"
    elif key in ("in_spec", "out_spec"):
        found = re.findall(r'"(?:type|context)":[^,}]*', value)
        if "import" in value or not all(re.match(_TREES, part) for part in found):
            yield f"its inputs or outputs are of the form {value[:80]!r}"
    elif key not in _FREE and not _NAME.fullmatch(value):
        yield f"it has the name {value[:40]!r} ({key})"


def _signature(module: dict[str, Any]) -> Signature:
    values = module["graph"]["tensor_values"]

    def value(argument: dict[str, Any]) -> Value:
        name = argument["as_tensor"]["name"]
        found = values[name]
        sizes = tuple(size.get("as_int") for size in found["sizes"])
        return Value(name, TYPES.get(found["dtype"], f"type {found['dtype']}"), sizes)

    inputs = [spec["user_input"]["arg"] for spec in module["signature"]["input_specs"] if "user_input" in spec]  # fmt: skip
    outputs = [spec["user_output"]["arg"] for spec in module["signature"]["output_specs"] if "user_output" in spec]  # fmt: skip
    return Signature(tuple(map(value, inputs)), tuple(map(value, outputs)))


def load_program(path: Path, program: Program) -> Any:
    """Return the program as a module of torch, on the CPU.

    Raises
    ------
    MedauditError
        torch cannot build it.
    """
    from torch._export.serde.schema import ExportedProgram
    from torch._export.serde.serialize import ExportedProgramDeserializer, _dict_to_dataclass

    try:
        with zipfile.ZipFile(path) as archive:
            weights = _tensors(archive, program.folder, "weights", program.weights)
            constants = _tensors(archive, program.folder, "constants", program.constants)
        graph = _dict_to_dataclass(ExportedProgram, program.graph)
        built = ExportedProgramDeserializer().deserialize(graph, weights, constants, None)
        return built.module(check_guards=False)
    except Exception as error:  # torch raises errors of any kind here
        raise MedauditError(
            f"{path}: torch cannot build it ({type(error).__name__}: {error}); {CONVERT}"
        ) from error


def _tensors(
    archive: zipfile.ZipFile, folder: str, kind: str, payloads: dict[str, Any]
) -> dict[str, Any]:
    import torch

    found = {}
    for name, part in payloads.items():
        info = archive.getinfo(f"{folder}/data/{kind}/{part['path_name']}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{info.filename} is compressed")
        meta = part["tensor_meta"]
        dtype = getattr(torch, TYPES[meta["dtype"]])
        sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
        content = bytearray(archive.read(info))
        flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        offset = meta["storage_offset"]["as_int"]
        if math.prod(sizes) and min(*sizes, *strides, offset, 0) < 0:
            raise ValueError(f"{name} has negative sizes")
        tensor = torch.as_strided(flat, sizes, strides, offset)  # torch checks the bounds
        found[name] = (
            torch.nn.Parameter(tensor, requires_grad=False) if part["is_param"] else tensor
        )
    return found
