"""What a study declares before it runs: margins, primary questions, subjects and gates.

Each function yields one sentence per problem: where, the value, what is wrong, what to do.
Imports nothing heavy: it is read at every start of the workflow.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from medaudit.config.grids import AXES, names_of
from medaudit.config.runs import runs
from medaudit.config.schema import show, unknown
from medaudit.config.seen_lists import check_excluded
from medaudit.core.entry_types import Config, StudyEntry
from medaudit.core.intersections import join_names
from medaudit.core.margins import DEFAULT, JUDGED
from medaudit.models.capabilities import why_not

REFERENCE = "reference"
"""The gap that needs a reference group."""


def check_declared(config: Config) -> Iterator[str]:
    """Yield every problem of margins, questions, subjects and gates; all names are known."""
    yield from _check_margins(config)
    yield from _check_reference(config)
    for name, study in config["studies"].items():
        yield from _check_study(f"studies.{name}", name, study, config)
    yield from check_excluded(config)
    for name in (study for study in config["run"] if study in config["studies"]):
        yield from _check_fits(f"studies.{name}", name, config)


def question_runs(config: Config, study: str, question: dict[str, Any]) -> list[dict[str, str]]:
    """Return the runs of a study that a question is about."""
    entry = config["studies"][study]
    models = question.get("models", entry.get("subjects", names_of(entry, "models")))
    wanted = {**{axis: names_of(entry, axis) for axis in AXES}, **question, "models": models}
    return [
        run
        for run in runs(config, study)
        if all(run[a.removesuffix("s")] in wanted[a] for a in AXES)
    ]


def gate_settings(config: Config, study: str) -> dict[str, Any]:
    """Return the settings of the job `gate` of a study."""
    level = config["studies"][study]["gate"]
    return {"study": study, "level": level, "margins": config["evaluation"]["margins"]}


def gated(config: Config) -> list[str]:
    """Return the studies to run that have a gate."""
    return [name for name in config["run"] if config["studies"][name]["gate"]]


def _check_reference(config: Config) -> Iterator[str]:
    evaluation, where = config["evaluation"], "evaluation.reference"
    named = evaluation["reference"]
    offered = {name for cohort in config["cohorts"] for name in _attributes(config, cohort)}
    if REFERENCE in evaluation["gaps"] and not named:
        yield f"{where}: evaluation.gaps has {REFERENCE!r}: name a reference group, e.g. sex: male"
    if named and REFERENCE not in evaluation["gaps"]:
        yield f"{where} has no effect without the gap {REFERENCE!r}: add it to evaluation.gaps"
    for attribute in named:
        if attribute not in offered:
            yield f"{where}: {attribute!r} {unknown(attribute, list(offered))}"


def _check_margins(config: Config) -> Iterator[str]:
    evaluation, where = config["evaluation"], "evaluation.margins"
    offered = {name for cohort in config["cohorts"] for name in _attributes(config, cohort)}
    for metric, margin in evaluation["margins"].items():
        if metric not in evaluation["metrics"]:
            yield (
                f"{where}: {metric!r} is not among evaluation.metrics, so no gap in it is measured; "
                f"add it there; they are {', '.join(evaluation['metrics'])}"
            )
        for attribute in margin if isinstance(margin, dict) else ():
            if attribute != DEFAULT and attribute not in offered:
                yield f"{where}.{metric}: {attribute!r} {unknown(attribute, [*offered, DEFAULT])}"
    if evaluation["margins"] and not set(JUDGED) & set(evaluation["gaps"]):
        yield (
            f"{where}: margins judge the gaps {' and '.join(JUDGED)}, and evaluation.gaps has "
            f"only {', '.join(evaluation['gaps'])}: add one of them"
        )


def _check_study(where: str, name: str, study: StudyEntry, config: Config) -> Iterator[str]:
    if study["gate"] and not config["evaluation"]["margins"]:
        yield f"{where}.gate: a gate needs margins: set evaluation.margins, e.g. {{tpr: 0.1}}"
    catalogues: Mapping[str, Any] = config
    models = names_of(study, "models")
    for model in study.get("subjects", []):
        if model not in models:
            yield f"{where}.subjects: {model!r} is not a model of the study, and {unknown(model, models)}"
    yield from _check_roles(where, study, config)
    for number, question in enumerate(study.get("questions", [])):
        found = list(_check_question(f"{where}.questions.{number}", {**question}, study, config))
        yield from found
        known = all(name in catalogues[axis] for axis in AXES for name in names_of(study, axis))
        if not found and known and not question_runs(config, name, {**question}):
            yield f"{where}.questions.{number}: no run of the study fits {show(question)}"


def _check_fits(where: str, name: str, config: Config) -> Iterator[str]:
    """Find models that run with none of a study's methods; an unused control does no harm."""
    study = config["studies"][name]
    audited = {run["model"] for run in runs(config, name)}
    for model in names_of(study, "models"):
        if model not in audited and model not in study.get("controls", []):
            listed = ", ".join(names_of(study, "methods"))
            yield (
                f"{where}: {model} runs with none of the methods {listed}: "
                f"{why_not(config['models'][model])}; add such a method, or remove {model}"
            )
    for run in runs(config, name):
        yield from _check_output(run, config)


