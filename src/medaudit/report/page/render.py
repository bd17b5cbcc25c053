"""The page: templates filled with content, as one file that loads nothing from the network."""

import base64
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medaudit.core.errors import MedauditError
from medaudit.metrics.thresholds import describe_rule
from medaudit.report.page.methods import in_words
from medaudit.report.page.packing import packed
from medaudit.report.page.references import Bibliography
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format, terms

VERDICTS = [
    (
        Verdict.SHOWN,
        "larger than the gap of a model that treats groups alike, after adjusting for all gaps "
        "tested",
    ),
    (Verdict.HINT, "larger, but only before adjusting"),
    (Verdict.NOT_SHOWN, "compatible with chance, which is no proof of fairness"),
    (Verdict.UNKNOWN, "no value, or no test"),
]
"""Legend of the verdicts on gaps."""


def render(content: dict[str, Any]) -> str:
    """Return the page; everything in `content` is escaped."""
    loader = PackageLoader("medaudit.report.page")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": number_format.count,
        "upper_first": terms.first_upper,
        "packed": packed,
        "in_words": in_words,
        "rule_in_words": describe_rule,
        "pretty_json": pretty_json,
    }
    source, _, _ = loader.get_source(environment, "style.css")
    script, _, _ = loader.get_source(environment, "page.js")
    bibliography = Bibliography()
    return environment.get_template("page.html").render(
        **content,
        bibliography=bibliography,
        cite=bibliography.cite,
        style=Markup(source),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data_tables=data_tables(),
        verdicts=VERDICTS,
    )


def pretty_json(value: object) -> str:
    """Return `value` as readable JSON."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def data_tables() -> dict[str, str]:
    """Return the style and the (packed) module of DataTables, from the package itables."""
    spec = find_spec("itables")
    if spec is None or spec.origin is None:
        raise MedauditError("the package itables is not installed: run pip install itables")
    folder = Path(spec.origin).parent / "html"
    style = (folder / "dt_bundle.css").read_text(encoding="utf-8")
    return {
        "style": Markup(style),  # noqa: S704 a dependency's own file
        "module": packed((folder / "dt_bundle.js").read_bytes()),
    }
