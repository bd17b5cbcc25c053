"""Read YAML settings safely: no code runs, no key is duplicate, and the size is limited."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from medaudit.core.errors import MedauditError

LARGEST = 200_000
"""Number of values that settings may have; an alias counts each time it is used."""

DEEPEST = 100
"""Levels that settings may be nested."""

_LARGEST_FILE = 1 << 24
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """Loader of plain values that refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; refuse a duplicate key, since YAML would silently keep the last."""
        seen: dict[str, int] = {}
        for key, _ in getattr(node, "value", ()) if isinstance(node, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            name = key.value
            if not isinstance(name, str) or name == "<<":  # the merge key may be repeated
                continue
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {name!r} in line {seen[name]} and line {line}"
                )
            seen[name] = line
        return super().construct_mapping(node, deep)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file that holds a mapping.

    Parameters
    ----------
    path : Path
        UTF-8. Tags such as ``!!python/object`` are refused, aliases are allowed.

    Raises
    ------
    MedauditError
        The file cannot be read, is not YAML, does not hold a mapping, has a duplicate key, or
        expands to more than `LARGEST` values.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(
                f"it has {path.stat().st_size:,} bytes; the limit is {_LARGEST_FILE:,}"
            )
        text = path.read_text(encoding="utf-8-sig")
        _check_depth(text)
        content = yaml.load(text, _Loader)  # noqa: S506 a safe loader
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise MedauditError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(content, dict):
        raise MedauditError(f"{path} has no keys and values; write a YAML mapping")
    problems = list(find_unsafe_values(content, ""))
    if problems:
        raise MedauditError(f"{path} cannot be used:", problems)
    return content


def _check_depth(text: str) -> None:
    """Refuse text that nests too deep: the composer in C would overflow its stack and crash."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
        depth -= isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it nests more than {DEEPEST} levels deep")


def find_unsafe_values(value: object, where: str) -> Iterator[str]:
    """Yield one sentence per value that settings must not have; call it before recursive code.

    These are keys that are not text, text with control characters, values of types that JSON does
    not have, and structures that contain themselves or expand beyond `LARGEST` values. The last
    ends the search.
    """
    left, stack = LARGEST, [(value, where, 0)]
    while stack:
        value, where, depth = stack.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            yield f"{where[:60]}: it expands without end; is an alias used within its own anchor?"
            return
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    yield f"{where}: key {key!r} is not text; write it in quotes"
            items = [(inner, f"{where}.{key}".lstrip(".")) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            items = [(inner, f"{where}.{number}") for number, inner in enumerate(value)]
        else:
            items = []
            if isinstance(value, str) and _CONTROLS.search(value):
                yield f"{where}: {value[:60]!r} has control characters; remove them"
            if not isinstance(value, str | int | float | None):
                shown = f"{value!r:.40}"
                yield f"{where}: {shown} is a {type(value).__name__}; write it in quotes"
        stack += [(inner, place, depth + 1) for inner, place in reversed(items)]
