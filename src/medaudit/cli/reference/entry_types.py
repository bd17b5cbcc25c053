"""Python types of the configuration, written from its JSON schemas.

A type checker finds a misspelt key of an entry by them. The kinds of one catalogue (methods of kind
``probe``, ``finetune`` ...) share one type, which has the keys of all kinds.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

HEADER = '''\
"""Types of {what}. Written from ``{schema}.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""
'''

PACKAGE = "medaudit.core.entry_types"
ENTRIES = {
    "datasets": "DatasetEntry",
    "cohorts": "CohortEntry",
    "pretrainings": "PretrainingEntry",
    "models": "ModelEntry",
    "methods": "MethodEntry",
    "studies": "StudyEntry",
}
"""Catalogue to the name of the type of its entries."""

Schema = dict[str, Any]
Classes = dict[str, dict[str, set[str]]]
"""Class to its keys, each with the types that its value may have."""

_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def render_types(schemas: dict[str, Schema], keys: dict[str, str | None]) -> dict[str, str]:
    """Return the modules of `medaudit.core.entry_types`, file name to text.

    Parameters
    ----------
    schemas : dict of str to dict
        The schema of each catalogue of `ENTRIES`, and ``config``.
    keys : dict of str to (str or None)
        The property of each catalogue that distinguishes its kinds; None if it has no kinds.
    """
    files = {f"{name}.py": _entry_module(name, schemas[name], keys[name]) for name in ENTRIES}
    files["evaluation.py"] = _config_module(schemas["config"])
    files["__init__.py"] = _package()
    return files


def _entry_module(catalogue: str, schema: Schema, key: str | None) -> str:
    definitions = schema.get("$defs", {})
    kinds = [part for part in definitions.values() if key in part.get("properties", {})]
    classes: Classes = {}
    for part in kinds if key else [schema]:
        _add_class(ENTRIES[catalogue], part, definitions, classes)
    return _module(f"the entries of {catalogue}", catalogue, classes)


def _config_module(schema: Schema) -> str:
    classes: Classes = {}
    _add_class("Evaluation", schema["properties"]["evaluation"], schema.get("$defs", {}), classes)
    classes["Config"] = {"run": {"list[str]"}, "audit_card": {"str"}, "evaluation": {"Evaluation"}}
    classes["Config"] |= {name: {f"dict[str, {entry}]"} for name, entry in ENTRIES.items()}
    return _module("the checked configuration", "config", classes, _imports())


def _package() -> str:
    imports = [*_imports(), f"from {PACKAGE}.evaluation import Config, Evaluation"]
    names = sorted([*ENTRIES.values(), "Config", "Evaluation"])
    listed = "".join(f'    "{name}",\n' for name in names)
    head = HEADER.format(what="the configuration's entries", schema="*")
    return "\n".join([head, *sorted(imports), "", f"__all__ = [\n{listed}]\n"])


def _imports() -> list[str]:
    return [f"from {PACKAGE}.{module} import {name}" for module, name in ENTRIES.items()]


def _module(what: str, schema: str, classes: Classes, imports: Sequence[str] = ()) -> str:
    rendered = [_render_class(*item) for item in classes.items()]
    text = "".join(rendered)
    used = ["Any", "TypedDict"] if "Any" in text else ["TypedDict"]
    lines = [HEADER.format(what=what, schema=schema), f"from typing import {', '.join(used)}"]
    if imports:
        lines += ["", *sorted(imports)]
    return "\n".join([*lines, "", "", "\n\n".join(rendered)])


def _add_class(name: str, part: Schema, definitions: Schema, classes: Classes) -> None:
    """Add the type of an object to `classes`, after the types of the objects inside it."""
    found = {
        key: set(_types(f"{name}_{key}", value, definitions, classes))
        for key, value in part.get("properties", {}).items()
    }
    fields = classes.pop(name, {})
    for key, types in found.items():
        fields[key] = fields.get(key, set()) | types
    classes[name] = fields


def _types(name: str, part: Schema, definitions: Schema, classes: Classes) -> Iterator[str]:
    """Yield the Python types that a schema allows, adding those of nested objects to `classes`."""
    if "$ref" in part:
        part = {**definitions[part["$ref"].rsplit("/", 1)[-1]], **part}
    for choice in part.get("oneOf", []):
        yield from _types(name, choice, definitions, classes)
    for value in [*part.get("enum", []), *([part["const"]] if "const" in part else [])]:
        yield "None" if value is None else type(value).__name__
    kinds = part.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "array":
            items = sorted(set(_types(name, part.get("items", {}), definitions, classes)))
            yield f"list[{' | '.join(items) or 'Any'}]"
        elif kind == "object" and part.get("properties"):
            nested = "".join(word.title() for word in name.replace("_", " ").split())
            nested = name.split("_")[0] + nested[len(name.split("_")[0]) :]
            _add_class(nested, part, definitions, classes)
            yield nested
        else:
            yield _PLAIN.get(kind, "dict[str, Any]")


def _render_class(name: str, fields: dict[str, set[str]]) -> str:
    inner = re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()
    lines = [f"class {name}(TypedDict, total=False):", f'    """Keys of {_article(inner)}."""', ""]
    for key, types in fields.items():
        ordered = sorted(types - {"None"}) + sorted(types & {"None"})
        if "float" in ordered and "int" in ordered:
            ordered.remove("int")
        lines.append(f"    {key}: {' | '.join(ordered) or 'Any'}")
    return "\n".join(lines) + "\n"


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
