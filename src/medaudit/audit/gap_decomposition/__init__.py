"""Stage `decompose`: ranking, calibration and threshold parts of gaps in TPR and FPR.

Where `medaudit.audit.attribute_probes` looks at the frozen embedding, this stage looks at the decisions and asks
what would mend a gap: a better ranking, a calibration for each group, or another threshold.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.gap_decomposition.split_gap import METRICS, Side, draw_platt, split_gap
from medaudit.audit.gap_decomposition.split_gap import PARTS as NAMES
from medaudit.audit.patient_bootstrap import patient_weights
from medaudit.core.audit_tables import PARTS
from medaudit.core.seeds import generator
from medaudit.core.table_io import PREDICTIONS, read_audited, read_table, write_table
from medaudit.metrics.attributes import Attribute, read_attributes
from medaudit.metrics.intervals import percentile_interval
from medaudit.metrics.sample import Sample, read_sample

MOST_DRAWS = 200
EPSILON = 1e-6


def gap_decomposition(
    settings: dict,
    *,
    predictions: Path,
    cohort: Path,
    output: Path,
    groups: Path | None = None,
    threads: int = 1,
) -> None:
    """Split the decision gaps of one model and method on a cohort.

    Parameters
    ----------
    settings : dict
        As those of `medaudit.audit.evaluate`: ``cohort``, ``model``, ``method``, ``task_type``,
        ``attributes``, ``test_weights``, ``evaluation``.
    predictions, cohort : Path
        The tables; validation rows fit the calibrations, test rows are compared.
    groups : Path, optional
        Groups of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table of `medaudit.core.audit_tables.PARTS`.
    threads : int
        Not used.
    """
    table, rows = read_audited(cohort, groups), read_table(predictions, PREDICTIONS)
    found = decompose(rows, table, settings)
    for name in ("cohort", "model", "method"):
        found[name] = settings[name]
    write_table(found[list(PARTS.columns)], output, PARTS)


@dataclass(frozen=True)
class _Margins:
    """Margins ``[seeds, rows, tasks]``, labels ``[rows, tasks]``, patients, and the cuts."""

    val: np.ndarray
    val_y: np.ndarray
    val_patient: np.ndarray
    test: np.ndarray
    cut: np.ndarray


def decompose(predictions: pd.DataFrame, cohort: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Return the parts of each group's gap from all others, see `medaudit.audit.gap_decomposition.split_gap`.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    settings : dict
        ``cohort`` (its name seeds the draws), ``task_type``, ``attributes``, ``evaluation``.

    Returns
    -------
    pandas.DataFrame
        One row a seed (and ``mean``), task, attribute, group, metric (``tpr``, ``fpr``) and part
        (``gap``, ``ranking``, ``calibration``, ``threshold``), group minus all others, in
        [-1, 1]. Of two groups the first stands for both. The interval is a patient-wise
        percentile bootstrap of at most 200 draws, of the test rows and of the validation rows
        that the calibrations are fitted to.
        A multi-class decision is taken as class against best other class (a margin of log
        probabilities, cut at 0). Status ``too_few`` below the minimum in either side,
        ``undefined:no_decision`` without a threshold or where a side's validation rows allow no
        rising calibration.
    """
    sample = read_sample(predictions, cohort, settings)
    margins = _margins(sample, predictions, cohort, settings)
    val = (cohort["split"] == "val").to_numpy()
    val_attributes = read_attributes(cohort, val, settings["attributes"])
    bootstrap = settings["evaluation"]["bootstrap"]
    draws = min(bootstrap["draws"], MOST_DRAWS)
    stratum = sample.stratum[sample.patient]
    weights = _draw(sample.identity[sample.patient], stratum, draws, settings["cohort"], "test")
    rows = []
    for attribute, own in zip(sample.attributes[1:], val_attributes[1:], strict=True):
        drawn = _draw(margins.val_patient, own.codes, draws, settings["cohort"], attribute.name)
        levels = attribute.levels[: 1 if len(attribute.levels) == 2 else None]
        for task in range(len(sample.tasks)):
            for group in range(len(levels)):
                contrast = _Contrast(attribute, own, drawn, group, task)
                rows += _contrast(sample, margins, weights, contrast, settings["evaluation"])
    return pd.DataFrame(rows, columns=[c for c in PARTS.columns if c not in settings])


