"""The headers of all DICOM files below a folder as one table, read once and kept.

The table is ``results/dicom_headers/<dataset>.csv``: it can be looked at, and the next reading opens
only files that are new or have changed. It has what identifies patients, as the files have it.
"""

import logging
import os
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.atomic import atomic
from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
TABLES = Path("results") / "dicom_headers"
KEYWORDS = (
    *("PatientID", "PatientSex", "PatientAge", "PatientBirthDate", "EthnicGroup", "StudyDate"),
    *("Modality", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality"),
    *("Manufacturer", "ManufacturerModelName", "StationName", "InstitutionName", "KVP"),
    *("PixelSpacing", "ImagerPixelSpacing", "BurnedInAnnotation", "PhotometricInterpretation"),
    *("WindowCenter", "WindowWidth", "Rows", "Columns", "NumberOfFrames", "AccessionNumber"),
    *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
)
"""Columns of the table after those of the file; an entry adds others by ``dicom.tags``."""
FILE = ("File", "Stem", "Size", "Modified")
"""Path relative to the folder, file name without suffix, bytes, and time of the last change."""
TOGETHER = 200
"""Files that a worker reads at a time; fewer files are read without workers."""

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),? ?([0-9A-Fa-f]{4})\)?")
_log = logging.getLogger(__name__)


class _Headers(Sheet):
    """The table; a row's place is its file."""

    def place(self, row: int) -> str:
        return f"file {self.frame['File'].iloc[row]}"


def read_headers(folder: Path, settings: Mapping[str, Any], wanted: Collection[str] = ()) -> Sheet:
    """Return the headers of the DICOM files below a folder, one row per image.

    Parameters
    ----------
    folder : Path
        Searched with all its subfolders: files that end in .dcm, .dicom or .ima, and files
        without one of these suffixes that begin as DICOM does.
    settings : dict
        ``name`` of the dataset, and ``dicom.tags``: further keywords, or tags as ``"0010,2160"``.
    wanted : collection of str
        Keywords of DICOM among them are read too.

    Returns
    -------
    Sheet
        Text columns `FILE` (the first two) and `KEYWORDS`; several equal values are one, others
        are joined with a backslash. Files without pixels are left out and counted.

    Raises
    ------
    MedauditError
        There is no DICOM file, or a tag is unknown.
    """
    tags = _tags(settings, wanted)
    table = TABLES / f"{settings.get('name', folder.name)}.csv"
    files = find_dicom(folder)
    if not files:
        raise MedauditError(f"there is no DICOM file below {folder}; set `folder`, or `table`")
    known = _known(table, list(tags))
    missing = [f for f, stamp in files.items() if known.get(f, {}).get("stamp") != stamp]
    read = _read_all(folder, missing, tags)
    rows = [read[f] if f in read else known[f]["row"] for f in files]
    frame = pd.DataFrame(rows, columns=list(tags), dtype="str")
    names = pd.Series(list(files), dtype="str")
    stems = names.str.rsplit("/", n=1).str[-1].str.replace(r"\.\w+$", "", regex=True)
    sizes, times = zip(*files.values(), strict=True)
    frame = pd.concat(
        [pd.DataFrame({"File": names, "Stem": stems, "Size": sizes, "Modified": times}), frame],
        axis=1,
    )
    if missing or len(known) != len(files):
        with atomic(table) as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n")
        _log.info("%d DICOM headers, %d of them new, in %s", len(files), len(missing), table)
    return _sheet(frame, folder)


def _sheet(frame: pd.DataFrame, folder: Path) -> Sheet:
    image = frame["Rows"].notna() & frame["Columns"].notna()
    if not image.any():
        raise MedauditError(f"none of the {len(frame)} DICOM files below {folder} has pixels")
    kept = frame[image].drop(columns=["Size", "Modified"]).reset_index(drop=True)
    sheet = _Headers(kept, f"DICOM headers below {folder}", [], list(kept.columns))
    if not image.all():
        first = frame.loc[~image, "File"].iloc[0]
        reason = f"the DICOM file has no pixels, or cannot be read, e.g. {first}"
        sheet.exclusions.append({"reason": reason, "count": int((~image).sum())})
    return sheet


