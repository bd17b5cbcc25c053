"""Metrics of groups under permuted group labels, row by row beside a metrics table."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.metrics.group_metrics import ALL, score_groups, tabulate
from medaudit.metrics.permutation import permuted_values
from medaudit.metrics.replicates import check_evaluation, group_names, plan_attribute
from medaudit.metrics.sample import Sample, read_sample


def null_replicates(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    settings: dict,
    metrics: pd.DataFrame,
    threads: int = 1,
) -> np.ndarray:
    """Return what each row of `metrics` would be if groups did not matter, given the label.

    Parameters
    ----------
    predictions, cohort, settings, threads
        As for `medaudit.metrics.group_audit.audit`.
    metrics : pandas.DataFrame
        What it returned.

    Returns
    -------
    ndarray of float32, shape (rows, permutations)
        Permutations as in `medaudit.metrics.permutation`, the same for all attributes and seeds. Of
        the group ``all`` the value itself; NaN for the attribute ``all``.
    """
    sample = read_sample(predictions, cohort, settings)
    found = np.full((len(metrics), settings["evaluation"]["null"]["draws"]), np.nan, np.float32)
    for attribute in sample.attributes:
        if attribute.name != ALL:
            rows = np.flatnonzero((metrics["attribute"] == attribute.name).to_numpy())
            found[rows] = _of_attribute(sample, attribute, settings, len(rows), threads)
    return found


def _of_attribute(sample: Sample, attribute, settings: dict, size: int, threads: int):
    evaluation = check_evaluation(settings)
    plans = plan_attribute(sample, attribute, evaluation)
    scores = score_groups(sample, attribute, group_names(attribute), plans, evaluation)
    null, _ = permuted_values(scores, sample, attribute, settings, threads, rest=False)
    whole = np.broadcast_to(scores.value[-1:, ..., None], (1, *null.shape[1:]))
    flat = np.concatenate([null, whole]).reshape(-1, null.shape[-1]).astype(np.float32)
    place = tabulate(scores)[1]
    if len(place) != size:
        raise MedauditError(
            f"the metrics of {attribute.name} have {size} rows where {len(place)} were expected: "
            "they were made from other predictions or settings"
        )
    return np.where((place >= 0)[:, None], flat[place], np.float32(np.nan))
