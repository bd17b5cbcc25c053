"""What goes into a model's file and comes out, compared with its catalogue entry."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INPUT_TYPES = ("float32", "float16", "float64", "uint8")
OUTPUT_TYPES = ("float32", "float16", "float64", "bfloat16")


@dataclass(frozen=True)
class Value:
    """An input or output.

    Parameters
    ----------
    name : str
        Its name in the file.
    dtype : str
        NumPy's name of its type.
    shape : tuple of (int or None), or None
        None in a place: any length. None: the file does not say.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} ({self.dtype})"
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({self.dtype} [{sizes}])"


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs, in the file's order."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def named(values: Sequence[Value], name: str | None) -> Value | None:
    """Return the value of that name, or the first one if no name is given."""
    return next((value for value in values if name in (None, value.name)), None)


def problems(signature: Signature, entry: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what of a file does not fit its entry, one sentence per problem."""
    yield from _input_problems(signature.inputs, entry["input"], where)
    yield from _output_problems(signature.outputs, entry, where)


def _input_problems(
    inputs: Sequence[Value], wanted: Mapping[str, Any], where: str
) -> Iterator[str]:
    found = named(inputs, wanted.get("name"))
    if found is None:
        yield f"{where}: it has no input {wanted.get('name')!r}; {_listed('inputs', inputs)}"
        return
    if len(inputs) > 1:
        yield f"{where}: it wants {len(inputs)} inputs, an image is one; {_listed('inputs', inputs)}"
    if found.dtype not in INPUT_TYPES:
        yield f"{where}: its input {found} must be one of {', '.join(INPUT_TYPES)}"
    if found.dtype == "uint8" and not is_raw(wanted):
        yield (
            f"{where}: its input {found} takes whole grey levels: set `range: [0, 255]`, mean 0 and "
            "std 1"
        )
    size, last = wanted["size"], wanted.get("layout") == "channels_last"
    expected = (size, size, wanted["channels"]) if last else (wanted["channels"], size, size)
    if found.shape is None:
        return
    if len(found.shape) != 4 or not _fits(found.shape[1:], expected):
        yield (
            f"{where}: its input is {found}, the entry's `input` gives [batch, "
            f"{', '.join(map(str, expected))}]: correct `size`, `channels` or `layout`"
        )


def is_raw(wanted: Mapping[str, Any]) -> bool:
    """Return whether an entry's ``input`` passes grey levels from 0 to 255 on as they are."""
    plain = set(wanted["mean"]) == {0} and set(wanted["std"]) == {1}
    return plain and list(wanted.get("range", ())) == [0, 255]


def _output_problems(
    outputs: Sequence[Value], entry: Mapping[str, Any], where: str
) -> Iterator[str]:
    wanted = entry["output"]
    found = named(outputs, wanted.get("name"))
    if found is None:
        yield f"{where}: it has no output {wanted.get('name')!r}; {_listed('outputs', outputs)}"
        return
    if len(outputs) > 1 and wanted.get("name") is None:
        yield f"{where}: name the output in `output: {{name: ...}}`; {_listed('outputs', outputs)}"
    if found.dtype not in OUTPUT_TYPES:
        yield f"{where}: its output {found} is no number with a fraction"
    if found.shape is None:
        return
    if wanted["holds"] != "embedding":
        tasks = len(wanted.get("tasks") or [])
        single = tasks == 1 and len(found.shape) == 1
        if not single and (len(found.shape) != 2 or not _fits(found.shape[1:], (tasks,))):
            yield (
                f"{where}: its output is {found}, and `output.tasks` names {tasks}: name every output "
                "in order, null where it is no task"
            )
    elif len(found.shape) < 2 or (len(found.shape) > 2 and not wanted.get("pooling")):
        yield (
            f"{where}: its output {found} is not one vector per image; set `output: {{pooling: ...}}` "
            "to mean, max, first or flatten, or name another output"
        )


def _fits(found: Sequence[int | None], expected: Sequence[int]) -> bool:
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(size in (None, want) for size, want in pairs)


def _listed(what: str, values: Sequence[Value]) -> str:
    return f"its {what} are {', '.join(map(str, values)) or 'none'}"
