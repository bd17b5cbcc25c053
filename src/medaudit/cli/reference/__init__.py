"""Write ``config/README.md``, ``docs/glossary.md`` and the types in `medaudit.core.entry_types`.

Run ``python -m medaudit.cli.reference`` in a checkout after a change of a schema.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from medaudit.cli.dry_run import checkout
from medaudit.cli.reference.entry_types import render_types
from medaudit.config.catalogues import CATALOGUES, PARTS
from medaudit.config.schema import fill_registries
from medaudit.core.table_io import atomic
from medaudit.report.page.glossary import documentation

README = Path("config", "README.md")
GLOSSARY = Path("docs", "glossary.md")
TYPES = Path("src", "medaudit", "core", "entry_types")


def main() -> None:
    """Write the page and the modules of types."""
    folder = checkout()
    schemas = folder / "workflow" / "schemas"
    written = {README: render(schemas), GLOSSARY: documentation()}
    written |= {TYPES / name: text for name, text in types(schemas).items()}
    for path, text in written.items():
        with atomic(folder / path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def types(schemas: Path) -> dict[str, str]:
    """Return the modules of `medaudit.core.entry_types` for the schemas in a folder."""
    read = {name: _read(schemas, name) for name in (*CATALOGUES, "config")}
    return render_types(read, CATALOGUES)


def render(schemas: Path) -> str:
    """Return the text of the page: every key with its type, default and meaning."""
    environment = Environment(
        loader=PackageLoader("medaudit.cli.reference"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    catalogues = [
        {"file": _file(name), "key": key, "kinds": list(_kinds(_read(schemas, name), key))}
        for name, key in CATALOGUES.items()
    ]
    config = _read(schemas, "config")
    own = {key: part for key, part in config["properties"].items() if key not in CATALOGUES}
    return environment.get_template("README.md").render(
        config=list(_rows({**config, "properties": own}, config["$defs"])), catalogues=catalogues
    )


def _file(name: str) -> str:
    return f"{name}.yaml" if len(PARTS[name]) == 1 else f"{name}/*.yaml"


def _read(schemas: Path, name: str) -> dict[str, Any]:
    text = (schemas / f"{name}.schema.yaml").read_text(encoding="utf-8")
    return fill_registries(yaml.safe_load(text))


def _kinds(schema: dict[str, Any], key: str | None) -> Iterator[dict[str, Any]]:
    """Yield name and rows of each kind of entry; without kinds, one without a name."""
    definitions = schema.get("$defs", {})
    if key is None:
        yield {"name": None, "rows": list(_rows(schema, definitions))}
        return
    for name, part in definitions.items():
        if key in part.get("properties", {}):
            yield {"name": name, "rows": list(_rows(part, definitions))}


def _rows(
    schema: dict[str, Any], definitions: dict[str, Any], prefix: str = ""
) -> Iterator[dict[str, str]]:
    """Yield one row per key; the keys of a nested mapping follow it."""
    required = schema.get("required", [])
    for name, part in schema.get("properties", {}).items():
        resolved = {**_resolve(part, definitions), **{k: v for k, v in part.items() if k != "$ref"}}
        yield {
            "key": f"{prefix}{name}",
            "values": _values(resolved),
            "default": _default(name, resolved, required),
            "meaning": resolved.get("description", "").replace("|", "\\|"),
        }
        if "object" in _types(resolved):
            yield from _rows(resolved, definitions, f"{prefix}{name}.")
            inner = resolved.get("additionalProperties")
            yield from _inner_rows(inner, definitions, f"{prefix}{name}.NAME.")
        if "array" in _types(resolved):
            yield from _inner_rows(resolved.get("items"), definitions, f"{prefix}{name}[].")


def _inner_rows(part: Any, definitions: dict[str, Any], prefix: str) -> Iterator[dict[str, str]]:
    """Yield the keys of the mappings in a list, or in a mapping with names of any kind."""
    if isinstance(part, dict) and "object" in _types(_resolve(part, definitions)):
        yield from _rows(_resolve(part, definitions), definitions, prefix)


def _resolve(part: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return definitions[part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part


def _types(part: dict[str, Any]) -> list[str]:
    found = part.get("type", [])
    return [found] if isinstance(found, str) else found


def _values(part: dict[str, Any]) -> str:
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{_yaml(value)}`" for value in part["enum"])
    items = part.get("items", {})
    if "enum" in items:
        return f"list of {_values(items)}"
    limits = [f"{sign} {part[key]:g}" for key, sign in _LIMITS.items() if key in part]
    kinds = " or ".join(_WORDS[kind] for kind in _types(part))
    return ", ".join([kinds, *limits]) if kinds else ""


def _yaml(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _default(name: str, part: dict[str, Any], required: list[str]) -> str:
    if "default" in part:
        return f"`{json.dumps(part['default'])}`"
    return "required" if name in required else ""


_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_WORDS = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "text",
}
