"""The text of a configuration overlay for what was found."""

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader

from medaudit.cli.discover.find_datasets import FoundDataset

STUDY = "found"
CONTROL = "pixels"
METHOD = "linear"
SIDE = 256
"""Pixels a side that are stored where a model found reads more than the cohort stores."""


def render(found, config: dict, output: Path) -> str:
    """Return the YAML text, commented.

    Parameters
    ----------
    found : medaudit.cli.discover.Discovery
        Without datasets the first cohort of the catalogue stands in, with phantom images.
    config : dict
        The checked configuration.
    output : Path
        How the file is called in its first lines.
    """
    environment = Environment(
        loader=PackageLoader("medaudit.cli.discover"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = lambda value: json.dumps(str(value), ensure_ascii=False)
    environment.filters["line"] = lambda value: " ".join(str(value).split())
    cohorts = [_cohort(one, found, config) for one in found.datasets]
    return environment.get_template("medaudit.yaml").render(
        found=found,
        output=output,
        cohorts=cohorts or [{"name": next(iter(config["cohorts"])), "others": [], "changes": []}],
        models=[CONTROL, *(model.name for model in found.models)],
        method=METHOD,
        study=STUDY,
        methods=[name for name in config["methods"] if name != METHOD],
    )


def _cohort(dataset: FoundDataset, found, config: dict) -> dict:
    """Return a dataset's first cohort, what must change in it, and the names of the others."""
    same = {name for name, e in config["datasets"].items() if e["loader"] == dataset.loader}
    names = [name for name, e in config["cohorts"].items() if e["dataset"] in same]
    entry = config["cohorts"][names[0]]
    return {
        "name": names[0],
        "others": names[1:],
        "changes": _changes(entry, dataset, found, config),
    }


def _changes(entry: dict, dataset: FoundDataset, found, config: dict) -> list[dict]:
    changes = []
    sides = [config["models"][m.name].get("input", {}).get("size", 224) for m in found.models]
    if sides and max(sides) > entry["image_size"]:
        why = f"pixels a side that are stored; the models found read {max(sides)}"
        changes.append({"key": "image_size", "value": max(SIDE, *sides), "why": why})
    there = [a for a in entry["attributes"] if set(_names(a)) <= set(dataset.attributes)]
    if there != entry["attributes"]:
        lost = sorted({n for a in entry["attributes"] for n in _names(a)} - {*dataset.attributes})
        value = json.dumps(there or list(dataset.attributes))
        why = f"no value of {', '.join(lost)} is in these tables"
        changes.append({"key": "attributes", "value": value, "why": why})
    return changes


def _names(attribute: str | list[str]) -> list[str]:
    return [attribute] if isinstance(attribute, str) else attribute
