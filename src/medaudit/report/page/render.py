"""The page: templates filled with content, one file that asks nothing of any host."""

import base64
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medaudit.report.page.methods import in_words
from medaudit.report.page.packing import packed
from medaudit.report.page.references import Bibliography
from medaudit.report.wording import number_format, terms


def render(content: dict) -> str:
    """Return the page; everything in `content` is escaped."""
    environment = Environment(
        loader=PackageLoader("medaudit.report.page"),
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
        "pretty_json": pretty_json,
    }
    source, _, _ = environment.loader.get_source(environment, "style.css")
    script, _, _ = environment.loader.get_source(environment, "page.js")
    bibliography = Bibliography()
    return environment.get_template("page.html").render(
        **content,
        bibliography=bibliography,
        cite=bibliography.cite,
        style=Markup(source),  # noqa: S704 our own file
        script=Markup(script),  # noqa: S704 our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data_tables=data_tables(),
    )


def pretty_json(value: object) -> str:
    """Return `value` as readable JSON."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def data_tables() -> dict[str, str]:
    """Return DataTables as the package itables ships it: style (trusted) and module (packed)."""
    folder = Path(find_spec("itables").origin).parent / "html"
    style = (folder / "dt_bundle.css").read_text(encoding="utf-8")
    return {
        "style": Markup(style),  # noqa: S704 a dependency's own file
        "module": packed((folder / "dt_bundle.js").read_bytes()),
    }
