"""The page in a real browser: what it asks for, what works, who can use it."""

import shutil
from pathlib import Path

import pytest

from medaudit.report.compare import compare
from report_config import HOSTILE, config_of
from synthetic_study import make_study, write_page

api = pytest.importorskip("playwright.sync_api")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs chromium, which is not installed"),
    pytest.mark.xdist_group("browser"),
]
OPTIONS = ("quic", "background-networking", "component-update", "sync")
WIDE, NARROW = (1300, 900), (360, 740)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    groups = {"all": ["all"], "sex": ["female", HOSTILE], "age_group": ["<60", ">=60"]}
    study = make_study(folder, methods=("linear",), tasks=("a", "b"), groups=groups)
    compare(**study)
    return write_page(study, config_of(study, HOSTILE), folder)


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=BROWSER,
            args=[*(f"--disable-{name}" for name in OPTIONS), "--no-sandbox"],
        )
        yield found
        found.close()


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def page(request, browser, file):
    """The opened page; at the end nothing may have been said on the console or asked for."""
    width, height = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, accept_downloads=True
    )
    opened = context.new_page()
    said, asked = [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_selector("html[data-ready]")
    show(opened, "study-1")
    yield opened
    outside = [url for url in asked if not url.startswith(("blob:", "data:", file.as_uri()))]
    context.close()
    assert said == [] and outside == []


def show(page, name: str) -> None:
    """Show the tab of an element."""
    page.evaluate("(name) => (location.hash = name)", name)
    until(page, f"document.getElementById('{name}').offsetParent !== null")


def tabs(page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('nav.tabs a')].map((a) => a.hash.slice(1))")


def column(table, k: int) -> list[str]:
    return table.evaluate("(t, k) => [...t.tBodies[0].rows].map((r) => r.cells[k].innerText)", k)


def settles(table, k: int, check) -> None:
    """Wait until a column is as it should be; the library draws a table a moment later."""
    for _ in range(50):
        if check(column(table, k)):
            return
        table.page.wait_for_timeout(100)
    assert check(column(table, k)), column(table, k)


def until(page, expression: str) -> None:
    """Wait until `expression` is true (Playwright's own wait needs eval, which the page forbids)."""
    for _ in range(50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    assert page.evaluate(expression), expression


def unfold(page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    every = "[...document.querySelectorAll('table.data')].every((t) => t.matches('.dataTable'))"
    until(page, every)


def sort_by(table, k: int) -> None:
    table.locator("thead th").nth(k).locator(".dt-column-order").click()


def test_short_tables_sort_and_filter(page):
    table = page.locator("table.data").first
    fold = "table.data >> nth=0 >> xpath=ancestor::details[1] >> css=summary >> nth=0"
    page.locator(fold).click()
    until(page, "document.querySelector('table.data .dt-column-order') !== null")
    before = column(table, 2)
    sort_by(table, 2)
    assert len(set(before)) == 2
    settles(table, 2, lambda texts: texts == sorted(before, reverse=True))
    sort_by(table, 2)
    settles(table, 2, lambda texts: texts == sorted(before))
    page.get_by_label("Filter rows:").first.fill("vit_random")
    settles(table, 0, lambda texts: texts == ["vit_random"])


def test_long_tables_are_unpacked_paged_and_printed_whole(page):
    unfold(page)
    table = page.locator("table[data-gzip]").first
    kinds = table.evaluate("(t) => [...t.tHead.rows[0].cells].map((c) => c.dataset.kind)")
    k = next(k for k, kind in enumerate(kinds) if kind != "text")
    everything = int(
        table.evaluate(
            "(t) => t.closest('details').querySelector('summary span').innerText.split(' ')[0]"
        )
    )
    assert everything > 25
    sort_by(table, k)

    def falls(texts):
        values = [float(text.split(" ")[0]) for text in texts]
        return len(values) == 25 and values == sorted(values, reverse=True) != values[::-1]

    settles(table, k, falls)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(column(table, 0)) == everything
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(column(table, 0)) == 25


def test_hostile_names_stay_text_in_tables_lists_and_pictures(page):
    unfold(page)
    assert page.get_by_text(HOSTILE).count() > 0
    for button in page.locator("table.data .dtcc-button").all()[:4]:
        button.dispatch_event("click")
    assert page.locator("img[src=x], [onerror]").count() == 0


def test_no_script_but_the_pages_own_runs(page, file, browser):
    text = file.read_text()
    end = text.rindex("</body>")
    planted = "<img src=data: onerror='window.won = 1'><script>window.won = 2</script>"
    other = file.with_name("planted.html")
    other.write_text(text[:end] + planted + text[end:])
    tab = browser.new_page()
    tab.goto(other.as_uri())
    tab.wait_for_selector("html[data-ready]")
    assert tab.evaluate("window.won") is None
    tab.close()


def test_every_picture_is_there_and_downloads_are_the_files(page, file):
    unfold(page)
    drawn = "[...document.images].filter((i) => i.alt && !(i.naturalWidth > 300)).length"
    until(page, f"{drawn} === 0")
    folder = file.parent
    for suffix, place in (("tex", "tables"), ("svg", "figures"), ("csv", "figures")):
        link = page.locator(f"figure a[download$={suffix}], details[open] a[download$=tex]")
        link = link.filter(visible=True).and_(page.locator(f"[download$={suffix}]")).first
        with page.expect_download() as started:
            link.click()
        name = started.value.suggested_filename
        assert (folder / place / "demo" / name).read_bytes() == started.value.path().read_bytes()


def test_the_page_fits_every_screen(page):
    unfold(page)
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for name in tabs(page):
        show(page, name)
        assert page.evaluate(wide) <= 0, name


def test_the_phantom_mark_is_on_every_screen_and_in_the_large_picture(page):
    for share in (0, 0.3, 0.7, 1):
        page.evaluate("(s) => scrollTo(0, s * document.body.scrollHeight)", share)
        box = page.locator("aside.phantom").bounding_box()
        assert box["y"] == 0 and box["height"] > 10
    page.locator("button.enlarge").first.click()
    assert "PHANTOM PIXELS" in page.locator("dialog .phantom").inner_text()
    top = page.evaluate(
        "document.elementFromPoint(innerWidth / 2, 4 + document.querySelector('dialog .phantom')"
        ".getBoundingClientRect().top).closest('.phantom') !== null"
    )
    assert top


def test_the_keyboard_reaches_what_the_mouse_does(page, file):
    page.goto("about:blank")
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id || location.hash") in ("main", "#main")
    page.locator("nav.tabs a").nth(1).focus()
    page.keyboard.press("Enter")
    until(page, "document.getElementById('study-1').offsetParent !== null")
    fold = page.locator("table.data >> nth=0 >> xpath=ancestor::details[1] >> css=summary").first
    fold.focus()
    page.keyboard.press("Space")
    sorter = page.locator("table.data thead th").nth(2).locator(".dt-column-order")
    sorter.focus()
    before = column(page.locator("table.data").first, 2)
    page.keyboard.press("Enter")
    first = page.locator("table.data").first
    settles(first, 2, lambda texts: texts == sorted(before, reverse=True))
    page.locator("button.enlarge").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog").evaluate("(d) => d.open")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").evaluate("(d) => d.open")
    assert page.evaluate("document.activeElement.className") == "enlarge"
    closed = page.locator("details.table:not([open]) summary")
    number = closed.count()
    closed.first.focus()
    page.keyboard.press("Space")
    assert closed.count() == number - 1


def test_words_of_the_glossary_show_their_meaning(page):
    term = page.locator("#short dfn.term", has_text="AUC").first
    meaning = term.get_attribute("title")
    assert meaning.startswith("The probability that a patient with the finding")
    show(page, "short")
    term.focus()
    shown = term.evaluate("(t) => getComputedStyle(t, '::after').content")
    assert shown in ("none", f'"{meaning}"')  # a pointer's focus does not open it
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert term.evaluate("(t) => getComputedStyle(t, '::after').content") == f'"{meaning}"'
    assert page.locator("#short dfn.term", has_text="AUC").count() == 1


def test_axe_finds_nothing(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    unfold(page)
    told = []
    for name in tabs(page):
        show(page, name)
        found = axe.Axe().run(page).response["violations"]
        told += [(name, v["impact"], v["id"], v["nodes"][0]["html"]) for v in found]
    assert told == []


def test_one_tab_is_shown_and_a_link_opens_the_fold_that_it_leads_into(page):
    shown = "[...document.querySelectorAll('.tab')].filter((t) => t.offsetParent).map((t) => t.id)"
    for name in tabs(page):
        show(page, name)
        assert page.evaluate(shown) == [name]
        assert page.locator("nav.tabs [aria-current]").get_attribute("href") == f"#{name}"
    folded = page.locator("details.table:not([open]) table.data").last.get_attribute("id")
    page.evaluate("(name) => (location.hash = name)", folded)
    until(page, f"document.getElementById('{folded}').offsetParent !== null")


def test_a_table_that_is_too_wide_says_so_and_its_first_column_stays(page):
    unfold(page)
    boxes = page.locator(".dt-layout-cell:has(> table.data)").filter(visible=True)
    seen = 0
    for box in boxes.all():
        over = box.evaluate("(e) => e.scrollWidth - e.clientWidth > 4")
        box.evaluate("(e) => (e.scrollLeft = 0)")
        page.wait_for_timeout(60)
        assert box.evaluate("(e) => e.classList.contains('more')") == over
        if over and box.locator("tbody td").count() > 1:
            seen += 1
            before = box.locator("tbody td").first.bounding_box()["x"]
            box.evaluate("(e) => (e.scrollLeft = 60)")
            assert abs(box.locator("tbody td").first.bounding_box()["x"] - before) < 2
    assert seen


def test_the_page_is_at_most_twelve_screens_long(page, file):
    if page.viewport_size["width"] < 1000:
        pytest.skip("on a wide screen")
    page.set_viewport_size({"width": 1400, "height": 900})
    for name in tabs(page):
        show(page, name)
        assert page.evaluate("document.documentElement.scrollHeight") <= 12 * 900, name
