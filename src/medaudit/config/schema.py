"""Compare settings with a JSON Schema and say what is wrong, where, and what would be right."""

import math
from collections.abc import Iterator
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from medaudit.config.yaml_file import read_settings

LARGEST_NUMBER = 2**53
_SHOWN = 100
_KINDS = {"object": "a mapping", "array": "a list", "string": "text", "null": "null"}
_KINDS |= {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def _is_whole(_, value: object) -> bool:
    """Tell a whole number of a size that a computer counts to; 3.0 is none, ``range`` refuses it."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _is_number(_, value: object) -> bool:
    """Tell a finite number: a limit would let NaN pass, whatever it says."""
    return _is_whole(_, value) or (isinstance(value, float) and math.isfinite(value))


_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_whole, "number": _is_number}
    ),
)


def read_schema(schemas: Path | dict[str, Path], name: str) -> dict:
    """Return a schema: of a folder ``<name>.schema.yaml``, or the file of that name."""
    return read_settings(
        schemas[name] if isinstance(schemas, dict) else schemas / f"{name}.schema.yaml"
    )


def entry_kinds(schema: dict, key: str) -> dict[str, dict]:
    """Return the schemas of entries among the definitions: those with the property `key`."""
    found = schema["$defs"].items()
    return {name: part for name, part in found if key in part.get("properties", {})}


def validate(value: object, schema: dict, where: str) -> Iterator[str]:
    """Yield one line for each violation; fill in defaults of absent properties."""
    _fill_defaults(value, schema, schema.get("$defs", {}))
    errors = _Validator(schema).iter_errors(value)
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        path = ".".join([where, *(str(part) for part in error.absolute_path)])
        yield f"- {path}: {_explain(error)}"


def unknown(value: object, known) -> str:
    """Return that `value` is unknown, what is known, and what it may be meant to be."""
    names = sorted(str(name) for name in known)
    close = get_close_matches(str(value)[:_SHOWN], names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"is unknown{hint}; known: {', '.join(names)}"


def show(value: object) -> str:
    """Return `value` as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + " ..."


def _fill_defaults(value: object, schema: dict, definitions: dict) -> None:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    if not isinstance(value, dict):
        return
    for key, part in schema.get("properties", {}).items():
        if "default" in part and key not in value:
            value[key] = deepcopy(part["default"])
        if key in value:
            _fill_defaults(value[key], part, definitions)


def _explain(error) -> str:
    value, limit = error.instance, error.validator_value
    if error.validator == "additionalProperties" and limit is False:
        known = error.schema.get("properties", {})
        strange = [key for key in value if key not in known]
        return "; ".join(f"key {show(key)} {unknown(key, known)}" for key in strange)
    if error.validator in ("enum", "const"):
        return f"{show(value)} {unknown(value, limit if error.validator == 'enum' else [limit])}"
    if error.validator == "type":
        return f"{show(value)} is not {_spell(limit)}{_reason(value, limit)}"
    if error.validator == "oneOf":
        return f"{show(value)} is not {_spell([part.get('type') for part in limit])}"
    if error.validator == "uniqueItems":
        twice = next(item for k, item in enumerate(value) if item in value[:k])
        return f"{show(twice)} stands more than once"
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
