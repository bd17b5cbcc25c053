"""Which runs a study has: cohort, model and method of each, and what beside them it needs."""

from medaudit.config.entries import method_entry
from medaudit.config.grids import crosses
from medaudit.config.requests import stages_of

GIVEN = {"predictions": "given"}
"""Kinds of models that come with their scores, and the kind of method that takes them."""

UNTRAINABLE = {"pixels"}
"""Kinds of models without weights to tune."""

WITHOUT_EMBEDDING = {"ensemble", "predictions"}
"""Kinds of models of which there are predictions alone."""

WITH_TEXT = {"clip", "biomedclip", "gloria", "medclip", "cxrclip", "siglip"}
"""Kinds of models with a text tower."""


def runs(config: dict, study: str) -> list[dict[str, str]]:
    """Return the runs of a study: cohort, model and method of each, in the study's order.

    Those of its own cross first, then those that ``also`` adds; each once.
    """
    found = [
        (cohort, model, method)
        for cross in crosses(config["studies"][study])
        for cohort in cross["cohorts"]
        for model in cross["models"]
        for method in cross["methods"]
        if method_fits(config, model, method)
    ]
    return [
        dict(zip(("cohort", "model", "method"), run, strict=True)) for run in dict.fromkeys(found)
    ]


def helpers(config: dict) -> list[dict[str, str]]:
    """Return the further workers of the searches of the studies to run: nothing waits for them."""
    found = []
    for run in [run for study in config["run"] for run in runs(config, study)]:
        for model in config["models"][run["model"]].get("members", [run["model"]]):
            entry = method_entry(config, run["method"], model, run["cohort"])
            if entry["kind"] == "search":
                several = range(1, entry["workers"])
                found += [{**run, "model": model, "worker": str(worker)} for worker in several]
    return list({tuple(worker.values()): worker for worker in found}.values())


def method_fits(config: dict, model: str, method: str) -> bool:
    """Return whether a study runs this method on this model."""
    entry = config["models"][model]
    kind = config["methods"][method]["kind"]
    if entry["kind"] == "ensemble":
        return all(method_fits(config, member, method) for member in entry["members"])
    if "given" in (kind, GIVEN.get(entry["kind"])):
        return kind == GIVEN.get(entry["kind"])
    if kind in ("finetune", "search"):
        return entry["kind"] not in UNTRAINABLE
    if kind == "zero_shot":
        return entry["kind"] in WITH_TEXT
    return True


def asked(config: dict, study: str, stage: str) -> list[dict[str, str]]:
    """Return the runs of a study whose results of an optional stage its tables and figures need.

    Parameters
    ----------
    config : dict
        The checked configuration.
    study : str
        Its name.
    stage : str
        See `medaudit.config.requests`. Models without an embedding of their own have no ``origin``,
        methods that search for nothing and ensembles no ``select``.
    """
    if stage not in stages_of(config["studies"][study]):
        return []
    return [run for run in runs(config, study) if _has(config, run, stage)]


def _has(config: dict, run: dict[str, str], stage: str) -> bool:
    kind = config["models"][run["model"]]["kind"]
    searched = config["methods"][run["method"]]["kind"] == "search"
    if stage == "attribute_probes":
        return kind not in WITHOUT_EMBEDDING
    return stage != "best_trial" or (searched and kind != "ensemble")
