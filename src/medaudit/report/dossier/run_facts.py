"""What a run knows about itself, in lines that each name the file they come from."""

from collections.abc import Callable
from dataclasses import dataclass, field

from medaudit.metrics.thresholds import describe_rule
from medaudit.report.dossier import cohort_lines, result_lines
from medaudit.report.dossier.subject import Subject
from medaudit.report.wording import terms
from medaudit.report.wording.nulls import HYPOTHESES
from medaudit.report.wording.phrases import plural


@dataclass(frozen=True)
class Fact:
    """Something that the run knows.

    Parameters
    ----------
    lines : list of str
        The fact; numbers as they are in the source file, rounded.
    source : str
        File below the folder of results.
    anchor : str
        Section of ``report.html`` that shows it.
    """

    lines: list[str]
    source: str
    anchor: str = field(default="")


def facts_of(subject: Subject) -> dict[str, Fact]:
    """Return the facts of a run by name; a fact that the run does not have is absent.

    Parameters
    ----------
    subject : Subject
        The run.

    Returns
    -------
    dict of str to Fact
        Keys of `MAKERS`.
    """
    found = {}
    for name, (make, source, anchor) in MAKERS.items():
        lines = make(subject) if source in subject.sources else []
        if lines:
            found[name] = Fact(lines, subject.sources[source].as_posix(), anchor)
    return found


def _audited(subject: Subject) -> list[str]:
    return [
        f"The audited model is {subject.model} (method {subject.method}) on the cohort "
        f"{subject.cohort}; {plural(len(subject.card['tasks']), 'task')}: "
        f"{', '.join(subject.card['tasks'])}."
    ]


def _model(subject: Subject) -> list[str]:
    entry = subject.config.get("models", {}).get(subject.model, {})
    said = {
        "kind": entry.get("kind"),
        "architecture": entry.get("architecture"),
        "weights": entry.get("weights"),
        "SHA-256 of the weights": (_footer(subject).get("spec") or {}).get("sha256")
        or entry.get("sha256"),
        "source": entry.get("source"),
        "licence": entry.get("licence"),
        "pretraining data": ", ".join(entry.get("pretraining_data") or []),
    }
    lines = [f"{subject.model}: " + "; ".join(f"{k} {v}" for k, v in said.items() if v) + "."]
    if entry.get("kind") == "predictions":
        lines = [f"{subject.model} was not run here: its predictions were read from a file."]
    return lines


def _preprocessing(subject: Subject) -> list[str]:
    found = (_footer(subject).get("spec") or {}).get("preprocessing")
    if not found:
        return []
    shown = ", ".join(f"{key} {value}" for key, value in found.items())
    return [f"Preprocessing before the model, the same for all groups: {shown}."]


def _training(subject: Subject) -> list[str]:
    method = subject.config.get("methods", {}).get(subject.method, {})
    if method.get("kind") in (None, "given"):
        return []
    shown = "; ".join(f"{key} {value}" for key, value in method.items() if value is not None)
    return [f"Method {subject.method}: {shown}. Epoch and learning rate were chosen on validation."]


def _footer(subject: Subject) -> dict:
    names = ("cohort", "model", "method")
    for run in subject.record["runs"]:
        if all(run.get(name) == getattr(subject, name) for name in names):
            return run
    return {}


def _margins(subject: Subject) -> list[str]:
    shown = "; ".join(f"{terms.measure(k)}: {_margin(v)}" for k, v in subject.margins.items())
    return [f"Margins of the run: {shown}."] if shown else []


def _margin(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:g}" for name, number in value.items())
    return f"{value:g}"


def _threshold(subject: Subject) -> list[str]:
    rule = subject.config["evaluation"]["threshold"]
    if subject.card["task_type"] == "multiclass":
        return ["The class with the largest score is the decision; there is no threshold."]
    chosen = "" if rule["rule"] == "fixed" else ", chosen on validation images"
    return [f"Threshold: {describe_rule(rule)}{chosen}."]


