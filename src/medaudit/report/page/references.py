"""References of the page: numbered in the order of citation, as a list and as BibTeX."""

from importlib import resources
from typing import Any

import yaml

from medaudit.core.errors import MedauditError

FILE = "templates/references.yaml"


class Bibliography:
    """The cited works, numbered in the order of first citation."""

    def __init__(self) -> None:
        text = resources.files("medaudit.report.page").joinpath(FILE).read_text(encoding="utf-8")
        self.works: dict[str, dict[str, Any]] = yaml.safe_load(text)
        self.cited: list[str] = []

    def cite(self, *keys: str) -> list[int]:
        """Return the numbers of works; a work that was not cited before gets the next number.

        Raises
        ------
        MedauditError
            A key is not in the file of references.
        """
        for key in keys:
            if key not in self.works:
                raise MedauditError(f"{FILE} has no work {key!r}: add it, or correct the key")
            if key not in self.cited:
                self.cited.append(key)
        return [self.cited.index(key) + 1 for key in keys]

    def entries(self) -> list[dict[str, Any]]:
        """Return the cited works in order: the file's fields, ``names``, and ``where`` or None."""
        return [self._entry(self.works[key]) for key in self.cited]

    def bibtex(self) -> str:
        """Return the cited works as BibTeX (UTF-8)."""
        return "\n".join(to_bibtex(key, self.works[key]) for key in self.cited)

    @staticmethod
    def _entry(work: dict[str, Any]) -> dict[str, Any]:
        names = [_by_initials(name) for name in work["authors"]]
        doi, arxiv = work.get("doi"), work.get("arxiv")
        where = f"doi.org/{doi}" if doi else f"arxiv.org/abs/{arxiv}" if arxiv else None
        return {**work, "names": ", ".join(names), "where": where}


def to_bibtex(key: str, work: dict[str, Any]) -> str:
    """Return one work as a BibTeX entry, with characters escaped that TeX reads as commands."""
    fields = {
        "author": " and ".join(work["authors"]),
        "title": f"{{{work['title']}}}",
        "note": work["venue"],
        "year": work["year"],
        "doi": work.get("doi"),
        "eprint": work.get("arxiv"),
        "archiveprefix": "arXiv" if work.get("arxiv") else None,
    }
    lines = [f"  {name} = {{{_escape(value)}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}", ""])


def _escape(value: object) -> str:
    return "".join("\\" + letter if letter in "&%#_$" else letter for letter in str(value))


def _by_initials(name: str) -> str:
    family, _, given = name.partition(", ")
    initials = " ".join(f"{part[0]}." for part in given.replace("-", " ").split())
    return f"{initials} {family}".strip()
