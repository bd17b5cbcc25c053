"""The protocol lint on a file of predictions."""

from dataclasses import replace

from medaudit.audit.lint import check_cohort, check_predictions
from medaudit.audit.lint.problems import Finding
from medaudit.core.entry_types import Evaluation
from medaudit.score.assemble import Study


def lint_study(study: Study, evaluation: Evaluation) -> list[Finding]:
    """Return the findings of the protocol lint on the cohort and on each model's predictions."""
    found = check_cohort(study.cohort, study.attributes, evaluation["minimum"], study.tasks)
    if not study.has_patients:
        message = (
            "no column identifies patients, so each image counts as a patient; intervals are too "
            "narrow if patients have several images. Name the column with --patient"
        )
        found.append(Finding("no_patients", "warning", message, len(study.cohort), "patient"))
    for doubt in study.doubts:
        message = doubt.message
        found.append(Finding("detection", "warning", message, doubt.count, doubt.task))
    for (model, method), rows in study.predictions.items():
        prefix = f"{model} / {method}: " if len(study.predictions) > 1 else ""
        for one in check_predictions(rows, study.cohort, study.task_type, evaluation["threshold"]):
            found.append(replace(one, where=f"{prefix}{one.where}"))
    return found
