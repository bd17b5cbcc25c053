"""Stage `lint`: checks of the protocol, which find what would make an audit wrong or misleading."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from medaudit.audit.lint import cohort_checks
from medaudit.audit.lint import prediction_checks as scored
from medaudit.audit.lint.pretraining_overlap import overlaps
from medaudit.audit.lint.problems import Finding, as_json, fail_on_errors
from medaudit.audit.lint.seen_checks import seen_test_images
from medaudit.core.entry_types import Evaluation, ModelEntry
from medaudit.core.entry_types.evaluation import EvaluationMinimum, EvaluationThreshold
from medaudit.core.table_io import IMAGES, PREDICTIONS, read_audited, read_table, write_json
from medaudit.data.image_store import read_images

MINIMUM: EvaluationMinimum = {"n": 10, "n_pos": 3, "n_neg": 3}
THRESHOLD: EvaluationThreshold = {"rule": "fixed", "value": 0.5}


class LintSettings(TypedDict, total=False):
    """Settings of the stage."""

    cohort: str
    dataset: str
    task_type: str
    tasks: list[str]
    attributes: list[str | list[str]]
    evaluation: Evaluation
    models: dict[str, ModelEntry]
    seen: dict[str, Any]
    """``lists`` of pretraining images by model, and the ``folder`` of the dataset."""


def check_cohort(
    cohort: pd.DataFrame,
    attributes: Sequence[str | list[str]],
    minimum: EvaluationMinimum | None = None,
    tasks: list[str] | None = None,
) -> list[Finding]:
    """Check a cohort's splits, attribute coding, ages, repeated images and group sizes.

    Parameters
    ----------
    cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.COHORT`.
    attributes : list of str or of list of str
        Attributes and intersections that will be audited.
    minimum : dict, optional
        ``n``, ``n_pos``, ``n_neg`` of a group that is estimated.
    tasks : list of str, optional
        Tasks that will be audited; default: all labels.
    """
    labels = [c[2:] for c in cohort.columns if c.startswith("y_")] if tasks is None else tasks
    checks = (
        cohort_checks.splits(cohort, labels),
        cohort_checks.patient_overlap(cohort),
        cohort_checks.repeated_rows(cohort),
        cohort_checks.attribute_coding(cohort),
        cohort_checks.ages(cohort),
        cohort_checks.age_groups(cohort),
        cohort_checks.small_groups(cohort, labels, attributes, minimum or MINIMUM),
    )
    return [finding for check in checks for finding in check]


def check_predictions(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    task_type: str,
    threshold: EvaluationThreshold | None = None,
) -> list[Finding]:
    """Check predictions (columns of `medaudit.core.table_io.PREDICTIONS`) against their cohort.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        The two tables.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.
    threshold : dict, optional
        Rule by which scores become decisions, e.g. ``{"rule": "best_f1"}``.
    """
    checks = (
        scored.identity(predictions, cohort),
        scored.scores(predictions, task_type),
        scored.polarity(predictions),
        scored.threshold_source(predictions, task_type, threshold or THRESHOLD),
        scored.repeated_predictions(predictions, cohort),
    )
    return [finding for check in checks for finding in check]


def check_images(folder: Path, cohort: pd.DataFrame) -> list[Finding]:
    """Find near-duplicate images across the splits in an image store (`medaudit.data.images`)."""
    from medaudit.audit.lint.near_duplicates import near_duplicates

    pixels = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    index, images = read_images(folder, pixels, read_table(folder / "index.parquet", IMAGES))
    index = index.merge(cohort[["image_id", "split"]], on="image_id")
    columns = (index[name].to_numpy() for name in ("row", "image_id", "split"))
    return near_duplicates(images, *columns)


def check_overlap(models: Mapping[str, ModelEntry], dataset: str | None) -> list[Finding]:
    """Find models whose pretraining saw the audited dataset, or may have.

    Parameters
    ----------
    models : dict
        Catalogue entries by name; only ``pretraining_data`` is read.
    dataset : str or None
        The audited dataset's name.
    """
    return [
        Finding("pretraining_overlap", "warning", sentence, 1, model)
        for model, sentence in overlaps(models, [dataset] if dataset else [])
    ]


def _check_pretraining(settings: LintSettings, cohort: pd.DataFrame) -> list[Finding]:
    """Find models that saw the audited images: by lists of images, otherwise by dataset."""
    dataset = settings.get("dataset")
    seen: dict[str, Any] = settings.get("seen") or {"lists": {}, "folder": None}
    attributes = settings["attributes"]
    counted, answered = seen_test_images(
        cohort, seen["lists"], settings.get("tasks", []), attributes, dataset, seen["folder"]
    )
    models = {k: entry for k, entry in settings.get("models", {}).items() if k not in answered}
    return [*counted, *check_overlap(models, dataset)]


def lint(
    settings: LintSettings,
    *,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
    images: Path | None = None,
    predictions: list[Path] = (),  # type: ignore[assignment]  # the parser asks for `list[Path]`
) -> None:
    """Write what the checks found on a cohort, its images and its predictions; fail on errors.

    Parameters
    ----------
    settings : LintSettings
        ``cohort`` (name), ``task_type``, ``tasks``, ``attributes`` and ``evaluation``
        (``threshold`` and ``minimum``); ``dataset``, ``models`` (entries with
        ``pretraining_data``) and ``seen`` for the check of pretraining data.
    cohort : Path
        The cohort's table.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        JSON: ``findings`` (check, severity, message, count, where; worst first) and ``counts``.
        It is written also where a finding is an error.
    images : Path, optional
        Folder of the image store.
    predictions : list of Path, optional
        Predictions on this cohort.

    Raises
    ------
    MedauditError
        A finding is an error.
    """
    table, evaluation = read_audited(cohort, groups), settings["evaluation"]
    findings = check_cohort(
        table, settings["attributes"], evaluation["minimum"], settings.get("tasks")
    )
    findings += _check_pretraining(settings, table)
    findings += check_images(images, table) if images else []
    for path in predictions:
        rows = read_table(path, PREDICTIONS)
        for found in check_predictions(rows, table, settings["task_type"], evaluation["threshold"]):
            where = f"{path.parent.name}/{path.stem}: {found.where}"
            findings.append(Finding(found.check, found.severity, found.message, found.count, where))
    write_json({"cohort": settings["cohort"], **as_json(findings)}, output)
    fail_on_errors(findings, f"the cohort {settings['cohort']}")
