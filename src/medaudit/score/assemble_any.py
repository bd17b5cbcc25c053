"""A study from a file of scores, or of answers without scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from medaudit.data.readers.sheet import read_sheet
from medaudit.score.answers_only import DEFAULT_METRICS as ANSWER_METRICS
from medaudit.score.answers_only import read_answers
from medaudit.score.assemble import Options, Study, assemble

__all__ = ["ANSWER_METRICS", "assemble_any"]


def assemble_any(
    predictions: Path | pd.DataFrame,
    groups: Path | pd.DataFrame | None,
    columns: dict[str, list[str]],
    options: Options,
    answers: Sequence[str],
    refusals: Sequence[str],
) -> Study:
    """Return the study of a file, see `medaudit.score.assemble.assemble`.

    Parameters
    ----------
    predictions, groups, columns, options
        As there.
    answers : sequence of str
        Columns of answers instead of scores; empty: there are scores.
    refusals : sequence of str
        Further words for a refusal.
    """
    if not answers:
        return assemble(predictions, groups, columns, options)
    sheet = read_sheet(predictions, "the predictions")
    read = read_answers(sheet, columns, answers, refusals)
    study = assemble(read.frame, groups, read.columns, options)
    notes = [("answers", note) for note in read.notes]
    if isinstance(predictions, Path):
        files = [predictions, *study.files]
        study = replace(study, name=predictions.stem, files=files)
    return replace(study, refused=read.refused, detected=[*study.detected, *notes])
