"""Which weights file a model needs, whether it is there, and whether it is the right one.

These checks run at every start of the workflow. So they import nothing heavy and never read a whole
file; the content is hashed only when a job loads it (`medaudit.models.weights.load`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root, sha256

SUFFIXES = (
    ".safetensors",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".tar",
    ".npz",
    ".index",
    ".onnx",
    ".pt2",
)
VOCABULARIES = ("vocab.txt", "tokenizer.json")
PACKAGE = "package:"
"""Start of a path inside an installed Python package, e.g. ``package:name/models/file.pth``."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WRONG_CONTENT = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself: run `git lfs pull`",
    b"<!DOCTYPE": "is a web page: the download failed (a login or consent page?)",
    b"<!doctype": "is a web page: the download failed (a login or consent page?)",
    b"<html": "is a web page: the download failed (a login or consent page?)",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
}


def resolve_weights(entry: Mapping[str, Any], field: str = "weights") -> Path:
    """Return the path of the file that a catalogue entry names, after checking it.

    Parameters
    ----------
    entry : mapping
        A model's catalogue entry. Paths in it are absolute, below ``$MEDAUDIT_DATA``, or inside an
        installed Python package (`PACKAGE`).
    field : str
        ``weights``, or ``tokenizer``, which names a folder.

    Raises
    ------
    MedauditError
        The field is empty, the file does not exist, or it is a Git LFS pointer, a web page or a
        folder; the message says where the owner publishes it and where to put it.
    """
    problem = next(_path_problems(entry, field), None)
    if problem:
        raise MedauditError(problem)
    return weights_path(entry, field)


def weights_path(entry: Mapping[str, Any], field: str = "weights") -> Path:
    """Return where the file of a catalogue entry should be, whether or not it is there."""
    place = str(entry[field])
    if not place.startswith(PACKAGE):
        return _base(entry) / place
    name, _, inside = place.removeprefix(PACKAGE).partition("/")
    return (_package_folder(name) or Path(name)) / inside


def check_weights(models: dict[str, dict]) -> list[str]:
    """Return the problems with the files of `models`, one sentence per problem.

    Parameters
    ----------
    models : dict of str to dict
        Catalogue entries by name. Without ``weights`` (or with null) an entry needs no file. A
        ``tokenizer`` folder must contain a vocabulary (`VOCABULARIES`).
    """
    return [
        problem
        for name, entry in models.items()
        for problem in _entry_problems({"name": name, **entry})
    ]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, computed once per process unless the file changes."""
    state = path.stat()
    return _sha256(path.resolve(), state.st_size, state.st_mtime_ns)


def check_sha256(path: Path, expected: str | None) -> str:
    """Return the SHA-256 of `path`, after comparing it with the catalogue's if that has one.

    Raises
    ------
    MedauditError
        The two differ.
    """
    found = file_sha256(path)
    if expected is not None and found != expected.lower():
        raise MedauditError(
            f"{path} has SHA-256 {found}, the catalogue says {expected}: the file is another one or "
            "damaged; download it again, or correct `sha256` if this is the file you want"
        )
    return found


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def _entry_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    expected = entry.get("sha256")
    if expected is not None and not _SHA256.fullmatch(str(expected).lower()):
        yield f"model {entry['name']}: sha256 {expected!r} is not 64 hexadecimal digits"
    if entry.get("weights") is not None:
        yield from _path_problems(entry, "weights")
    if entry.get("tokenizer") is not None:
        yield from _path_problems(entry, "tokenizer")


def _path_problems(entry: Mapping[str, Any], field: str) -> Iterator[str]:
    who = f"model {entry.get('name', entry.get('kind', '?'))}"
    if entry.get(field) is None:
        yield f"{who}: `{field}` is not set; {_remedy(entry, field, None)}"
        return
    path = weights_path(entry, field)
    package = _missing_package(entry[field])
    if package:
        yield (
            f"{who}: its weights are in the Python package {package}, which is not installed; "
            f"install it from {entry.get('source', 'its owner')}"
        )
    elif not path.exists():
        yield f"{who}: there is no {path}; {_remedy(entry, field, path)}"
    elif field == "tokenizer":
        if not any((path / name).is_file() for name in VOCABULARIES):
            wanted = " or ".join(VOCABULARIES)
            yield f"{who}: {path} contains no {wanted}; {_remedy(entry, field, path)}"
    elif path.is_dir():
        yield f"{who}: {path} is a folder; name the weights file inside it"
    elif path.suffix not in SUFFIXES:
        yield f"{who}: {path} has the suffix {path.suffix!r}; readable are {', '.join(SUFFIXES)}"
    else:
        yield from (f"{who}: {path} {problem}" for problem in _content_problems(path))


def _missing_package(place: str) -> str | None:
    name = place.removeprefix(PACKAGE).partition("/")[0]
    return name if place.startswith(PACKAGE) and _package_folder(name) is None else None


def _package_folder(name: str) -> Path | None:
    # Finding the spec of a package that is not inside another one runs none of its code.
    spec = find_spec(name) if name.isidentifier() else None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _base(entry: Mapping[str, Any]) -> Path:
    """Return the folder of relative paths; weights that the run pretrains are in its results."""
    return Path() if entry.get("pretrained") else data_root()


def _content_problems(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start:
        yield "is empty: download it again"
    for mark, problem in _WRONG_CONTENT.items():
        if start.startswith(mark):
            yield problem
    if path.suffix == ".index" and not list(path.parent.glob(f"{path.stem}.data-*")):
        yield f"has no {path.stem}.data-00000-of-... next to it: download the whole folder"


def _remedy(entry: Mapping[str, Any], field: str, path: Path | None) -> str:
    source = entry.get(f"{field}_source" if field != "weights" else "source")
    get = f"get it from {source}" if source else "get it from its owner"
    licence = entry.get("licence")
    terms = f" (licence: {licence})" if licence and field == "weights" else ""
    what = "a folder with the tokenizer's files" if field == "tokenizer" else "the file"
    put = f"put it at {path}" if path else f"name {what} in `{field}`"
    return f"{get}{terms} and {put} (relative paths are below $MEDAUDIT_DATA = {data_root()})"
