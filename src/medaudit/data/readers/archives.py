"""Compressed files: gzip, bzip2, xz, and zip archives of one table."""

import bz2
import io
import lzma
import zipfile
import zlib
from pathlib import Path

from medaudit.core.errors import MedauditError

LARGEST = 1 << 33
"""Bytes of unpacked text."""
ZIP = b"PK\x03\x04"
GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
PACKED = (GZIP, BZIP2, XZ)
_TABLES = (".csv", ".tsv", ".txt", ".tab", ".parquet", ".pq", ".json", ".jsonl", ".ndjson")
_SUFFIXES = (".gz", ".bz2", ".xz", ".zip")


def unpack(data: bytes, path: Path) -> bytes:
    """Return the content of a compressed file, and other data as they are.

    Raises
    ------
    MedauditError
        The archive is damaged, unpacks to more than `LARGEST`, or holds several tables.
    """
    try:
        if data.startswith(GZIP):
            return _inflate(data, lambda: zlib.decompressobj(wbits=31))
        if data.startswith(BZIP2):
            return _inflate(data, bz2.BZ2Decompressor)
        if data.startswith(XZ):
            return _inflate(data, lzma.LZMADecompressor)
        if data[:4] == ZIP:
            return _member(data, path)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise MedauditError(f"cannot unpack {path}: {error}; copy it again") from error
    return data


def inner_suffix(path: Path) -> str:
    """Return the suffix of a file below that of its compression: ``.jsonl`` of ``a.jsonl.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in _SUFFIXES else suffix


def is_workbook(data: bytes) -> bool:
    """Return whether a zip archive is a spreadsheet: Excel or OpenDocument."""
    if data[:4] != ZIP:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError):
        return True  # the reader of workbooks says what is wrong
    return bool(names & {"[Content_Types].xml", "mimetype", "xl/workbook.xml"}) or not any(
        name.lower().endswith(_TABLES) for name in names
    )


def _inflate(data: bytes, make) -> bytes:
    parts, room = [], LARGEST
    while data and room > 0:
        machine = make()
        parts.append(machine.decompress(data, room))
        room -= len(parts[-1])
        if not machine.eof:
            raise zlib.error("it is truncated, or too large")
        data = machine.unused_data
    return b"".join(parts)


def _member(data: bytes, path: Path) -> bytes:
    if is_workbook(data):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        tables = [
            info
            for info in archive.infolist()
            if info.filename.lower().endswith(_TABLES) and "__MACOSX" not in info.filename
        ]
        if len(tables) != 1:
            names = ", ".join(info.filename for info in tables[:5])
            raise MedauditError(
                f"{path} holds {len(tables)} tables ({names}); unpack it and name one, or several"
            )
        if tables[0].file_size > LARGEST:
            raise MedauditError(f"cannot unpack {path}: {tables[0].filename} is too large")
        with archive.open(tables[0]) as stream:
            found = stream.read(LARGEST + 1)
    if len(found) > LARGEST:
        raise MedauditError(f"cannot unpack {path}: {tables[0].filename} is too large")
    return found
