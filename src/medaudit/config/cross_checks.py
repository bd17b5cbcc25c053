"""Checks of a configuration that no schema can express: names, ranges, and what fits together.

Each function yields one sentence per problem: where, the value, what is wrong, what to do.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medaudit.config.declared import check_declared
from medaudit.config.entries import method_entry
from medaudit.config.grids import AXES, VIEW, grids_of
from medaudit.config.mitigation import check_mitigation
from medaudit.config.schema import unknown
from medaudit.config.selection import with_members
from medaudit.config.trainings import BY_GROUP, check_tasks, check_training
from medaudit.core.entry_types import (
    CohortEntry,
    Config,
    DatasetEntry,
    MethodEntry,
    ModelEntry,
    PretrainingEntry,
    StudyEntry,
)
from medaudit.models.capabilities import KINDS

NEEDS_VALUE = ("fixed", "fpr", "sensitivity", "specificity")
"""Rules of the threshold that have a value (those of `medaudit.metrics.thresholds`)."""

Grid = dict[str, list[str]]


def cross_check(config: Config) -> Iterator[str]:
    """Yield every problem of a configuration that its schemas accept."""
    for name in config["run"]:
        yield from _check_name("run", name, config["studies"])
    for name, cohort in config["cohorts"].items():
        yield from _check_cohort(f"cohorts.{name}", cohort, config["datasets"])
    for name, pretraining in config["pretrainings"].items():
        yield from _check_pretraining(f"pretrainings.{name}", pretraining, config)
    entries = config["models"].items()
    models = [text for name, e in entries for text in _check_model(f"models.{name}", e, config)]
    yield from models
    yield from _check_changes(config)
    yield from _check_control(config)
    yield from _check_ranges(config)
    yield from _check_threshold(config)
    yield from check_mitigation(config)
    found = [
        problem
        for name, study in config["studies"].items()
        for problem in _check_study(f"studies.{name}", study, config)
    ]
    yield from found or ([] if models else check_declared(config))  # it needs the runs


def _check_name(
    where: str, name: str, catalogue: Mapping[str, Any] | Sequence[str]
) -> Iterator[str]:
    if name not in catalogue:
        yield f"{where}: {name!r} {unknown(name, catalogue)}"


def _check_cohort(
    where: str, cohort: CohortEntry, datasets: dict[str, DatasetEntry]
) -> Iterator[str]:
    if cohort["dataset"] not in datasets:
        yield from _check_name(f"{where}.dataset", cohort["dataset"], datasets)
        return
    offered = datasets[cohort["dataset"]]["attributes"]
    for part in cohort["attributes"]:
        for attribute in [part] if isinstance(part, str) else part:
            yield from _check_name(f"{where}.attributes", attribute, offered)
    for attribute in cohort.get("stratify") or []:
        yield from _check_name(f"{where}.stratify", attribute, offered)
    yield from _check_split(where, cohort)


def _check_split(where: str, cohort: CohortEntry) -> Iterator[str]:
    split: Mapping[str, Any] = cohort["split"]
    if split.get("kind", "shares") != "shares":
        return
    total = sum(share for key, share in split.items() if key != "kind")
    if cohort["builder"] == "balanced_cells" and total != cohort["cell_size"]:
        yield f"{where}.split: {total} images in all, but cell_size is {cohort['cell_size']}"
    if cohort["builder"] != "balanced_cells" and abs(total - 1) > 1e-9:
        yield f"{where}.split: the shares sum to {total}, not to 1"


def _check_pretraining(where: str, entry: PretrainingEntry, config: Config) -> Iterator[str]:
    for axis, cohorts in (("cohorts", entry["cohorts"]), ("audited", entry["audited"])):
        for cohort in cohorts:
            yield from _check_name(f"{where}.{axis}", cohort, config["cohorts"])
    if not entry["cohorts"] and not entry.get("procedural"):
        yield f"{where}: there are no images to train on; give `cohorts` or `procedural`"


def _check_model(where: str, entry: ModelEntry, config: Config) -> Iterator[str]:
    if entry.get("pretrained"):
        yield from _check_name(f"{where}.pretrained", entry["pretrained"], config["pretrainings"])
    yield from _check_snapshot(where, entry, config["pretrainings"])
    for member in entry.get("members", []):
        if member not in config["models"]:
            yield from _check_name(f"{where}.members", member, config["models"])
        elif config["models"][member]["kind"] == "ensemble":
            yield f"{where}.members: {member!r} is an ensemble itself; name its members instead"


def _check_snapshot(
    where: str, entry: ModelEntry, pretrainings: dict[str, PretrainingEntry]
) -> Iterator[str]:
    epochs, pretraining = entry.get("pretrained_epochs"), entry.get("pretrained")
    kept = pretrainings[pretraining].get("snapshots", []) if pretraining in pretrainings else []
    if epochs is not None and epochs not in kept:
        yield (
            f"{where}.pretrained_epochs: {epochs} is not among the snapshots {kept} of "
            f"pretrainings.{pretraining}; add it there (schedule constant), or make it a "
            "pretraining of its own"
        )


def _check_control(config: Config) -> Iterator[str]:
    """Check that some cohort that is audited has everything that is controlled for."""
    wanted = config["evaluation"]["control"]
    studies = [config["studies"][name] for name in config["run"] if name in config["studies"]]
    cohorts = {name for study in studies for grid in grids_of(study) for name in grid["cohorts"]}
    offered = {name: [*(_attributes_of(config, name) or []), VIEW] for name in sorted(cohorts)}
    if wanted and not any(set(wanted) <= set(names) for names in offered.values()):
        listed = "; ".join(f"{cohort}: {', '.join(names)}" for cohort, names in offered.items())
        yield (
            f"evaluation.control: no audited cohort has {' and '.join(map(repr, wanted))}; "
            f"control for attributes of one of them ({listed})"
        )


def _check_changes(config: Config) -> Iterator[str]:
    """Check the names in ``by_model`` and ``by_cohort`` of the methods."""
    for method, entry in config["methods"].items():
        for name in sorted(set(entry.get("by_model") or {}) - set(config["models"])):
            yield f"methods.{method}.by_model: {name!r} is not in the catalogue of models"
        for name in sorted(set(entry.get("by_cohort") or {}) - set(config["cohorts"])):
            yield f"methods.{method}.by_cohort: {name!r} is not in the catalogue of cohorts"


def _check_ranges(config: Config) -> Iterator[str]:
    """Check that the low end of each range is below its high end."""
    for name, dataset in config["datasets"].items():
        yield from _check_range(f"datasets.{name}.window", dataset.get("window"), equal=False)
    augmented: dict[str, Any] = {f"methods.{name}": e for name, e in config["methods"].items()}
    augmented |= {f"pretrainings.{name}": e for name, e in config["pretrainings"].items()}
    for where, entry in augmented.items():
        views = entry.get("augmentation") or {}
        for key in ("scale", "ratio"):
            yield from _check_range(f"{where}.augmentation.{key}", views.get(key))
    flagged = config["evaluation"]["sensitivity"]["flagged"]
    yield from _check_range("evaluation.sensitivity.flagged", flagged, equal=False)
    rates = config["evaluation"]["mitigation"]["learning_rate"]
    yield from _check_range("evaluation.mitigation.learning_rate", rates, equal=False)


def _check_threshold(config: Config) -> Iterator[str]:
    """Check that the threshold's rule has its value, for every task that is run."""
    where, threshold = "evaluation.threshold", config["evaluation"]["threshold"]
    value = threshold.get("value")
    if threshold["rule"] in NEEDS_VALUE and value is None:
        yield (
            f"{where}: the rule {threshold['rule']} needs `value`: one number in [0, 1], or one "
            "for each task, e.g. {Edema: 0.3, Effusion: 0.5}"
        )
    if not isinstance(value, Mapping):
        return
    known = {task for cohort in config["cohorts"].values() for task in cohort["tasks"]}
    for task in sorted(set(value) - known):
        yield f"{where}.value: {task!r} {unknown(task, sorted(known))}"
    studies = [config["studies"][name] for name in config["run"] if name in config["studies"]]
    names = {c for study in studies for grid in grids_of(study) for c in grid["cohorts"]}
    for name in sorted(names & set(config["cohorts"])):
        cohort = config["cohorts"][name]
        lacking = [task for task in cohort["tasks"] if task not in value]
        if lacking and cohort["task_type"] != "multiclass":
            yield f"{where}.value: no value for {', '.join(lacking)} of the cohort {name}; add them"


