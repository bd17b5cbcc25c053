"""Lines on the results of a run: performance, groups, gaps, cross tables, sensitivity."""

import pandas as pd

from medaudit.core.audit_tables import SENSITIVITY
from medaudit.core.table_io import read_table
from medaudit.report.dossier.subject import Subject
from medaudit.report.equivalence import judge_gaps
from medaudit.report.wording import number_format, terms


def estimate_of(row: dict, level: float) -> str:
    """Write a value with its interval and level, or why there is none."""
    text = number_format.estimate(row["value"], row["low"], row["high"], row["status"])
    return text.replace(" (", f" ({level * 100:g} % CI ") if " to " in text else text


def write_performance(subject: Subject) -> list[str]:
    """Write every metric of all patients."""
    rows = subject.metrics
    whole = rows[rows["attribute"].eq("all") & rows["group"].eq("all")]
    return [
        f"{terms.measure(row['metric'], long=True)}{_task(row)}: "
        f"{estimate_of(row, subject.level)}; {number_format.count(row['n'])} images, "
        f"{number_format.count(row['n_patients'])} patients."
        for row in whole.to_dict("records")
    ]


def write_by_group(subject: Subject) -> list[str]:
    """Write every metric of every group."""
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


def write_gaps(subject: Subject) -> list[str]:
    """Write the largest difference of each metric and attribute."""
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


def write_detectable(subject: Subject) -> list[str]:
    """Write the smallest gap that the cohort finds."""
    rows = gap_rows(subject).dropna(subset=["smallest_detectable"])
    return [
        f"{terms.measure(row['metric'])}{_task(row)} by {terms.attribute(row['attribute'])}: the "
        f"smallest gap found in 80 of 100 such samples is "
        f"{number_format.number(row['smallest_detectable'])}."
        for row in rows.to_dict("records")
    ]


def write_crosstab(subject: Subject) -> list[str]:
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


def write_sensitivity(subject: Subject) -> list[str]:
    """Write how many differences vanish under other assumptions."""
    asked = read_table(
        subject.results / subject.sources["sensitivity"], SENSITIVITY, ["question", "vanishes"]
    )
    return [
        f"Would a difference vanish under another assumption on {question.replace('_', ' ')}? "
        f"{', '.join(f'{answer}: {n}' for answer, n in part['vanishes'].value_counts().items())}."
        for question, part in asked.groupby("question", sort=False)
    ]


def _task(row: dict) -> str:
    said = {"all": "", "mean": " (mean over tasks)"}
    return said.get(row["task"], f" for {row['task']}")
