"""Validate settings against a JSON Schema; errors say where, the value, and what is allowed."""

import math
from collections.abc import Iterable, Iterator
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from medaudit.config.metric_names import meant
from medaudit.config.renamed import RENAMED
from medaudit.config.requests import requestable
from medaudit.config.yaml_file import read_settings

LARGEST_NUMBER = 2**53
"""Whole numbers up to this are exact as a double."""

_SHOWN = 100
"""Characters of a wrong value that a message shows."""

_KINDS = {"object": "a mapping", "array": "a list", "string": "text", "null": "null"}
_KINDS |= {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def _is_whole(_: object, value: object) -> bool:
    """Accept whole numbers that a double holds exactly; not 3.0, which ``range`` refuses."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _is_number(_: object, value: object) -> bool:
    """Accept finite numbers only: NaN would pass every minimum and maximum."""
    return _is_whole(_, value) or (isinstance(value, float) and math.isfinite(value))


_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_whole, "number": _is_number}
    ),
)


def read_schema(schemas: Path | dict[str, Path], name: str) -> dict[str, Any]:
    """Return a schema: ``<name>.schema.yaml`` of a folder, or the file listed under `name`."""
    return fill_registries(
        read_settings(
            schemas[name] if isinstance(schemas, dict) else schemas / f"{name}.schema.yaml"
        )
    )


def fill_registries(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which each ``items: {registry: ...}`` has the registry's names as ``enum``.

    Registries are those of `medaudit.config.requests`.
    """
    for part in schema.get("properties", {}).values():
        items = part.get("items", {})
        if "registry" in items:
            part["items"] = {**items, "enum": requestable(items["registry"])}
    return schema


def entry_kinds(schema: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """Return the definitions of a schema of kinds of entries: those with property `key`."""
    found = schema["$defs"].items()
    return {name: part for name, part in found if key in part.get("properties", {})}


def validate(value: object, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Fill in the defaults of absent properties, then yield one sentence per violation."""
    _fill_defaults(value, schema, schema.get("$defs", {}))
    errors = _Validator(schema).iter_errors(value)
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        path = ".".join([where, *(str(part) for part in error.absolute_path)])
        yield f"{path}: {_explain(error)}"


def violations(
    value: object, schema: dict[str, Any]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the place and the sentence of each violation; an unknown key has a place of its own."""
    for error in _Validator(schema).iter_errors(value):
        place = tuple(error.absolute_path)
        if error.validator == "additionalProperties" and error.validator_value is False:
            entry: Any = error.schema
            known = entry.get("properties", {})
            strange = [key for key in error.instance if key not in known]
            yield from (((*place, key), f"this key {unknown(key, known)}") for key in strange)
        else:
            yield place, _explain(error)


def unknown(value: object, known: Iterable[object]) -> str:
    """Return the end of a sentence on an unknown name: what may be meant, and what is known."""
    names = sorted(str(name) for name in known)
    renamed = RENAMED.get(str(value))
    close = get_close_matches(str(value)[:_SHOWN], names, n=1)
    if renamed in names:
        hint = f" (it was renamed: write {renamed!r})"
    else:
        alias = meant(value, names) if "tpr" in names else None
        near = alias or (repr(close[0]) if close else None)
        hint = f" (did you mean {near}?)" if near else ""
    return f"is unknown{hint}; known: {', '.join(names)}"


def show(value: object) -> str:
    """Return the Python text of `value`, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + " ..."


def _fill_defaults(value: object, schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    if not isinstance(value, dict):
        return
    for key, part in schema.get("properties", {}).items():
        if "default" in part and key not in value:
            value[key] = deepcopy(part["default"])
        if key in value:
            _fill_defaults(value[key], part, definitions)


def _explain(error: ValidationError) -> str:
    value: Any = error.instance
    limit: Any = error.validator_value
    if error.validator == "additionalProperties" and limit is False:
        schema: Any = error.schema
        known = schema.get("properties", {})
        strange = [key for key in value if key not in known]
        return "; ".join(f"key {show(key)} {unknown(key, known)}" for key in strange)
    if error.validator in ("enum", "const"):
        return f"{show(value)} {unknown(value, limit if error.validator == 'enum' else [limit])}"
    if error.validator == "type":
        return f"{show(value)} is not {_spell(limit)}{_reason(value, limit)}"
    if error.validator == "oneOf":
        return f"{show(value)} is not {_spell([part.get('type') for part in limit])}"
    if error.validator == "uniqueItems":
        duplicate = next(item for k, item in enumerate(value) if item in value[:k])
        return f"{show(duplicate)} is listed more than once"
    if error.validator == "pattern":
        return f"{show(value)} does not match {limit}"
    return error.message.replace(repr(value), show(value))


def _spell(kinds: str | list) -> str:
    names = [kinds] if isinstance(kinds, str) else list(dict.fromkeys(filter(None, kinds)))
    return " or ".join(_KINDS[name] for name in names)


def _reason(value: object, kinds: str | list) -> str:
    counts = {"integer", "number"} & set([kinds] if isinstance(kinds, str) else kinds)
    if counts and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
            return f" between -{LARGEST_NUMBER} and {LARGEST_NUMBER}"
        return f": write {value:.0f}" if value == round(value) and "integer" in kinds else ""
    return ": take the quotes off" if isinstance(value, str) and _numeric(value, kinds) else ""


def _numeric(text: str, kinds: str | list) -> bool:
    try:
        return "string" not in kinds and math.isfinite(float(text))
    except ValueError:
        return False