def _draw(patient, stratum, draws: int, *names: str) -> np.ndarray:
    """Return the weights of the rows, ``[rows, 1 + draws]``, the first column ones."""
    ones = np.ones((len(patient), 1), np.uint8)
    if not len(patient):
        return np.ones((0, 1 + draws), np.uint8)
    drawn = patient_weights(patient, stratum, draws, generator("decompose", *names))
    return np.hstack([ones, drawn])


@dataclass(frozen=True)
class _Contrast:
    attribute: Attribute
    val: Attribute
    val_weights: np.ndarray
    group: int
    task: int


def _margins(sample: Sample, predictions, cohort, settings: dict) -> _Margins:
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
    if sample.multiclass:
        cut = np.zeros((len(sample.seeds), len(sample.tasks)))
        return _Margins(_lead(score), labels, patient, _lead(sample.score), cut)
    test, cut = _logit(sample.score), _logit(sample.threshold)
    return _Margins(_logit(score), labels, patient, test, cut)


def _logit(score: np.ndarray) -> np.ndarray:
    clipped = np.clip(score, EPSILON, 1 - EPSILON)
    return np.log(clipped / (1 - clipped))


def _lead(score: np.ndarray) -> np.ndarray:
    """Return log p of each class minus the largest log p of the others."""
    logs = np.log(np.maximum(score, EPSILON))
    ordered = np.sort(logs, axis=2)
    best, second = ordered[..., -1:], ordered[..., -2:-1]
    return logs - np.where(logs == best, second, best)


def _contrast(sample, margins: _Margins, weights, contrast: _Contrast, evaluation: dict):
    task, group = contrast.task, contrast.group
    y = sample.y[:, task]
    known = ~np.isnan(y) & (contrast.attribute.codes >= 0)
    factor = sample.weights.get((contrast.attribute.name, sample.tasks[task]))
    known &= True if factor is None else factor > 0
    members = (
        known & (contrast.attribute.codes == group),
        known & (contrast.attribute.codes != group),
    )
    counts = _counts([y[rows] for rows in members])
    head = {
        "task": sample.tasks[task],
        "attribute": contrast.attribute.name,
        "group": contrast.attribute.levels[group],
        **counts,
    }
    values = {}
    if _enough(counts, evaluation["minimum"]):
        drawn = weights if factor is None else weights * np.nan_to_num(factor)[:, None]
        for seed, name in enumerate(sample.seeds):
            margin = margins.test[seed, :, task]
            fits = _calibrations(margins, contrast, seed)
            sides = [
                Side(margin[rows], y[rows] == 1, drawn[rows], fit)
                for rows, fit in zip(members, fits[:2], strict=True)
            ]
            values[name] = split_gap(*sides, margins.cut[seed, task], fits[2])
        values["mean"] = {
            key: np.mean([found[key] for found in values.values()], axis=0) for key in _keys()
        }
    level = evaluation["bootstrap"]["level"]
    return [
        {**head, "seed": seed, "metric": metric, "part": part}
        | _summary(values.get(seed, {}).get((metric, part)), level)
        for seed in (*sample.seeds, "mean")
        for metric, part in _keys()
    ]


def _keys() -> list[tuple[str, str]]:
    return [(metric, part) for metric in METRICS for part in NAMES]


def _counts(labels: list[np.ndarray]) -> dict:
    names = (("n", "n_pos"), ("n_rest", "n_rest_pos"))
    sizes = zip(names, labels, strict=True)
    return {k: int(v) for name, y in sizes for k, v in zip(name, (len(y), y.sum()), strict=True)}


def _enough(counts: dict, minimum: dict) -> bool:
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
