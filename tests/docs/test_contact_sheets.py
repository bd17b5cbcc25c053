"""The scripts that draw the contact sheets shown in the docs."""

import subprocess
import sys

import pytest

from checkout import ROOT


@pytest.mark.parametrize("sheet", ["phantom", "dataset"])
def test_a_contact_sheet_is_small_and_reproducible(sheet, tmp_path):
    script = ROOT / "docs" / "tools" / f"{sheet}_sheet.py"
    for name in ("a.png", "b.png"):
        subprocess.run([sys.executable, script, tmp_path / name], check=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert 50_000 < (tmp_path / "a.png").stat().st_size < 400_000
