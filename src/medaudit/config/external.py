"""External cohorts of a study: pairs of a home cohort and a cohort that its models also predict.

A pair becomes a cohort of its own, ``<home>_to_<external>``: its validation split is that of the
home cohort, where thresholds are chosen, and its test split is that of the external cohort. Every
stage after the predictions then treats it like any other cohort. Imports nothing heavy: it is read
at every start of the workflow.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from medaudit.config.grids import AXES, grids_of
from medaudit.config.schema import unknown
from medaudit.config.selection import with_members
from medaudit.core.entry_types import Config

BUILDER = "external"
"""Builder of the cohort of a pair; no entry of the catalogue can name it."""

FROM_HOME = ("task_type", "image_size", "channels", "seed", "test_weights", "age_given_label")
AGES = ("age_threshold", "age_rule", "age_bands")
"""Settings of the home cohort that the pair's cohort takes over."""

Spec = dict[str, Any]


def name_pair(home: str, away: str) -> str:
    """Return the name of the cohort of a pair."""
    return f"{home}_to_{away}"


def is_external(config: Config, cohort: str) -> bool:
    """Return whether a cohort is that of a pair."""
    return config["cohorts"][cohort]["builder"] == BUILDER


def home_of(config: Config, cohort: str) -> str:
    """Return the cohort on which the models that predict `cohort` are trained."""
    entry: Mapping[str, Any] = config["cohorts"][cohort]
    return entry.get("home", cohort)


def store_of(config: Config, cohort: str) -> str:
    """Return the cohort whose image store has the test images of `cohort`."""
    entry: Mapping[str, Any] = config["cohorts"][cohort]
    return entry.get("away", cohort)


def pairs_of(config: Config, study: str) -> list[tuple[str, str]]:
    """Return each pair of a study of a checked configuration: home cohort, cohort of the pair."""
    names = {name for grid in grids_of(config["studies"][study]) for name in grid["cohorts"]}
    ordered = [name for name in config["cohorts"] if name in names and is_external(config, name)]
    return [(home_of(config, name), name) for name in ordered]


def check_external(config: Config) -> Iterator[str]:
    """Yield every problem of the external cohorts: where, the value, what is wrong, what to do."""
    for name, study in config["studies"].items():
        for number, spec in enumerate(specs_of(study)):
            yield from _check_spec(f"studies.{name}.external.{number}", spec, study, config)


def add_external(config: Config, sites: Mapping[str, list[Spec]]) -> None:
    """Add the cohort of each pair to the catalogue, and its runs to the study; in place.

    Parameters
    ----------
    config : dict
        The checked configuration.
    sites : dict
        Further external cohorts by study (`medaudit.config.leave_out.leave_out_sites`).
    """
    cohorts: dict[str, Any] = config["cohorts"]
    for name_of_study, study in config["studies"].items():
        for spec in [*specs_of(study), *sites.get(name_of_study, [])]:
            for home in spec["home"]:
                name = name_pair(home, spec["cohort"])
                cohorts[name] = _pair_entry(config, home, spec)
                grids = [g for g in grids_of(study) if home in g["cohorts"]]
                added: Any = [{**grid, "cohorts": [name]} for grid in grids]
                study["also"] = [*study["also"], *added]


def without_pairs(config: Config) -> Config:
    """Return a checked configuration without what `add_external` added."""
    cohorts = {name: e for name, e in config["cohorts"].items() if e["builder"] != BUILDER}
    pairs = set(config["cohorts"]) - set(cohorts)
    studies = {
        name: {**study, "also": [g for g in study["also"] if not pairs & set(g["cohorts"])]}
        for name, study in config["studies"].items()
    }
    return cast(Config, {**config, "cohorts": cohorts, "studies": studies})


def specs_of(study: Mapping[str, Any]) -> list[Spec]:
    """Return the external cohorts of a study's entry as mappings, with ``home`` filled in."""
    plain = [{"cohort": e} if isinstance(e, str) else e for e in study.get("external", [])]
    return [{"home": study["cohorts"], **spec} for spec in plain]


