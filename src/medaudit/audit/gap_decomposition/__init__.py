"""Stage `gap_decomposition`: ranking, calibration and threshold parts of gaps in TPR and FPR.

`medaudit.audit.attribute_probes` looks at the frozen embedding. This stage looks at the decisions
and asks what would close a gap: a better ranking, a calibration per group, or another threshold.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.gap_decomposition.split_gap import (
    METRICS,
    PART_NAMES,
    Side,
    draw_platt,
    split_gap,
)
from medaudit.core.audit_tables import PARTS
from medaudit.core.entry_types import Evaluation
from medaudit.core.entry_types.evaluation import EvaluationMinimum
from medaudit.core.table_io import PREDICTIONS, read_audited, read_table, write_table
from medaudit.metrics.attributes import Attribute, read_attributes
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.calibration import logit
from medaudit.metrics.intervals import percentile_interval
from medaudit.metrics.operating_points import decision_margins, lead
from medaudit.metrics.resampling import draw_patients, draw_rows
from medaudit.metrics.sample import Sample, read_sample

MOST_DRAWS = 200
"""Bootstrap draws; each has ROC curves of its own, so more of them cost memory."""


def gap_decomposition(
    settings: AuditSettings,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
) -> None:
    """Split the decision gaps of one model and method on a cohort.

    Parameters
    ----------
    settings : AuditSettings
        As for `medaudit.audit.evaluate`; of ``evaluation``: ``threshold``, ``bootstrap``
        (``draws``, ``level``), ``minimum``.
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`. Validation rows fit the
        calibrations, test rows are compared.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.audit_tables.PARTS`.
    """
    table, rows = read_audited(cohort, groups), read_table(predictions, PREDICTIONS)
    found = decompose(rows, table, settings).assign(
        cohort=settings["cohort"], model=settings["model"], method=settings["method"]
    )
    write_table(found[list(PARTS.columns)], output, PARTS)


@dataclass(frozen=True)
class _Margins:
    """Scores on the scale that the decisions are made on.

    Parameters
    ----------
    val, test : ndarray, shape (seeds, rows, tasks)
        Margins of the validation and test rows.
    val_y : ndarray, shape (rows, tasks)
    val_patient : ndarray of int, shape (rows,)
    cut : ndarray, shape (seeds, tasks)
        A row is flagged at ``margin >= cut``.
    """

    val: np.ndarray
    val_y: np.ndarray
    val_patient: np.ndarray
    test: np.ndarray
    cut: np.ndarray


def decompose(
    predictions: pd.DataFrame, cohort: pd.DataFrame, settings: AuditSettings
) -> pd.DataFrame:
    """Return the parts of each group's gap from all others, see `split_gap`.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    settings : AuditSettings
        ``cohort`` (its name seeds the draws of validation rows), ``task_type``, ``attributes``,
        ``evaluation``.

    Returns
    -------
    pandas.DataFrame
        One row per seed (and ``mean``), task, attribute, group, metric (``tpr``, ``fpr``) and part
        (``gap``, ``ranking``, ``calibration``, ``threshold``), group minus all others, in
        [-1, 1]. With two groups only the first is listed: the second differs in sign. The
        interval is a patient-wise percentile bootstrap of at most 200 draws, of the test rows
        (the draws of `medaudit.audit.evaluate`) and of the validation rows that the calibrations
        are fitted to.
        A multi-class decision is treated as class against best other class (a margin of log
        probabilities, cut at 0). Status ``too_few`` below the minimum on either side,
        ``undefined:no_decision`` without a threshold or where the calibration of a side's
        validation rows does not rise with the score.
    """
    sample = read_sample(predictions, cohort, settings)
    margins = _margins(sample, predictions, cohort)
    val = (cohort["split"] == "val").to_numpy()
    val_attributes = read_attributes(cohort, val, settings["attributes"])
    bootstrap = settings["evaluation"]["bootstrap"]
    draws = min(bootstrap["draws"], MOST_DRAWS)
    patients = draw_patients(sample.stratum, sample.stream, slice(0, draws), sample.identity)
    weights = _with_ones(patients[sample.patient])
    rows = []
    for attribute, own in zip(sample.attributes[1:], val_attributes[1:], strict=True):
        stream = f"{settings['cohort']} validation {attribute.name}"
        drawn = _with_ones(draw_rows(margins.val_patient, own.codes, stream, draws))
        levels = attribute.levels[: 1 if len(attribute.levels) == 2 else None]
        for task in range(len(sample.tasks)):
            for group in range(len(levels)):
                contrast = _Contrast(attribute, own, drawn, group, task)
                rows += _contrast(sample, margins, weights, contrast, settings["evaluation"])
    return pd.DataFrame(rows, columns=[c for c in PARTS.columns if c not in settings])


def _with_ones(weights: np.ndarray) -> np.ndarray:
    """Put a first column of ones, the rows themselves, before the draws, ``[rows, 1 + draws]``."""
    return np.hstack([np.ones((len(weights), 1), np.uint8), weights])


@dataclass(frozen=True)
class _Contrast:
    """One group against all others: its codes on test and validation rows, and their draws."""

    attribute: Attribute
    val: Attribute
    val_weights: np.ndarray
    group: int
    task: int


def _margins(sample: Sample, predictions: pd.DataFrame, cohort: pd.DataFrame) -> _Margins:
    val = cohort[cohort["split"] == "val"]
    score = np.full((len(sample.seeds), len(val), len(sample.tasks)), np.nan)
    rows = predictions[(predictions["split"] == "val") & predictions["task"].isin(sample.tasks)]
    at = (
        pd.Index(sample.seeds).get_indexer(rows["seed"].astype(str)),
        pd.Index(val["image_id"]).get_indexer(rows["image_id"]),
        pd.Index(sample.tasks).get_indexer(rows["task"]),
    )
    score[at] = rows["score"]
    labels = np.full(score.shape[1:], np.nan)
    labels[at[1:]] = rows["y"].astype(float)
    patient = pd.factorize(val["patient_id"], sort=True)[0]
    test, cut = decision_margins(sample)
    val_margin = lead(score) if sample.threshold is None else logit(score)
    return _Margins(val_margin, labels, patient, test, cut)


def _contrast(
    sample: Sample,
    margins: _Margins,
    weights: np.ndarray,
    contrast: _Contrast,
    evaluation: Evaluation,
) -> list[dict]:
    task, codes = contrast.task, contrast.attribute.codes
    y = sample.y[:, task]
    known = ~np.isnan(y) & (codes >= 0)
    factor = sample.weights.get((contrast.attribute.name, sample.tasks[task]))
    known &= True if factor is None else factor > 0
    members = (known & (codes == contrast.group), known & (codes != contrast.group))
    counts = _counts([y[rows] for rows in members])
    values = {}
    if _enough(counts, evaluation["minimum"]):
        drawn = weights if factor is None else weights * np.nan_to_num(factor)[:, None]
        for seed, name in enumerate(sample.seeds):
            margin = margins.test[seed, :, task]
            own, rest, pooled = _calibrations(margins, contrast, seed)
            group, others = (
                Side(margin[rows], y[rows] == 1, drawn[rows], fit)
                for rows, fit in zip(members, (own, rest), strict=True)
            )
            values[name] = split_gap(group, others, margins.cut[seed, task], pooled)
        values["mean"] = {
            key: np.mean([found[key] for found in values.values()], axis=0) for key in _keys()
        }
    head = {
        "task": sample.tasks[task],
        "attribute": contrast.attribute.name,
        "group": contrast.attribute.levels[contrast.group],
        **counts,
    }
    level = evaluation["bootstrap"]["level"]
    return [
        {**head, "seed": seed, "metric": metric, "part": part}
        | _summary(values.get(seed, {}).get((metric, part)), level)
        for seed in (*sample.seeds, "mean")
        for metric, part in _keys()
    ]


def _keys() -> list[tuple[str, str]]:
    return [(metric, part) for metric in METRICS for part in PART_NAMES]


def _counts(labels: list[np.ndarray]) -> dict[str, int]:
    names = (("n", "n_pos"), ("n_rest", "n_rest_pos"))
    sizes = zip(names, labels, strict=True)
    return {k: int(v) for name, y in sizes for k, v in zip(name, (len(y), y.sum()), strict=True)}


def _enough(counts: dict[str, int], minimum: EvaluationMinimum) -> bool:
    n = (counts["n"], counts["n_rest"])
    positive = (counts["n_pos"], counts["n_rest_pos"])
    negative = [a - b for a, b in zip(n, positive, strict=True)]
    return (
        min(n) >= minimum["n"]
        and min(positive) >= max(1, minimum["n_pos"])
        and min(negative) >= max(1, minimum["n_neg"])
    )


def _calibrations(margins: _Margins, contrast: _Contrast, seed: int) -> list[np.ndarray]:
    margin, y = margins.val[seed, :, contrast.task], margins.val_y[:, contrast.task]
    codes = contrast.val.codes
    known = ~np.isnan(margin) & ~np.isnan(y) & (codes >= 0)
    own = codes == contrast.group
    return [
        draw_platt(margin[rows], y[rows] == 1, contrast.val_weights[rows])
        for rows in (known & own, known & ~own, known)
    ]


def _summary(draws: np.ndarray | None, level: float) -> dict:
    if draws is None:
        return {"status": "too_few"}
    if np.isnan(draws[0]):
        return {"status": "undefined:no_decision"}
    low, high = percentile_interval(draws[None, 1:], level)
    return {"value": draws[0], "low": low[0], "high": high[0], "status": "ok"}
