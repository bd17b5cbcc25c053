"""Facts about a model that tables, claims and lint show: its family and how it was pretrained."""

from collections.abc import Mapping
from typing import Any

from medaudit.core.entry_types import Config, ModelEntry

Facts = dict[str, Any]
KEYS = ("kind", "architecture", "pretraining", "pretraining_data", "members", "label")
"""Keys of a model's entry that are facts as they are."""

METHOD_FACTS = (
    *("kind", "head", "tune", "lora", "format"),
    *("training", "space", "sampler", "objective", "trials", "label"),
)
"""Keys of a method that tables show."""

VARIED = ("algorithm", "cohorts", "procedural", "epochs", "fraction")
"""Settings of a pretraining that studies compare."""

WITHOUT_EFFECT = ("audited", "warmup_epochs", "micro_batch", "snapshots")
"""Settings of a pretraining that a comparison of two pretrainings ignores."""


def model_facts(config: Config, model: str) -> Facts:
    """Return the facts about a model that tables and claims show.

    Returns
    -------
    dict
        ``label``, ``kind``, ``architecture``, ``family`` (`family_of`), ``pretraining`` (``objective``,
        ``domain``, ``method``), ``pretraining_data`` and ``members``, where the entry has them. For
        weights that the run pretrains, also ``pretrained``: ``algorithm``, ``cohorts``,
        ``datasets`` of these cohorts, ``procedural``, ``epochs``, ``fraction``, and in ``others``
        all other settings that change the weights, except the warm-up.
    """
    entry = config["models"][model]
    facts: Facts = {key: value for key, value in entry.items() if key in KEYS}
    facts["family"] = family_of(entry)
    if entry.get("pretrained"):
        facts["pretrained"] = _pretraining_facts(config, entry)
    return facts


def _pretraining_facts(config: Config, model: ModelEntry) -> Facts:
    entry: Facts = {**config["pretrainings"][model["pretrained"]]}
    entry["epochs"] = model.get("pretrained_epochs") or entry["epochs"]
    return {
        **{key: entry[key] for key in VARIED if key in entry},
        "datasets": sorted({config["cohorts"][cohort]["dataset"] for cohort in entry["cohorts"]}),
        "others": {
            key: value for key, value in entry.items() if key not in (*VARIED, *WITHOUT_EFFECT)
        },
    }


FAMILIES = {"resnet": ("resnet", "rn50", "rn101"), "vit": ("vit",)}
"""Families of image encoders, and how names of architectures show them (open_clip: RN50)."""


def family_of(entry: ModelEntry) -> str | None:
    """Return the family of a model's image encoder, ``vit`` or ``resnet``; None if neither."""
    text = str(entry.get("architecture") or entry.get("image_tower") or "").lower()
    return next(
        (family for family, names in FAMILIES.items() if any(n in text for n in names)), None
    )


def pretraining_data(models: Mapping[str, Any], name: str) -> dict[str, list[str] | None]:
    """Return the datasets a model saw in pretraining, for an ensemble those that any member saw."""
    members = models[name].get("members", [name])
    seen = [models[member].get("pretraining_data") for member in members]
    known = None not in seen
    return {"pretraining_data": sorted({item for part in seen for item in part}) if known else None}
