"""Every way a schema can be broken, made from the schemas themselves."""

import datetime
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

ODD = (
    None,
    True,
    7,
    10**40,
    2.5,
    3.0,
    "text",
    "7",
    [],
    [[]],
    {},
    {"a": 1},
    math.nan,
    math.inf,
    datetime.date(2026, 1, 1),
    b"bytes",
    {"a", "b"},
)
"""Values of every type that YAML can give."""

NAMES = (
    "",
    "-x",
    "a b",
    "a/b",
    "../x",
    "$(id)",
    "a;b",
    "a\nb",
    "a\n",
    'a"b',
    "a|b",
    "*",
    "é",
    "{x}",
    ".x",
)
"""Names that no entry may have: they become paths, wildcards and words of shell commands."""

KEYS = (2020, 2.5, None, True, datetime.date(2026, 1, 1))
"""Keys that YAML makes of words that are not quoted."""

WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True)
class Mutant:
    """A configuration with one mistake.

    Parameters
    ----------
    path : tuple
        Keys that lead to what was changed.
    keyword : str
        What of the schema is violated.
    value : object
        What stands there now.
    says : tuple of str
        What the message must hold: the place, the value, what is allowed.
    base : dict
        The whole without the mistake.
    change : callable
        Makes it where `path` leads.
    """

    path: tuple
    keyword: str
    value: object
    says: tuple[str, ...]
    base: dict
    change: Callable[[object], object]

    @property
    def config(self) -> dict:
        """The whole with the mistake."""
        broken = deepcopy(self.base)
        self.change(_at(broken, self.path))
        return broken

    def __str__(self) -> str:
        return f"{self.keyword} {'.'.join(map(str, self.path))} = {self.value!r:.60}"


def mutants(config: dict, schema: dict, path: tuple) -> Iterator[Mutant]:
    """Yield a mutant for each violation of `schema` at `path` and below it."""
    for where, keyword, change, value, says in _changes(
        _at(config, path), schema, schema.get("$defs", {}), path
    ):
        yield Mutant(where, keyword, value, says, config, change)


def example(schema: dict, definitions: dict) -> object:
    """Return a value that meets a schema, every property present."""
    schema = _resolved(schema, definitions)
    if "const" in schema or "enum" in schema or schema.get("default") is not None:
        return schema.get("const", schema.get("default", schema.get("enum", [None])[0]))
    if "oneOf" in schema:
        return example(schema["oneOf"][0], definitions)
    kind = _types(schema)[0]
    if kind == "object":
        return complete({}, schema, definitions)
    if kind == "array":
        count = max(schema.get("minItems", 1), 1)
        item = example(schema.get("items", {"type": "string"}), definitions)
        unique = isinstance(item, str) and count > 1
        return [f"{item}{k}" for k in range(count)] if unique else [item] * count
    if kind == "string":
        return {r"^[01]+$(?!\n)": "0101", r"^[0-9a-f]{64}$(?!\n)": "0" * 64}.get(
            schema.get("pattern"), "a {label} {}"
        )
    if kind == "boolean":
        return True
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2))
    return math.ceil((low + high) / 2) if kind == "integer" else (low + high) / 2


def complete(value: dict, schema: dict, definitions: dict) -> dict:
    """Return `value` with every property of the schema that it lacks."""
    schema = _resolved(schema, definitions)
    filled = dict(value)
    for key, part in schema.get("properties", {}).items():
        part = _resolved(part, definitions)
        if key not in filled or (filled[key] is None and "null" in _types(part)):
            filled[key] = example(part, definitions)
        elif isinstance(filled[key], dict) and "properties" in part:
            filled[key] = complete(filled[key], part, definitions)
    more = schema.get("additionalProperties")
    if not filled and isinstance(more, dict):
        count = max(schema.get("minProperties", 1), 1)
        filled = {f"entry{k}": example(more, definitions) for k in range(count)}
    return filled


def _changes(value: object, schema: dict, definitions: dict, path: tuple) -> Iterator[tuple]:
    schema = _resolved(schema, definitions)
    yield from _wrong_values(value, schema, path)
    if isinstance(value, dict):
        yield from _wrong_keys(value, schema, path)
        for key, inner in value.items():
            more = schema.get("additionalProperties") or {}
            part = schema.get("properties", {}).get(key, more)
            yield from _changes(inner, part, definitions, (*path, key))
    if isinstance(value, list) and value and "items" in schema:
        yield from _changes(value[0], schema["items"], definitions, (*path, 0))


