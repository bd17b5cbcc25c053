"""The model's decisions beside its scores: do they agree, or is the score a confidence?"""

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.candidates import Candidate, candidates
from medaudit.adapt.predictions.detection.choices import Columns
from medaudit.adapt.predictions.detection.content import Content
from medaudit.adapt.predictions.label_words import NEGATIVE, POSITIVE, positive_levels
from medaudit.core.errors import MedauditError
from medaudit.metrics.rank_auc import rank_auc

AGREES = 0.75
"""Least AUC of a score for the model's own decisions; below it the score is of something else."""
ENOUGH = 8
"""Rows below which nothing is concluded."""


def find_decision(frame: pd.DataFrame, found: Columns, free: list[str], where: str) -> None:
    """Find the model's decisions, and whether the score is the confidence in them.

    A score that is never below 0.5 and does not separate the decisions is the probability of
    whichever class was predicted: it is turned, p = 1 - score where the decision is negative.

    Raises
    ------
    MedauditError
        The score ranks the rows against the decisions, or as if they were of another model.
    """
    label, score = found.roles.get("label"), found.roles.get("score")
    if label is None or score is None or found.tasks or "task" in found.roles:
        return
    named = found.decision is not None
    decision = found.decision or _decision(frame, found, free, label, score)
    if decision is None:
        return
    found.decision = decision
    positive = _is_positive(Content(frame[decision]), Content(frame[label]), found.positive)
    numbers = Content(frame[score]).numbers
    if positive is None or numbers is None or decision == score:
        return
    known = ~np.isnan(numbers) & frame[decision].notna().to_numpy()
    chosen, values = positive[known], numbers[known]
    if len(values) < ENOUGH or not 0 < chosen.sum() < len(chosen):
        return
    truth = _is_true(Content(frame[label]), found.positive)
    _compare(found, chosen, values, (decision, score, where), named)
    if found.turned and truth is not None and not named:
        _check_turned(truth[known], chosen, values, (decision, score, where))


def _check_turned(
    truth: np.ndarray, chosen: np.ndarray, values: np.ndarray, names: tuple[str, str, str]
) -> None:
    """Raise an error if the score ranks the labels better as it is than turned."""
    decision, score, where = names
    as_it_is = float(rank_auc(values, truth))
    turned = float(rank_auc(np.where(chosen, values, 1 - values), truth))
    if as_it_is > turned - 0.05:
        raise MedauditError(
            f"{where}: {score} is never below 0.5; is it the confidence in {decision}? Then "
            f"--decision {decision!r}; if it is the probability of the positive class: "
            f"--ignore {decision!r} --yes"
        )


def _compare(
    found: Columns, chosen: np.ndarray, values: np.ndarray, names: tuple[str, str, str], named: bool
) -> None:
    decision, score, where = names
    agreement = float(rank_auc(values, chosen))
    separated = values[chosen].min() >= values[~chosen].max()
    if separated:
        found.add("decision", decision, f"1 where {score} >= {values[chosen].min():.3g}")
    elif values.min() >= 0.5 and values.max() <= 1:
        found.turned = True
        found.add("decision", decision, "named like the model's decision")
        reason = (
            f"never below 0.5, so the confidence in {decision}: 1 - {score} where that is negative"
        )
        found.choices = [c for c in found.choices if c.role != "score"]
        found.add("score", score, reason)
    elif "score" in found.named and not named:
        found.add("decision", decision, f"does not follow from {score}")
    elif agreement < 1 - AGREES:
        raise MedauditError(
            f"{where}: {score} is high where {decision} is negative: is it the score of the other "
            f"class? Name the columns as they are to audit it: --label {found.roles['label']!r} "
            f"--score {score!r}; or say which class it is with --positive"
        )
    elif agreement < AGREES:
        raise MedauditError(
            f"{where}: {score} does not follow from the decisions in {decision} (AUC {agreement:.2f} "
            f"for them): is it a confidence, or of another model? To audit it as it is: "
            f"--score {score!r}; to leave the decisions out: --ignore {decision!r}"
        )
    else:
        found.add("decision", decision, f"mostly follows {score}")


def _decision(
    frame: pd.DataFrame, found: Columns, free: list[str], label: str, score: str
) -> str | None:
    names = [n for n in free if n not in found.taken and n not in found.not_groups]
    usable = [c for c in candidates(frame, names) if c.role == "decision" and c.name.plain]
    levels = Content(frame[label]).folded
    usable = [c for c in usable if c.content.folded <= levels | POSITIVE | NEGATIVE]
    return min(usable, key=_clearest).column if usable else None


def _clearest(candidate: Candidate) -> bool:
    return not candidate.name.predicted


def _is_true(label: Content, positive: str | None) -> np.ndarray | None:
    """Return where the label is positive, or None where shaping will ask."""
    try:
        levels = positive_levels(label.levels, positive, "", "")
    except MedauditError:
        return None
    return label.values.astype("str").str.strip().isin(levels).to_numpy()


def _is_positive(decision: Content, label: Content, positive: str | None) -> np.ndarray | None:
    """Return where the decision is positive, in the words of the label or in words for yes."""
    text = decision.values.astype("str").str.strip().str.casefold()
    text = text.str.replace(r"^([-+]?\d+)\.0+$", r"\1", regex=True)
    levels = set(text[decision.values.notna()])
    if positive is not None and positive.casefold() in levels:
        return (text == positive.casefold()).to_numpy()
    if levels <= POSITIVE | NEGATIVE and levels & POSITIVE:
        return text.isin(POSITIVE).to_numpy()
    return None
