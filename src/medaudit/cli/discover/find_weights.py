"""Recognise weights files and tokenizers of the catalogue's models below a folder."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePath

from medaudit.core.files import sha256
from medaudit.models.weights.files import SUFFIXES, VOCABULARIES, check_weights


@dataclass(frozen=True)
class FoundModel:
    """A model of the catalogue whose files are there.

    Attributes
    ----------
    name : str
        Of the catalogue.
    weights : Path
        Absolute.
    tokenizer : Path or None
        Folder of the vocabulary; None where the model names none.
    how : str
        ``name``, ``name and SHA-256`` or ``SHA-256``: by what the file was recognised.
    """

    name: str
    weights: Path
    tokenizer: Path | None
    how: str


def find_models(
    catalogue: dict[str, dict], files: list[Path]
) -> tuple[list[FoundModel], list[str]]:
    """Return the models whose weights are among `files`, and what is wrong with the others.

    A file is a model's if its path ends as the catalogue's ``weights`` does; or if it has that
    name and no other model's file is called so; or by its SHA-256, where the catalogue has one.
    """
    entries = {
        name: entry
        for name, entry in catalogue.items()
        if entry.get("weights") and not entry.get("pretrained")
    }
    files = [path for path in files if path.suffix in SUFFIXES or path.name in VOCABULARIES]
    weights = [path for path in files if path.suffix in SUFFIXES]
    named = Counter(PurePath(text).name for text in {e["weights"] for e in entries.values()})
    found, problems, hashes = [], [], {}
    for name, entry in entries.items():
        path, how = _find_weights(entry, weights, named, hashes)
        if path is None:
            continue
        one, said = _complete(name, entry, path, how, files)
        found += one
        problems += said
    return found, problems


def _find_weights(entry: dict, files: list[Path], named: Counter, hashes: dict):
    wanted = PurePath(entry["weights"])
    tail = tuple(part for part in wanted.parts if part != wanted.anchor)
    ends = [path for path in files if path.parts[-len(tail) :] == tail]
    alone = [path for path in files if path.name == wanted.name and named[wanted.name] == 1]
    for path in [*ends, *alone]:
        if entry.get("sha256") is None:
            return path, "name"
        if _hash(path, hashes) == entry["sha256"].lower():
            return path, "name and SHA-256"
    if entry.get("sha256"):
        same = [path for path in files if _hash(path, hashes) == entry["sha256"].lower()]
        return (same[0], "SHA-256") if same else (None, "")
    return None, ""


def _hash(path: Path, hashes: dict[Path, str]) -> str:
    if path not in hashes:
        hashes[path] = sha256(path)
    return hashes[path]


def _complete(name: str, entry: dict, weights: Path, how: str, files: list[Path]):
    """Return the model with its tokenizer, or why it cannot be used."""
    tokenizer = _find_tokenizer(entry, weights, files)
    if entry.get("tokenizer") and tokenizer is None:
        source = entry.get("tokenizer_source", "its owner")
        return [], [f"{weights} is {name}, but its tokenizer is not there: get it from {source}"]
    changed = {"weights": str(weights), **({"tokenizer": str(tokenizer)} if tokenizer else {})}
    problems = check_weights({name: {**entry, **changed}})
    return ([] if problems else [FoundModel(name, weights, tokenizer, how)]), problems


def _find_tokenizer(entry: dict, weights: Path, files: list[Path]) -> Path | None:
    if not entry.get("tokenizer"):
        return None
    folders = list(dict.fromkeys(path.parent for path in files if path.name in VOCABULARIES))
    tail = PurePath(entry["tokenizer"]).parts
    ends = [folder for folder in folders if folder.parts[-len(tail) :] == tail]
    return next(iter([*ends, *(folder for folder in folders if folder == weights.parent)]), None)
