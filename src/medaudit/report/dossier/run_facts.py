"""What a run knows about itself, in lines that each name the file they come from."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd

from medaudit.core.audit_tables import SENSITIVITY
from medaudit.core.documents import GroupCount
from medaudit.core.table_io import read_table
from medaudit.metrics.thresholds import describe_rule
from medaudit.report.dossier.subject import Subject
from medaudit.report.equivalence import judge_gaps
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.disclaimers import notes_of
from medaudit.report.wording.nulls import HYPOTHESES
from medaudit.report.wording.phrases import plural

SPLITS = ("train", "val", "test")


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


def estimate_of(row: dict, level: float) -> str:
    """Write a value with its interval and level, or why there is none."""
    text = number_format.estimate(row["value"], row["low"], row["high"], row["status"])
    return text.replace(" (", f" ({level * 100:g} % CI ") if " to " in text else text


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


def _splits(subject: Subject) -> list[str]:
    rows = [row for row in subject.card.get("counts", []) if row["attribute"] == "all"]
    rows.sort(key=lambda row: SPLITS.index(row["split"]) if row["split"] in SPLITS else 9)
    return [f"Split {row['split']}: {_count(row)}." for row in rows]


def _groups(subject: Subject) -> list[str]:
    rows = [row for row in subject.card.get("counts", []) if row["attribute"] != "all"]
    return [
        f"{terms.attribute(row['attribute'])}, {terms.group(row['group'])} ({row['split']}): "
        f"{_count(row)}."
        for row in rows
    ]


def _count(row: GroupCount) -> str:
    positive = ", ".join(
        f"{number_format.count(row['positive'][task])} of {number_format.count(known)} with {task}"
        for task, known in row["known"].items()
    )
    images, patients = (number_format.count(row[name]) for name in ("n_images", "n_patients"))
    return f"{images} images of {patients} patients; {positive}"


def _flow(subject: Subject) -> list[str]:
    return [
        f"{step['reason']}: {number_format.count(step['count'])} images left out"
        + (f", {number_format.count(step['left'])} left" if "left" in step else "")
        + "."
        for step in subject.card.get("exclusions", [])
    ]


def _missing(subject: Subject) -> list[str]:
    return [
        f"{terms.attribute(name)} is unrecorded for {number_format.count(count)} of "
        f"{number_format.count(subject.card['n_images'])} images; they are in no group."
        for name, count in subject.card.get("missing", {}).items()
    ]


def _tables(subject: Subject) -> list[str]:
    return [
        f"Source table {entry['file']}, SHA-256 {entry['sha256']}."
        for entry in subject.card.get("tables", {}).values()
        if "sha256" in entry
    ]


def _performance(subject: Subject) -> list[str]:
    rows = subject.metrics
    whole = rows[rows["attribute"].eq("all") & rows["group"].eq("all")]
    return [
        f"{terms.measure(row['metric'], long=True)}{_task(row)}: "
        f"{estimate_of(row, subject.level)}; {number_format.count(row['n'])} images, "
        f"{number_format.count(row['n_patients'])} patients."
        for row in whole.to_dict("records")
    ]


def _by_group(subject: Subject) -> list[str]:
    rows = subject.summary(subject.metrics)
    rows = rows[rows["attribute"].ne("all") & ~rows["group"].isin(["all"])]
    return [
        f"{terms.measure(row['metric'])}{_task(row)}, {terms.attribute(row['attribute'])} "
        f"{terms.group(row['group'])}: {estimate_of(row, subject.level)}; "
        f"{number_format.count(row['n'])} images."
        for row in rows.to_dict("records")
    ]


def gap_rows(subject: Subject) -> pd.DataFrame:
    """Return the largest difference of each metric and attribute, with margin, verdict, p."""
    rows = subject.summary(subject.gaps)
    rows = judge_gaps(rows[rows["gap"] == "max_min"], subject.margins)
    key = ["attribute", "metric"]
    facts = subject.facts
    own = facts["model"].eq(subject.model) & facts["method"].eq(subject.method)
    own &= facts["cohort"].eq(subject.cohort) & facts["gap"].eq("max_min") & facts["kind"].eq("gap")
    adjusted = facts[own].drop_duplicates(key)[[*key, "p_adjusted", "role"]]
    return rows.merge(adjusted, on=key, how="left")


def _gaps(subject: Subject) -> list[str]:
    return [gap_line(row, subject.level) for row in gap_rows(subject).to_dict("records")]


def gap_line(row: dict, level: float) -> str:
    """Write one gap: value, interval, tests, groups left out, verdict."""
    text = (
        f"{terms.measure(row['metric'])}{_task(row)} by {terms.attribute(row['attribute'])}: largest "
        f"difference {estimate_of(row, level)}"
    )
    if not number_format.missing(row["p_value"]):
        text += f", p {number_format.p_value(row['p_value'])}"
    if not number_format.missing(row["p_adjusted"]):
        text += f", adjusted p {number_format.p_value(row['p_adjusted'])}"
    text += f"; {row['n_estimable']} of {row['n_groups']} groups estimable"
    if not number_format.missing(row["margin"]):
        text += f"; margin {row['margin']:g}: {row['equivalence']}"
    return text + "."


def _detectable(subject: Subject) -> list[str]:
    rows = gap_rows(subject).dropna(subset=["smallest_detectable"])
    return [
        f"{terms.measure(row['metric'])}{_task(row)} by {terms.attribute(row['attribute'])}: the "
        f"smallest gap found in 80 of 100 such samples is "
        f"{number_format.number(row['smallest_detectable'])}."
        for row in rows.to_dict("records")
    ]


def _margins(subject: Subject) -> list[str]:
    shown = "; ".join(f"{terms.measure(k)}: {_margin(v)}" for k, v in subject.margins.items())
    return [f"Margins of the run: {shown}."] if shown else []


def _margin(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:g}" for name, number in value.items())
    return f"{value:g}"


def _crosstab(subject: Subject) -> list[str]:
    """Return the four cells of each group, where they are whole numbers: one seed, no weights."""
    if subject.n_seeds > 1:
        return []
    rows = subject.metrics[subject.metrics["metric"].isin(["tpr", "fpr"])]
    rows = rows[rows["status"].eq("ok") & (rows["group"].ne("all") | rows["attribute"].eq("all"))]
    lines = []
    for (task, attribute, group), part in rows.groupby(["task", "attribute", "group"], sort=False):
        values = part.set_index("metric")["value"]
        if len(values) != 2 or task in ("all", "mean"):
            continue
        n, positives = int(part["n"].iloc[0]), int(part["n_pos"].iloc[0])
        found = values["tpr"] * positives, values["fpr"] * (n - positives)
        hits, false = (round(value) for value in found)
        if max(abs(found[0] - hits), abs(found[1] - false)) > 0.01:
            continue
        where = (
            "all" if attribute == "all" else f"{terms.attribute(attribute)} {terms.group(group)}"
        )
        lines.append(
            f"{task}, {where}: {hits} true positive, {positives - hits} false negative, "
            f"{false} false positive, {n - positives - false} true negative."
        )
    return lines


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


def _sensitivity(subject: Subject) -> list[str]:
    asked = read_table(
        subject.results / subject.sources["sensitivity"], SENSITIVITY, ["question", "vanishes"]
    )
    return [
        f"Would a difference vanish under another assumption on {question.replace('_', ' ')}? "
        f"{', '.join(f'{answer}: {n}' for answer, n in part['vanishes'].value_counts().items())}."
        for question, part in asked.groupby("question", sort=False)
    ]


def _small(subject: Subject) -> list[str]:
    minimum = subject.config["evaluation"].get("minimum")
    if not minimum:
        return []
    limits = ", ".join(f"{name} {value}" for name, value in minimum.items())
    return [f"A group below the minimum ({limits}) is listed as not estimable, never as 0."]


def _lint(subject: Subject) -> list[str]:
    lines = [f"{f['severity']} ({f['check']}): {f['message']}" for f in subject.findings]
    return lines or ["The protocol lint has no finding."]


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


def _notes(subject: Subject) -> list[str]:
    return notes_of([subject.card])


def _task(row: dict) -> str:
    said = {"all": "", "mean": " (mean over tasks)"}
    return said.get(row["task"], f" for {row['task']}")


Maker = Callable[[Subject], list[str]]
MAKERS: dict[str, tuple[Maker, str, str]] = {
    "audited": (_audited, "record", "models"),
    "model": (_model, "record", "models"),
    "preprocessing": (_preprocessing, "record", "models"),
    "training": (_training, "record", "models"),
    "splits": (_splits, "card", "cohorts"),
    "groups": (_groups, "card", "cohorts"),
    "flow": (_flow, "card", "cohorts"),
    "missing": (_missing, "card", "cohorts"),
    "tables": (_tables, "card", "provenance"),
    "performance": (_performance, "metrics", "answers-1"),
    "by_group": (_by_group, "metrics", "answers-1"),
    "gaps": (_gaps, "gaps", "answers-1"),
    "detectable": (_detectable, "gaps", "answers-1"),
    "margins": (_margins, "record", "protocol"),
    "crosstab": (_crosstab, "metrics", "answers-1"),
    "threshold": (_threshold, "record", "protocol"),
    "statistics": (_statistics, "record", "protocol"),
    "measures": (_measures, "record", "protocol"),
    "small_groups": (_small, "record", "protocol"),
    "sensitivity": (_sensitivity, "sensitivity", "answers-1"),
    "lint": (_lint, "lint", "cohorts"),
    "software": (_software, "record", "provenance"),
    "stored": (_stored, "record", "provenance"),
    "notes": (_notes, "card", "cohorts"),
}
"""Fact to the function that writes it, the source it is read from, and its place in the report."""
