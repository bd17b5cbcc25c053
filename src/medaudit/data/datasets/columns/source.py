"""The rows of an entry's tables, joined and filtered, each value with the line that it came from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet, has_decimal_commas

FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
SHOWN = 5
_PAD = re.compile(r"0>?(\d+)")


@dataclass
class Source:
    """The rows of one or several tables.

    Parameters
    ----------
    frame : pandas.DataFrame
        Text columns; blanks are missing.
    sheets : list of Sheet
        The tables.
    rows : list of numpy.ndarray of int
        For each table, the row that each row of `frame` came from; -1: none.
    origin : dict of str to int
        The table of each column.
    tables : dict of str to Path
        Files that were read, by role.
    exclusions : list of dict
        ``{"reason": str, "count": int}`` of rows and values that were left out.
    notes : list of str
        Sentences for the card.
    """

    frame: pd.DataFrame
    sheets: list[Sheet]
    rows: list[np.ndarray]
    origin: dict[str, int]
    tables: dict[str, Path] = field(default_factory=dict)
    exclusions: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str, key: str) -> pd.Series:
        """Return a column as text.

        Parameters
        ----------
        name : str
            Its name.
        key : str
            Key of the entry that names it, for the message.

        Raises
        ------
        MedauditError
            There is no such column; the message lists the names, the nearest first.
        """
        if name in self.frame.columns:
            return self.frame[name]
        known = [*dict.fromkeys(n for sheet in self.sheets for n in sheet.names), *self.frame]
        close = get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        where = ", ".join(sheet.where for sheet in self.sheets)
        raise MedauditError(
            f"{where}: there is no column {name!r}{hint}, which `{key}` names; the columns are "
            f"{list(dict.fromkeys(known))}"
        )

    def texts(self, template: str, key: str) -> pd.Series:
        """Return a column, or the texts that a template makes of columns.

        Parameters
        ----------
        template : str
            A column's name, or a text with names in braces: ``{folder}/{id}.png``. A name may be
            followed by ``:.2`` (first two characters), ``:0>5`` (zeros in front up to five
            characters), ``:stem`` (file name without folders and suffix), ``:name`` (with suffix) or
            ``:no_suffix`` (path without suffix).
        key : str
            Key of the entry, for messages.

        Returns
        -------
        pandas.Series
            Missing where a part is missing.
        """
        if template in self.frame.columns or "{" not in template:
            return self.column(template, key)
        text = pd.Series("", index=self.frame.index, dtype="str")
        end = 0
        for match in FIELD.finditer(template):
            part = _format(self.column(match[1], key), match[2] or "", key)
            text = text + template[end : match.start()] + part
            end = match.end()
        return text + template[end:]

    def numbers(self, name: str, key: str) -> np.ndarray:
        """Return a column as float64, NaN where blank; decimal commas are understood.

        Raises
        ------
        MedauditError
            A value is not a number.
        """
        text = self.column(name, key)
        plain = text.str.replace(",", ".") if has_decimal_commas(text) else text
        numbers = pd.to_numeric(plain, errors="coerce").to_numpy(float, na_value=np.nan)
        wrong = np.isnan(numbers) & text.notna().to_numpy()
        if wrong.any():
            self.fail(
                name,
                wrong,
                "not a number",
                "correct it, or list it in `missing_values` if it means that the value is unknown",
            )
        return numbers

    def take(self, positions: np.ndarray) -> None:
        """Keep these rows, by position, in this order."""
        self.frame = self.frame.iloc[positions].reset_index(drop=True)
        self.rows = [rows[positions] for rows in self.rows]

    def drop(self, rows: np.ndarray, reason: str) -> None:
        """Leave out the rows that are true, and record the reason.

        Raises
        ------
        MedauditError
            No row is left.
        """
        self.exclude(reason, int(rows.sum()))
        self.take(np.flatnonzero(~rows))
        if self.frame.empty:
            done = "; ".join(f"{e['reason']}: {e['count']}" for e in self.exclusions)
            raise MedauditError(
                f"{self.sheets[0].where}: no row is left ({done}); change `keep`, or `required` of "
                "`join`"
            )

    def exclude(self, reason: str, count: int) -> None:
        """Record that rows or values were left out, unless there are none."""
        if count:
            self.exclusions.append({"reason": reason, "count": count})

    def where(self, name: str, position: int) -> str:
        """Return file and line of a value, e.g. ``patients.csv, line 5``."""
        number = self.origin.get(name, 0)
        row = int(self.rows[number][position])
        place = "no row" if row < 0 else self.sheets[number].place(row)
        return f"{self.sheets[number].where}: {place}"

    def fail(self, name: str, wrong: np.ndarray, problem: str, remedy: str) -> NoReturn:
        """Raise the error of a column's values.

        Parameters
        ----------
        name : str
            The column.
        wrong : numpy.ndarray of bool
            The rows with the problem; at least one.
        problem, remedy : str
            What is wrong with the value, and what to do.
        """
        first = int(np.flatnonzero(wrong)[0])
        values = self.frame[name][wrong]
        text = "blank" if pd.isna(values.iloc[0]) else repr(str(values.iloc[0])[:80])
        count = int(wrong.sum())
        others = [v for v in values.dropna().unique()[: SHOWN + 1].tolist() if repr(v) != text]
        more = f" ({count} rows like this" + (f", also {others[:SHOWN]}" if others else "") + ")"
        raise MedauditError(
            f"{self.where(name, first)}: column {name!r} is {text}, {problem}"
            f"{more if count > 1 else ''}; {remedy}"
        )


def as_text(column: pd.Series) -> pd.Series:
    """Return a column of a table as text: whole numbers without ``.0``, dates as ISO 8601."""
    if isinstance(column.dtype, pd.StringDtype):
        return column
    if pd.api.types.is_bool_dtype(column):
        return column.map({True: "true", False: "false"}).astype("str")
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column.dt.strftime("%Y-%m-%d %H:%M:%S").str.removesuffix(" 00:00:00")
    return column.astype("str").where(column.notna(), None).astype("str")


def _format(text: pd.Series, spec: str, key: str) -> pd.Series:
    if not spec:
        return text
    if re.fullmatch(r"\.\d+", spec):
        return text.str[: int(spec[1:])]
    if spec == "no_suffix":
        return text.str.replace(r"\.\w+$", "", regex=True)
    if spec in ("stem", "name"):
        name = text.str.replace("\\", "/", regex=False).str.rsplit("/", n=1).str[-1]
        return name.str.replace(r"\.\w+$", "", regex=True) if spec == "stem" else name
    if match := _PAD.fullmatch(spec):
        return text.str.zfill(int(match[1]))
    raise MedauditError(
        f"`{key}`: the format {spec!r} is unknown; use .N (first N characters), 0>N (zeros in front), "
        "stem, name or no_suffix"
    )


def named_in(value: object) -> set[str]:
    """Return all texts of an entry, among them every column that it names."""
    if isinstance(value, str):
        parts = {value, *(match[1] for match in FIELD.finditer(value))}
        return parts | {part.partition(".")[2] for part in parts}
    if isinstance(value, Mapping):
        return set().union(*(named_in(part) for part in (*value.keys(), *value.values())), set())
    if isinstance(value, Sequence):
        return set().union(*(named_in(part) for part in value), set())
    return set()


def listed(value: Any) -> list:
    """Return a list as it is, nothing as an empty list, and anything else as a list of one."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
