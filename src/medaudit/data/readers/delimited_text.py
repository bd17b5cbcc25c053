"""Delimited text: find delimiter, encoding and header, and parse the columns that are wanted."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from medaudit.core.errors import MedauditError
from medaudit.data.readers.archives import LARGEST

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = (",", ";", "\t", "|")
BLANKS = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "<NA>"]
_SEP = re.compile(rb"\s*\"?sep=[,;|\t]\"?[ ,;|\t]*(?=\r?\n|$)", re.IGNORECASE)
"""First line by which Excel is told the delimiter."""
_COMMENTS = re.compile(rb"(?:[ \t]*#[^\n]*\n)+")
BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass
class DelimitedText:
    """Text and how it is delimited.

    Parameters
    ----------
    data : bytes
        UTF-8.
    delimiter : str
        One of `DELIMITERS`.
    names : list of str
        Of the columns.
    notes : list of str
        What was detected.
    """

    data: bytes
    delimiter: str
    names: list[str]
    notes: list[str]


def find_format(data: bytes) -> DelimitedText:
    """Return text with its delimiter (the most frequent candidate of its header) and encoding.

    Blank names at the end of the header that the first row does not fill are dropped: some owners
    end the header with a delimiter and the rows without one.
    """
    data, encoding = _as_utf8(data)
    delimiter = find_delimiter(data)
    shown = {"\t": "tab"}.get(delimiter, delimiter)
    return DelimitedText(
        data, delimiter, _read_names(data, delimiter), [f"delimiter {shown!r}, {encoding}"]
    )


def parse(text: DelimitedText, kept: list[str], path: Path) -> pa.Table:
    """Return the columns `kept` as text without spaces around it; blanks are missing.

    Raises
    ------
    MedauditError
        A line does not have as many fields as the header.
    """
    names = [n if n in kept else f"{n}\0{k}" for k, n in enumerate(text.names)]
    if not text.data.rstrip(b"\r\n")[_end_of_header(text.data) :]:  # Arrow does not say so
        return pa.table({name: pa.array([], pa.string()) for name in kept})
    try:
        table = pa_csv.read_csv(
            io.BytesIO(text.data + b"\n"),  # Arrow skips no header without a line end
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows=_lines_before(text.data)),
            parse_options=pa_csv.ParseOptions(
                delimiter=text.delimiter, newlines_in_values=b'"' in text.data
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=kept,
                column_types=dict.fromkeys(kept, pa.string()),  # ids keep their zeros: 007
                null_values=BLANKS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        _explain_ragged(text, path)
        raise
    return pa.table({name: _trimmed(table.column(name)) for name in kept})


def has_controls(text: DelimitedText) -> bool:
    """Return whether a cell may contain a control character or the end of a line."""
    usual = b"\n\r" + text.delimiter.encode()
    controls = bytes(code for code in (*range(32), 127) if code not in usual)
    data = text.data
    return b'"' in data or b"\xc2" in data or len(data.translate(None, controls)) < len(data)


def filled_lines(data: bytes) -> Iterator[int]:
    """Yield the number of the last line of each record that is not blank, header included."""
    text = _as_utf8(data)[0]
    reader = _records(io.StringIO(text.decode()), find_delimiter(text))
    return (reader.line_num for fields in reader if fields)


def find_delimiter(data: bytes) -> str:
    """Return the delimiter of UTF-8 text."""
    return max(DELIMITERS, key=_unquoted(_header_line(data)).count)


def _read_names(data: bytes, delimiter: str) -> list[str]:
    names = _split(_header_line(data), delimiter)
    rows = _records(_first_lines(data)[_lines_before(data) :], delimiter)
    first = next((fields for fields in rows if fields), names)
    while len(names) > len(first) and not names[-1]:
        names.pop()
    return names


def _explain_ragged(text: DelimitedText, path: Path) -> None:
    """Raise an error that names the first line with another number of fields than the header."""
    reader = _records(io.StringIO(text.data.decode()), text.delimiter)
    for fields in reader:
        if fields and len(fields) != len(text.names):
            raise MedauditError(
                f"cannot read {path}: line {reader.line_num} has {len(fields)} fields, but the "
                f"header has {len(text.names)}: {text.delimiter.join(fields)[:80]!r}; put a text "
                f"that contains {text.delimiter!r} in double quotes, or remove the line"
            )


def _records(lines: Iterable[str], delimiter: str) -> "Reader":
    csv.field_size_limit(LARGEST)  # the module's own limit is 128 KiB
    return csv.reader(lines, delimiter=delimiter)


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _as_utf8(data: bytes) -> tuple[bytes, str]:
    """Return text as UTF-8 with line ends of Unix where it has those of old Macs (CR alone)."""
    text, encoding = _decode(data)
    text = text if b"\n" in text else text.replace(b"\r", b"\n")
    return _without_preamble(text), encoding


def _without_preamble(text: bytes) -> bytes:
    """Blank the line ``sep=;`` and comments before the header; lines keep their numbers."""
    text = _SEP.sub(b"", text, count=1) if _SEP.match(text) else text
    comments = _COMMENTS.match(text)
    if comments is None:
        return text
    *_, last = comments[0].splitlines()
    following = text[comments.end() :].split(b"\n", 1)[0]
    is_header = any(
        (n := last.count(mark)) and n == following.count(mark) for mark in (b",", b";", b"\t", b"|")
    )
    if is_header:  # `#id,label,score` names the columns
        return text
    return b"\n" * comments[0].count(b"\n") + text[comments.end() :]


def utf16_without_mark(data: bytes) -> str | None:
    """Return the encoding of UTF-16 text without a byte-order mark, or None."""
    head = data[:400]
    if len(head) < 8:
        return None
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        text = head[1 - start :: 2]
        if not any(head[start::2]) and all(byte >= 32 or byte in b"\t\r\n" for byte in text):
            return encoding
    return None


def _decode(data: bytes) -> tuple[bytes, str]:
    for mark, encoding in BOMS:
        if data.startswith(mark):
            text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
            return text.encode(), f"{encoding} with a byte-order mark"
    if utf16 := utf16_without_mark(data):
        return data.decode(utf16).encode(), utf16
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        return text.encode(), "not UTF-8: read as Windows-1252, check accented names"
    return data, "utf-8"


def _first_lines(data: bytes) -> list[str]:
    return data[:1_000_000].decode(errors="replace").splitlines()


def _header_line(data: bytes) -> str:
    return next(line for line in _first_lines(data) if line.strip())


def _lines_before(data: bytes) -> int:
    lines = _first_lines(data)
    return next(k for k, line in enumerate(lines) if line.strip()) + 1


def _end_of_header(data: bytes) -> int:
    start = len(data) - len(data.lstrip())
    end = data.find(b"\n", start)
    return len(data) if end < 0 else end + 1


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


def _split(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
