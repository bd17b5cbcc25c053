"""What the page cites: numbers in the order of use, a list of works, and the same as BibTeX."""

from importlib import resources

import yaml

from medaudit.core.errors import MedauditError

HELD = "templates/references.yaml"


class Bibliography:
    """Numbers works in the order in which they are first cited."""

    def __init__(self) -> None:
        text = resources.files("medaudit.report.page").joinpath(HELD).read_text(encoding="utf-8")
        self.works: dict[str, dict] = yaml.safe_load(text)
        self.cited: list[str] = []

    def cite(self, *keys: str) -> list[int]:
        """Return the numbers of works, giving new ones to those not cited before.

        Raises
        ------
        MedauditError
            A key is not in the file of references.
        """
        for key in keys:
            if key not in self.works:
                raise MedauditError(f"{HELD} has no work {key!r}")
            if key not in self.cited:
                self.cited.append(key)
        return [self.cited.index(key) + 1 for key in keys]

    def entries(self) -> list[dict]:
        """Return the cited works in order: the file's fields, ``names`` and ``link`` (or None)."""
        return [self._entry(self.works[key]) for key in self.cited]

    def bibtex(self) -> str:
        """Return the cited works as BibTeX (UTF-8)."""
        return "\n".join(to_bibtex(key, self.works[key]) for key in self.cited)

    @staticmethod
    def _entry(work: dict) -> dict:
        names = [_by_initials(name) for name in work["authors"]]
        doi, arxiv = work.get("doi"), work.get("arxiv")
        where = f"doi.org/{doi}" if doi else f"arxiv.org/abs/{arxiv}" if arxiv else None
        return {**work, "names": ", ".join(names), "where": where}


def to_bibtex(key: str, work: dict) -> str:
    """Return one work as a BibTeX entry; what TeX would read as a command is escaped."""
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
