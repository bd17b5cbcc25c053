"""The answers of a study, from its merged metrics, gaps and cards."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.metrics.thresholds import describe_rule
from medaudit.report.answers.attributes import RunTables, answer_attribute
from medaudit.report.answers.cautions import run_cautions, study_cautions
from medaudit.report.answers.roles import Roles, roles_of
from medaudit.report.answers.sentences import Setting
from medaudit.report.answers.structure import CONTROL, OTHER, SUBJECT, Overall, RunAnswer
from medaudit.report.answers.structure import StudyAnswers as Answers
from medaudit.report.studies.evidence import RUN, Evidence, overall
from medaudit.report.studies.facts import findings
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names

ORDER = (SUBJECT, OTHER, CONTROL)


def answer_study(evidence: Evidence, facts: pd.DataFrame, names: Names | None = None) -> Answers:
    """Return what is said about each run of a study.

    Parameters
    ----------
    evidence : Evidence
        Merged metrics, gaps and cohort cards.
    facts : pandas.DataFrame
        Of `medaudit.report.studies.facts.gather_facts`; rows of ``kind`` ``gap`` suffice.
    names : Names, optional
        Display names.
    """
    entry = evidence.entry
    gaps = facts[facts["kind"].eq("gap") & facts["gap"].eq(evidence.gap)]
    gaps = gaps[gaps["task"].ne("mean_of_gaps")]
    single = findings(evidence)
    values = overall_values(evidence)
    roles = roles_of(evidence, values)
    runs = [
        _answer_run(run, evidence, gaps, single, values, roles, names or Names())
        for run in evidence.runs.to_dict("records")
    ]
    cohorts = list(evidence.cards)
    runs.sort(key=lambda run: (cohorts.index(run.cohort), ORDER.index(run.role), not run.first))
    return Answers(
        study=evidence.study,
        title=entry.get("title", evidence.study),
        level=evidence.level,
        lead=tuple(evidence.lead),
        lead_reason=entry.get("lead_reason") or "",
        decisions=decisions(evidence),
        subjects=roles.subjects,
        controls=roles.controls,
        runs=tuple(runs),
        cautions=tuple(study_cautions(evidence)),
    )


def overall_values(evidence: Evidence) -> pd.DataFrame:
    """Return the values of all groups together, one row per run and measure."""
    rows = overall(evidence.metrics)
    return rows[rows["attribute"].eq("all") & rows["group"].eq("all")]


def decisions(evidence: Evidence) -> str:
    """Write how scores become decisions."""
    if not list(evidence.cards.values())[0].get("scored", True):
        return "Decisions are the model's own answers; there are no scores."
    if _classes(evidence, list(evidence.cards)[0]):
        return "The decision is the most probable class."
    rule = evidence.evaluation.get("threshold")
    if rule is None:
        return "How scores become decisions is not recorded."
    if rule["rule"] == "fixed":
        return f"Scores from a threshold {describe_rule(rule)} upward count as positive."
    return (
        f"Scores from a threshold upward count as positive; it was chosen on validation "
        f"({describe_rule(rule)}), the same for all groups."
    )


def _answer_run(
    run: dict[str, str],
    evidence: Evidence,
    gaps: pd.DataFrame,
    single: pd.DataFrame,
    values: pd.DataFrame,
    roles: Roles,
    names: Names,
) -> RunAnswer:
    metrics = _of(evidence.metrics, run)
    metrics = metrics[metrics["seed"].eq("mean") & ~metrics["group"].isin(["all", "missing"])]
    tables = RunTables(
        metrics=metrics,
        gaps=_of(gaps, run),
        findings=_of(single, run),
        lead=evidence.lead,
        answered=evidence.answered,
        noun=noun_of(evidence, run["cohort"], values),
    )
    attributes = [name for name in evidence.attributes if tables.gaps["attribute"].eq(name).any()]
    shown = [_overall(row) for row in _in_order(_of(values, run), evidence.answered)]
    setting = setting_of(evidence, run["cohort"])
    return RunAnswer(
        **run,
        name=names.run(run),
        role=roles.of(run),
        first=roles.is_first(run),
        sentence=_how_well(shown, setting),
        overall=tuple(shown),
        attributes=tuple(
            answer_attribute(name, tables, setting)
            for name in attributes
            if tables.gaps.loc[tables.gaps["attribute"].eq(name), "measure"]
            .isin(evidence.answered)
            .any()
        ),
        cautions=tuple(run_cautions(run, evidence, values, roles, names)),
    )


def _of(rows: pd.DataFrame, run: Mapping[str, str]) -> pd.DataFrame:
    kept = pd.Series(True, rows.index)
    for column in RUN:
        kept &= rows[column].eq(run[column])
    return rows[kept]


def _in_order(rows: pd.DataFrame, measures: list[str]) -> list[dict[str, Any]]:
    by_name = {row["measure"]: row for row in rows.to_dict("records")}
    return [by_name[name] for name in measures if name in by_name]


def _overall(row: dict[str, Any]) -> Overall:
    def real(name: str) -> float | None:
        return None if number_format.missing(row[name]) else float(row[name])

    def whole(name: str) -> int | None:
        return None if number_format.missing(row[name]) else int(row[name])

    return Overall(
        metric=row["measure"],
        label=terms.plain(row["measure"]),
        task=row["task"],
        value=real("value"),
        low=real("low"),
        high=real("high"),
        status=row["status"],
        n=whole("n"),
        n_patients=whole("n_patients"),
    )


def _how_well(shown: list[Overall], setting: Setting) -> str:
    """Write the leading measures over all groups."""
    parts, name = [], f"{setting.interval} "
    for one in shown:
        text = number_format.estimate(
            one.value if one.value is not None else float("nan"),
            one.low if one.low is not None else float("nan"),
            one.high if one.high is not None else float("nan"),
            one.status,
        )
        parts.append(f"{one.label} {text.replace('(', f'({name}', 1) if name else text}")
        name = "" if "(" in text else name
    return f"Overall: {', '.join(parts)}." if parts else ""


def _classes(evidence: Evidence, cohort: str) -> bool:
    return evidence.cards[cohort].get("task_type") == "multiclass"


def setting_of(evidence: Evidence, cohort: str) -> Setting:
    """Return what sentences need to know about a cohort and its decisions."""
    card = evidence.cards[cohort]
    rule = evidence.evaluation.get("threshold")
    classes = _classes(evidence, cohort)
    known = evidence.metrics.loc[evidence.metrics["cohort"].eq(cohort), "task"].unique()
    tasks = [t for t in card.get("tasks", []) if t in known] or [
        t for t in known if t not in ("all", "mean")
    ]
    if not card.get("scored", True):
        threshold = "by its own answers"
    elif classes:
        threshold = "choosing the most probable class"
    elif (
        rule is not None and rule["rule"] == "fixed" and isinstance(rule.get("value"), int | float)
    ):
        threshold = f"at the threshold {rule['value']:g}"
    else:
        given = "given" if rule is not None and rule["rule"] == "fixed" else "chosen"
        threshold = f"at the {given} threshold" + ("s" if len(tasks) > 1 else "")
    return Setting(evidence.level, tuple(tasks), classes, threshold)


def noun_of(evidence: Evidence, cohort: str, values: pd.DataFrame) -> str:
    """Return what is counted: patients (lesions, cases), or images where these have several."""
    rows = values[values["cohort"] == cohort]
    single = (rows["n"] == rows["n_patients"]).all()
    return f"{evidence.cards[cohort].get('unit', 'patient')}s" if single else "images"
