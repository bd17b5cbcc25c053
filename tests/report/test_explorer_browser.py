"""The threshold slider and the summary in a real browser, on an external file of predictions."""

import base64
import gzip
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medaudit.score import score

api = pytest.importorskip("playwright.sync_api")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs chromium, which is not installed"),
    pytest.mark.xdist_group("browser"),
]


def patients() -> pd.DataFrame:
    """Predictions of 600 patients; findings of women get lower scores."""
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"id": [f"secret-{k}" for k in range(600)]})
    frame["sex"] = random.choice(["female", "male"], 600)
    frame["label"] = random.integers(0, 2, 600)
    lift = np.where(frame["sex"] == "female", 0.15, 0.5) * frame["label"]
    frame["score"] = np.clip(0.2 + lift + random.normal(0, 0.15, 600), 0, 1)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    score(patients(), attributes=["sex"], draws=50).write(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        opened = context.new_page()
        said = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.goto((folder / "report.html").as_uri() + "#explore")
        opened.wait_for_selector("#chooser[data-ready]")
        yield opened
        assert said == []
        browser.close()


def rows(page) -> dict[str, list[str]]:
    cells = page.evaluate(
        "[...document.querySelectorAll('#explore-counts tbody tr')]"
        ".map((r) => [...r.cells].map((c) => c.innerText))"
    )
    return {line[0]: line[1:] for line in cells}


def count(frame: pd.DataFrame, group: str, threshold: float) -> dict[str, int]:
    own = frame[frame["sex"] == group]
    cells = {"findings": 0, "missed": 0, "without": 0, "alarms": 0}
    for label, value in zip(own["label"], own["score"], strict=True):
        if label:
            cells["findings"] += 1
            cells["missed"] += value < threshold
        else:
            cells["without"] += 1
            cells["alarms"] += value >= threshold
    return cells


def packed(page) -> dict:
    text = page.get_attribute("#chooser", "data-gzip")
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_table_starts_at_the_audits_threshold(page):
    for group, cells in rows(page).items():
        truth = count(patients(), group, 0.5)
        found = [int(cells[k]) for k in (0, 1, 3, 4)]
        assert found == [truth[k] for k in ("findings", "missed", "without", "alarms")]
        share = 100 * truth["missed"] / truth["findings"]
        assert cells[2].startswith(f"{share:.0f} (")


def test_the_slider_recounts_every_group_by_keyboard(page):
    content = packed(page)["cohorts"][0]["runs"][0]["tasks"]
    (task,) = content.values()
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    exact = 0
    for _ in range(6):
        page.keyboard.press("ArrowLeft")
        limit = task["edges"][int(slider.input_value())]
        for group, cells in rows(page).items():
            truth = count(patients(), group, limit)
            shown = [cells[1], cells[4]]
            if any(text.startswith("≈") for text in shown):
                continue
            exact += 1
            assert [int(text) for text in shown] == [truth["missed"], truth["alarms"]]
    assert exact
    page.get_by_role("button", name="Back to the audit's threshold").click()
    test_the_table_starts_at_the_audits_threshold(page)


def test_wilson_limits_in_the_page_are_those_of_statsmodels(page):
    from statsmodels.stats.proportion import proportion_confint

    for group, cells in rows(page).items():
        truth = count(patients(), group, 0.5)
        low, high = proportion_confint(truth["missed"], truth["findings"], 0.05, "wilson")
        ends = re.search(r"\((\d+)–(\d+)\)", cells[2])
        assert [int(end) for end in ends.groups()] == [round(100 * low), round(100 * high)]


def test_every_chart_is_drawn_and_every_choice_has_a_label(page):
    drawn = page.evaluate(
        "[...document.querySelectorAll('[data-chart] canvas')].map((c) => c.width)"
    )
    assert len(drawn) == 5 and min(drawn) > 200
    for name in ("Cohort", "Model", "Finding", "Groups by", "Measure"):
        assert page.get_by_role("combobox", name=name).is_visible()
    page.get_by_role("combobox", name="Measure").select_option("ppv")
    assert page.locator("[data-chart=measure] canvas").count() == 1


def test_no_id_is_in_the_page_and_no_bin_is_small(page, folder):
    everything = (folder / "report.html").read_text() + json.dumps(packed(page))
    assert "secret-" not in everything
    (task,) = packed(page)["cohorts"][0]["runs"][0]["tasks"].values()
    for group in task["groups"]["sex"].values():
        assert min(p + n for p, n in zip(group["pos"], group["neg"], strict=True)) >= 5
    local = pd.read_csv(next((folder / "missed").rglob("*.csv")))
    truth = patients()
    missed = truth[(truth["label"] == 1) & (truth["score"] < 0.5)]
    assert sorted(local["image_id"]) == sorted(missed["id"])


def test_the_summary_is_alone_and_two_pages_long(page, folder):
    tab = page.context.new_page()
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((folder / "summary.html").as_uri())
    text = tab.inner_text("main")
    assert "By sex" in text and "What is not known" in text
    pages = len(re.findall(rb"/Type\s*/Page\b", tab.pdf(prefer_css_page_size=True)))
    assert 1 <= pages <= 2
    assert asked == [(folder / "summary.html").as_uri()]
    tab.close()
