"""A study from a file of scores, or of answers without scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.adapt.predictions.columns import Choice
from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import read_sheet
from medaudit.score.answers_only import DEFAULT_METRICS as ANSWER_METRICS
from medaudit.score.answers_only import read_answers
from medaudit.score.assemble import Options, Study, assemble
from medaudit.score.reading import read_reading
from medaudit.score.sources import Source

__all__ = ["ANSWER_METRICS", "assemble_any"]


def assemble_any(
    predictions: Source,
    groups: Path | pd.DataFrame | None,
    columns: Mapping[str, Any] | str | Path | None,
    options: Options,
    answers: tuple[Sequence[str], Sequence[str]],
    labels: Path | pd.DataFrame | None = None,
    announce: Callable[[list[Choice]], None] | None = None,
) -> Study:
    """Return the study of a file, see `medaudit.score.assemble.assemble`.

    Parameters
    ----------
    predictions, groups, columns, options, labels, announce
        As there.
    answers : tuple of (sequence of str, sequence of str)
        Columns of answers instead of scores (empty: there are scores), and further words for a
        refusal.

    Raises
    ------
    MedauditError
        As there; or answers in several files, or with labels in another file.
    """
    if not answers[0]:
        return assemble(predictions, groups, columns, options, labels, announce)
    if not isinstance(predictions, Path | pd.DataFrame) or labels is not None:
        raise MedauditError(
            "answers without scores are read from one file that also holds the labels; merge the files"
        )
    sheet = read_sheet(predictions, "the predictions")
    read = read_answers(sheet, read_reading(columns).columns, *answers)
    study = assemble(read.frame, groups, read.columns, options, announce=announce)
    notes = [("answers", note) for note in read.notes]
    if isinstance(predictions, Path):
        files = [predictions, *study.files]
        study = replace(study, name=predictions.stem, files=files)
    return replace(study, refused=read.refused, detected=[*study.detected, *notes])
