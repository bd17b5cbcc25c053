"""The text of the configuration that ``medaudit init`` writes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, PackageLoader

from medaudit.cli.discover.find_datasets import COLUMNS, FoundDataset
from medaudit.core.entry_types import CohortEntry, Config

if TYPE_CHECKING:
    from medaudit.cli.discover import Discovery

STUDY = "found"
CONTROL = "pixels"
METHOD = "linear"
SIDE = 256
"""Least side in pixels of stored images if a model reads larger ones than the cohort stores."""


def render(found: "Discovery", config: Config, output: Path) -> str:
    """Return the YAML text, with comments.

    Parameters
    ----------
    found : medaudit.cli.discover.Discovery
        If it has no dataset, the first cohort of the catalogue is used, with phantom images.
    config : dict
        The checked configuration.
    output : Path
        The file's name in its first lines.
    """
    environment = Environment(
        loader=PackageLoader("medaudit.cli.discover"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = lambda value: json.dumps(str(value), ensure_ascii=False)
    environment.filters["yaml"] = _as_yaml
    environment.filters["line"] = lambda value: " ".join(str(value).split())
    cohorts = [_cohort(one, found, config) for one in found.datasets]
    if found.draft:
        cohorts = [{"name": found.draft.name, "others": [], "changes": []}]
    return environment.get_template("medaudit.yaml").render(
        found=found,
        output=output,
        cohorts=cohorts or [{"name": next(iter(config["cohorts"])), "others": [], "changes": []}],
        models=[CONTROL, *(model.name for model in found.models)],
        method=METHOD,
        study=STUDY,
        methods=[name for name in config["methods"] if name != METHOD],
    )


def _as_yaml(entry: dict[str, Any]) -> str:
    """Return the lines of an entry, one key each where they fit, indented by four."""
    lines = []
    for key, value in entry.items():
        if value and key in ("columns", "labels", "groups"):
            lines += [f"{key}:", *(f"  {_flow(n)}: {_flow(part)}" for n, part in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(f"    {line}" for line in lines)


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    # in a list: names such as "Ill?" are quoted there, and can be copied into a mapping
    text = yaml.safe_dump(
        [value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    )
    return text.strip()[1:-1]


def _cohort(dataset: FoundDataset, found: "Discovery", config: Config) -> dict[str, Any]:
    """Return a dataset's first cohort, the changes it needs, and the names of its other cohorts."""
    same = {name for name, e in config["datasets"].items() if e["loader"] == dataset.loader}
    same = {dataset.name} if dataset.loader == COLUMNS else same
    names = [name for name, e in config["cohorts"].items() if e["dataset"] in same]
    entry = config["cohorts"][names[0]]
    return {
        "name": names[0],
        "others": names[1:],
        "changes": _changes(entry, dataset, found, config),
    }


def _changes(
    entry: CohortEntry, dataset: FoundDataset, found: "Discovery", config: Config
) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = []
    inputs = [config["models"][model.name].get("input") for model in found.models]
    sides = [max(given.get("size", 224), given.get("resize") or 0) for given in inputs if given]
    sides += [224] if None in inputs else []
    if sides and max(sides) > entry["image_size"]:
        why = f"side of the stored images in pixels; the models found read {max(sides)}"
        changes.append({"key": "image_size", "value": max(SIDE, *sides), "why": why})
    there = [a for a in entry["attributes"] if set(_names(a)) <= set(dataset.attributes)]
    if there != entry["attributes"]:
        lost = sorted({n for a in entry["attributes"] for n in _names(a)} - {*dataset.attributes})
        value = json.dumps(there or list(dataset.attributes))
        why = f"these tables have no value of {', '.join(lost)}"
        changes.append({"key": "attributes", "value": value, "why": why})
    return changes


def _names(attribute: str | list[str]) -> list[str]:
    return [attribute] if isinstance(attribute, str) else attribute
