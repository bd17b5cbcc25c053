import json
import os
import time
from pathlib import Path

import pytest

from medaudit.core.result_records import clamp_future_mtimes, is_current, record_path
from medaudit.core.stage import run
from medaudit.core.table_io import write_json


def stage(settings: dict, *, table: Path, cards: list[Path], output: Path, extra: Path) -> None:
    """Write two files from two."""
    if settings.get("fail"):
        raise RuntimeError
    if settings.get("touch"):
        os.utime(settings["touch"], (1, 1))
    output.write_text(table.read_text() + cards[0].read_text())
    extra.write_text("more")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("table").write_text("a")
    Path("card").write_text("b")
    return tmp_path


def make(code: str | None = "c0de", **settings) -> str:
    """Run the stage as a job does and return its settings."""
    text = json.dumps(settings)
    words = ["--settings", text, "--table", "table", "--cards", "card"]
    words += ["--output", "out", "--extra", "extra"]
    run(stage, [*words, *(["--code", code] if code else [])])
    return text


OUTPUTS = [Path("extra"), Path("out")]


def test_a_result_is_current_until_settings_code_or_an_input_change(place):
    text = make(b=1, a=[0.1, "é"])
    assert is_current(OUTPUTS, '{"a": [0.1, "\\u00e9"], "b": 1}', "c0de")
    assert not is_current(OUTPUTS, '{"a": [0.1, "\\u00e9"], "b": 2}', "c0de")
    assert not is_current(OUTPUTS, text, "c0df")
    for name in ("table", "card"):
        before = Path(name).read_text()
        Path(name).write_text("other")
        assert not is_current(OUTPUTS, text, "c0de")
        Path(name).write_text(before)
        assert is_current(OUTPUTS, text, "c0de")
    Path("card").unlink()
    assert not is_current(OUTPUTS, text, "c0de")


def test_an_input_in_a_shared_cache_is_recorded_though_others_touch_it_meanwhile(place):
    Path("cached").write_text("a")
    Path("table").unlink()
    Path("table").symlink_to("cached")
    text = make(touch="cached")
    assert is_current(OUTPUTS, text, "c0de")
    Path("cached").write_text("other")
    assert not is_current(OUTPUTS, text, "c0de")


def test_what_the_stage_writes_is_no_input_also_when_it_was_there(place):
    make()
    text = make()
    assert set(json.loads(record_path(Path("out")).read_text())["inputs"]) == {"table", "card"}
    Path("extra").write_text("changed by hand")
    assert is_current(OUTPUTS, text, "c0de")


def test_a_folder_is_known_by_its_card(place):
    Path("card").unlink()
    write_json({"sha256": 1}, Path("card/card.json"))
    with pytest.raises(IsADirectoryError):
        make()
    Path("card/card.json").rename("table.json")
    Path("card").rmdir()
    Path("card").write_text("b")
    Path("table").unlink()
    write_json({"sha256": 1}, Path("images/card.json"))

    def of_images(settings: dict, *, images: Path, output: Path) -> None:
        """Write."""
        output.write_text("x")

    run(of_images, ["--settings", "{}", "--images", "images", "--output", "out", "--code", "c"])
    assert is_current([Path("out")], "{}", "c")
    write_json({"sha256": 2}, Path("images/card.json"))
    assert not is_current([Path("out")], "{}", "c")


def test_without_a_record_nothing_is_current(place):
    text = make(code=None)
    assert not is_current(OUTPUTS, text, "c0de")
    record_path(Path("out")).write_text("{half")
    assert not is_current(OUTPUTS, text, "c0de")


def test_a_stage_that_fails_leaves_no_record_of_what_stood_there(place):
    text = make()
    with pytest.raises(RuntimeError):
        make(fail=True)
    assert Path("out").exists()
    assert not is_current(OUTPUTS, text, "c0de")


def test_files_of_the_future_are_dated_now_and_others_stay(tmp_path):
    dates = {"a/.hidden": 10**9, "a/b/future": time.time() + 10**7, "past": 10**6}
    for name, moment in dates.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (moment, moment))
    (tmp_path / "link").symlink_to("past")
    os.utime(tmp_path / "link", (10**10, 10**10), follow_symlinks=False)
    began = time.time()
    clamp_future_mtimes(tmp_path)
    assert began <= (tmp_path / "a/b/future").stat().st_mtime <= time.time()
    assert began <= (tmp_path / "link").lstat().st_mtime <= time.time()
    assert (tmp_path / "a/.hidden").stat().st_mtime == 10**9
    assert (tmp_path / "past").stat().st_mtime == 10**6
