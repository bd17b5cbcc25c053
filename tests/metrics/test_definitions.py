"""The registries of metrics and gaps agree with what repeats their names."""

import re

import pytest
import yaml

from checkout import ROOT
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.gaps import GAPS

EVALUATION = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())[
    "properties"
]["evaluation"]["properties"]


def documented(head: str) -> dict[str, list[str]]:
    """Return the cells of a table of docs/metrics.md by the names in its first column."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    table = text[text.index(f"| {head} | formula |") :].split("\n\n")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return {
        name: [cell.strip() for cell in cells]
        for cells in rows
        for name in re.findall(r"`(\w+)(?::<g>)?`", cells[0])
    }


def best_value(name: str) -> str:
    """Return the best value of a metric as its documentation shows it."""
    cells = documented("metric")[name]
    names, values = re.findall(r"`(\w+)`", cells[0]), cells[2].split(", ")
    return values[names.index(name)] if len(values) > 1 else values[0]


def test_schema_and_documentation_have_the_metrics_of_the_registry():
    assert set(EVALUATION["metrics"]["items"]["enum"]) == set(METRICS)
    assert set(documented("metric")) == set(METRICS)


def test_schema_and_documentation_have_the_gaps_of_the_registry():
    assert set(EVALUATION["gaps"]["items"]["enum"]) == set(GAPS)
    assert set(documented("gap")) == set(GAPS)


@pytest.mark.parametrize("name", [n for n in METRICS if not n.startswith("calibration")])
def test_the_documented_best_value_is_the_target(name):
    target = METRICS[name].target
    assert best_value(name) == ("–" if target is None else str(target))


@pytest.mark.parametrize("name", GAPS)
def test_a_gap_that_is_fairer_when_large_is_documented_so(name):
    assert (documented("gap")[name][2] != "0") == GAPS[name].fairer_when_large


def test_every_metric_and_gap_has_a_name_for_readers_of_its_own():
    for registry in (METRICS, GAPS):
        labels = [entry.label for entry in registry.values()]
        assert all(labels) and len(set(labels)) == len(labels)
