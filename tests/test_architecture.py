"""Rules of the layout that a reader relies on and a reviewer would otherwise check by eye."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from checkout import ROOT
from medaudit.config.requests import all_modules
from medaudit.config.stages import MODULES as STAGES
from medaudit.config.stages import PACKAGES
from packages import MAY_IMPORT

PACKAGE = ROOT / "src" / "medaudit"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = ROOT / "tests"
TEST_MODULES = sorted(TESTS.rglob("test_*.py"))
OTHER_FOLDERS = {"support", "workflow", "docs", "simulations"}
"""Folders of tests that no package is named like."""

RULES = {
    (path.stem, match[1]): text
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for text in re.split(r"\n(?=rule )", path.read_text())
    if (match := re.match(r"rule (\w+):", text))
}
HEAVY = ("torch", "timm", "open_clip", "peft", "transformers", "snakemake")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(path: Path) -> Iterator[str]:
    """Yield the medaudit modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "medaudit":
                yield from (f"medaudit.{alias.name}" for alias in node.names)
            elif node.module.startswith("medaudit."):
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("medaudit."))


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def test_a_package_imports_only_what_it_may():
    against = [
        f"{relative(path)} imports {module}"
        for path in MODULES
        if (own := package_of(path)) in MAY_IMPORT
        for module in imports(path)
        if (other := module.split(".")[1]) != own and other not in MAY_IMPORT[own]
    ]
    assert against == []


def test_the_declared_order_has_no_circle():
    below: set[str] = set()
    for package, allowed in MAY_IMPORT.items():
        assert allowed <= below, f"{package} may import what is declared above it"
        below.add(package)


def test_the_packages_are_the_declared_ones_and_few():
    names = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert names == {*MAY_IMPORT, "__init__.py", "__main__.py"}
    assert len(names) <= 16


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_says_what_it_may_import(package):
    text = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text()))
    said = text.split("May import:")[1].split(". ")[0]
    assert set(re.findall(r"medaudit\.(\w+)", said)) == MAY_IMPORT[package]


def stage_of(module: str) -> str | None:
    return next((s for s, m in STAGES.items() if f"{module}.".startswith(f"medaudit.{m}.")), None)


def test_no_stage_imports_the_inside_of_another():
    """Also within a package: `disparity` knows what `evaluate` writes, not how."""
    against = []
    for path in MODULES:
        own = stage_of(".".join(["medaudit", *path.relative_to(PACKAGE).with_suffix("").parts]))
        for module in imports(path):
            if own and (other := stage_of(module)) and other != own:
                against.append(f"{relative(path)} imports {module}")
    assert against == []


def test_every_module_is_reached():
    """A module that no stage, command or plug-in folder reaches is dead code."""
    from medaudit.core.code_version import _parse, _source

    plugins = ("data.datasets", "data.cohort", "data.phantoms", "models.kinds")
    plugins += ("adapt.probe.heads", "adapt.finetune.trainers", "cli", "config", "score")
    names = {
        path: ".".join(["medaudit", *path.relative_to(PACKAGE).with_suffix("").parts])
        for path in MODULES
    }
    names = {path: name.removesuffix(".__init__") for path, name in names.items()}
    starts = tuple(f"medaudit.{module}" for module in (*STAGES.values(), *plugins))
    waiting = [name for name in names.values() if name.startswith(starts)]
    waiting += ["medaudit.search.worker", *(f"medaudit.{module}" for module in all_modules())]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen and _source(name) is not None:
            seen.add(name)
            waiting += [*_parse(name)[1], name.rpartition(".")[0]]
    dead = [name for name in names.values() if name not in seen and not name.endswith("__main__")]
    assert dead == []


def test_rule_files_and_packages_and_the_list_of_stages_agree():
    assert {(package, rule) for package, rules in PACKAGES.items() for rule in rules} == set(RULES)


@pytest.mark.parametrize("package, rule", RULES)
def test_a_rule_has_a_module_and_a_results_folder_of_its_name(package, rule):
    text = RULES[package, rule]
    assert f"python -m medaudit.{package}.{rule} " in text
    folder = PACKAGE / package
    assert (folder / f"{rule}.py").exists() or (folder / rule / "__main__.py").exists()
    outputs = re.search(r"    output:\n(.*?)\n    \w+:", text, re.DOTALL)[1]
    folders = set(re.findall(r"results/(\w+)", outputs))
    adapts = "results/predictions/{cohort}/{model}/{method}.parquet" in outputs
    assert rule in folders or adapts or rule == "report"


@pytest.mark.parametrize("package, rule", RULES)
def test_a_rule_has_log_environment_settings_and_code(package, rule):
    text = RULES[package, rule]
    for part in ("    log:", "    conda:", "settings=settings_of", "code=code_of", "> {log} 2>&1"):
        assert part in text, part
    for banned in ("    run:", "    script:", "lambda"):
        assert banned not in text, banned


def test_functions_and_files_are_short():
    lengths = []
    long = [f"{relative(p)}: {n} lines" for p in MODULES if (n := p.read_text().count("\n")) > 300]
    for path in MODULES:
        for node in functions(path):
            documented = ast.get_docstring(node) is not None
            body = node.body[1:] if documented else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            lengths.append(length)
            if length > 60:
                long.append(f"{relative(path)}:{node.lineno} {node.name}: {length} lines")
    assert long == []
    assert median(lengths) <= 10


def test_imports_are_absolute_and_no_module_is_a_drawer():
    for path in MODULES:
        levels = {
            n.level for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)
        }
        assert levels <= {0}, relative(path)
        assert path.stem not in {"utils", "util", "helpers", "misc", "common"}, relative(path)


def test_no_test_module_imports_another():
    names = [path.stem for path in TEST_MODULES]
    assert len(names) == len(set(names)), "two test modules have the same name"
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            imported = []
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or "", *(alias.name for alias in node.names)]
            parts = {part for name in imported for part in name.split(".")}
            assert not parts & set(names), f"{relative(path)}:{node.lineno}"


def test_a_folder_of_tests_is_named_like_a_package():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TEST_MODULES} - {"."}
    assert folders - packages - OTHER_FOLDERS == set()


def test_the_package_knows_nothing_of_snakemake():
    for path in MODULES:
        names = [
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for alias in node.names
        ]
        assert not [name for name in names if name.startswith("snakemake")], relative(path)


@pytest.mark.parametrize(
    "module",
    ["config.validation", "config.jobs", "data.manifest", "data.cohort", "data.images"]
    + ["models.kinds", "models.embed", "models.weights.files", "adapt.probe", "adapt.predictions"]
    + ["adapt.ensemble", "audit.lint", "audit.evaluate", "audit.disparity", "report.compare"]
    + ["report.report", "score", "cli", "cli.dry_run", "cli.estimate", "cli.discover"]
    + ["cli.shared_split", "cli.rocrate", "cli.reference"],
)
def test_nothing_heavy_is_imported_where_it_is_not_needed(module):
    code = f"import sys, medaudit.{module}; print(*[n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_functions_are_documented():
    silent = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []


def test_no_path_of_a_machine_stands_in_a_file():
    if len(ROOT.parts) < 3:
        pytest.skip(f"{ROOT} is too short a path to tell from other text")
    listed = ["git", "grep", "-lF", f"{ROOT}/"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == ""
