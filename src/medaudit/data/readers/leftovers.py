"""What spreadsheets and scripts leave in a table: index columns, blank rows, totals, headers."""

import pandas as pd

TOTALS = {"total", "totals", "sum", "mean", "average", "grand total", "count", "median", "std"}
_UNNAMED = ("", "level_0", "row.names", "row_names")


def drop_leftovers(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table without what is no data, and notes on what was dropped.

    Parameters
    ----------
    frame : pandas.DataFrame
        As read. Dropped are columns without a name that are blank or count the rows, rows that
        are blank, rows that repeat the header, and rows at the end that begin with ``Total`` or
        ``Mean``.
    """
    notes: list[str] = []
    blank = frame.isna().all(axis=1)
    if blank.any():
        notes.append(f"blank rows left out: {int(blank.sum())}")
        frame = frame[~blank]
    header = _repeats_header(frame)
    if header.any():
        notes.append(f"rows that repeat the header left out: {int(header.sum())}")
        frame = frame[~header]
    frame, total = _without_totals(frame)
    if total:
        notes.append(f"rows of totals at the end left out: {total}")
    unnamed = [name for name in frame.columns if _is_leftover(str(name), frame[name])]
    if unnamed and len(unnamed) < len(frame.columns):
        shown = ", ".join(repr(str(name)) for name in unnamed)
        notes.append(f"columns that only number the rows, or have neither name nor content, are left out: {shown}")  # fmt: skip
        frame = frame.drop(columns=unnamed)
    return frame.reset_index(drop=True), notes


def _repeats_header(frame: pd.DataFrame) -> pd.Series:
    same = pd.Series(True, index=frame.index)
    for name in frame.columns:
        if not pd.api.types.is_string_dtype(frame[name]):
            return pd.Series(False, index=frame.index)
        same &= frame[name].str.strip() == str(name).strip()
    return same.fillna(False).astype(bool)


def _without_totals(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    count = 0
    while len(frame) - count > 1:
        cells = frame.iloc[-1 - count].dropna()
        first = str(cells.iloc[0]).strip().rstrip(":").casefold() if len(cells) else ""
        if first not in TOTALS:
            break
        count += 1
    return (frame.iloc[: len(frame) - count] if count else frame), count


def _is_leftover(name: str, column: pd.Series) -> bool:
    plain = name.strip().casefold()
    unnamed = plain in _UNNAMED or plain.startswith("unnamed")
    if not unnamed:
        return False
    if column.isna().all():
        return True
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any():
        return False
    steps = numbers.diff().dropna()
    return bool(numbers.is_unique and (steps > 0).all() and (numbers % 1 == 0).all() and numbers.iloc[0] <= 1)  # fmt: skip
