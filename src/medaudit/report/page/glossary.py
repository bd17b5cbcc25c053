"""The glossary: one file of words, for the page of the documentation and for the report."""

import re
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "templates" / "glossary.yaml"

HEAD = """# Glossary

Words that the report, the tables and the configuration use, in the field's own terms. Formulas: [metrics](metrics.md).
In the report, most of these words show their meaning where the pointer or the focus is on them.
"""

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def read_glossary() -> list[dict[str, Any]]:
    """Return the sections: ``title``, and ``words`` with ``word``, ``meaning`` and ``on_page``."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def meanings() -> dict[str, str]:
    """Return the meaning of each word that the report explains, without Markdown.

    Examples
    --------
    >>> meanings()["AUC"].partition(".")[0]
    'The probability that a patient with the finding has a higher score than one without'
    """
    return {
        word: _plain(entry["meaning"])
        for section in read_glossary()
        for entry in section["words"]
        for word in entry.get("on_page", [])
    }


def documentation() -> str:
    """Return the glossary as a page of the documentation."""
    parts = [HEAD]
    for section in read_glossary():
        rows = [f"| {entry['word']} | {entry['meaning']} |" for entry in section["words"]]
        parts.append(
            "\n".join([f"\n## {section['title']}\n\n| word | meaning |\n|---|---|", *rows, ""])
        )
    return "".join(parts)


def _plain(text: str) -> str:
    return _LINK.sub(r"\1", text).replace("*", "").replace("`", "")
