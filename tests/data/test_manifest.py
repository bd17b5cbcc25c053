"""The stage `manifest`: table and card."""

import json
import subprocess
import sys

import pytest

from chexpert_tree import ROWS, write_table
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.table_io import MANIFEST, read_json, read_table
from medaudit.data.datasets import embedded_table
from medaudit.data.manifest import manifest

SETTINGS = {"name": "nih", "loader": "nih", "folder": None, "table": None}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("manifest")
    manifest(SETTINGS, output=place / "nih.parquet", card=place / "nih.json")
    return place


def test_the_table_keeps_the_owners_rows(made):
    frame = read_table(made / "nih.parquet", MANIFEST)
    assert len(frame) == 112_120
    assert frame["image_id"].iloc[[0, -1]].to_list() == ["00000001_000.png", "00030805_000.png"]
    assert frame["path"].equals(frame["image_id"])


def test_the_card_counts_what_the_table_holds(made):
    frame, card = read_table(made / "nih.parquet", MANIFEST), read_json(made / "nih.json")
    assert card["n_images"] == 112_120
    assert card["n_patients"] == 30_805
    assert card["labels"]["Hernia"] == {"positive": 227, "negative": 111_893, "missing": 0}
    for label, counts in card["labels"].items():
        assert counts["positive"] == sum(value == 1 for value in frame[f"y_{label}"])
    assert card["attributes"] == {"sex": {"female": 48_780, "male": 63_340}}
    assert card["views"] == {"AP": 44_810, "PA": 67_310}
    assert card["age"] == {"min": 0.0, "max": 95.0, "missing": 0}
    assert card["phantom"] is True
    table = embedded_table("Data_Entry_2017_v2020.csv.gz")
    assert card["tables"] == {"labels": {"file": table.name, "sha256": sha256(table)}}


def test_a_folder_is_not_phantom_and_exclusions_reach_the_card(tmp_path):
    header = "Image Index,Finding Labels,Patient ID,Patient Age,Patient Sex,View Position\n"
    rows = "a.png,Mass,1,414Y,M,PA\nb.png,No Finding,2,060Y,,AP\n"
    (tmp_path / "Data_Entry_2017.csv").write_text(header + rows)
    settings = {**SETTINGS, "folder": str(tmp_path)}
    manifest(settings, output=tmp_path / "m.parquet", card=tmp_path / "m.json")
    card = read_json(tmp_path / "m.json")
    assert card["phantom"] is False
    assert card["exclusions"] == [{"reason": "age above 100: age set to missing", "count": 1}]
    assert card["attributes"] == {"sex": {"male": 1, "(missing)": 1}}
    assert card["age"] == {"min": 60.0, "max": 60.0, "missing": 1}
    assert str(tmp_path) not in (tmp_path / "m.json").read_text()


def test_the_same_settings_give_the_same_bytes(made, tmp_path):
    manifest(SETTINGS, output=tmp_path / "nih.parquet", card=tmp_path / "nih.json")
    for name in ("nih.parquet", "nih.json"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_an_image_in_both_chexpert_tables_is_refused(tmp_path):
    write_table(tmp_path / "train.csv", ROWS)
    write_table(tmp_path / "valid.csv", ROWS[:1])
    settings = {"name": "chexpert", "loader": "chexpert", "folder": str(tmp_path)}
    with pytest.raises(MedauditError, match="2 rows have a duplicate key"):
        manifest(settings, output=tmp_path / "m.parquet", card=tmp_path / "m.json")
    assert not (tmp_path / "m.parquet").exists()


def test_the_command_line_ends_with_1_and_a_message(tmp_path):
    command = [
        sys.executable,
        "-m",
        "medaudit.data.manifest",
        "--output",
        str(tmp_path / "m.parquet"),
    ]
    settings = json.dumps({**SETTINGS, "folder": str(tmp_path / "nowhere")})
    done = subprocess.run(
        [*command, "--card", str(tmp_path / "m.json"), "--settings", settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no folder" in done.stderr
    assert "Traceback" not in done.stderr
