"""Names that are code for a browser, a spreadsheet, LaTeX, a picture or a terminal stay text."""

import csv
import io
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from hostile_files import edit_zip
from medaudit.core.errors import MedauditError
from medaudit.data.readers.excel_sheet import read_table
from medaudit.report.compare import compare
from medaudit.report.tables.table import Column, Table, to_latex, write_files
from medaudit.report.wording.number_format import neutralise
from medaudit.score import score
from report_config import config_of
from synthetic_study import make_study, write_page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SCRIPTS = (
    "</script><script>hostile=1</script>",
    "<img src=x onerror=hostile=1>",
    '" onfocus="hostile=1" autofocus x="',
    "' onmouseover='hostile=1",
    "<svg onload=hostile=1>",
    "--><script>hostile=1</script>",
    "]]><script>hostile=1</script>",
    "</title></style></textarea><script>hostile=1</script>",
    "javascript:hostile=1",
    "{{ 7 * 7 }}{% raw %}",
    "\\u003cscript\\u003ehostile=1\\u003c/script\\u003e",
)
FORMULAS = ("=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "＝1+1", "\t=1", "a;=1+1", "a; -b|c")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A report in which every name that a file or a configuration gives is hostile."""
    folder = tmp_path_factory.mktemp("outputs")
    groups = {"all": ["all"], f"sex{SCRIPTS[0]}": list(SCRIPTS[:6]), "race": list(FORMULAS)}
    study = make_study(folder, models=("pixels",), tasks=(*SCRIPTS[6:8], "b"), groups=groups)
    entry = study["settings"]["entry"]
    entry |= {"title": SCRIPTS[7], "question": " ".join(SCRIPTS)}
    for path in study["cards"]:
        card = json.loads(path.read_text())
        path.write_text(json.dumps(card | {"notes": [*SCRIPTS, "\\input{/etc/passwd}"]}))
    compare(**study)
    config = config_of(study, SCRIPTS[5])
    config["models"]["pixels"] |= {"licence": SCRIPTS[1], "source": SCRIPTS[8]}
    write_page(study, config, folder)
    return folder


@pytest.mark.skipif(BROWSER is None, reason="needs chromium, which is not installed")
@pytest.mark.xdist_group("browser")
def test_nothing_in_the_report_runs(made):
    api = pytest.importorskip("playwright.sync_api")
    said, asked = [], []
    with api.sync_playwright() as playwright:
        options = {"executable_path": BROWSER, "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        page = browser.new_context(bypass_csp=True).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((made / "report.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        page.wait_for_timeout(500)
        page.evaluate("document.querySelectorAll('*').forEach((element) => element.focus?.())")
        page.wait_for_timeout(500)
        assert page.evaluate("window.hostile") is None
        assert "<svg onload=hostile=1>" in page.locator("body").inner_text()
        naive = browser.new_page()
        naive.set_content(SCRIPTS[1])  # unescaped it would have run
        naive.wait_for_function("window.hostile === 1")
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_attributes_of_the_page_hold_no_script(made):
    page = (made / "report.html").read_text()
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"<[a-z][^<>]*\son\w+\s*=", body)
    assert not re.findall(r"(?:href|src)\s*=\s*[\"']?\s*(?:java|vb)script:", body, re.IGNORECASE)


def test_pictures_are_sound_and_hold_no_script(made):
    pictures = list((made / "figures").rglob("*.svg"))
    assert pictures
    for path in pictures:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not tags & {"script", "foreignObject", "a", "img"}
        links = re.findall(r'href="([^"]{1,9})', path.read_text())
        assert all(link.startswith(("#", "data:imag")) for link in links)
        assert not re.search(r"\son\w+=", re.sub(r">[^<]*<", "><", path.read_text()))


def test_no_cell_of_a_download_is_a_formula(made):
    sheets = list((made / "tables").rglob("*.csv")) + list((made / "figures").rglob("*.csv"))
    cells = 0
    for path in sheets:
        for delimiter in ",;\t":
            for row in csv.reader(io.StringIO(path.read_text()), delimiter=delimiter):
                for cell in row:
                    cells += 1
                    number = re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?(,.*)?", cell)
                    assert number or not cell.lstrip(" ").startswith(tuple("=+-@＝")), (path, cell)
    assert cells > 1000
    assert any("'=cmd" in path.read_text() for path in sheets)


def test_numbers_stay_exact_in_a_download(tmp_path):
    numbers = [-0.5, 1e-5, -123456.0, np.nan]
    data = pd.DataFrame(
        {"text": FORMULAS[:4], "real": numbers, "whole": [-1, 2, -3, 4], "mixed": numbers}
    )
    data["mixed"] = data["mixed"].astype(object)
    for name in ("real", "whole", "mixed"):
        np.testing.assert_array_equal(
            neutralise(data)[name].astype(float), data[name].astype(float)
        )
    table = Table("t", "t", "c", data, (Column("text", "T"), Column("real", "R", "number")))
    write_files(table, tmp_path, [])
    found = pd.read_csv(tmp_path / "t.csv")
    np.testing.assert_array_equal(found["real"], data["real"])
    assert found["text"].tolist() == ["'" + text for text in FORMULAS[:4]]


def test_latex_has_no_command_of_a_name():
    names = ["\\input{/etc/passwd}", "\\write18{id}", "a\n\nb", "50 % & $x_1$ # ~ ^ {", "^^5cinput"]
    text = pd.DataFrame({"a": [*SCRIPTS, *names]})
    latex = to_latex(text, (Column("a", "\\def\\x{}"),), "\\immediate\\write18{id}")
    own = {"begin", "end", "caption", "toprule", "midrule", "bottomrule", "endfirsthead"}
    own |= {"endhead", "endfoot", "endlastfoot", "multicolumn", "textbackslash", "textasciicircum"}
    own |= {"textasciitilde", "tabularnewline"}
    assert set(re.findall(r"\\([a-zA-Z]+)", latex)) <= own
    assert "\n\n" not in latex and "^^" not in latex


def test_messages_do_not_command_a_terminal():
    error = MedauditError("a\x1b[2J\x07\r\u202eb\nsecond line é")
    assert str(error) == "a\\x1b[2J\\x07\\r\\u202eb\nsecond line é"
    assert len(str(MedauditError("x" * 10**6))) < 30_000


def test_a_strangers_scores_with_control_characters(tmp_path):
    rng = np.random.default_rng(0)
    count = 300
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(count)],
            "label": rng.integers(0, 2, count),
            "score": rng.random(count),
            "sex": np.where(rng.random(count) < 0.5, "a\x1b[31m\nb", "<script>hostile=1</script>"),
        }
    )
    frame.to_parquet(tmp_path / "p.parquet")
    result = score(tmp_path / "p.parquet", attributes=["sex"], draws=60)
    groups = set(result.metrics["group"])
    assert "a [31m b" in groups and all(group.isprintable() for group in groups)


