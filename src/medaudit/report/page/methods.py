"""Content of the Methods section of a study, from the configuration and the cards."""

from collections.abc import Mapping
from typing import Any

from medaudit.config.selection import with_members
from medaudit.core.entry_types import Config, MethodEntry

IN_TEMPLATE = (
    *("kind", "head", "tune", "seeds", "select", "by_model", "lora", "group_curves", "workers"),
    *("objective", "space", "sampler", "training", "cache", "format", "fscl", "fairprune"),
    *("attribute", "resampling", "reweighting", "groupdro", "domain_independent", "end", "lnl"),
    *("sam", "swad"),
    *("together", "compile"),
)
"""Settings of a method that the template writes itself, or that change no result."""


def methods_of(
    study: dict[str, Any],
    config: Config,
    cohorts: list[dict[str, Any]],
    models: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the content of the Methods section of one study.

    Parameters
    ----------
    study : dict
        From `medaudit.report.page.content.read_studies`.
    config : Config
        The merged configuration.
    cohorts, models : list of dict
        The page's content about all cohorts and models.

    Returns
    -------
    dict
        ``cohorts`` (cards with ``loader``, ``groups``: attributes in words, and ``sizes``: split,
        images, patients), ``models`` (cards of the study's models and their members), ``methods``
        (``name``, ``entry``, ``rest``: further settings in words, ``by_model``: settings of single
        models), ``requested`` (tables that the study requests), ``primary`` (whether it
        names primary questions).
    """
    names = with_members(study["models"], config.get("models", {}))
    used = [card for card in cohorts if card["name"] in study["cohorts"]]
    known = config.get("methods", {})
    entry = config.get("studies", {}).get(study["name"], {})
    return {
        "cohorts": [_cohort(card, config) for card in used],
        "models": [card for card in models if card["name"] in names],
        "methods": [_method(name, known.get(name, {}), names) for name in study["methods"]],
        "requested": entry.get("tables") or [],
        "primary": bool(entry.get("questions")),
    }


def versions(record: dict[str, Any], packages: list[str]) -> list[str]:
    """Return the `packages` that are installed, with their versions."""
    found = record["environment"]["packages"].items()
    installed = {name.lower(): version for name, version in found}
    return [f"{name} {installed[name.lower()]}" for name in packages if name.lower() in installed]


def in_words(settings: Mapping[str, Any]) -> str:
    """Write settings as ``epochs 12, batch size 64``; null, empty and false values are left out.

    Examples
    --------
    >>> in_words({"batch_size": 64, "views": None, "augmentation": {"flip": 0.5}})
    'batch size 64, augmentation (flip 0.5)'
    """
    parts = []
    for name, value in settings.items():
        if value is None or value == {} or value is False:
            continue
        shown = f"({in_words(value)})" if isinstance(value, dict) else _value(value)
        parts.append(f"{name.replace('_', ' ')} {shown}".removesuffix(" True"))
    return ", ".join(parts)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " / ".join(_value(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _cohort(card: dict[str, Any], config: Config) -> dict[str, Any]:
    entry = config.get("datasets", {}).get(card["dataset"], {})
    rows = [row for row in card.get("counts", []) if row["attribute"] == "all"]
    sizes = {row["split"]: row for row in rows}
    return {
        **card,
        "loader": entry.get("loader", card["dataset"]),
        "sizes": [(split, sizes[split]) for split in card["splits"] if split in sizes],
        "groups": [
            " and ".join(name) if isinstance(name, list) else name
            for name in card.get("attributes") or []
        ],
    }


def _method(name: str, entry: MethodEntry, models: list[str]) -> dict[str, Any]:
    searched = ("learning_rate",) if entry.get("kind") == "search" else ()
    rest = {key: value for key, value in entry.items() if key not in (*IN_TEMPLATE, *searched)}
    single = entry.get("by_model") or {}
    return {
        "name": name,
        "entry": entry,
        "rest": in_words(rest),
        "by_model": {model: in_words(single[model]) for model in single if model in models},
    }
