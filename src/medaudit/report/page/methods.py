"""What a paper's method section would say of a study, from the configuration and the cards."""

from medaudit.config.selection import with_members

PACKAGES = ("torch", "timm", "open_clip_torch", "peft", "transformers", "optuna", "scikit-learn")
PACKAGES += ("numpy", "snakemake")
SAID = ("kind", "head", "tune", "seeds", "select", "by_model", "lora", "group_curves", "workers")
SAID += ("objective", "space", "sampler", "training", "cache", "format", "fscl", "fairprune")
"""Settings of a method that the sentences say, or that change no result."""


def methods_of(study: dict, config: dict, cohorts: list[dict], models: list[dict]) -> dict:
    """Return what the method section of one study is made of.

    Parameters
    ----------
    study : dict
        Of `medaudit.report.page.content.read_studies`.
    config : dict
        The merged configuration.
    cohorts, models : list of dict
        What the page shows of them.

    Returns
    -------
    dict
        ``cohorts`` (cards with ``loader`` and ``sizes``: split, images, patients), ``models``
        (cards of the study's models and their members), ``methods`` (``name``, ``entry``,
        ``rest``: its settings in words, ``by_model``: those of single models), ``groups``
        (attributes in words), ``asks`` (tables that the study asks for).
    """
    named = with_members(study["models"], config.get("models", {}))
    used = [card for card in cohorts if card["name"] in study["cohorts"]]
    known = config.get("methods", {})
    return {
        "cohorts": [_cohort(card, config) for card in used],
        "models": [card for card in models if card["name"] in named],
        "methods": [_method(name, known.get(name, {}), named) for name in study["methods"]],
        "asks": config.get("studies", {}).get(study["name"], {}).get("tables") or [],
    }


def versions(record: dict) -> list[str]:
    """Return the packages that numbers depend on, with their versions."""
    there = {name.lower(): found for name, found in record["environment"]["packages"].items()}
    return [f"{name} {there[name.lower()]}" for name in PACKAGES if name.lower() in there]


def in_words(settings: dict) -> str:
    """Write settings as ``epochs 12, batch size 64``; what is null or off is left out.

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


def _value(value: object) -> str:
    if isinstance(value, list):
        return " / ".join(_value(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")


def _cohort(card: dict, config: dict) -> dict:
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


def _method(name: str, entry: dict, models: list[str]) -> dict:
    said = (*SAID, "learning_rate") if entry.get("kind") == "search" else SAID
    rest = {key: value for key, value in entry.items() if key not in said}
    single = entry.get("by_model") or {}
    return {
        "name": name,
        "entry": entry,
        "rest": in_words(rest),
        "by_model": {model: in_words(single[model]) for model in single if model in models},
    }
