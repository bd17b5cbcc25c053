"""Answers without scores: yes and no of a vision-language model, a vendor's flags, and refusals.

An answer is read as a score of 1 or 0. Refused rows have no label for the audit, so that rates are
among the answered images; how often a group is refused is an outcome of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.label_words import NEGATIVE, POSITIVE
from medaudit.adapt.predictions.shaping import as_text
from medaudit.core.errors import MedauditError
from medaudit.data.readers.roles import find_role
from medaudit.data.readers.sheet import Sheet

DEFAULT_METRICS = ("tpr", "tnr", "ppv", "npv", "accuracy", "selection_rate", "auc")
"""Metrics of answers; an AUC is listed as not defined."""
REFUSED = {"refused", "refusal", "refuse", "declined", "cannot answer", "no answer", "unable"}
REFUSED |= {"i cannot answer", "unanswered", "not answered", "abstain", "abstained", "n/a"}
"""Words for a refusal, without case; a blank is one too."""


@dataclass(frozen=True)
class Answers:
    """The file with answers as scores, and what was refused.

    Parameters
    ----------
    frame : pandas.DataFrame
        The file; refused rows have no label.
    columns : dict of str to list of str
        The roles of its columns.
    refused : dict of str to pandas.DataFrame
        For each label column ``image_id``, ``y`` (1, 0 or missing), ``answer`` (1, 0; missing:
        refused); empty without refusals.
    notes : list of str
        Notes for the user.
    """

    frame: pd.DataFrame
    columns: dict[str, list[str]]
    refused: dict[str, pd.DataFrame]
    notes: list[str]


def read_answers(
    sheet: Sheet, columns: dict[str, list[str]], answers: Sequence[str], refusals: Sequence[str]
) -> Answers:
    """Read columns of yes and no.

    Parameters
    ----------
    sheet : Sheet
        The file of predictions.
    columns : dict of str to list of str
        Columns that the user named, by role.
    answers : sequence of str
        Columns of answers: one per label column, or one per model.
    refusals : sequence of str
        Further words for a refusal.

    Raises
    ------
    MedauditError
        A column does not exist or holds another word, or refusals cannot be told from one label.
    """
    names = list(sheet.frame.columns)
    absent = [name for name in answers if name not in names]
    if absent:
        raise MedauditError(f"{sheet.where} has no column {absent}; name one of {names}")
    labels = columns.get("label") or _find_label(names, answers, sheet.where)
    frame, refused, notes = sheet.frame.copy(), {}, []
    words = REFUSED | {str(word).strip().casefold() for word in refusals}
    for k, name in enumerate(answers):
        found = _answer(sheet, name, words)
        frame[name] = found.fillna(0).to_numpy()
        count = int(found.isna().sum())
        notes.append(f"{name}: answers, {count} refused" if count else f"{name}: answers")
        if count:
            refused.update(_blank(frame, sheet, columns, labels, (k, len(answers)), found))
    return Answers(frame, {**columns, "label": labels, "score": list(answers)}, refused, notes)


def _find_label(names: list[str], answers: Sequence[str], where: str) -> list[str]:
    label = find_role(names, "label", set(answers))
    if label is None:
        raise MedauditError(f"{where}: found no label column among {names}; name it with --label")
    return [label]


def _answer(sheet: Sheet, name: str, words: set[str]) -> pd.Series:
    text = as_text(sheet.frame[name]).str.strip().str.casefold().str.rstrip(".!")
    refused = text.isna() | text.isin(words | {""})
    known = text.isin(POSITIVE | NEGATIVE)
    other = sorted(text[~refused & ~known].unique())
    if other:
        raise MedauditError(
            f"{sheet.where}: {name} holds {other[:5]}, which is neither yes nor no; if it is a "
            f"refusal, name it: --refusal {other[0]!r}"
        )
    return text.isin(POSITIVE).astype(float).mask(refused)


def _blank(
    frame: pd.DataFrame,
    sheet: Sheet,
    columns: dict[str, list[str]],
    labels: list[str],
    place: tuple[int, int],
    found: pd.Series,
) -> dict[str, pd.DataFrame]:
    """Take the label from refused rows, and return what the rates of refusals need."""
    k, several = place
    if len(labels) != several or "model" in columns or "task" in columns:
        raise MedauditError(
            f"{sheet.where}: answers are refused, and one label serves several models or rows are "
            "of several findings; audit one model at a time, with one column of answers per label"
        )
    label = labels[k]
    y = as_text(sheet.frame[label]).str.strip().str.casefold()
    known = y.isin(POSITIVE).astype(float).where(y.isin(POSITIVE | NEGATIVE))
    own = next(iter(columns.get("id", [])), find_role(list(sheet.frame.columns), "id", set()))
    numbered = "row " + pd.Series(np.arange(len(frame)) + 1).astype("str")
    ids = numbered if own is None else as_text(sheet.frame[own])
    frame[label] = frame[label].mask(found.isna().to_numpy())
    rows = {"image_id": ids.to_numpy(), "y": known.to_numpy(), "answer": found.to_numpy()}
    return {label: pd.DataFrame(rows)}