# ------------------------------------------------------------------ Excel that is read

ENTITY = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "lol">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + k, b"&%c;" % (97 + k) * 50) for k in range(4)
)
LAUGHS += b"]>"
ROWS = b"".join(b'<row r="%d"></row>' % k for k in range(6, 5000))


@pytest.mark.parametrize(
    ("before", "rows"),
    [
        (ENTITY, b'<row r="9"><c r="A9" t="inlineStr"><is><t>&e;</t></is></c></row>'),
        (LAUGHS, b'<row r="9"><c r="A9" t="inlineStr"><is><t>&e;</t></is></c></row>'),
        (b"", b" " * (300 << 20)),
        (b"", b'<row r="5"><c r="XFD5"><v>1</v></c></row>' + ROWS),
        (b"", b'<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>'),
    ],
    ids=["entity", "laughs", "bomb", "wide", "tall"],
)
def test_a_hostile_workbook_is_refused(tmp_path, before, rows):
    book = Workbook()
    book.active.append(["PATIENT", "a"])
    book.save(tmp_path / "good.xlsx")

    def change(name: str, content: bytes) -> bytes:
        if "sheet1" not in name:
            return content
        content = content.replace(b"<worksheet", before + b"<worksheet", 1)
        return content.replace(b"</sheetData>", rows + b"</sheetData>")

    edit_zip(tmp_path / "good.xlsx", tmp_path / "bad.xlsx", change)
    with pytest.raises(MedauditError, match=r"cannot read .*bad\.xlsx") as caught:
        read_table(tmp_path / "bad.xlsx")
    assert "root:" not in str(caught.value)
