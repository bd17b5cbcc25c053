"""Tables: cells recomputed from the inputs, reasons shown, hostile names harmless."""

import math

import pandas as pd
import pytest

from medaudit.config.requests import TABLES
from medaudit.core.statuses import Status
from medaudit.core.table_io import GAPS, METRICS, read_json, read_table
from medaudit.report.outputs import make_tables
from medaudit.report.tables.table import Column, Table, shown, write_files
from medaudit.report.wording import number_format
from medaudit.report.wording.disclaimers import PHANTOM, notes_of
from report_context import read_context
from synthetic_study import NOTE, make_study

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def tables(study) -> dict[str, Table]:
    standard = [output for output in TABLES.values() if output.standard]
    return {table.name: table for table in make_tables(read_context(study), standard)}


def test_every_performance_cell_is_the_input(study, tables):
    table = tables["performance"].data.set_index(["model", "method"])
    for path in study["metrics"]:
        rows = read_table(path, METRICS)
        run = rows["model"][0], rows["method"][0]
        for metric, task in (("auc", "mean"), ("accuracy", "all"), ("f1", "mean"), ("ece", "mean")):
            source = rows[
                rows["seed"].eq("mean")
                & rows["task"].eq(task)
                & rows["group"].eq("all")
                & rows["metric"].eq(metric)
            ].iloc[0]
            found = table.loc[run, [metric, f"{metric}_low", f"{metric}_high"]]
            assert tuple(found) == tuple(source[["value", "low", "high"]])


def test_every_group_cell_is_the_input(study, tables):
    table = tables["groups"].data.set_index(["model", "method", "attribute", "group"])
    assert len(table) == 4 * 8
    for path in study["metrics"]:
        rows = read_table(path, METRICS)
        rows = rows[rows["seed"].eq("mean") & rows["task"].eq("mean") & rows["metric"].eq("auc")]
        for row in rows[rows["attribute"] != "all"].itertuples():
            found = table.loc[(row.model, row.method, row.attribute, row.group)]
            assert found["auc_status"] == row.status
            assert found["auc"] == row.value or (math.isnan(found["auc"]) and math.isnan(row.value))


def test_every_fairness_cell_is_the_input(study, tables):
    table = tables["fairness"].data.set_index(["model", "method", "attribute"])
    assert len(table) == 4 * 3
    for path in study["gaps"]:
        rows = read_table(path, GAPS)
        rows = rows[
            rows["seed"].eq("mean")
            & rows["task"].eq("mean")
            & rows["metric"].eq("auc")
            & rows["gap"].eq("max_min")
        ]
        for row in rows.itertuples():
            found = table.loc[(row.model, row.method, row.attribute)]
            assert found["gap"] == row.value and found["gap_high"] == row.high
            assert found["worst"] == row.worst and found["null_q95"] == row.null_q95
            assert found["groups"] == f"{row.n_estimable} of {row.n_groups}"


def test_reasons_are_shown_never_blank_nor_zero(tables):
    text = shown(tables["groups"].data, tables["groups"].columns)
    lost = text[text["Group"] == "male, under 60"]
    assert len(lost) == 4
    assert set(lost["AUC"]) == {"not estimable: too few"}
    for table in tables.values():
        everything = shown(table.data, table.columns).to_numpy().ravel()
        assert all(isinstance(cell, str) and cell.strip() for cell in everything)


def test_balance_is_that_of_the_card(study, tables):
    counts = read_json(study["cards"][0])["counts"]
    data = tables["balance"].data
    assert len(data) == len(counts)
    assert data["n_images"].tolist() == [row["n_images"] for row in counts]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.81234, 0.79, 0.834, "ok"), "0.812 (0.790 to 0.834)"),
        ((-0.0301, -0.05, 0.001, "ok", True), "−0.030 (−0.050 to 0.001)"),
        ((0.5, math.nan, math.nan, "ok"), "0.500 (no interval)"),
        ((math.nan, math.nan, math.nan, "undefined:one_class"), "not estimable: only one class"),
        ((math.nan, math.nan, math.nan, "missing"), "not estimable: no value"),
        ((0.0, 0.0, 0.0, "ok"), "0.000 (0.000 to 0.000)"),
    ],
)
def test_estimates_as_text(arguments, expected):
    assert number_format.estimate(*arguments) == expected


def test_every_status_has_words():
    assert set(number_format.REASONS) == set(Status)
    for status in Status:
        assert ":" not in number_format.reason(status) and "_" not in number_format.reason(status)


def test_p_values_as_text():
    found = [number_format.p_value(p) for p in (0.0004, 0.001, 0.0456, 0.5, math.nan)]
    assert found == ["<0.001", "0.001", "0.046", "0.50", "–"]


def test_hostile_names_are_escaped_in_every_format(tmp_path):
    names = [HOSTILE, "=cmd|' /C calc'!A0", "50% & $x_1$ \\input{x}", "+1", "-1", "@x", "plain"]
    data = pd.DataFrame({"group": names, "n": range(-3, 4)})
    columns = (Column("group", HOSTILE), Column("n", "n", "count"))
    table = Table("t", HOSTILE, HOSTILE + " 100 %", data, columns)
    write_files(table, tmp_path, [HOSTILE])
    page = (tmp_path / "t.html").read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    latex = (tmp_path / "t.tex").read_text()
    assert r"50\%, \$x\_1\$ \textbackslash{}input\{x\}" in latex and "100 \\%" in latex
    stored = pd.read_csv(tmp_path / "t.csv", dtype=str)
    assert stored["group"].tolist() == [
        HOSTILE,
        "'=cmd|' /C calc'!A0",
        names[2],
        "'+1",
        "'-1",
        "'@x",
        "plain",
    ]
    assert stored["n"].tolist()[0] == "-3"


def test_notes_stand_in_latex_and_html(study, tables, tmp_path):
    notes = notes_of([read_json(study["cards"][0])])
    assert notes == [PHANTOM, NOTE]
    files = write_files(tables["fairness"], tmp_path, notes)
    assert PHANTOM in (tmp_path / files["tex"]).read_text()
    assert "PHANTOM PIXELS" in (tmp_path / files["html"]).read_text()


def test_same_numbers_same_bytes(tables, tmp_path):
    for folder in ("a", "b"):
        files = write_files(tables["performance"], tmp_path / folder, [])
    for name in files.values():
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
