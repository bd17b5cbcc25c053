"""Entries of the catalogues as jobs use them: with overlays and changes by model and cohort."""

from collections.abc import Mapping
from typing import Any, cast

from medaudit.core.entry_types import Config, MethodEntry, ModelEntry

PRETRAINED = "results/pretrain/{pretraining}.safetensors"
"""Weights that a run pretrains."""

SNAPSHOTS = "results/pretrain/{pretraining}_snapshots"
"""Folder of the weights of earlier epochs of the same pretraining."""


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with the values of `above`; mappings in both are merged recursively."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def method_entry(config: Config, method: str, model: str, cohort: str | None = None) -> MethodEntry:
    """Return a method's entry with its changes ``by_cohort``, then ``by_model``, applied."""
    entry: dict[str, Any] = dict(config["methods"][method])
    for key, name in (("by_cohort", cohort), ("by_model", model)):
        entry = merge(entry, (entry.pop(key, None) or {}).get(name, {}))
    return cast(MethodEntry, entry)


def model_entry(config: Config, model: str) -> ModelEntry:
    """Return a model's entry; if the run pretrains its weights, ``weights`` is their path."""
    entry = config["models"][model]
    if not entry.get("pretrained"):
        return entry
    epochs, source = entry.get("pretrained_epochs"), pretraining_output(entry)
    weights = f"{source}/epoch_{epochs}.safetensors" if epochs else source
    return cast(ModelEntry, {**entry, "weights": weights})


def pretraining_output(entry: ModelEntry) -> str:
    """Return the output of a pretraining that has a model's weights: the file or the snapshots."""
    place = SNAPSHOTS if entry.get("pretrained_epochs") else PRETRAINED
    return place.format(pretraining=entry["pretrained"])


def offer_attributes(entry: dict[str, Any]) -> None:
    """Fill in the attributes that a dataset of the loader `columns` offers, if it names none."""
    if entry["loader"] == "columns" and "attributes" not in entry:
        columns = entry["columns"]
        ages = ["age_group"] if "age" in columns else []
        split = ["official_split"] if "split" in columns else []
        entry["attributes"] = list(
            dict.fromkeys([*entry.get("groups", {}), *ages, *split, "file_format"])
        )
