"""Sites of one table: train on all sites but one, and test on it, for each of them.

Each site that is left out gives a home cohort, ``<cohort>_without_<site>``, and an external one,
``<cohort>_at_<site>``; `medaudit.config.external` makes a pair of them. Imports nothing heavy: it is
read at every start of the workflow.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from medaudit.config.external import Spec
from medaudit.config.grids import AXES, grids_of
from medaudit.config.schema import unknown
from medaudit.config.selection import with_members
from medaudit.core.entry_types import Config


def check_leave_out(config: Config) -> Iterator[str]:
    """Yield every problem of the studies' ``leave_out``; all other names are known."""
    for name, study in config["studies"].items():
        if "leave_out" in study:
            yield from _check(f"studies.{name}.leave_out", study, config)


def leave_out_sites(config: Config) -> dict[str, list[Spec]]:
    """Replace cohorts by those without a site, in place; return the external cohorts by study."""
    cohorts: dict[str, Any] = config["cohorts"]
    found: dict[str, list[Spec]] = {}
    for name, study in config["studies"].items():
        if "leave_out" not in study:
            continue
        left: Mapping[str, Any] = study["leave_out"]
        attribute, specs = left["attribute"], []
        without: dict[str, list[str]] = {}
        for cohort in study["cohorts"]:
            without[cohort] = []
            for level in left["levels"]:
                home, away = (_name(cohort, word, level) for word in ("without", "at"))
                cohorts[home], cohorts[away] = _entries(cohorts[cohort], cohort, attribute, level)
                without[cohort].append(home)
                specs.append({"cohort": away, "home": [home], "without": [attribute]})
        study["cohorts"] = _replaced(study["cohorts"], without)
        also: Any = [{**g, "cohorts": _replaced(g["cohorts"], without)} for g in study["also"]]
        study["also"] = also
        found[name] = specs
    return found


def _name(cohort: str, word: str, level: str) -> str:
    return f"{cohort}_{word}_{re.sub(r'[^A-Za-z0-9]+', '_', level).strip('_')}"


def _entries(
    entry: Mapping[str, Any], cohort: str, attribute: str, level: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the cohort without a site, and that of the site."""
    label = entry.get("label", cohort)
    rows = {"attribute": attribute, "level": level}
    kept = [
        part
        for part in entry["attributes"]
        if attribute not in ([part] if isinstance(part, str) else part)
    ]
    at = {**entry, "attributes": kept or entry["attributes"]}
    return (
        {**entry, "label": f"{label} without {level}", "rows": {**rows, "keep": False}},
        {**at, "label": f"{label} at {level}", "rows": {**rows, "keep": True}},
    )


def _replaced(names: list[str], without: dict[str, list[str]]) -> list[str]:
    return [new for name in names for new in without.get(name, [name])]


def _check(where: str, study: Mapping[str, Any], config: Config) -> Iterator[str]:
    left = study["leave_out"]
    for cohort in study["cohorts"]:
        entry = config["cohorts"][cohort]
        offered = config["datasets"][entry["dataset"]]["attributes"]
        if left["attribute"] not in offered:
            yield f"{where}.attribute: {left['attribute']!r} of {cohort} {unknown(left['attribute'], offered)}"
        parts = [[a] if isinstance(a, str) else a for a in entry["attributes"]]
        if all(left["attribute"] in part for part in parts):
            yield (
                f"{where}: {cohort} audits only {left['attribute']!r}, which is the same for all "
                "patients of a site; add another attribute to the cohort's attributes"
            )
        names = [_name(cohort, "at", level) for level in left["levels"]]
        if len(set(names)) < len(names):
            yield f"{where}.levels: two of {', '.join(left['levels'])} give the same name; rename one"
        yield from _check_leaks(where, cohort, study, config)


def _check_leaks(
    where: str, cohort: str, study: Mapping[str, Any], config: Config
) -> Iterator[str]:
    dataset = config["cohorts"][cohort]["dataset"]
    models = [name for grid in grids_of(study) for name in grid[AXES[1]]]
    for model in with_members(models, config["models"]):
        pretraining = config["models"][model].get("pretrained")
        if pretraining is None:
            continue
        used = config["pretrainings"][pretraining]["cohorts"]
        if dataset in {config["cohorts"][name]["dataset"] for name in used}:
            yield (
                f"{where}: {model} is pretrained on {dataset}, so it has seen the sites that are left "
                "out; remove the model from this study"
            )
