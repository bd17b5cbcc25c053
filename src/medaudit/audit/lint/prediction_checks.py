"""Checks of predictions against their cohort: ids, splits, labels, scores, polarity, thresholds."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from medaudit.audit.lint.problems import Finding, examples
from medaudit.core.entry_types.evaluation import EvaluationThreshold
from medaudit.metrics.probability_sums import sum_tolerance
from medaudit.metrics.rank_auc import rank_auc
from medaudit.metrics.thresholds import describe_rule

EXTREME_SHARE = 0.5
NEEDS_VALIDATION = ("best_f1", "youden", "fpr", "sensitivity", "specificity")
FEW_TO_CHOOSE = 25
"""Positives or negatives below which a threshold chosen on them is called unstable."""
DEVIATIONS = 3.0


def identity(predictions: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find ids, splits and labels that differ from the cohort's, and test images without a score."""
    ids = predictions["image_id"]
    place = pd.Index(cohort["image_id"]).get_indexer(ids)
    if (place < 0).any():
        unknown = ids[place < 0].unique()
        message = f"{len(unknown)} predicted images are not in the cohort"
        yield Finding("unknown_id", "error", message, len(unknown), f"ids {examples(unknown)}")
    split = cohort["split"].to_numpy()
    test = split == "test"
    absent = cohort["image_id"][test & (np.bincount(place[place >= 0], minlength=len(test)) == 0)]
    if len(absent):
        message = (
            f"{len(absent)} of {test.sum()} test images have no prediction: a gap can come from "
            "which images are left out"
        )
        yield Finding("missing_prediction", "warning", message, len(absent), examples(absent))
    moved = (split[place] != predictions["split"].to_numpy()) & (place >= 0)
    if moved.any():
        message = (
            f"{int(moved.sum())} predictions have another split than the cohort: test images "
            "may have been used to choose a threshold or a model"
        )
        where = f"ids {examples(ids[moved].unique())}"
        yield Finding("test_touched", "error", message, int(moved.sum()), where)
    yield from _labels(predictions, cohort, place)


def _labels(
    predictions: pd.DataFrame, cohort: pd.DataFrame, place: np.ndarray
) -> Iterator[Finding]:
    for task, rows in predictions.groupby("task", sort=True).indices.items():
        if f"y_{task}" not in cohort:
            message = f"the cohort has no label for the task {task}"
            yield Finding("unknown_task", "error", message, len(rows), str(task))
            continue
        truth = cohort[f"y_{task}"].to_numpy(float)[place[rows]]
        given = predictions["y"].to_numpy(float)[rows]
        wrong = (truth != given) & ~(np.isnan(truth) | np.isnan(given)) & (place[rows] >= 0)
        if wrong.any():
            message = f"{int(wrong.sum())} labels differ from the cohort's"
            where = f"{task}: ids {examples(predictions['image_id'].iloc[rows[wrong]].unique())}"
            yield Finding("label_mismatch", "error", message, int(wrong.sum()), where)


def scores(predictions: pd.DataFrame, task_type: str) -> Iterator[Finding]:
    """Find scores outside [0, 1] (error), and constant or nearly all 0 and 1 (warning)."""
    score = predictions["score"]
    bad = ~((score >= 0) & (score <= 1))
    if bad.any():
        message = f"{int(bad.sum())} scores are not in [0, 1]"
        where = examples(score[bad].unique())
        yield Finding("score_range", "error", message, int(bad.sum()), where)
    for task, values in score.groupby(predictions["task"], sort=True):
        extreme = float(((values == 0) | (values == 1)).mean())
        if values.nunique() == 1 and len(values) > 1:
            message = f"every score of {task} is {values.iloc[0]:g}: AUC is 0.5 by construction"
            yield Finding("score_range", "warning", message, len(values), str(task))
        elif extreme > EXTREME_SHARE:
            message = (
                f"{extreme:.0%} of the scores of {task} are 0 or 1: these are decisions, not scores; "
                "ranking metrics and calibration mean little"
            )
            yield Finding("score_range", "warning", message, int(extreme * len(values)), str(task))
    if task_type == "multiclass":
        yield from _sums(predictions)


def _sums(predictions: pd.DataFrame) -> Iterator[Finding]:
    total = predictions.groupby(["seed", "image_id"], sort=False)["score"].sum()
    tolerance = sum_tolerance(predictions["score"].to_numpy(), predictions["task"].nunique())
    off = total[(total - 1).abs() > tolerance]
    if len(off):
        message = f"the class probabilities of {len(off)} images do not sum to 1"
        where = f"ids {examples(off.index.get_level_values('image_id').unique())}"
        yield Finding("score_range", "error", message, len(off), where)


