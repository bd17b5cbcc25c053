"""What is written from the schemas: ``config/README.md`` and `medaudit.core.entry_types`.

``python -m medaudit.cli.reference`` writes both again in a checkout.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from medaudit.cli.dry_run import checkout
from medaudit.cli.reference.entry_types import render_types
from medaudit.config.validation import CATALOGUES
from medaudit.core.table_io import atomic

README = Path("config", "README.md")
TYPES = Path("src", "medaudit", "core", "entry_types")


def main() -> None:
    """Write the page and the modules."""
    folder = checkout()
    schemas = folder / "workflow" / "schemas"
    written = {README: render(schemas)}
    written |= {TYPES / name: text for name, text in types(schemas).items()}
    for path, text in written.items():
        with atomic(folder / path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def types(schemas: Path) -> dict[str, str]:
    """Return the modules of `medaudit.core.entry_types` for the schemas in a folder."""
    read = {name: _read(schemas, name) for name in (*CATALOGUES, "config")}
    return render_types(read, CATALOGUES)


def render(schemas: Path) -> str:
    """Return the text for the schemas in a folder: every key with type, default and meaning."""
    environment = Environment(
        loader=PackageLoader("medaudit.cli.reference"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    catalogues = [
        {"name": name, "key": key, "kinds": list(_kinds(_read(schemas, name), key))}
        for name, key in CATALOGUES.items()
    ]
    config = _read(schemas, "config")
    own = {key: part for key, part in config["properties"].items() if key not in CATALOGUES}
    return environment.get_template("README.md").render(
        config=list(_rows({**config, "properties": own}, config["$defs"])), catalogues=catalogues
    )


def _read(schemas: Path, name: str) -> dict:
    return yaml.safe_load((schemas / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def _kinds(schema: dict, key: str | None) -> Iterator[dict]:
    """Yield name and rows of each kind of entry; one without a name where there are no kinds."""
    definitions = schema.get("$defs", {})
    if key is None:
        yield {"name": None, "rows": list(_rows(schema, definitions))}
        return
    for name, part in definitions.items():
        if key in part.get("properties", {}):
            yield {"name": name, "rows": list(_rows(part, definitions))}


def _rows(schema: dict, definitions: dict, prefix: str = "") -> Iterator[dict]:
    """Yield one row a key, those of nested mappings behind their own."""
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


def _resolve(part: dict, definitions: dict) -> dict:
    return definitions[part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part


def _types(part: dict) -> list[str]:
    found = part.get("type", [])
    return [found] if isinstance(found, str) else found


def _values(part: dict) -> str:
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{'null' if value is None else value}`" for value in part["enum"])
    items = part.get("items", {})
    if "enum" in items:
        return f"list of {_values(items)}"
    limits = [f"{sign} {part[key]:g}" for key, sign in _LIMITS.items() if key in part]
    kinds = " or ".join(_WORDS[kind] for kind in _types(part))
    return ", ".join([kinds, *limits]) if kinds else ""


def _default(name: str, part: dict, required: list[str]) -> str:
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
