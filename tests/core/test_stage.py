import io
import json
from pathlib import Path

import pytest

from medaudit.core.errors import MedauditError
from medaudit.core.stage import export_package, run


def test_paths_lists_and_numbers_become_options():
    seen = {}

    def stage(settings: dict, *, one: Path, many: list[Path], threads: int = 1) -> None:
        """Do it."""
        seen.update(settings=settings, one=one, many=many, threads=threads)

    run(stage, ["--settings", '{"a": [1]}', "--one", "x y", "--many", "p", "q", "--threads", "2"])
    assert seen == {
        "settings": {"a": [1]},
        "one": Path("x y"),
        "many": [Path("p"), Path("q")],
        "threads": 2,
    }


def test_settings_of_any_length_come_by_standard_input(monkeypatch):
    seen, long = {}, {"a": "x" * 200_000}  # one argument of a command holds 128 KiB
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(long)))

    def stage(settings: dict) -> None:
        """Do it."""
        seen.update(settings)

    run(stage, ["--settings", "-"])
    assert seen == long


def test_a_users_error_is_shown_without_a_traceback():
    def stage(settings: dict) -> None:
        """Fail."""
        raise MedauditError("no such folder: put it there")

    with pytest.raises(SystemExit) as caught:
        run(stage, ["--settings", "{}"])
    assert str(caught.value) == "medaudit test_stage: no such folder: put it there"


def test_an_error_names_the_stage(tmp_path):
    from medaudit.audit.lint import lint

    nowhere = str(tmp_path / "c.parquet")
    settings = '{"cohort": "c", "attributes": [], "evaluation": {"minimum": {}}}'
    with pytest.raises(SystemExit, match="medaudit lint: cannot read the cohort table"):
        run(lint, ["--settings", settings, "--cohort", nowhere, "--output", str(tmp_path / "l")])


def test_jobs_import_the_same_package(monkeypatch):
    import os
    import subprocess
    import sys

    import medaudit

    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    export_package()
    assert os.environ["PYTHONPATH"].endswith(f"{os.pathsep}elsewhere")
    command = [sys.executable, "-c", "import medaudit; print(medaudit.__file__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == medaudit.__file__
