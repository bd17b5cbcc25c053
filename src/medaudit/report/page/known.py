"""What is known of how a run was made, so that the page states nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medaudit.config.selection import with_members
from medaudit.core.entry_types import Config

WORKFLOW, SCORE = "workflow", "score"
"""What made the report: the Snakemake workflow, or `medaudit.score` from a file."""

TRAINED = ("probe", "finetune", "search")
"""Kinds of methods that a run trains."""

NETWORKS = (*TRAINED, "zero_shot")
"""Kinds of methods that run a network."""

ALWAYS = ("numpy", "scipy", "numba")


def known_of(
    config: Config,
    models: Iterable[str],
    methods: Iterable[str],
    cohorts: Iterable[Mapping[str, Any]],
    made_by: str,
) -> dict[str, Any]:
    """Return what is known of how the runs of some studies were made.

    Parameters
    ----------
    config : Config
        The merged configuration.
    models, methods : iterable of str
        Of the studies.
    cohorts : iterable of mapping
        Cohort cards with ``splits``.
    made_by : str
        `WORKFLOW` or `SCORE`.

    Returns
    -------
    dict
        ``snakemake``, ``networks`` (whether this run used PyTorch), ``trained`` (methods that this
        run trained), ``external`` (models of which only scores are known), ``validation`` (cohorts
        with a validation split), ``unsplit`` (cohorts with test images only), ``classes`` (whether
        some cohort has several classes), ``stratified`` (whether bootstrap draws are within groups),
        ``several`` (whether there are several runs), ``claims`` (whether a study tests claims),
        ``packages`` (names of the packages that results depend
        on).
    """
    catalogue, entries = config.get("models", {}), config.get("methods", {})
    names = with_members(list(models), catalogue)
    kinds = {name: entries.get(name, {}).get("kind") for name in methods}
    splits = {card["name"]: list(card.get("splits", [])) for card in cohorts}
    used = {catalogue.get(name, {}).get("kind") for name in names}
    found = {
        "snakemake": made_by == WORKFLOW,
        "networks": any(kind in NETWORKS for kind in kinds.values()),
        "trained": [name for name, kind in kinds.items() if kind in TRAINED],
        "external": [name for name in names if is_external(catalogue.get(name, {}))],
        "validation": [name for name, parts in splits.items() if "val" in parts],
        "unsplit": [name for name, parts in splits.items() if parts == ["test"]],
        "stratified": all(
            config.get("cohorts", {}).get(name, {}).get("strata", True) for name in splits
        ),
        "several": len(names) * len(kinds) > 1,
        "claims": any(
            {"claims", "search_claims"} & set(config["studies"].get(name, {}).get("tables") or [])
            for name in config.get("run", [])
        ),
        "classes": any(card.get("task_type") == "multiclass" for card in cohorts),
    }
    tuned = [entries.get(name, {}) for name in kinds]
    return {**found, "packages": _packages(found, used, tuned)}


def is_external(entry: Mapping[str, Any]) -> bool:
    """Return whether only the scores of a model are known."""
    return entry.get("kind") == "predictions"


def _packages(
    found: Mapping[str, Any], kinds: set[Any], methods: Sequence[Mapping[str, Any]]
) -> list[str]:
    wanted = {
        "torch": found["networks"],
        "timm": found["networks"],
        "open_clip_torch": bool(kinds & {"clip", "biomedclip", "siglip"}),
        "transformers": bool(kinds & {"biomedclip", "gloria", "medclip", "cxrclip", "siglip"}),
        "peft": any(entry.get("tune") == "lora" for entry in methods),
        "optuna": any(entry.get("kind") == "search" for entry in methods),
        "scikit-learn": bool(found["trained"]),
        **dict.fromkeys(ALWAYS, True),
        "snakemake": found["snakemake"],
    }
    return [name for name, needed in wanted.items() if needed]
