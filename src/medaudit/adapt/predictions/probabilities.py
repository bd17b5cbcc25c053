"""Scores as probabilities: detect logits, apply sigmoid or softmax, check sums."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.metrics.probability_sums import sum_tolerance

KINDS = ("auto", "probabilities", "logits", "percentages")


def as_probabilities(frame: pd.DataFrame, kind: str, multiclass: bool) -> tuple[pd.Series, str]:
    """Return the scores in [0, 1], and a phrase that says how they were read.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``frame`` of a `medaudit.adapt.predictions.shaping.TidyPredictions`.
    kind : str
        ``probabilities``, ``logits``, ``percentages`` (divided by 100) or ``auto``: probabilities if all scores lie in [0, 1],
        logits if some are negative. Each model is judged by itself.
    multiclass : bool
        Logits go through a softmax over the classes of an image, otherwise through a sigmoid;
        probabilities keep the order and the ties of the logits (`ranked_probabilities`).

    Raises
    ------
    MedauditError
        Scores are neither, or class probabilities do not sum to 1.
    """
    if kind not in KINDS:
        raise MedauditError(f"scores must be one of {KINDS}, not {kind!r}")
    probability, kind_of = frame["score"].copy(), {}
    for model, rows in frame.groupby("model", sort=False):
        kind_of[str(model)] = kind if kind != "auto" else _guess(rows["score"], str(model))
        probability[rows.index] = _convert(rows, kind_of[str(model)], multiclass)
    if multiclass:
        _check_sums(frame.assign(score=probability))
    return probability, _describe(kind_of, multiclass)


def _convert(rows: pd.DataFrame, kind: str, multiclass: bool) -> pd.Series:
    score = rows["score"]
    if kind == "logits":
        from medaudit.adapt.logits import ranked_probabilities  # it loads scipy

        logits = score.to_numpy(float)
        squashed = _softmax(rows) if multiclass else ranked_probabilities(logits[:, None], False)
        return pd.Series(squashed.reshape(-1), index=rows.index)
    score = score / 100 if kind == "percentages" else score
    if not score.between(0, 1).all():
        raise MedauditError(
            f"{rows['model'].iloc[0]}: probabilities must lie in [0, 1]; these lie in "
            f"{score.min():g} to {score.max():g}. Use --scores logits if they are logits"
        )
    return score


def _describe(kind_of: dict[str, str], multiclass: bool) -> str:
    squash = "softmax" if multiclass else "sigmoid"
    text = {"logits": f"logits, through a {squash}", "probabilities": "probabilities"}
    text["percentages"] = "percentages, divided by 100"
    used = sorted(set(kind_of.values()))
    if len(used) == 1:
        return text[used[0]]
    return "; ".join(
        f"{text[kind]} ({', '.join(model for model, its in kind_of.items() if its == kind)})"
        for kind in used
    )


def _guess(score: pd.Series, model: str) -> str:
    low, high = score.min(), score.max()
    if low >= 0 and high <= 1:
        return "probabilities"
    if low < 0:
        return "logits"
    # From 0 to above 1: percentages, or logits of a model that is never below 0.5. Guessing wrong
    # would change every thresholded metric, so the user decides.
    raise MedauditError(
        f"{model}: scores lie in {low:g} to {high:g}: neither probabilities nor clearly logits "
        "(none is negative). Use --scores percentages or --scores logits"
    )


def _softmax(rows: pd.DataFrame) -> np.ndarray:
    """Return the softmax over the classes of an image, in the order of the rows."""
    from medaudit.adapt.logits import ranked_probabilities

    image = rows.groupby(["method", "seed", "image_id"], sort=False).ngroup().to_numpy()
    task, classes = pd.factorize(rows["task"])
    logits = np.full((image.max() + 1, len(classes)), -np.inf)
    logits[image, task] = rows["score"]
    return ranked_probabilities(logits, multiclass=True)[image, task]


def _check_sums(frame: pd.DataFrame) -> None:
    total = frame.groupby(["model", "method", "seed", "image_id"], sort=False)["score"].sum()
    tolerance = sum_tolerance(frame["score"].to_numpy(float), frame["task"].nunique())
    off = total[(total - 1).abs() > tolerance]
    if len(off):
        raise MedauditError(
            f"class probabilities of {len(off)} images do not sum to 1, e.g. {off.iloc[0]:.4g} for "
            f"{off.index[0][-1]!r}; give softmax outputs, or use --scores logits or --task-type "
            "multilabel"
        )
