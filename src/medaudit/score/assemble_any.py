"""A study from a file of scores, or of answers without scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.adapt.predictions.columns import Choice
from medaudit.score.answers_only import DEFAULT_METRICS as ANSWER_METRICS
from medaudit.score.answers_only import read_answers
from medaudit.score.assemble import Study, assemble
from medaudit.score.reading import Options, read_reading
from medaudit.score.sources import Source, read_predictions

__all__ = ["ANSWER_METRICS", "assemble_any"]


def assemble_any(
    predictions: Source,
    groups: Path | pd.DataFrame | None,
    columns: Mapping[str, Any] | str | Path | None,
    options: Options,
    labels: Path | pd.DataFrame | None,
    announce: Callable[[list[Choice]], None] | None,
    answers: Sequence[str],
    refusals: Sequence[str],
) -> Study:
    """Return the study of a file, see `medaudit.score.assemble.assemble`.

    Parameters
    ----------
    predictions, groups, columns, options, labels, announce
        As there.
    answers : sequence of str
        Columns of answers instead of scores; empty: there are scores, unless the file holds
        nothing but decisions.
    refusals : sequence of str
        Further words for a refusal.
    """
    if not answers:
        study = assemble(predictions, groups, columns, options, labels, announce)
        if study.answers is None:
            return study
        answers, announce = [study.answers], None
    reading = read_reading(columns)
    sheet, files = read_predictions(predictions, labels, reading)
    read = read_answers(sheet, reading.columns, answers, refusals)
    # Answers look like decisions that somebody took for scores; here they are meant to be.
    told: Options = {**options, "yes": True}
    said = {**reading.options, **read.columns}
    study = assemble(read.frame, groups, said, told, None, announce)
    notes = [("answers", note) for note in [*sheet.notes, *read.notes]]
    return replace(
        study,
        name=files[0].stem if files else study.name,
        files=[*files, *study.files],
        refused=read.refused,
        detected=[*study.detected, *notes],
        doubts=[],
    )