def _statistics(subject: Subject) -> list[str]:
    evaluation = subject.config["evaluation"]
    used = dict.fromkeys(subject.gaps["null"].dropna())
    return [
        f"{subject.level * 100:g} % confidence intervals count patients, not images (Wilson at the "
        "effective sample size; gaps by MOVER).",
        f"Gaps are tested by permuting groups between patients ({evaluation['null']['draws']} "
        f"permutations) under: {'; '.join(f'{name} ({HYPOTHESES[name]})' for name in used)}."
        if used
        else "No gap could be tested.",
        "P-values are adjusted within each family of gaps by the step-down maximum.",
    ]


def _measures(subject: Subject) -> list[str]:
    evaluation = subject.config["evaluation"]
    names = ", ".join(terms.measure(name) for name in evaluation["metrics"])
    attributes = ", ".join(
        terms.attribute(name) for name in dict.fromkeys(subject.gaps["attribute"])
    )
    return [f"Measures: {names}. Groups compared by: {attributes or 'none'}."]


def _small(subject: Subject) -> list[str]:
    minimum = subject.config["evaluation"].get("minimum")
    if not minimum:
        return []
    limits = ", ".join(f"{name} {value}" for name, value in minimum.items())
    return [f"A group below the minimum ({limits}) is listed as not estimable, never as 0."]


def _software(subject: Subject) -> list[str]:
    record = subject.record
    packages = record["environment"]["packages"]
    shown = ", ".join(
        f"{name} {packages[name]}"
        for name in ("medaudit", "numpy", "scipy", "torch")
        if name in packages
    )
    commit = record["code"]["git"].get("commit") or "not a git checkout"
    return [
        f"Python {record['environment']['python']}; {shown}; all {len(packages)} packages with "
        f"versions are listed. Code: {commit}"
        + (" with changes" if record["code"]["git"].get("dirty") else "")
        + f". Finished {record['time']}."
    ]


def _stored(subject: Subject) -> list[str]:
    return [
        "Scores, labels and splits of every audited image are stored in the results, with hashes of "
        "the tables and of the code that made them."
    ]


Maker = Callable[[Subject], list[str]]
MAKERS: dict[str, tuple[Maker, str, str]] = {
    "audited": (_audited, "record", "models"),
    "model": (_model, "record", "models"),
    "preprocessing": (_preprocessing, "record", "models"),
    "training": (_training, "record", "models"),
    "splits": (cohort_lines.write_splits, "card", "cohorts"),
    "groups": (cohort_lines.write_groups, "card", "cohorts"),
    "flow": (cohort_lines.write_flow, "card", "cohorts"),
    "missing": (cohort_lines.write_missing, "card", "cohorts"),
    "tables": (cohort_lines.write_tables, "card", "provenance"),
    "performance": (result_lines.write_performance, "metrics", "answers-1"),
    "by_group": (result_lines.write_by_group, "metrics", "answers-1"),
    "gaps": (result_lines.write_gaps, "gaps", "answers-1"),
    "detectable": (result_lines.write_detectable, "gaps", "answers-1"),
    "margins": (_margins, "record", "protocol"),
    "crosstab": (result_lines.write_crosstab, "metrics", "answers-1"),
    "threshold": (_threshold, "record", "protocol"),
    "statistics": (_statistics, "record", "protocol"),
    "measures": (_measures, "record", "protocol"),
    "small_groups": (_small, "record", "protocol"),
    "sensitivity": (result_lines.write_sensitivity, "sensitivity", "answers-1"),
    "lint": (cohort_lines.write_lint, "lint", "cohorts"),
    "software": (_software, "record", "provenance"),
    "stored": (_stored, "record", "provenance"),
    "notes": (cohort_lines.write_notes, "card", "cohorts"),
}
"""Fact to the function that writes it, the source it is read from, and its place in the report."""
