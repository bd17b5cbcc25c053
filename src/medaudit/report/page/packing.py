"""Files and tables compressed for the page, so that it stays small and opens fast."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.report.tables.table import Column, shown
from medaudit.report.wording import number_format
from medaudit.report.wording.names import Names

FEW = 25
"""A table with more rows is packed; the page's script shows it in pages."""
SIZE = re.compile(r'<svg\b[^>]*?\bwidth="([\d.]+)pt"[^>]*?\bheight="([\d.]+)pt"')


def data_uri(content: bytes, kind: str) -> str:
    """Return `content` as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def packed(content: bytes | str) -> str:
    """Return `content` as gzip in base64, which the page's script unpacks; deterministic."""
    raw = content.encode() if isinstance(content, str) else content
    return base64.b64encode(gzip.compress(raw, compresslevel=9, mtime=0)).decode()


def picture(path: Path) -> dict[str, Any]:
    """Return an SVG file for the page.

    Returns
    -------
    dict
        ``source`` (a ``data:`` address), ``gzip`` (packed), ``width`` and ``height`` in points
        (None if the file does not state them).
    """
    content = path.read_bytes()
    found = SIZE.search(content[:4096].decode("utf-8", errors="replace"))
    width, height = (round(float(part)) for part in found.groups()) if found else (None, None)
    return {
        "source": data_uri(content, "image/svg+xml"),
        "gzip": packed(content),
        "width": width,
        "height": height,
    }


def table_rows(
    path: Path, columns: tuple[Column, ...], names: Names | None = None
) -> dict[str, Any]:
    """Return the rows of a table's CSV file for the page.

    Returns
    -------
    dict
        ``count``; ``rows`` of a short table (`FEW`): one list per row of (text, sort key, column);
        ``gzip`` of a longer table: packed JSON ``{"text": [...], "order": [...]}``, each with one
        list per column; the order of a text column is None.
    """
    texts_as = {column.key: "str" for column in columns if column.kind == "text"}
    data = pd.read_csv(path, dtype=texts_as, keep_default_na=False, na_values=[""])
    texts = shown(data, columns, names)
    orders = [[_order(value) for value in data[column.key]] for column in columns]
    if len(data) <= FEW:
        lines = zip(texts.to_numpy().tolist(), zip(*orders, strict=True), strict=True)
        rows = [list(zip(text, order, columns, strict=True)) for text, order in lines]
        return {"count": len(data), "rows": rows, "gzip": None}
    content = {
        "text": [texts.iloc[:, k].tolist() for k in range(len(columns))],
        "order": [
            None if column.kind == "text" else order
            for column, order in zip(columns, orders, strict=True)
        ],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return {"count": len(data), "rows": [], "gzip": packed(text)}


def _order(value: Any) -> str | float:
    """Return the sort key of a cell: its number in full, its text, or empty if it is missing."""
    if number_format.missing(value):
        return ""
    return value if isinstance(value, str) else float(f"{value:.9g}")