def _pair_entry(config: Config, home: str, spec: Spec) -> dict[str, Any]:
    own: Mapping[str, Any] = config["cohorts"][home]
    away: Mapping[str, Any] = config["cohorts"][spec["cohort"]]
    tasks, attributes = shared_tasks(own, away, spec), _shared_attributes(config, home, spec)
    names = [entry.get("label", name) for entry, name in ((own, home), (away, spec["cohort"]))]
    parts = [[a] if isinstance(a, str) else a for a in own["attributes"]]
    return {
        "label": " → ".join(names),
        "builder": BUILDER,
        "dataset": away["dataset"],
        **{key: own[key] for key in (*FROM_HOME, *AGES) if key in own},
        "on_error": away["on_error"],
        "home": home,
        "away": spec["cohort"],
        "same_dataset": own["dataset"] == away["dataset"],
        "tasks": list(tasks),
        "task_names": tasks,
        "unmatched_tasks": [task for task in own["tasks"] if task not in tasks],
        "attributes": [
            part[0] if len(part) == 1 else part for part in parts if set(part) <= set(attributes)
        ],
        "attribute_names": attributes,
        "unmatched_attributes": [
            name for name in dict.fromkeys(sum(parts, [])) if name not in attributes
        ],
        "levels": spec.get("levels", {}),
    }


def shared_tasks(home: Mapping[str, Any], away: Mapping[str, Any], spec: Spec) -> dict[str, str]:
    """Return the task of the external cohort for each task at home that has one."""
    wanted = {task: spec.get("tasks", {}).get(task, task) for task in home["tasks"]}
    return {task: other for task, other in wanted.items() if other in away["tasks"]}


def _shared_attributes(config: Config, home: str, spec: Spec) -> dict[str, str]:
    left = spec.get("without", [])
    offered = [name for name in _offered(config, spec["cohort"]) if name not in left]
    parts = [[a] if isinstance(a, str) else a for a in config["cohorts"][home]["attributes"]]
    wanted = {name: spec.get("attributes", {}).get(name, name) for part in parts for name in part}
    return {name: other for name, other in wanted.items() if other in offered}


def _offered(config: Config, cohort: str) -> list[str]:
    return config["datasets"][config["cohorts"][cohort]["dataset"]]["attributes"]


def _check_spec(where: str, spec: Spec, study: Mapping[str, Any], config: Config) -> Iterator[str]:
    trained = [name for grid in grids_of(study) for name in grid["cohorts"]]
    if spec["cohort"] not in config["cohorts"]:
        yield f"{where}.cohort: {spec['cohort']!r} {unknown(spec['cohort'], config['cohorts'])}"
        return
    for home in spec["home"]:
        if home not in trained:
            yield f"{where}.home: {home!r} is not a cohort of the study, and {unknown(home, trained)}"
        elif home == spec["cohort"]:
            yield f"{where}: {home!r} cannot be external to itself; name another cohort"
        elif name_pair(home, spec["cohort"]) in config["cohorts"]:
            yield (
                f"{where}: the pair needs the name {name_pair(home, spec['cohort'])!r}, which the "
                "catalogue of cohorts has already; rename that cohort"
            )
        elif home in config["cohorts"]:
            yield from _check_pair(where, home, spec, config)
            yield from _check_leaks(where, home, spec, study, config)
    yield from _check_repeats(where, spec, config)


