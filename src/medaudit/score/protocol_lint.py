"""The protocol lint on a file of predictions."""

from dataclasses import replace

import pandas as pd

from medaudit.audit.lint import check_cohort, check_predictions
from medaudit.audit.lint.problems import Finding
from medaudit.core.entry_types import Evaluation
from medaudit.score.assemble import Study

OF_SCORES = ("score_range", "resampled_duplicates", "label_polarity")
"""Checks that say nothing about answers without scores."""


def lint_study(study: Study, evaluation: Evaluation) -> list[Finding]:
    """Return the findings of the protocol lint on the cohort and on each model's predictions."""
    found = check_cohort(study.cohort, study.attributes, evaluation["minimum"], study.tasks)
    if not study.has_patients:
        message = (
            "no column identifies patients, so each image counts as a patient; intervals are too "
            "narrow if patients have several images. Name the column with --patient"
        )
        found.append(Finding("no_patients", "warning", message, len(study.cohort), "patient"))
    found += [_refused(label, rows) for label, rows in (study.refused or {}).items()]
    for doubt in study.doubts:
        message = doubt.message
        found.append(Finding("detection", "warning", message, doubt.count, doubt.task))
    for (model, method), rows in study.predictions.items():
        prefix = f"{model} / {method}: " if len(study.predictions) > 1 else ""
        for one in check_predictions(rows, study.cohort, study.task_type, evaluation["threshold"]):
            if study.scored or one.severity == "error" or one.check not in OF_SCORES:
                found.append(replace(one, where=f"{prefix}{one.where}"))
    return found


def _refused(label: str, rows: pd.DataFrame) -> Finding:
    """Say how many images got no answer: rates are among the others."""
    asked = rows[rows["y"].notna()]
    refused = int(asked["answer"].isna().sum())
    message = (
        f"{refused} of {len(asked)} images got no answer: TPR, TNR and all other rates are among "
        "the answered images. refusal_rate says how often a group is refused, "
        "tpr_refusals_as_misses and tnr_refusals_as_errors count refusals as errors"
    )
    return Finding("refused", "warning", message, refused, label)