def _tags(settings: Mapping[str, Any], wanted: Collection[str]) -> dict[str, int]:
    """Return the tag of each column to read."""
    from pydicom.datadict import tag_for_keyword

    extra = [str(tag) for tag in (settings.get("dicom") or {}).get("tags", [])]
    named = sorted(word for word in wanted if word.isalpha() and tag_for_keyword(word) is not None)
    found: dict[str, int] = {}
    for name in (*KEYWORDS, *extra, *named):
        match = _TAG.fullmatch(name)
        tag = int(match[1] + match[2], 16) if match else tag_for_keyword(name)
        if tag is None:
            raise MedauditError(
                f"`dicom.tags`: {name!r} is no keyword of DICOM; write a keyword (PatientSex) or a "
                "tag (0010,0040)"
            )
        found[name] = tag
    return found


def find_dicom(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the DICOM files below a folder, sorted, each with its size and time of change (ns)."""
    found: dict[str, tuple[int, int]] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        where = Path(place).relative_to(folder)
        for name in files:
            path = Path(place, name)
            if name == "DICOMDIR" or name.startswith(".") or not _is_dicom(path):
                continue
            state = path.stat()
            found[(where / name).as_posix()] = (state.st_size, state.st_mtime_ns)
    return dict(sorted(found.items()))


def _is_dicom(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if suffix and not suffix[1:].isdigit():  # 1.2.840.113619: an instance UID has no suffix
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _known(table: Path, columns: list[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of an earlier reading by file; none if it read other tags."""
    if not table.is_file():
        return {}
    frame = pd.read_csv(table, dtype="str", keep_default_na=False, na_values=[""])
    if list(frame.columns) != [*FILE, *columns]:
        return {}
    stamps = zip(frame["Size"].astype(int), frame["Modified"].astype(int), strict=True)
    rows = frame[columns].astype(object).where(frame[columns].notna(), None).to_numpy().tolist()
    return {
        file: {"stamp": stamp, "row": row}
        for file, stamp, row in zip(frame["File"], stamps, rows, strict=True)
    }


def _read_all(folder: Path, files: list[str], tags: dict[str, int]) -> dict[str, list[str | None]]:
    from tqdm import tqdm

    read = partial(_read_some, folder, list(tags.values()))
    parts = [files[k : k + TOGETHER] for k in range(0, len(files), TOGETHER)]
    workers = min(len(os.sched_getaffinity(0)), len(parts))
    bar = partial(tqdm, total=len(files), unit="file", desc="DICOM headers", disable=None)
    rows: list[list[list[str | None]]] = []
    with bar() as progress:
        if workers < 2:
            for part in parts:
                rows.append(read(part))
                progress.update(len(part))
        else:
            with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
                for result in pool.map(read, parts):
                    rows.append(result)
                    progress.update(len(result))
    return dict(zip(files, chain.from_iterable(rows), strict=True))


def _read_some(folder: Path, tags: list[int], files: list[str]) -> list[list[str | None]]:
    return [read_header(folder / file, tags) for file in files]


def read_header(path: Path, tags: list[int]) -> list[str | None]:
    """Return the values of tags as text; all None if the file cannot be read."""
    from pydicom import dcmread

    try:
        dataset = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(tags))
        return [_text(dataset, tag) for tag in tags]
    except Exception as error:  # pydicom raises errors of any kind on damaged files
        _log.warning("the header of %s cannot be read: %s", path, error)
        return [None] * len(tags)


def _text(dataset: Any, tag: int) -> str | None:
    value = dataset[tag].value if tag in dataset else None
    if value is None or (hasattr(value, "__len__") and not len(value)):
        return None
    many = hasattr(value, "__iter__") and not isinstance(value, str | bytes)
    if many and not hasattr(value, "original_string"):
        texts = list(dict.fromkeys(str(one).strip() for one in value))
        return "\\".join(texts) or None
    return " ".join(str(value).split()) or None