def _check_output(run: dict[str, str], config: Config) -> Iterator[str]:
    """Find tasks of a cohort that a model which gives scores has no output for."""
    output: Mapping[str, Any] = config["models"][run["model"]].get("output") or {}
    if output.get("holds", "embedding") == "embedding":
        return
    names, tasks = output.get("tasks") or [], config["cohorts"][run["cohort"]]["tasks"]
    lacking = [task for task in tasks if task not in names]
    if lacking:
        yield (
            f"models.{run['model']}.output.tasks: no output is named {', '.join(lacking)}, which the "
            f"cohort {run['cohort']} has; name the outputs in order, by the cohort's tasks "
            f"({', '.join(tasks)}), null where one is no task"
        )


def _check_roles(where: str, study: StudyEntry, config: Config) -> Iterator[str]:
    """Check controls and leading measures; a control that an overlay left out does no harm."""
    catalogue, metrics = config["models"], config["evaluation"]["metrics"]
    for model in study.get("controls", []):
        if model not in catalogue:
            yield f"{where}.controls: {model!r} {unknown(model, catalogue)}"
        elif model in study.get("subjects", []):
            yield f"{where}.controls: {model!r} is among its subjects too; name it in one of them"
    for metric in study.get("lead", []):
        if metric not in metrics:
            yield (
                f"{where}.lead: {metric!r} is not among evaluation.metrics ({', '.join(metrics)}): "
                "add it there"
            )


def _check_question(
    where: str, question: dict[str, Any], study: StudyEntry, config: Config
) -> Iterator[str]:
    evaluation: Mapping[str, Any] = config["evaluation"]
    for key, known in (("metric", "metrics"), ("gap", "gaps")):
        value, computed = question.get(key, "max_min"), evaluation[known]
        if value not in computed:
            yield (
                f"{where}.{key}: {value!r} is not among evaluation.{known} "
                f"({', '.join(computed)}): add it there"
            )
    for axis in AXES:
        names = names_of(study, axis)
        for name in question.get(axis, []):
            if name not in names:
                yield f"{where}.{axis}: {name!r} is not in the study, and {unknown(name, names)}"
    cohorts = question.get("cohorts", names_of(study, "cohorts"))
    offered = {name: _attributes(config, name) for name in cohorts if name in config["cohorts"]}
    attribute = join_names(question["attribute"])
    lacking = [name for name, found in offered.items() if attribute not in found]
    if lacking and (len(lacking) == len(offered) or "cohorts" in question):
        yield f"{where}.attribute: {attribute!r} of {lacking[0]} {unknown(attribute, offered[lacking[0]])}"


def _attributes(config: Config, cohort: str) -> list[str]:
    return [join_names(names) for names in config["cohorts"][cohort]["attributes"]]
