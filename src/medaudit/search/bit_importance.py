"""How sure a search is of each bit of its mask."""

import numpy as np
import optuna

from medaudit.core.seeds import generator

BEST = 0.25
"""The share of the trials that counts as the best."""

DRAWS = 1000
LEVEL = 0.95
LEAST = 10
"""Complete trials below which no importance is given."""


def describe_bits(
    masks: list[str], complete: np.ndarray, value: np.ndarray, layout: dict, name: str
) -> list[dict]:
    """Describe each bit over the trials of a search.

    Parameters
    ----------
    masks : list of str
        Masks of the counted trials, the best first.
    complete : ndarray of bool, shape (trials,)
        Whether a trial ran to its end.
    value : ndarray, shape (trials,)
        Their objective; only that of complete ones is used.
    layout : dict
        ``units`` and ``components`` of the model.
    name : str
        Of the search; seeds the bootstrap.

    Returns
    -------
    list of dict
        ``unit``, ``component``; ``frequency`` with which the bit is 1 among the best quarter of
        the trials, its bootstrap interval ``low``, ``high`` (trials drawn anew, the best quarter
        taken of each draw), ``share`` with which it is 1 among all trials, and ``importance``: its
        share of the variance of the objective over complete trials (fANOVA, Hutter et al. 2014),
        null with fewer than 10 of them.
    """
    bits = np.array([[int(bit) for bit in mask] for mask in masks])
    best = max(round(BEST * len(bits)), 1)
    rng = generator("bits", name)
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
