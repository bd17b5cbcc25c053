"""How certain a search is about each bit of its mask."""

from typing import Any

import numpy as np
import optuna

from medaudit.core.seeds import generator

BEST = 0.25
"""Fraction of the trials that count as the best."""

DRAWS = 1000
LEVEL = 0.95
LEAST = 10
"""Fewest complete trials for which an importance is computed."""


def describe_bits(
    masks: list[str], complete: np.ndarray, value: np.ndarray, layout: dict[str, list], name: str
) -> list[dict[str, Any]]:
    """Return frequency, bootstrap interval and importance of each bit over the trials of a search.

    Parameters
    ----------
    masks : list of str
        Masks of the counted trials, best first.
    complete : ndarray of bool, shape (trials,)
        Whether a trial was trained to its end.
    value : ndarray, shape (trials,)
        Objective of each trial; only those of complete trials are used.
    layout : dict
        ``units`` and ``components`` of the model.
    name : str
        Name of the search, which seeds the bootstrap.

    Returns
    -------
    list of dict
        For each bit ``unit`` and ``component``; ``frequency`` of 1 among the best quarter of the
        trials, with its bootstrap interval ``low``, ``high`` (trials are resampled, and the best
        quarter is taken from each resample); ``share`` of 1 among all trials; and ``importance``:
        the bit's share of the variance of the objective over complete trials (fANOVA, Hutter et
        al. 2014), null with fewer than 10 of them.
    """
    bits = np.array([[int(bit) for bit in mask] for mask in masks])
    best = max(round(BEST * len(bits)), 1)
    rng = generator("bits", name)
    # Trials are ordered by rank, so sorting the drawn positions ranks each resample.
    drawn = np.sort(rng.integers(len(bits), size=(DRAWS, len(bits))), axis=1)[:, :best]
    ends = np.quantile(bits[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    importance = _importance(bits[complete], value[complete])
    parts = [(unit, part) for unit in layout["units"] for part in layout["components"]]
    return [
        {
            "unit": unit,
            "component": component,
            "frequency": round(float(bits[:best, b].mean()), 6),
            "low": round(float(ends[0, b]), 6),
            "high": round(float(ends[1, b]), 6),
            "share": round(float(bits[:, b].mean()), 6),
            "importance": importance[b],
        }
        for b, (unit, component) in enumerate(parts)
    ]


def _importance(bits: np.ndarray, value: np.ndarray) -> list[float | None]:
    """Return Optuna's fANOVA importance of each bit, None where it cannot be computed."""
    varies = [b for b in range(bits.shape[1]) if len(np.unique(bits[:, b])) == 2]
    if len(bits) < LEAST or not varies or np.ptp(value) == 0:
        return [None] * bits.shape[1]
    study = optuna.create_study()
    choice = optuna.distributions.CategoricalDistribution([0, 1])
    for row, one in zip(bits.tolist(), value.tolist(), strict=True):
        params = {str(b): row[b] for b in varies}
        trial = optuna.create_trial(
            params=params, distributions=dict.fromkeys(params, choice), value=one
        )
        study.add_trial(trial)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return [round(found.get(str(b), 0.0), 6) for b in range(bits.shape[1])]
