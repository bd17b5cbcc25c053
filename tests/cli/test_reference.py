"""config/README.md has every key of the schemas, and is of these schemas."""

import pytest
import yaml

from checkout import ROOT
from medaudit.cli.reference import render
from medaudit.config.catalogues import CATALOGUES
from medaudit.report.page.glossary import documentation

SCHEMAS = ROOT / "workflow" / "schemas"
README = (ROOT / "config" / "README.md").read_text(encoding="utf-8")


def test_it_is_written_from_the_schemas_there_are():
    assert render(SCHEMAS) == README, "run: python -m medaudit.cli.reference"


def test_the_glossary_is_written_from_the_words_of_the_report():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert documentation() == text, "run: python -m medaudit.cli.reference"


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_key_of_every_kind_has_a_row(name):
    schema = yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))
    file = "models/*.yaml" if name == "models" else f"{name}.yaml"
    section = README.split(f"\n## `{file}`\n")[1].split("\n## ")[0]
    key = CATALOGUES[name]
    kinds = {None: schema} if key is None else schema["$defs"]
    for kind, part in kinds.items():
        properties = part.get("properties", {})
        if key is not None and key not in properties:
            continue
        text = section if kind is None else section.split(f"### `{key}: {kind}`\n")[1]
        rows = text.split("\n### ")[0]
        for prop in properties:
            assert f"| `{prop}` |" in rows, (kind, prop)


def test_values_defaults_and_limits_are_told():
    assert "| `evaluation.bootstrap.draws` | whole number, ≥ 50, ≤ 100000 | required |" in README
    assert "| `evaluation.ece_bins` | whole number, ≥ 2, ≤ 1000 | `15` |" in README
    assert "| `on_error` | `fail`, `exclude` | required |" in README
