"""A table of the report: full numbers and visible columns; written as CSV, LaTeX and HTML."""

from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.table_io import FLOAT_FORMAT, atomic
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names

LATEX = {
    "\\": r"\textbackslash{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    number_format.MINUS: "$-$",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "–": "--",
    "\n": " ",
}


@dataclass(frozen=True)
class Column:
    """One visible column.

    Parameters
    ----------
    key : str
        Column of the data. An ``estimate`` or ``difference`` also reads ``<key>_low``,
        ``<key>_high`` and ``<key>_status``.
    label : str
        Heading.
    kind : str
        ``text``, ``number``, ``count``, ``p``, ``estimate`` or ``difference`` (with its sign).
    digits : int
        Decimals of a number, an estimate or a difference.
    """

    key: str
    label: str
    kind: str = "text"
    digits: int = 3


@dataclass(frozen=True)
class Table:
    """A table of a study; every row of the data is visible.

    Parameters
    ----------
    name : str
        File name without suffix.
    title, caption : str
        Plain text.
    data : pandas.DataFrame
        Numbers in full precision.
    columns : tuple of Column
        The visible columns, in order.
    """

    name: str
    title: str
    caption: str
    data: pd.DataFrame
    columns: tuple[Column, ...]

    def describe(self) -> dict[str, Any]:
        """Return name, title, caption and columns, with which the CSV file can be displayed."""
        return {
            "name": self.name,
            "title": self.title,
            "caption": self.caption,
            "columns": [asdict(column) for column in self.columns],
        }


def shown(
    data: pd.DataFrame, columns: tuple[Column, ...], names: Names | None = None
) -> pd.DataFrame:
    """Return `data` as text, one column per `Column`, with its label as heading.

    Models, methods, cohorts and groups have their display names.
    """
    named = _readers(names or Names())
    texts = [[_cell(row, column, named) for column in columns] for row in data.to_dict("records")]
    return pd.DataFrame(texts, columns=[column.label for column in columns], dtype=object)


def _readers(names: Names) -> dict[str, Callable[[str], str]]:
    """Return how the texts of some columns are written for a reader."""
    groups = dict.fromkeys(("group", "worst", "best", "lowest", "highest"), terms.group)
    axes = {"model": names.model, "method": names.method, "cohort": names.cohort}
    return {**groups, **axes, **{f"against_{key}": name for key, name in axes.items()}}


def write_files(
    table: Table, folder: Path, notes: list[str], names: Names | None = None
) -> dict[str, str]:
    """Write a table as CSV, LaTeX (booktabs) and HTML and return the file names by format.

    `notes` follow the caption in LaTeX and HTML. In CSV, numbers have the format ``%.6g``, and
    texts that a spreadsheet would run as formulas are neutralised.
    """
    text = shown(table.data, table.columns, names)
    caption = " ".join([f"{table.title}.", table.caption, *notes])
    contents = {
        "csv": number_format.neutralise(table.data).to_csv(
            index=False, float_format=FLOAT_FORMAT, lineterminator="\n"
        ),
        "tex": to_latex(text, table.columns, caption),
        "html": to_html(text, table.title, caption),
    }
    for suffix, content in contents.items():
        with atomic(folder / f"{table.name}.{suffix}") as temporary:
            temporary.write_text(content, encoding="utf-8", newline="")
    return {suffix: f"{table.name}.{suffix}" for suffix in contents}


def to_latex(text: pd.DataFrame, columns: tuple[Column, ...], caption: str) -> str:
    """Return a booktabs ``longtable``; all cells and the caption are escaped."""
    safe = text.map(_latex).set_axis([_latex(label) for label in text.columns], axis=1)
    alignment = "".join("l" if c.kind == "text" else "r" for c in columns)
    styler = safe.style.hide(axis="index")
    return styler.to_latex(
        hrules=True, environment="longtable", column_format=alignment, caption=_latex(caption)
    )


def to_html(text: pd.DataFrame, title: str, caption: str) -> str:
    """Return an HTML page with the table; all cells and the caption are escaped."""
    safe = text.map(escape).set_axis([escape(label) for label in text.columns], axis=1)
    styles = [
        {"selector": "caption", "props": "caption-side: top; text-align: left; padding: .5em 0"},
        {"selector": "th, td", "props": "text-align: left; padding: .2em .6em"},
        {"selector": "thead th", "props": "border-bottom: 1px solid"},
    ]
    styler = safe.style.hide(axis="index").set_table_styles(styles).set_caption(escape(caption))
    body = styler.to_html(table_uuid="t", cell_ids=False, sparse_index=False)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}'
        f"</title></head>\n<body>\n{body}</body>\n</html>\n"
    )


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def _cell(row: dict[Hashable, Any], column: Column, named: dict[str, Callable[[str], str]]) -> str:
    value = row[column.key]
    if column.key in named and isinstance(value, str):
        return named[column.key](value)
    if column.kind in ("estimate", "difference"):
        bounds = (row[f"{column.key}_low"], row[f"{column.key}_high"])
        signed = column.kind == "difference"
        status = row[f"{column.key}_status"]
        return number_format.estimate(value, *bounds, status, signed=signed, digits=column.digits)
    if column.kind == "number":
        return number_format.number(value, column.digits)
    return _SIMPLE[column.kind](value)


def _text(value: Any) -> str:
    return "–" if number_format.missing(value) else str(value)


_SIMPLE: dict[str, Callable[[Any], str]] = {
    "text": _text,
    "count": number_format.count,
    "p": number_format.p_value,
}
