"""Read YAML settings: nothing in them runs, nothing stands twice, nothing grows without end."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from medaudit.core.errors import MedauditError

LARGEST = 200_000
"""Values that settings may hold, each alias counted where it is used."""

DEEPEST = 100
"""Levels that settings may nest."""

_LARGEST_FILE = 1 << 24
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Plain values only, and a key stands once in its mapping."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        """Refuse a mapping in which a key stands twice: YAML would keep the last, silently."""
        seen: dict[str, int] = {}
        for key, _ in getattr(node, "value", ()) if isinstance(node, yaml.MappingNode) else ():
            line = key.start_mark.line + 1
            name = key.value if isinstance(key.value, str) else None
            if name is not None and name != "<<" and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {name!r} stands in line {seen[name]} and line {line}"
                )
            seen[name] = line
        return super().construct_mapping(node, deep)


def read_settings(path: Path) -> dict:
    """Return the content of a YAML file of keys and values.

    Parameters
    ----------
    path : Path
        UTF-8. Tags such as ``!!python/object`` are refused, aliases are allowed.

    Raises
    ------
    MedauditError
        The file cannot be read, is no YAML, holds no mapping, a key stands twice, or it expands
        to more than `LARGEST` values.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, no settings are so large")
        text = path.read_text(encoding="utf-8-sig")
        _check_depth(text)
        content = yaml.load(text, _Loader)  # noqa: S506 a safe loader
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise MedauditError(f"cannot read the configuration {path}: {error}") from error
    if not isinstance(content, dict):
        raise MedauditError(f"{path} holds no keys and values; give a YAML mapping")
    problems = list(find_oddities(content, ""))
    if problems:
        raise MedauditError("\n".join([f"{path} cannot be used:", *problems]))
    return content


def _check_depth(text: str) -> None:
    """Refuse what nests too deep: the composer in C would use up its stack and crash."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
        depth -= isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it nests more than {DEEPEST} levels deep")


def find_oddities(value: object, where: str) -> Iterator[str]:
    """Yield a line for what no settings can hold: it is asked before anything walks or copies them.

    Keys that are no text, texts with control characters, values that JSON does not know, and structures that hold themselves or
    expand beyond `LARGEST` values; after one of these the search ends.
    """
    left, stack = LARGEST, [(value, where, 0)]
    while stack:
        value, where, depth = stack.pop()
        left -= 1
        if left < 0 or depth > DEEPEST:
            yield f"- {where[:60]}: it expands without end (an alias within an alias?)"
            return
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    yield f"- {where}: key {key!r} is no text: write it in quotes"
            items = [(inner, f"{where}.{key}".lstrip(".")) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            items = [(inner, f"{where}.{number}") for number, inner in enumerate(value)]
        else:
            items = []
            if isinstance(value, str) and _CONTROLS.search(value):
                yield f"- {where}: {value[:60]!r} holds control characters"
            if not isinstance(value, str | int | float | None):
                shown = f"{value!r:.40}"
                yield f"- {where}: {shown} is a {type(value).__name__}: write it in quotes"
        stack += [(inner, place, depth + 1) for inner, place in reversed(items)]