def _check_range(where: str, ends: Sequence[float] | None, equal: bool = True) -> Iterator[str]:
    """Check one range; with `equal`, both ends may be the same."""
    if ends and (ends[0] > ends[1] or (ends[0] == ends[1] and not equal)):
        yield f"{where}: {ends[0]} is not below {ends[1]}; give the lower end first"


def _check_study(where: str, study: StudyEntry, config: Config) -> Iterator[str]:
    grids = grids_of(study)
    catalogues: Mapping[str, Any] = config
    for number, grid in enumerate(grids):
        place = f"{where}.also.{number - 1}" if number else where
        for axis in AXES:
            for name in grid[axis]:
                yield from _check_name(f"{place}.{axis}", name, catalogues[axis])
    # Grids of one study share cohorts and models, so they may find the same leak.
    yield from dict.fromkeys(leak for grid in grids for leak in _check_leaks(where, grid, config))
    for grid in grids:
        yield from _check_drop_path(where, grid, config)
        yield from _check_searches(where, grid, config)
        yield from _check_groups(where, grid, config)


def _check_leaks(where: str, grid: Grid, config: Config) -> Iterator[str]:
    """Find pretrainings that may see the test patients of a cohort they are audited on."""
    datasets = {name: cohort.get("dataset") for name, cohort in config["cohorts"].items()}
    for model in with_members(grid["models"], config["models"]):
        pretraining = config["models"].get(model, {}).get("pretrained")
        if pretraining not in config["pretrainings"]:
            continue
        entry = config["pretrainings"][pretraining]
        sources = {datasets.get(cohort) for cohort in entry["cohorts"]}
        for cohort in grid["cohorts"]:
            dataset = datasets.get(cohort)
            if dataset in sources and cohort not in [*entry["cohorts"], *entry["audited"]]:
                yield (
                    f"{where}: {model} is pretrained on {dataset}, so it may have seen test "
                    f"patients of {cohort}; add {cohort} to pretrainings.{pretraining}.audited"
                )


