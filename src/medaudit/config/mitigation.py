"""Settings of the stages that try remedies, and the checks of what they name."""

from collections.abc import Iterator
from typing import Any

from medaudit.config.grids import names_of
from medaudit.config.requests import stages_of
from medaudit.config.schema import unknown
from medaudit.core.entry_types import Config

STAGE = "remedies"
AXES = ("attributes", "tasks")


def mitigate_settings(config: Config, cohort: str, model: str) -> dict[str, Any]:
    """Return the settings of a job of the stage `mitigate`."""
    evaluation: dict[str, Any] = {**config["evaluation"]}
    mitigation = {k: v for k, v in evaluation["mitigation"].items() if k not in AXES}
    chosen = {axis: _chosen(config, cohort, axis) for axis in AXES}
    kept = {key: evaluation[key] for key in ("threshold", "minimum")}
    evaluation = {"mitigation": mitigation, **kept}
    return {"cohort": cohort, "model": model, **chosen, "evaluation": evaluation}


def remedies_settings(config: Config, cohort: str, model: str) -> dict[str, Any]:
    """Return the settings of a job of the stage `remedies`."""
    evaluation: dict[str, Any] = {**config["evaluation"]}
    kept = {key: evaluation[key] for key in ("bootstrap", "minimum", "ece_bins")}
    return {"cohort": cohort, "model": model, "evaluation": kept}


def check_mitigation(config: Config) -> Iterator[str]:
    """Yield a problem for each task or attribute to mitigate that no cohort of its studies has."""
    studies = [config["studies"][name] for name in config["run"] if name in config["studies"]]
    cohorts = {c for s in studies if STAGE in stages_of(s) for c in names_of(s, "cohorts")}
    known = sorted(cohorts & set(config["cohorts"]))
    for axis in AXES:
        offered = [name for cohort in known for name in _of(config, cohort, axis)]
        for name in config["evaluation"]["mitigation"].get(axis) or [] if known else []:  # type: ignore[attr-defined]
            if name not in offered:
                shown = sorted({" & ".join([o] if isinstance(o, str) else o) for o in offered})
                label = name if isinstance(name, str) else " & ".join(name)
                yield f"evaluation.mitigation.{axis}: {label!r} {unknown(label, shown)}"


def _of(config: Config, cohort: str, axis: str) -> list:
    entry: dict[str, Any] = {**config["cohorts"][cohort]}
    return entry[axis]


def _chosen(config: Config, cohort: str, axis: str) -> list:
    """Return what is mitigated of a cohort: what the settings name and it has, or all of it."""
    mitigation: dict[str, Any] = {**config["evaluation"]["mitigation"]}
    wanted, own = mitigation.get(axis), _of(config, cohort, axis)
    kept = [name for name in own if wanted is None or name in wanted]
    return kept or own