def polarity(predictions: pd.DataFrame) -> Iterator[Finding]:
    """Find tasks whose AUC is clearly below 0.5: labels or scores may be inverted."""
    for (task, seed), rows in predictions.groupby(["task", "seed"], sort=True):
        rows = rows[rows["y"].notna()]
        positive = rows["y"].to_numpy() == 1
        auc, error = auc_with_error(rows["score"].to_numpy(), positive)
        if auc + DEVIATIONS * error < 0.5:
            message = (
                f"AUC of {task} is {auc:.3f}, clearly below 0.5: does a high score mean the "
                "label 1?"
            )
            yield Finding("label_polarity", "warning", message, len(rows), f"{task}, seed {seed}")


def auc_with_error(score: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Return the AUC and its standard error (Hanley and McNeil 1982); NaN with one class."""
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not (n1 and n0):
        return np.nan, np.nan
    auc = float(rank_auc(score, positive))
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n1 - 1) * (q1 - auc**2) + (n0 - 1) * (q2 - auc**2)
    return auc, float(np.sqrt(max(variance, 0) / (n1 * n0)))


def threshold_source(
    predictions: pd.DataFrame, task_type: str, threshold: EvaluationThreshold
) -> Iterator[Finding]:
    """Report where decisions come from; a rule that lacks its validation rows is an error."""
    if task_type == "multiclass":
        yield Finding("threshold_source", "info", "decisions are the most probable class", 0, "")
        return
    has_validation = bool((predictions["split"] == "val").any())
    rule = threshold["rule"]
    if rule in NEEDS_VALIDATION and not has_validation:
        message = (
            f"the threshold rule {rule} needs validation rows and there are none; a threshold "
            "chosen on the test split is too optimistic: add a val split or fix the threshold"
        )
        yield Finding("threshold_source", "error", message, 0, "split")
        return
    origin = "" if rule == "fixed" else ", chosen on the validation split"
    message = f"thresholds: {describe_rule(threshold)}{origin}"
    yield Finding("threshold_source", "info", message, 0, "split")
    if rule in NEEDS_VALIDATION:
        yield from _threshold_choice(predictions[predictions["split"] == "val"], rule)


def _threshold_choice(validation: pd.DataFrame, rule: str) -> Iterator[Finding]:
    """Find tasks for which validation cannot choose a threshold, or has few images to choose on."""
    first = validation[validation["seed"] == validation["seed"].min()]
    for task, y in first.groupby("task", sort=True)["y"]:
        n, positive = int(y.notna().sum()), int((y == 1).sum())
        least = min(positive, n - positive)
        if least == 0:
            only = "has no label" if n == 0 else "is positive" if positive else "is negative"
            message = (
                f"no threshold can be chosen for {task}: every one of its {len(y)} validation "
                f"images {only}. TPR, FPR and all other measures of decisions have no value; add "
                "validation images of both classes, or fix the threshold"
            )
            yield Finding("threshold_choice", "warning", message, n, str(task))
        elif least < FEW_TO_CHOOSE:
            message = (
                f"the threshold of {task} ({rule}) was chosen on {positive} positive and "
                f"{n - positive} negative validation images: other patients would have given "
                "another threshold, which the intervals of the measures do not cover; "
                "`procedure_low` and `procedure_high` do"
            )
            yield Finding("threshold_choice", "warning", message, least, str(task))


def repeated_predictions(predictions: pd.DataFrame, cohort: pd.DataFrame) -> Iterator[Finding]:
    """Find images of one patient with equal scores in every task: perhaps resampled rows."""
    test = predictions[predictions["split"] == "test"]
    if test[["task", "seed"]].drop_duplicates().shape[0] > 1:
        wide = test.set_index(["image_id", "task", "seed"])["score"].unstack(["task", "seed"])
        wide.columns = range(wide.shape[1])
    else:
        wide = test.set_index("image_id")[["score"]]
    if wide.empty or (wide.nunique() <= len(wide) / 2).all():
        return
    place = pd.Index(cohort["image_id"]).get_indexer(wide.index)
    patient = pd.factorize(cohort["patient_id"])[0][place]
    repeated = wide.assign(patient=patient).duplicated(keep=False).to_numpy()
    if repeated.any():
        message = (
            f"{int(repeated.sum())} test images share patient and every score with another image: "
            "were rows resampled with replacement? Intervals would be too narrow"
        )
        where = examples(wide.index[repeated])
        yield Finding("resampled_duplicates", "warning", message, int(repeated.sum()), where)