def _check_drop_path(where: str, grid: Grid, config: Config) -> Iterator[str]:
    """Find models that a study trains with stochastic depth, which their kind does not have."""
    for method in grid["methods"]:
        for model in grid["models"]:
            kind = config["models"].get(model, {}).get("kind")
            can = KINDS.get(kind) if kind and method in config["methods"] else None
            known = can is not None and can.trainable and not can.drop_path
            if known and method_entry(config, method, model).get("drop_path"):
                yield (
                    f"{where}: methods.{method}.drop_path needs a model of kind timm, and {model} "
                    f"is of kind {kind}; set by_model: {{{model}: {{drop_path: 0}}}}"
                )


def _check_searches(where: str, grid: Grid, config: Config) -> Iterator[str]:
    """Find searches with an empty range, or for an attribute that a cohort does not have."""
    searches = {
        name: entry
        for name in grid["methods"]
        if (entry := config["methods"].get(name)) and entry["kind"] == "search"
    }
    for name, entry in searches.items():
        yield from _check_range(
            f"methods.{name}.learning_rate", entry["learning_rate"], equal=False
        )
        yield from _check_training(f"methods.{name}", entry)
        attribute = entry["objective"]["attribute"]
        place = f"{where}: methods.{name}.objective.attribute"
        yield from _check_attribute(place, attribute, grid["cohorts"], config)


def _check_groups(where: str, grid: Grid, config: Config) -> Iterator[str]:
    """Find trainings by group whose attribute or balance does not fit a cohort."""
    for name in grid["methods"]:
        entry = config["methods"].get(name)
        if not entry:
            continue
        yield from check_training(f"methods.{name}", entry)
        if entry.get("training") not in BY_GROUP:
            continue
        place = f"{where}: methods.{name}.attribute"
        yield from _check_attribute(place, entry.get("attribute"), grid["cohorts"], config)
        for cohort in set(grid["cohorts"]) & set(config["cohorts"]):
            yield from check_tasks(where, name, entry, cohort, config)


def _check_attribute(
    place: str, attribute: str | list[str] | None, cohorts: list[str], config: Config
) -> Iterator[str]:
    """Find the cohorts that lack an attribute, or a part of an intersection."""
    wanted = [attribute] if isinstance(attribute, str) else attribute or []
    for cohort in cohorts:
        offered = _attributes_of(config, cohort)
        for lacking in sorted(set(wanted) - set(wanted if offered is None else offered)):
            yield (
                f"{place}: {lacking!r} is not an attribute of {cohort}; known: "
                f"{', '.join(offered or [])}"
            )


def _attributes_of(config: Config, cohort: str) -> list[str] | None:
    """Return the attributes that a cohort can offer; None if it or its dataset is unknown."""
    dataset = config["cohorts"].get(cohort, {}).get("dataset")
    return config["datasets"][dataset]["attributes"] if dataset in config["datasets"] else None


def _check_training(where: str, entry: MethodEntry) -> Iterator[str]:
    if entry["training"] == "fairprune":
        settings = entry["fairprune"]
        yield from _check_range(f"{where}.fairprune.pruning_ratio", settings["pruning_ratio"])
        yield from _check_range(f"{where}.fairprune.beta", settings["beta"])
    if entry["training"] == "fscl" and (not entry["augmentation"] or entry["views"] == 1):
        yield (
            f"{where}: training fscl compares two views of an image; set augmentation, and views "
            "to null or at least 2"
        )
