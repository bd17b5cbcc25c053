"""The package builds as a wheel that has all its files and that an index would take."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from checkout import ROOT

HEAVY = {"torch", "torchvision", "snakemake", "timm", "transformers", "open_clip_torch"}
FILES = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_every_file_of_the_package(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("medaudit/")}
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "medaudit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - packed == set()


def test_an_index_would_take_the_wheel(wheel):
    command = [sys.executable, "-m", "twine", "check", "--strict", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_scoring_a_file_needs_neither_torch_nor_snakemake():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not HEAVY & set(project["dependencies"])
