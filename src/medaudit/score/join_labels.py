"""Labels of a second file, joined to the predictions by image or patient."""

import pandas as pd

from medaudit.adapt.predictions.detection.candidates import candidates
from medaudit.adapt.predictions.detection.names import Kind, parse
from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet, as_text
from medaudit.score.join_groups import ids_of
from medaudit.score.reading import Reading


def join_labels(sheet: Sheet, labels: Sheet, reading: Reading) -> Sheet:
    """Return the predictions with the columns of the labels.

    A column of the same name in both files (``MEL`` with scores, and ``MEL`` with labels) is a
    score in the first and a label in the second.

    Parameters
    ----------
    sheet, labels : Sheet
        The two tables.
    reading : Reading
        ``columns`` names id and patient, where they are not found.

    Raises
    ------
    MedauditError
        No id is in both files, a row has no label, or an id of the labels is repeated.
    """
    key, own = _keys(sheet, labels, reading)
    ids = as_text(labels.frame[key])
    table = labels.frame.assign(**{key: ids})[ids.notna()].drop_duplicates()
    if not table[key].is_unique:
        first = table.loc[table[key].duplicated(), key].iloc[0]
        raise MedauditError(
            f"{labels.where}: {key} has several rows that differ, e.g. {first!r}; give one row of "
            "labels per id"
        )
    place = pd.Index(table[key]).get_indexer(as_text(sheet.frame[own]))
    if (place < 0).any():
        lost = as_text(sheet.frame[own])[place < 0]
        raise MedauditError(
            f"{labels.where} has no labels for {len(lost)} of {len(place)} rows of {sheet.where}, "
            f"e.g. {lost.iloc[0]!r}; add them, or drop these rows: leaving images out can create or "
            "hide a gap"
        )
    frame, added = _renamed(sheet.frame, table.drop(columns=key), {own, key})
    joined = added.iloc[place].reset_index(drop=True)
    absent = len(table) - len(set(place))
    notes = [*sheet.notes, f"labels from {labels.where}, joined by {key}"]
    notes += [f"{absent} rows of labels have no prediction"] if absent else []
    return Sheet(pd.concat([frame.reset_index(drop=True), joined], axis=1), sheet.where, notes)


def _keys(sheet: Sheet, labels: Sheet, reading: Reading) -> tuple[str, str]:
    """Return the id columns of the labels and of the predictions that match best."""
    pairs = [
        (key, own)
        for key in ids_of(labels.frame, reading.columns)
        for own in ids_of(sheet.frame, reading.columns)
    ]
    hits = {
        (key, own): as_text(sheet.frame[own]).isin(set(as_text(labels.frame[key]).dropna())).sum()
        for key, own in pairs
    }
    best = max(hits, key=lambda pair: hits[pair], default=None)
    if best is None or not hits[best]:
        raise MedauditError(
            f"no id of {labels.where} ({list(labels.frame.columns)[:6]}) is in {sheet.where} "
            f"({list(sheet.frame.columns)[:6]}); name the id column with --id"
        )
    return best


def _renamed(
    frame: pd.DataFrame, labels: pd.DataFrame, keys: set[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables with names that say which columns are labels and which are scores."""
    names, scores = {}, {}
    for name in map(str, labels.columns):
        kind = parse(name).kind
        if kind == Kind.TRUTH and name not in frame:
            continue
        if name in frame and name not in keys:
            own = candidates(frame, [name])[0]
            if own.looks_like_score:
                scores[name] = f"score_{name}"
                names[name] = f"label_{name}"
            elif kind == Kind.TRUTH:  # the label that the predictions repeat, or the model's own
                scores[name] = f"predicted_{name}"
            else:
                labels = labels.drop(columns=name)
        elif candidates(labels, [name])[0].content.is_binary:
            names[name] = f"label_{name}"
    return frame.rename(columns=scores), labels.rename(columns=names)
