"""Python types of the configuration, written from its JSON schemas.

The types let a type checker find a misspelt key of an entry. Kinds of one catalogue (methods of
kind ``probe``, ``finetune`` ...) share one type, whose keys are those of all kinds.
"""

import re
from collections.abc import Iterator

HEADER = '''\
"""Types of {what}. Written from ``{schema}.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""
'''

ENTRIES = {
    "datasets": "DatasetEntry",
    "cohorts": "CohortEntry",
    "pretrainings": "PretrainingEntry",
    "models": "ModelEntry",
    "methods": "MethodEntry",
    "studies": "StudyEntry",
}
"""Catalogue to the name of its entries' type."""

_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def render_types(schemas: dict[str, dict], keys: dict[str, str | None]) -> dict[str, str]:
    """Return the modules of `medaudit.core.entry_types`: file name to text.

    Parameters
    ----------
    schemas : dict of str to dict
        The schema of each catalogue of `ENTRIES`, and ``config``.
    keys : dict of str to (str or None)
        For each catalogue the property that tells its kinds apart, None where there are no kinds.
    """
    files = {}
    for catalogue, name in ENTRIES.items():
        schema, key = schemas[catalogue], keys[catalogue]
        definitions = schema.get("$defs", {})
        kinds = [part for part in definitions.values() if key in part.get("properties", {})]
        classes: dict[str, dict[str, set[str]]] = {}
        for part in kinds if key else [schema]:
            _add_class(name, part, definitions, classes)
        files[f"{catalogue}.py"] = _module(f"the entries of {catalogue}", catalogue, classes)
    config = schemas["config"]
    classes = {}
    _add_class("Evaluation", config["properties"]["evaluation"], config.get("$defs", {}), classes)
    whole = {"run": {"list[str]"}, "evaluation": {"Evaluation"}}
    whole |= {catalogue: {f"dict[str, {name}]"} for catalogue, name in ENTRIES.items()}
    imports = [f"from medaudit.core.entry_types.{c} import {n}" for c, n in ENTRIES.items()]
    classes["Config"] = whole
    files["evaluation.py"] = _module("the checked configuration", "config", classes, imports)
    imports.append("from medaudit.core.entry_types.evaluation import Config, Evaluation")
    names = "".join(
        f'    "{name}",\n' for name in sorted([*ENTRIES.values(), "Config", "Evaluation"])
    )
    head = HEADER.format(what="the configuration's entries", schema="*")
    files["__init__.py"] = "\n".join([head, *sorted(imports), "", f"__all__ = [\n{names}]\n"])
    return files


def _module(what: str, schema: str, classes: dict, imports: list[str] = ()) -> str:
    rendered = [_render_class(*item) for item in classes.items()]
    text = "".join(rendered)
    used = ["Any", "TypedDict"] if "Any" in text else ["TypedDict"]
    lines = [HEADER.format(what=what, schema=schema), f"from typing import {', '.join(used)}"]
    if imports:
        lines += ["", *sorted(imports)]
    return "\n".join([*lines, "", "", "\n\n".join(rendered)])


def _add_class(name: str, part: dict, definitions: dict, classes: dict) -> None:
    """Add the type of an object, after those of the objects inside it."""
    found = {
        key: set(_types(f"{name}_{key}", value, definitions, classes))
        for key, value in part.get("properties", {}).items()
    }
    fields = classes.pop(name, {})
    for key, types in found.items():
        fields[key] = fields.get(key, set()) | types
    classes[name] = fields


def _types(name: str, part: dict, definitions: dict, classes: dict) -> Iterator[str]:
    """Yield the Python types that a schema allows."""
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
