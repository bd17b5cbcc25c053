"""The thresholds of a sample as rows of the metrics table."""

import numpy as np
import pandas as pd

from medaudit.metrics.group_metrics import ALL, MEAN
from medaudit.metrics.procedure_intervals import threshold_limits
from medaudit.metrics.sample import Sample


def threshold_rows(sample: Sample, chosen: np.ndarray | None, level: float) -> pd.DataFrame:
    """Return one row per task and seed, and per task the mean over seeds (seed ``mean``).

    Parameters
    ----------
    sample : Sample
        Its thresholds; a multi-class sample has none.
    chosen : ndarray or None
        Thresholds of draws of the validation patients (`choose_again`).
    level : float
        Confidence level of the limits of a threshold.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.table_io.METRICS` without the run's names. ``n``, ``n_pos`` and
        ``n_patients`` are those of the validation split. The status is ``undefined:one_class``
        where validation lacks a class; a mean over seeds has a value where every seed has one.
        ``procedure_low`` to ``procedure_high`` is where the threshold would lie if other patients
        had been in validation.
    """
    if sample.threshold is None:
        return pd.DataFrame()
    threshold = np.vstack([sample.threshold, sample.threshold.mean(axis=0)])
    s, t = (axis.reshape(-1) for axis in np.indices(threshold.shape))
    value = threshold.reshape(-1)
    limits = {}
    if chosen is not None:
        ends = zip(("low", "high"), threshold_limits(chosen, level), strict=True)
        limits = {f"procedure_{k}": np.where(np.isnan(value), np.nan, v.ravel()) for k, v in ends}
    return pd.DataFrame(
        {
            "seed": np.array([*sample.seeds, MEAN], object)[s],
            "task": np.array(sample.tasks, object)[t],
            "attribute": ALL,
            "group": ALL,
            "metric": "threshold",
            "value": value,
            "low": np.nan,
            "high": np.nan,
            **limits,
            "n": sample.val_counts[0, t],
            "n_pos": pd.array(sample.val_counts[1, t], "Int64"),
            "n_patients": sample.val_counts[2, t],
            "status": np.where(np.isnan(value), "undefined:one_class", "ok"),
        }
    )
