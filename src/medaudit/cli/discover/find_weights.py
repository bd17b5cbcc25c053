"""Find weights files and tokenizers of the catalogue's models below a folder."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath

from medaudit.core.entry_types import ModelEntry
from medaudit.core.files import sha256
from medaudit.models.weights.files import SUFFIXES, VOCABULARIES, check_weights

_GENERIC = re.compile(r"(pytorch_)?model[-.]")
"""File names that say nothing, such as ``model.safetensors`` or a part of any large model."""


@dataclass(frozen=True)
class FoundModel:
    """A model of the catalogue whose files were found.

    Attributes
    ----------
    name : str
        Of its entry in the catalogue.
    weights : Path
        Absolute.
    tokenizer : Path or None
        Folder of the vocabulary; None if the entry names none.
    how : str
        How the file was recognised: ``name``, ``name and SHA-256`` or ``SHA-256``.
    """

    name: str
    weights: Path
    tokenizer: Path | None
    how: str


def find_models(
    catalogue: dict[str, ModelEntry], files: list[Path]
) -> tuple[list[FoundModel], list[str]]:
    """Return the models whose weights are among `files`, and why others cannot be used.

    A file belongs to a model if its path ends with the entry's ``weights``, or if it has that file
    name, which is not one of all models, and no other entry does. If the entry has a SHA-256, that must match too, and a file with
    another name is recognised by it.
    """
    entries = {
        name: entry
        for name, entry in catalogue.items()
        if entry.get("weights") and not entry.get("pretrained")
    }
    files = [path for path in files if path.suffix in SUFFIXES or path.name in VOCABULARIES]
    weights = [path for path in files if path.suffix in SUFFIXES]
    named = Counter(
        PurePath(text).name for text in {e["weights"] for e in entries.values()} if text
    )
    found: list[FoundModel] = []
    problems: list[str] = []
    hashes: dict[Path, str] = {}
    for name, entry in entries.items():
        path, how = _find_weights(entry, weights, named, hashes)
        if path is None:
            continue
        one, more = _complete(name, entry, path, how, files)
        found += one
        problems += more
    return found, problems


def _find_weights(
    entry: ModelEntry, files: list[Path], named: Counter[str], hashes: dict[Path, str]
) -> tuple[Path | None, str]:
    wanted, sha = PurePath(entry["weights"] or ""), (entry.get("sha256") or "").lower()
    tail = tuple(part for part in wanted.parts if part != wanted.anchor)
    ends = [path for path in files if path.parts[-len(tail) :] == tail]
    telling = named[wanted.name] == 1 and not _GENERIC.match(wanted.name)
    unique = [path for path in files if path.name == wanted.name and telling]
    for path in [*ends, *unique]:
        if not sha:
            return path, "name"
        if _hash(path, hashes) == sha:
            return path, "name and SHA-256"
    if sha:
        same = [path for path in files if _hash(path, hashes) == sha]
        return (same[0], "SHA-256") if same else (None, "")
    return None, ""


def _hash(path: Path, hashes: dict[Path, str]) -> str:
    if path not in hashes:
        hashes[path] = sha256(path)
    return hashes[path]


def _complete(
    name: str, entry: ModelEntry, weights: Path, how: str, files: list[Path]
) -> tuple[list[FoundModel], list[str]]:
    """Return the model with its tokenizer, or the reason why it cannot be used."""
    tokenizer = _find_tokenizer(entry, weights, files)
    if entry.get("tokenizer") and tokenizer is None:
        source = entry.get("tokenizer_source", "its owner")
        return [], [f"{weights} is {name}, but its tokenizer is missing: get it from {source}"]
    changed = {"weights": str(weights), **({"tokenizer": str(tokenizer)} if tokenizer else {})}
    problems = check_weights({name: {**entry, **changed}})
    return ([] if problems else [FoundModel(name, weights, tokenizer, how)]), problems


def _find_tokenizer(entry: ModelEntry, weights: Path, files: list[Path]) -> Path | None:
    wanted = entry.get("tokenizer")
    if not wanted:
        return None
    folders = list(dict.fromkeys(path.parent for path in files if path.name in VOCABULARIES))
    tail = PurePath(wanted).parts
    ends = [folder for folder in folders if folder.parts[-len(tail) :] == tail]
    return next(iter([*ends, *(folder for folder in folders if folder == weights.parent)]), None)
