"""The documentation has no broken link, names nothing that does not exist, and is up to date."""

import re

import pytest
import yaml

from checkout import ROOT
from medaudit.config.catalogues import CATALOGUES
from medaudit.config.stages import PACKAGES
from medaudit.metrics.definitions import METRICS
from packages import MAY_IMPORT
from shipped_config import shipped

DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Return text without fenced blocks and code, in which nothing is a link."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def links(text: str) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(text))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: str) -> set[str]:
    """Return the anchors that Python-Markdown gives to a page's headings."""
    text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.*)$", text, flags=re.M)
    words = [re.sub(r"[^\w\s-]", "", head.encode("ascii", "ignore").decode()) for head in heads]
    return {re.sub(r"[-\s]+", "-", word.strip().lower()) for word in words}


def in_nav(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    inner = part.values() if isinstance(part, dict) else part
    return [page for each in inner for page in in_nav(each)]


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    broken = []
    for link in links(text_of(page)):
        target, _, anchor = link.partition("#")
        there = DOCS / (target or page)
        if not there.is_file() or (anchor and anchor not in anchors(there.name)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_lists_and_tables_begin_after_a_blank_line(page):
    """The site would otherwise show them as part of the paragraph, unlike other renderers."""
    lines = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S).splitlines()
    item = re.compile(r"- |\d+\. |\|")
    wrong = [
        line
        for before, line in zip(lines, lines[1:], strict=False)
        if item.match(line) and before.strip() and not re.match(r" *(?:- |\d+\. |\|)|  |#", before)
    ]
    assert wrong == []


def test_links_and_files_of_the_readme_are_there():
    text = (ROOT / "README.md").read_text()
    named = links(text) + re.findall(r"`((?:docs|config|profiles)/[\w./-]+\.\w+)`", text)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name.partition("#")[0]).exists()] == []
    assert text.count("\n") < 150


def test_every_page_is_in_the_navigation_once():
    assert sorted(in_nav(SITE["nav"])) == PAGES


def test_the_site_asks_no_other_server():
    assert SITE["theme"]["font"] is False and SITE["strict"] is True
    assert "http" not in (ROOT / "mkdocs.yml").read_text().replace("http.server", "")
    for page in PAGES:
        assert not re.search(r"!\[[^]]*\]\(https?:|<(?:script|img|iframe)", text_of(page)), page


def test_the_site_can_be_searched_from_a_disk():
    assert {"search", "offline"} <= set(SITE["plugins"])
    scripts = SITE["extra"]["polyfills"]  # without one, the theme would load it from a server
    assert any("iframe-worker" in script for script in scripts)
    assert all((DOCS / script).is_file() for script in scripts)


def test_every_metric_and_gap_has_its_formula():
    text = text_of("metrics.md")
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    evaluation = schema["properties"]["evaluation"]["properties"]
    assert set(evaluation["metrics"]["items"]["enum"]) == set(METRICS)
    rows = "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    for name in [*METRICS, *evaluation["gaps"]["items"]["enum"]]:
        assert re.search(rf"`{name}[`:]", rows), name


@pytest.mark.parametrize(
    ("catalogue", "page"),
    [("datasets", "datasets.md"), ("models", "models.md"), ("methods", "methods.md")],
)
def test_every_kind_has_its_words(catalogue, page):
    entries = shipped()[catalogue]
    kinds = {
        entry[CATALOGUES[catalogue]] for entry in entries.values() if CATALOGUES[catalogue] in entry
    }
    names = {
        "nih": "NIH ChestX-ray14",
        "chexpert": "CheXpert",
        "ham10000": "HAM10000",
        "fitzpatrick17k": "Fitzpatrick17k",
        "papila": "PAPILA",
        "ol3i": "OL3I",
        "oasis": "OASIS-1",
        "harvard_gf3300": "Harvard-GF3300",
        "columns": "Your own tables",
    }
    for kind in kinds:
        shown = f"## {names[kind]}" if catalogue == "datasets" else f"`{kind}`"
        assert shown in text_of(page), kind


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_exist(page):
    """Every ``medaudit`` subcommand, ``make`` target and configuration file that a page shows."""
    text = text_of(page)
    commands = re.findall(r"(?:^ {4}|^|`)medaudit ([a-z]+)(?= [^a-z]|`|$)", text, re.MULTILINE)
    known = {"score", "init", "check", "model", "findings", "split", "crate", "plan", "dossier"}
    known |= {"monitor"}
    assert set(commands) <= known
    for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, re.MULTILINE):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(), target
    for name in re.findall(r"--configfile (config/\w+\.yaml)", text):
        assert (ROOT / name).is_file(), name


def table_rows(page: str, header: str) -> list[list[str]]:
    """Return the cells of the table whose header begins with `header`."""
    lines = iter(text_of(page).splitlines())
    assert any(line.startswith(header) for line in lines), header
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_design_page_lists_the_packages_and_what_they_may_import():
    rows = table_rows("design.md", "| package |")
    shown = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[-1])) for row in rows}
    assert shown == MAY_IMPORT


def test_the_design_page_lists_the_stages_in_order():
    rows = table_rows("design.md", "| package and stage |")
    shown = [row[0].strip("`") for row in rows]
    stages = [f"{package}.{stage}" for package, names in PACKAGES.items() for stage in names]
    assert shown == stages
    for stage, _, results, _ in rows:
        name = stage.strip("`").split(".")[1]
        adapts = "predictions/" in results
        assert f"`{name}" in results or adapts or name == "compare", stage


MODULE = re.compile(r"\bmedaudit((?:\.\w+)+)")
TEST_PATH = re.compile(r"\btests/[\w/*]+\.py")
WRITTEN_BY_THE_READER = {"data.datasets.clinic", "models.kinds.torchvision_resnet"}
WRITTEN_BY_THE_READER |= {"adapt.probe.heads.bottleneck"}
TESTS_OF_THE_READER = {"tests/test_bottleneck.py", "tests/test_mcc.py"}


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_tests_that_a_page_names_exist(page):
    text = text_of(page)
    missing = [name for name in MODULE.findall(text) if not exists(name.strip("."))]
    assert missing == []
    named = set(TEST_PATH.findall(text)) - TESTS_OF_THE_READER
    assert [path for path in named if not list(ROOT.glob(path))] == []


def exists(name: str) -> bool:
    """Return whether a module, or a name in a module's text, exists below `medaudit`."""
    if name in WRITTEN_BY_THE_READER or name.endswith(("yaml", "cli")):
        return True
    path = ROOT / "src" / "medaudit" / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    parent, _, last = name.rpartition(".")
    folder = ROOT / "src" / "medaudit" / parent.replace(".", "/")
    files = [folder / "__init__.py", folder.with_suffix(".py")]
    return any(re.search(rf"\b{last}\b", f.read_text()) for f in files if f.is_file())
