"""Bars on a terminal, plain lines in a log."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checkout import ROOT

SNAKEFILE = """
rule all:
    input: expand("out/{i}.txt", i=range(2))
rule make:
    output: "out/{i}.txt"
    shell: "sleep 0.3; touch {output}"
"""


def run(command: list[str], folder: Path) -> tuple[int, str]:
    """Run a command whose output and errors are a terminal."""
    inside, outside = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=outside, stderr=outside)
    os.close(outside)
    text = b""
    while True:
        try:
            part = os.read(inside, 65536)
        except OSError:  # the other end was closed
            break
        if not part:
            break
        text += part
    os.close(inside)
    return process.wait(), text.decode(errors="replace")


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_asks_for_bars_on_a_terminal_alone():
    command = ["make", "--dry-run", "audit"]
    assert "snakemake --logger rich" in run(command, ROOT)[1]
    plain = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "--logger" not in plain.stdout
    assert "-m snakemake" in plain.stdout


@pytest.mark.workflow
def test_the_logger_shows_what_is_done_and_left(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "rich"]
    code, text = run(command, tmp_path)
    assert code == 0, text
    for word in ("Workflow Progress", "Total Progress", "make", "%"):
        assert word in text
    assert (tmp_path / "out" / "1.txt").exists()
