"""Labels in one column that lists the findings of an image: ``Edema|Mass``."""

import re

import pandas as pd

from medaudit.adapt.predictions.detection.candidates import candidates
from medaudit.adapt.predictions.detection.names import Kind, key_of
from medaudit.adapt.predictions.label_words import ABSENCE
from medaudit.data.readers.sheet import Sheet

SEPARATORS = r"\s*[|;,]\s*"
_ABSENT = {key_of(word) for word in ABSENCE}


def spread_label_lists(sheet: Sheet) -> Sheet:
    """Return the table with a column of 0 and 1 for each finding that has a score.

    A column is a list of findings if its parts are the names of at least two score columns, and
    every other part means that there is none, or names a finding without a score. A finding
    without a score gets no column.
    """
    columns = candidates(sheet.frame, [str(name) for name in sheet.frame.columns])
    scores = {c.name.key: c.name.stem for c in columns if c.role == "score" and c.name.stem}
    named = {key_of(c.column) for c in columns} | {c.name.key for c in columns if c.role == "truth"}
    for candidate in columns:
        texts = candidate.content.values
        if candidate.name.kind in (Kind.DECISION, Kind.PREDICTION) or not len(scores) > 1:
            continue
        if not pd.api.types.is_string_dtype(texts) or candidate.content.is_numeric:
            continue
        if not texts.dropna().head(1000).str.contains("[|;,]").any():
            continue
        parts = texts.dropna().str.split(SEPARATORS, regex=True).explode().str.strip()
        keys = set(parts.map(key_of).unique())
        found = {key: stem for key, stem in scores.items() if key in keys and key not in named}
        if len(found) >= 2 and len(keys - set(found) - _ABSENT) <= len(keys) / 2:
            return _spread(sheet, candidate.column, found)
    return sheet


def _spread(sheet: Sheet, column: str, found: dict[str, str]) -> Sheet:
    texts = sheet.frame[column]
    keys = texts.map(lambda text: {key_of(part) for part in re.split(SEPARATORS, text.strip())}, na_action="ignore")  # fmt: skip
    labels = {
        f"label_{stem}": keys.map(lambda own, key=key: int(key in own), na_action="ignore")
        for key, stem in found.items()
    }
    frame = sheet.frame.drop(columns=column).assign(**labels)
    note = f"{column} lists findings: read as labels of {', '.join(found.values())}"
    return Sheet(frame, sheet.where, [*sheet.notes, note], sheet.names, sheet.path)
