"""Catalogue entries merged: one over another, and a method as one model gets it."""

from collections.abc import Iterator

from medaudit.config.grids import crosses

WITHOUT_DROP_PATH = ("clip", "biomedclip", "gloria", "medclip", "cxrclip", "siglip")
"""Kinds of models with weights to tune that have no stochastic depth here."""


PRETRAINED = "results/pretrain/{pretraining}.safetensors"
"""Where the weights that a run pretrains lie."""

SNAPSHOTS = "results/pretrain/{pretraining}_snapshots"
"""Folder of the weights of earlier epoch counts of the same pretraining."""


def merge(below: dict, above: dict) -> dict:
    """Return `below` with the values of `above`; dictionaries in both are merged in turn."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def method_entry(config: dict, method: str, model: str, cohort: str | None = None) -> dict:
    """Return a method's entry, with what it says ``by_cohort`` and ``by_model`` merged over it."""
    entry = dict(config["methods"][method])
    for key, name in (("by_cohort", cohort), ("by_model", model)):
        entry = merge(entry, (entry.pop(key, None) or {}).get(name, {}))
    return entry


def model_entry(config: dict, model: str) -> dict:
    """Return a model's entry; weights that the run pretrains are a file in its results."""
    entry = config["models"][model]
    if entry.get("pretrained"):
        epochs, source = entry.get("pretrained_epochs"), pretraining_output(entry)
        weights = f"{source}/epoch_{epochs}.safetensors" if epochs else source
        entry = {**entry, "weights": weights}
    return entry


def pretraining_output(entry: dict) -> str:
    """Return which output of a pretraining holds the weights of a model."""
    place = SNAPSHOTS if entry.get("pretrained_epochs") else PRETRAINED
    return place.format(pretraining=entry["pretrained"])


def check_changes(config: dict) -> Iterator[str]:
    """Yield a problem for each name in ``by_model`` or ``by_cohort`` that does not exist."""
    for method, entry in config["methods"].items():
        for key, kind in (("by_model", "models"), ("by_cohort", "cohorts")):
            for name in entry.get(key) or {}:
                if name not in config[kind]:
                    yield f"- methods.{method}.{key}: {name!r} is no name in the catalogue of {kind}"


def check_ranges(config: dict) -> Iterator[str]:
    """Yield a problem for each range whose low end is not below its high end."""
    for name, entry in config["datasets"].items():
        yield from _check_range(f"datasets.{name}.window", entry.get("window"), equal=False)
    for kind in ("methods", "pretrainings"):
        for name, entry in config[kind].items():
            views = entry.get("augmentation") or {}
            for key in ("scale", "ratio"):
                yield from _check_range(f"{kind}.{name}.augmentation.{key}", views.get(key))


def _check_range(where: str, ends: list | None, equal: bool = True) -> Iterator[str]:
    if ends and (ends[0] > ends[1] or (ends[0] == ends[1] and not equal)):
        yield f"- {where}: {ends[0]} is not below {ends[1]}: give the lower one first"


def check_drop_path(name: str, study: dict, config: dict) -> Iterator[str]:
    """Yield a problem for each model that a study trains with a drop path it cannot have."""
    for cross in crosses(study):
        for method in cross["methods"]:
            for model in cross["models"]:
                kind = config["models"].get(model, {}).get("kind")
                known = method in config["methods"] and kind in WITHOUT_DROP_PATH
                if known and method_entry(config, method, model).get("drop_path"):
                    yield (
                        f"- studies.{name}: methods.{method}.drop_path needs a model of kind timm, "
                        f"and {model} is of kind {kind}: set by_model: {{{model}: {{drop_path: 0}}}}"
                    )


def check_search(name: str, study: dict, config: dict) -> Iterator[str]:
    """Yield a problem for each search whose range is empty or whose attribute a cohort lacks."""
    for cross in crosses(study):
        for method in cross["methods"]:
            entry = config["methods"].get(method, {})
            if entry.get("kind") != "search":
                continue
            low, high = entry["learning_rate"]
            if low >= high:
                yield f"- methods.{method}.learning_rate: {low} is not below {high}"
            yield from _check_training(method, entry)
            wanted = entry["objective"]["attribute"]
            wanted = [wanted] if isinstance(wanted, str) else wanted or []
            for cohort in cross["cohorts"]:
                dataset = config["cohorts"].get(cohort, {}).get("dataset")
                offered = config["datasets"].get(dataset, {}).get("attributes", wanted)
                for attribute in set(wanted) - set(offered):
                    yield (
                        f"- studies.{name}: methods.{method}.objective.attribute: {attribute!r} is "
                        f"no attribute of {cohort}; known: {', '.join(offered)}"
                    )


def _check_training(method: str, entry: dict) -> Iterator[str]:
    for key in ("pruning_ratio", "beta") if entry["training"] == "fairprune" else ():
        low, high = entry["fairprune"][key]
        if low > high:
            yield f"- methods.{method}.fairprune.{key}: {low} is above {high}"
    if entry["training"] == "fscl" and (not entry["augmentation"] or entry["views"] == 1):
        yield (
            f"- methods.{method}: training fscl compares two views of an image: set augmentation, "
            "and views to null or at least 2"
        )


def check_snapshot(name: str, entry: dict, config: dict) -> Iterator[str]:
    """Yield a problem if a model wants an epoch count that its pretraining does not keep."""
    epochs = entry.get("pretrained_epochs")
    kept = config["pretrainings"].get(entry.get("pretrained"), {}).get("snapshots", [])
    if epochs is not None and epochs not in kept:
        yield (
            f"- models.{name}.pretrained_epochs: {epochs} is none of the snapshots {kept} of "
            f"pretrainings.{entry.get('pretrained')}: add it there (schedule constant), or make it "
            "a pretraining of its own"
        )