def _check_pair(where: str, home: str, spec: Spec, config: Config) -> Iterator[str]:
    own: Mapping[str, Any] = config["cohorts"][home]
    away: Mapping[str, Any] = config["cohorts"][spec["cohort"]]
    for task, other in spec.get("tasks", {}).items():
        if task not in own["tasks"]:
            yield f"{where}.tasks: {task!r} of {home} {unknown(task, own['tasks'])}"
        if other not in away["tasks"]:
            yield f"{where}.tasks: {other!r} of {spec['cohort']} {unknown(other, away['tasks'])}"
    yield from _check_attributes(where, home, spec, config)
    tasks = shared_tasks(own, away, spec)
    if not tasks:
        yield (
            f"{where}: {home} ({', '.join(own['tasks'])}) and {spec['cohort']} "
            f"({', '.join(away['tasks'])}) share no task; name them in `tasks`, as home: external"
        )
    elif own["task_type"] == "multiclass" and len(tasks) < len(own["tasks"]):
        lacking = [task for task in own["tasks"] if task not in tasks]
        yield (
            f"{where}: the models of {home} choose one of {len(own['tasks'])} classes, and "
            f"{spec['cohort']} lacks {', '.join(lacking)}; name them in `tasks`, or use a home "
            "cohort whose task_type is multilabel"
        )
    for key in ("image_size", "channels"):
        if own.get(key, 1) != away.get(key, 1):
            yield (
                f"{where}: {key} is {away.get(key, 1)} for {spec['cohort']} and {own.get(key, 1)} "
                f"for {home}; models need the preprocessing they were trained with: add a cohort "
                f"{{extends: {spec['cohort']}, {key}: {own.get(key, 1)}}}"
            )


def _check_attributes(where: str, home: str, spec: Spec, config: Config) -> Iterator[str]:
    offered = _offered(config, spec["cohort"])
    parts = [[a] if isinstance(a, str) else a for a in config["cohorts"][home]["attributes"]]
    own = list(dict.fromkeys(name for part in parts for name in part))
    for name, other in spec.get("attributes", {}).items():
        if name not in own:
            yield f"{where}.attributes: {name!r} of {home} {unknown(name, own)}"
        if other not in offered:
            yield f"{where}.attributes: {other!r} of {spec['cohort']} {unknown(other, offered)}"
    for name in spec.get("levels", {}):
        if name not in own:
            yield f"{where}.levels: {name!r} of {home} {unknown(name, own)}"
    if not _shared_attributes(config, home, spec):
        yield (
            f"{where}: {home} ({', '.join(own)}) and {spec['cohort']} ({', '.join(offered)}) share "
            "no attribute; name them in `attributes`, as home: external"
        )


def _check_leaks(
    where: str, home: str, spec: Spec, study: Mapping[str, Any], config: Config
) -> Iterator[str]:
    """Find models whose pretraining may have seen the external test patients."""
    dataset = config["cohorts"][spec["cohort"]]["dataset"]
    grids = [grid for grid in grids_of(study) if home in grid["cohorts"]]
    models = [name for grid in grids for name in grid[AXES[1]]]
    for model in with_members(models, config["models"]):
        pretraining = config["models"].get(model, {}).get("pretrained")
        if pretraining not in config["pretrainings"]:
            continue
        entry = config["pretrainings"][pretraining]
        sources = {
            config["cohorts"][c]["dataset"] for c in entry["cohorts"] if c in config["cohorts"]
        }
        if dataset in sources and spec["cohort"] not in [*entry["cohorts"], *entry["audited"]]:
            yield (
                f"{where}: {model} is pretrained on {dataset}, so it may have seen test patients of "
                f"{spec['cohort']}; add {spec['cohort']} to pretrainings.{pretraining}.audited, or "
                "remove the model"
            )


def _check_repeats(where: str, spec: Spec, config: Config) -> Iterator[str]:
    """Find the same pair with another mapping in another study."""
    same = [
        other
        for study in config["studies"].values()
        for other in specs_of(study)
        if other["cohort"] == spec["cohort"] and set(other["home"]) & set(spec["home"])
    ]
    keys = ("tasks", "attributes", "levels")
    if any([o.get(key, {}) for key in keys] != [spec.get(key, {}) for key in keys] for o in same):
        yield (
            f"{where}: {spec['cohort']} is mapped in two ways for the same home cohort; write the "
            "same tasks, attributes and levels in both places"
        )
