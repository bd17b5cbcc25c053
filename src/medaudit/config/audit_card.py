"""The audit card: what only people know about an audit, in a YAML file of optional fields.

Its fields are in ``audit_card.schema.yaml``. A field that is absent, empty or null is *not given*,
and every form that is filled from the card says so. All values are text as it is in the file: no
version number becomes a float, no date a date.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from medaudit.config.schema import violations
from medaudit.config.yaml_file import DEEPEST, read_settings
from medaudit.core.errors import MedauditError

SCHEMA = Path(__file__).with_name("audit_card.schema.yaml")
NOT_GIVEN = "not given"
LARGEST_FILE = 1 << 20
"""Bytes of a card; it is typed by people."""

Card = dict[str, dict[str, Any]]
"""Section to field to text, list of texts, or (margins) a mapping."""
Place = tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """One field of the card, filled or not.

    Parameters
    ----------
    section, name : str
        Keys in the file.
    title, help : str
        Its name for a reader, and what belongs in it.
    text : str or None
        Its text, list entries joined by semicolons; None: not given.
    """

    section: str
    name: str
    title: str
    help: str
    text: str | None


@cache
def read_schema() -> dict[str, Any]:
    """Return the JSON schema of the card."""
    return read_settings(SCHEMA)


def read_card(path: Path) -> Card:
    """Read and check an audit card.

    Parameters
    ----------
    path : Path
        UTF-8 YAML: sections with fields, see `SCHEMA`. Aliases and tags are refused.

    Returns
    -------
    dict
        The fields that are given, by section.

    Raises
    ------
    MedauditError
        The file cannot be read or is not such YAML, or has unknown or duplicate fields or values of
        the wrong kind; every problem is listed with its line.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it has more than {LARGEST_FILE:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
        _refuse_depth(text)
        node = yaml.compose(text, yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MedauditError(
            f"cannot read the audit card {path}: {error}; `medaudit dossier --new {path.name}` "
            "writes an empty one in another folder"
        ) from error
    problems: list[str] = []
    lines: dict[Place, int] = {}
    card = {} if node is None else _plain(node, (), lines, problems)
    if not problems:
        found = [
            (_line(tuple(map(str, place)), lines), ".".join(map(str, place)), text + _home(place))
            for place, text in violations(card, read_schema())
        ]
        problems = [
            f"line {line}: {place or 'the card'}: {text}" for line, place, text in sorted(found)
        ]
    if problems:
        raise MedauditError(f"the audit card {path} is not valid:", problems)
    return _given(card)


def fields(card: Card) -> Iterator[Field]:
    """Yield all fields of the schema in its order, with their texts in `card`."""
    for section, part in read_schema()["properties"].items():
        for name, entry in part["properties"].items():
            value = card.get(section, {}).get(name)
            shown = None if value is None else _in_words(value)
            yield Field(section, name, entry["title"], entry["description"], shown)


def sections(card: Card) -> list[dict[str, Any]]:
    """Return the card for a page: sections with ``title`` and ``fields`` (`Field`)."""
    found = list(fields(card))
    return [
        {"title": part["title"], "fields": [field for field in found if field.section == section]}
        for section, part in read_schema()["properties"].items()
    ]


def text_of(card: Card, place: str) -> str | None:
    """Return the text of a field such as ``ethics.approval``; None if it is not given.

    Raises
    ------
    KeyError
        The schema has no such field.
    """
    section, name = place.split(".")
    read_schema()["properties"][section]["properties"][name]
    value = card.get(section, {}).get(name)
    return None if value is None else _in_words(value)


def title_of(place: str) -> str:
    """Return the name of a field for a reader."""
    section, name = place.split(".")
    part = read_schema()["properties"][section]
    return f"{part['title']}: {part['properties'][name]['title'].rstrip('?')}"


def margins_of(card: Card) -> dict[str, float | dict[str, float]]:
    """Return the margins that the card names, as numbers.

    Raises
    ------
    MedauditError
        A margin is not a number in (0, 1).
    """
    return {
        metric: {name: _margin(metric, part) for name, part in value.items()}
        if isinstance(value, dict)
        else _margin(metric, value)
        for metric, value in card.get("fairness", {}).get("margins", {}).items()
    }


def _margin(metric: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise MedauditError(
            f"audit card, fairness.margins.{metric}: {text!r} is not a number between 0 and 1; "
            "write the largest acceptable gap, e.g. 0.1"
        )
    return value


def _refuse_depth(text: str) -> None:
    """Refuse aliases and deep nesting before anything recursive sees the text."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it uses the alias *{event.anchor}; write the text out")
        depth += isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)
        depth -= isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it nests more than {DEEPEST} levels deep")


def _plain(node: yaml.Node, place: Place, lines: dict[Place, int], problems: list[str]) -> Any:
    """Return the values of a node as text, and note the line of every place."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            inner = (*place, name)
            if name in found:
                problems.append(
                    f"line {line}: {'.'.join(inner)} is already in line {lines[inner]}; keep one"
                )
            lines[inner] = line
            found[name] = _plain(value, inner, lines, problems)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(item, (*place, str(number)), lines, problems)
            for number, item in enumerate(node.value)
        ]
    return None if node.tag == "tag:yaml.org,2002:null" else _clean(node.value)


def _clean(text: str) -> str:
    """Return text without control characters, which XML and terminals do not take."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t").strip()


def _home(place: tuple[str | int, ...]) -> str:
    """Return where a field belongs that is written outside its section."""
    parts = read_schema()["properties"].items()
    homes = [section for section, part in parts if place and place[-1] in part["properties"]]
    return f"; it belongs in the section {homes[0]}" if homes and homes[0] not in place else ""


def _line(place: Place, lines: dict[Place, int]) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _given(card: dict[str, Any]) -> Card:
    """Return the card without what is empty."""
    kept = {
        section: {name: value for name, value in (part or {}).items() if _full(value)}
        for section, part in card.items()
    }
    return {section: part for section, part in kept.items() if part}


def _full(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in ("", NOT_GIVEN)
    return bool(value) and any(map(_full, value.values() if isinstance(value, dict) else value))


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(
            f"{name} {_in_words(part) if not isinstance(part, dict) else '(' + _in_words(part) + ')'}"
            for name, part in value.items()
        )
    return "; ".join(filter(None, value)) if isinstance(value, list) else value
