"""No cohort depends on the order of the rows of a table: releases of one table differ in it."""

import gzip
import json
import random
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from openpyxl import load_workbook

from hospital import ENTRY, write_hospital
from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_json, read_table
from medaudit.data.cohort import cohort
from medaudit.data.datasets import embedded_table
from medaudit.data.manifest import manifest
from shipped_config import SCHEMAS, shipped

EMBEDDED = {
    "nih": ("Data_Entry_2017_v2020.csv.gz", "Data_Entry_2017_v2020.csv"),
    "chexpert": ("chexpert_train.csv.gz", "train.csv"),
}
"""Real tables: the package's file and the owner's name."""
ROWS = {"nih": 200_000, "chexpert": 30_000}
"""Rows of the real tables that are used; NIH's cohorts need all of them."""
DRAWN = {"ham10000": 3000, "fitzpatrick17k": 3000, "papila": 800, "ol3i": 3000}
DRAWN |= {"oasis": 235, "harvard_gf3300": 2000}
CONFIG = shipped()
NAMES = sorted(
    name
    for name, entry in check(shipped(), SCHEMAS)["cohorts"].items()
    if entry["dataset"] in {*EMBEDDED, *DRAWN} and not name.endswith(("_all", "_pretraining"))
    if entry["builder"] != "external"  # made of two cohorts
)


def shuffle_lines(path: Path) -> None:
    """Shuffle the rows of a text table or of the first sheet of a workbook, under its header."""
    order = random.Random(5)
    if path.suffix == ".xlsx":
        book = load_workbook(path)
        sheet = book.worksheets[0]
        rows = list(sheet.iter_rows(values_only=True))
        start = next(k for k, row in enumerate(rows) if str(row[0]).startswith(("#", "OAS1")))
        data = rows[start:]
        order.shuffle(data)
        sheet.delete_rows(start + 1, len(data))
        for row in data:
            sheet.append(row)
        book.save(path)
        return
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    order.shuffle(lines)
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def write_lists(folder: Path, names: list[str]) -> None:
    """Write invented lists in the form of NIH's two: every fifth patient is tested."""
    tested = [int(name[:8]) % 5 == 0 for name in names]
    for file, part in (("train_val_list.txt", False), ("test_list.txt", True)):
        chosen = [name for name, test in zip(names, tested, strict=True) if test is part]
        (folder / file).write_text("\n".join(chosen))


def tables_of(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
    return [p for p in found if p.suffix in ("", ".csv", ".tab", ".xlsx")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, list[Path]]:
    """Write each dataset's tables twice: as they are, and with every table's rows shuffled."""
    found = {}
    for name in {**EMBEDDED, **DRAWN}:
        found[name] = [tmp_path_factory.mktemp(name) / part for part in ("plain", "shuffled")]
        for folder in found[name]:
            folder.mkdir()
            if name in EMBEDDED:
                source, owner = EMBEDDED[name]
                lines = gzip.decompress(embedded_table(source).read_bytes()).splitlines(True)
                (folder / owner).write_bytes(b"".join(lines[: 1 + ROWS[name]]))
                if name == "nih":
                    write_lists(folder, [line.partition(b",")[0].decode() for line in lines[1:]])
            else:
                drawn = import_module(f"medaudit.data.phantoms.tables.{name}")
                drawn.write_table(folder, DRAWN[name], generator("row order", name))
        tables = tables_of(found[name][1])
        assert tables
        for path in tables:
            shuffle_lines(path)
    return found


@pytest.fixture(scope="module")
def build(folders, tmp_path_factory):
    """Return the cohort's table and card from a folder; manifests are made once."""
    made: dict[Path, Path] = {}

    def run(name: str, shuffled: bool) -> tuple[pd.DataFrame, dict]:
        config = shipped()
        dataset = check(shipped(), SCHEMAS)["cohorts"][name]["dataset"]
        folder = folders[dataset][shuffled]
        for entry in config["datasets"].values():
            if "extends" not in entry and entry["loader"] == dataset:
                entry["folder"] = str(folder)
        config["datasets"]["chexpert"]["race"] = "draw"
        config = check(config, SCHEMAS)
        entry = config["cohorts"][name]["dataset"]
        place = made.setdefault(folder / entry, tmp_path_factory.mktemp("manifest"))
        if not (place / "m.json").exists():
            settings = json.loads(jobs.settings(config, "manifest", dataset=entry))
            manifest(settings, output=place / "m.parquet", card=place / "m.json")
        cohort(
            json.loads(jobs.settings(config, "cohort", cohort=name)),
            manifest=place / "m.parquet",
            manifest_card=place / "m.json",
            output=place / "c.parquet",
            card=place / "c.json",
        )
        return read_table(place / "c.parquet", COHORT), read_json(place / "c.json")

    return run


@pytest.mark.parametrize("name", NAMES)
def test_shuffled_tables_give_the_same_cohort(name, build):
    plain, card = build(name, False)
    shuffled, other = build(name, True)
    pd.testing.assert_frame_equal(plain, shuffled)
    for key in ("ids_sha256", "test_sha256", "exclusions", "notes", "counts"):
        assert card[key] == other[key], key
    assert card["tables"] != other["tables"]  # the files do differ
    assert plain["image_id"].is_monotonic_increasing


@pytest.mark.parametrize("several", ["consistent", "majority", "first", "last", "list"])
def test_shuffled_tables_of_a_hospital_give_the_same_cohort(tmp_path, several):
    """Two joined tables, one with several rows per patient."""
    frames = []
    for part in ("plain", "shuffled"):
        folder = tmp_path / part
        write_hospital(folder, 120)
        visits = ["MRN,visit,ward", *(f"{mrn},{k},W{w}" for mrn, k, w in _visits(folder))]
        (folder / "visits.csv").write_text("\n".join([*visits, ""]))
        if part == "shuffled":
            for path in (folder / "visits.csv", folder / "patients.csv"):
                shuffle_lines(path)
        join = {"table": "visits.csv", "on": "MRN", "several": several}
        join |= {"order": "visit"} if several in ("first", "last") else {}
        groups = {**ENTRY["groups"], "ward": "ward"}
        entry = {**ENTRY, "join": [*ENTRY["join"], join], "groups": groups, "folder": str(folder)}
        source = import_module("medaudit.data.datasets.columns").load({"name": "ours", **entry})
        frames.append(source.frame.sort_values("image_id", ignore_index=True))
    pd.testing.assert_frame_equal(*frames)


def _visits(folder: Path) -> list[tuple[str, int, int]]:
    """Return three visits per patient, two of which have the same number and different wards."""
    people = (folder / "patients.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [
        (p.split(",")[0], k, (n + w) % 4)
        for n, p in enumerate(people)
        for k, w in ((0, 0), (1, 1), (1, 2))
    ]
