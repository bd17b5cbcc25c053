"""The weights gate as it runs at configuration time."""

import subprocess
import sys

import pytest
import torch

from medaudit.core.errors import MedauditError
from medaudit.models.weights import files, load


def test_sha256_is_checked_before_reading(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"w": torch.ones(2)}, path)
    right = files.file_sha256(path)
    assert right == subprocess.check_output(["sha256sum", path], text=True).split()[0]
    assert load.read_state(path, right.upper()).keys() == {"w"}
    with pytest.raises(MedauditError, match="the catalogue says 0000"):
        load.read_state(path, "0" * 64)


def test_check_weights_lists_every_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    (tmp_path / "lfs.pt").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "page.bin").write_text("<!DOCTYPE html><html>")
    (tmp_path / "good.pt").write_bytes(b"PK whatever")
    (tmp_path / "folder").mkdir()
    models = {
        "none": {"weights": None},
        "fine": {"weights": "good.pt"},
        "absent": {"weights": "x/y.pt", "source": "https://owner.example/y.pt", "licence": "MIT"},
        "lfs": {"weights": "lfs.pt"},
        "page": {"weights": "page.bin"},
        "folder": {"weights": "folder"},
        "digits": {"weights": "good.pt", "sha256": "12"},
        "words": {"weights": "good.pt", "tokenizer": "folder"},
    }
    problems = files.check_weights(models)
    assert [problem.split(":")[0] for problem in problems] == [
        f"model {name}" for name in ("absent", "lfs", "page", "folder", "digits", "words")
    ]
    assert "https://owner.example/y.pt (licence: MIT)" in problems[0]
    assert str(tmp_path / "x" / "y.pt") in problems[0]
    assert "vocab.txt" in problems[-1]
    with pytest.raises(MedauditError, match="owner.example"):
        files.resolve_weights(models["absent"])


def test_the_gate_needs_no_torch():
    code = "import sys, medaudit.models.weights.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
