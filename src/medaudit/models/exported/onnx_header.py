"""Inputs, outputs and external files of an ONNX model, from its protocol buffer.

The file is mapped and looked through field by field, without reading its weights: a model of
several gigabytes takes milliseconds, and a truncated one is found.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from medaudit.core.errors import MedauditError
from medaudit.core.protobuf import Buffer, fields, message, number, text
from medaudit.models.exported.signature import Signature, Value

# Fields of onnx.proto3.
_GRAPH, _OPSETS = 7, 8
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_TENSOR_NAME, _EXTERNAL = 8, 13
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 8: "string", 9: "bool"}
TYPES |= {10: "float16", 11: "float64", 16: "bfloat16"}
"""NumPy's names of ONNX's types, by their number."""


def read_header(path: Path) -> Signature:
    """Return what goes in and out of an ONNX model.

    Raises
    ------
    MedauditError
        The file is not an ONNX model, is truncated, or lacks a file that has its weights.
    """
    try:
        with path.open("rb") as stream:
            # Not closed here: an error of the parser still holds views of it.
            whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        found, files = _graph(memoryview(whole))
    except (ValueError, UnicodeDecodeError, OSError) as error:
        raise MedauditError(
            f"{path} is not a readable ONNX model ({error}); it is damaged or of another format: "
            "export it again"
        ) from error
    _check_files(path, files)
    return found


def _graph(content: Buffer) -> tuple[Signature, set[str]]:
    """Return the signature, and the files that hold weights."""
    parts = dict(fields(content))
    if _GRAPH not in parts or _OPSETS not in parts:
        raise ValueError("it has no graph")
    weights: set[str] = set()
    files: set[str] = set()
    inputs: list[Value] = []
    outputs: list[Value] = []
    nodes = 0
    for place, value in fields(message(parts[_GRAPH])):
        if place == _INITIALIZER:
            name, file = _tensor(message(value))
            weights.add(name)
            files |= {file} if file else set()
        elif place in (_INPUT, _OUTPUT):
            (inputs if place == _INPUT else outputs).append(_value(message(value)))
        nodes += place == _NODE
    if not nodes or not outputs:
        raise ValueError("its graph is empty")
    # Files of older versions list their weights among the inputs.
    images = tuple(value for value in inputs if value.name not in weights)
    return Signature(images, tuple(outputs)), files


def _tensor(content: Buffer) -> tuple[str, str | None]:
    """Return a weight's name, and the file that has its numbers if that is another one."""
    name, pairs = "", {}
    for place, value in fields(content):
        if place == _TENSOR_NAME:
            name = text(value)
        elif place == _EXTERNAL:
            pair = dict(fields(message(value)))
            pairs[text(pair.get(1, b""))] = text(pair.get(2, b""))
    return name, pairs.get("location")


def _value(content: Buffer) -> Value:
    """Return an input or output: 1 its name, 2 its type, whose 1 is that of a tensor."""
    parts = dict(fields(content))
    tensor = dict(fields(message(dict(fields(message(parts.get(2, b"")))).get(1, b""))))
    kind = number(tensor.get(1, 0))
    shape = tuple(_sizes(message(tensor[2]))) if 2 in tensor else None
    return Value(text(parts.get(1, b"")), TYPES.get(kind, f"type {kind}"), shape)


def _sizes(shape: Buffer) -> Iterator[int | None]:
    for place, value in fields(shape):
        if place == 1:
            size = dict(fields(message(value))).get(1)
            yield None if size is None else number(size)


def _check_files(path: Path, files: set[str]) -> None:
    for name in sorted(files):
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise MedauditError(
                f"{path}: its weights are in {name}, outside of its folder: refused"
            )
        if not (path.parent / place).is_file():
            raise MedauditError(
                f"{path}: its weights are in the file {path.parent / place}, which is not there; copy "
                "it next to the model"
            )
