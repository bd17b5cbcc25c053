"""Tables that are not flat: JSON documents, and columns of lists or records."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError

LONGEST = 30
"""Longest lists that are spread over columns: scores of classes, no embeddings."""
_SCORES = re.compile(r"prob|score|logit|softmax|sigmoid|pred|output|target|label", re.IGNORECASE)


def spread_lists(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table without columns of lists or records, and notes on them.

    Lists of equal length, at most `LONGEST`, of a column that is named for scores or labels become
    columns: ``probs`` with two probabilities becomes ``probs_0`` and ``probs_1``.
    """
    notes: list[str] = []
    for name in list(frame.columns):
        filled = frame[name].dropna()
        if filled.empty or not isinstance(filled.iloc[0], list | tuple | dict | set | np.ndarray):
            continue
        rows, frame = frame[name], frame.drop(columns=name)
        length = _length(rows) if not isinstance(filled.iloc[0], dict | set) else 0
        if 1 <= length <= LONGEST and _SCORES.search(str(name)):
            spread = [f"{name}_{k}" for k in range(length)]
            frame[spread] = pd.DataFrame(rows.map(list).tolist(), index=frame.index)
            notes.append(f"{name} holds lists of {length}: read as {', '.join(spread)}")
        else:
            notes.append(f"{name} is left out: it holds lists or records")
    return frame, notes


def _length(rows: pd.Series) -> int:
    """Return the length that all lists share, or 0."""
    lengths = {len(row) if hasattr(row, "__len__") else 0 for row in rows}
    return lengths.pop() if len(lengths) == 1 else 0


def as_json_lines(data: bytes, path: Path) -> bytes:
    """Return JSON lines, also of a JSON list of objects or an object of columns."""
    text = data.decode("utf-8-sig").lstrip()
    if text[:1] == "{" and "\n{" in text.rstrip().replace("\r", ""):
        return text.encode()
    try:
        found = json.loads(text)
    except ValueError as error:
        if text[:1] == "{":  # Arrow says in which row
            return text.encode()
        raise MedauditError(
            f"cannot read {path}: {error}; write one JSON object per line"
        ) from error
    if isinstance(found, dict) and all(isinstance(v, list) for v in found.values()) and found:
        found = [dict(zip(found, row, strict=False)) for row in zip(*found.values(), strict=False)]
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise MedauditError(f"{path} holds no list of objects; write one JSON object per line")
    return "\n".join(json.dumps(row) for row in rows).encode()