def _wrong_values(value: object, schema: dict, path: tuple) -> Iterator[tuple]:
    *parents, key = path
    where = ".".join(map(str, path))

    def put(keyword: str, new: object, *says: str) -> tuple:
        if isinstance(new, bytes | set | datetime.date):  # no type of JSON: refused everywhere
            says = ("write it in quotes",)
        return tuple(parents), keyword, lambda place: _set(place, key, new), new, (where, *says)

    if "oneOf" in schema:
        kinds = {kind for part in schema["oneOf"] for kind in _types(part)}
        shown = [new for new in ODD if not _is(new, kinds)]
        yield from (put("oneOf", new, _short(new)) for new in shown)
        return
    known = [schema["const"]] if "const" in schema else schema.get("enum")
    for new in ODD:
        if known is not None and not any(new is k or (new == k and _same(new, k)) for k in known):
            yield put("enum", new, _short(new), str(known[0]))
        elif known is None and "type" in schema and not _is(new, set(_types(schema))):
            yield put("type", new, _short(new), WORDS[_types(schema)[0]])
    yield from (put(keyword, new, *says) for keyword, new, says in _beyond(value, schema))


def _beyond(value: object, schema: dict) -> Iterator[tuple]:
    for keyword, step in (("minimum", -1), ("maximum", 1)):
        if keyword in schema:
            limit = schema[keyword]
            yield keyword, limit + step, (repr(limit + step), str(limit))
        exclusive = f"exclusive{keyword.capitalize()}"
        if exclusive in schema:
            yield exclusive, schema[exclusive], (str(schema[exclusive]),)
            yield exclusive, schema[exclusive] + step, (str(schema[exclusive]),)
    if isinstance(value, list) and value:
        if schema.get("minItems", 0) > 0:
            yield "minItems", value[: schema["minItems"] - 1], ()
        if "maxItems" in schema:
            yield "maxItems", value + value[-1:] * (schema["maxItems"] + 1 - len(value)), ()
        if schema.get("uniqueItems"):
            yield "uniqueItems", [*value, value[0]], ("more than once", repr(value[0]))
    if isinstance(value, str) and schema.get("minLength"):
        yield "minLength", "", ("''",)
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], "!"):
        yield "pattern", "!", ("'!'", schema["pattern"])
    if isinstance(value, dict) and schema.get("minProperties"):
        yield "minProperties", {}, ("{}",)


def _wrong_keys(value: dict, schema: dict, path: tuple) -> Iterator[tuple]:
    where = ".".join(map(str, path))
    for key in schema.get("required", ()):
        yield path, "required", lambda place, k=key: place.pop(k), key, (where, key)
    for key in KEYS:
        yield path, "key", lambda place, k=key: _set(place, k, 1), key, (where, repr(key))
    if schema.get("additionalProperties") is False:
        typo = max(schema["properties"], key=len)[:-1]
        for key in {"frobnicate", "__class__", typo} - schema["properties"].keys():
            says = (where, repr(key), "known: ")
            yield path, "unknown", lambda place, k=key: _set(place, k, 1), key, says
    if "pattern" in schema.get("propertyNames", {}):
        for key in NAMES:
            says = (where, repr(key))
            yield path, "name", lambda place, k=key: _set(place, k, {}), key, says


def _at(config: object, path: tuple) -> object:
    for key in path:
        config = config[key]
    return config


def _set(place: object, key: object, value: object) -> None:
    place[key] = value


def _resolved(schema: dict, definitions: dict) -> dict:
    if "$ref" in schema:
        return definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _types(schema: dict) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _is(value: object, kinds: set[str]) -> bool:
    tests = {
        "null": value is None,
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value),
        "string": isinstance(value, str),
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }
    return any(tests[kind] for kind in kinds)


def _same(one: object, other: object) -> bool:
    return isinstance(one, bool) == isinstance(other, bool)


def _short(value: object) -> str:
    return repr(value)[:40]
