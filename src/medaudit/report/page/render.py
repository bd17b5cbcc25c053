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
from medaudit.report.equivalence import Equivalence
from medaudit.report.page.glossary import meanings
from medaudit.report.page.methods import in_words
from medaudit.report.page.packing import packed
from medaudit.report.page.references import Bibliography
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.nulls import HYPOTHESES

VERDICTS = [
    (Verdict.SHOWN, "the gap contradicts the hypothesis tested, after adjusting for its family"),
    (Verdict.HINT, "it does so only before adjusting"),
    (Verdict.NOT_SHOWN, "compatible with the hypothesis, which is no proof of fairness"),
    (Verdict.UNTESTED, "too few patients can exchange their groups for a test"),
    (Verdict.UNKNOWN, "no value"),
]
"""Legend of the verdicts of tests."""

MARGIN_VERDICTS = [
    (Equivalence.FAIR, "the upper limit of the gap is below the margin, with all groups estimable"),
    (Equivalence.UNFAIR, "the lower limit of the gap is above the margin"),
    (Equivalence.UNDECIDED, "neither is shown"),
]
"""Legend of the verdicts against margins."""

UPLOT = {"script": "uPlot.iife.min.js", "style": "uPlot.min.css"}
"""Files of the plotting library; its licence is next to them."""


def render(content: dict[str, Any]) -> str:
    """Return the page; everything in `content` is escaped."""
    environment = _environment()
    style, scripts = _read("style.css"), [_read("page.js"), _read("terms.js")]
    uplot = {name: Markup(_read(file)) for name, file in UPLOT.items()}  # noqa: S704
    if content["explorer"]:
        scripts.append(_read("explorer.js"))
    bibliography = Bibliography()
    return environment.get_template("page.html").render(
        **content,
        bibliography=bibliography,
        cite=bibliography.cite,
        style=Markup(style),  # noqa: S704 our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 our own files
        script_hashes=[_hash(script) for script in (*scripts, uplot["script"])],
        uplot=uplot,
        data_tables=data_tables(),
        glossary=Markup(json.dumps(meanings(), ensure_ascii=False).replace("<", "\\u003c")),  # noqa: S704 our own file
        verdicts=[*(MARGIN_VERDICTS if _margins(content) else []), *VERDICTS],
        hypotheses=HYPOTHESES,
    )


def render_summary(content: dict[str, Any]) -> str:
    """Return the summary (`medaudit.report.page.summary`); everything in `content` is escaped."""
    return _environment().get_template("summary.html").render(**content)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("medaudit.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": number_format.count,
        "short": number_format.short,
        "measure_in_words": terms.plain,
        "group": terms.group,
        "upper_first": terms.first_upper,
        "packed": packed,
        "in_words": in_words,
        "rule_in_words": describe_rule,
        "pretty_json": pretty_json,
    }
    return environment


def _read(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()


def _margins(content: dict[str, Any]) -> bool:
    return bool(content["config"].get("evaluation", {}).get("margins"))


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
