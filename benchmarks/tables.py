"""Time of the full manifests and cohorts of NIH and CheXpert, compared with reading row by row.

The stages are timed as whole processes, start-up included. The plain way (pandas ``iterrows``, as
in the papers' code) reads the first rows of each table and is extrapolated to all; its result is
compared with ours. The last line has ``ratio=``, the time of the plain way divided by that of our
manifests. Exits with an error if the stages take 30 s or more.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from medaudit.data.datasets import chexpert, chexpert_files, embedded_table, nih

ROOT = Path(__file__).parents[1]
SLICE = 4000
LIMIT = 30.0


def main() -> None:
    """Measure, and print the times and the ratio."""
    with tempfile.TemporaryDirectory() as place:
        ours = {name: run_manifest(name, Path(place)) for name in ("nih", "chexpert")}
        cohorts = {
            name: run_cohort(name, Path(place)) for name in ("nih_6x200", "chexpert_glocker")
        }
        plain = {
            "nih": read_plainly(nih.EMBEDDED, read_nih_row, Path(place) / "nih.parquet"),
            "chexpert": read_plainly(
                chexpert_files.EMBEDDED, read_chexpert_row, Path(place) / "chexpert.parquet"
            ),
        }
    for name, seconds in {**ours, **cohorts}.items():
        print(f"{name}: {seconds:.2f} s")
    for name, seconds in plain.items():
        print(f"{name} row by row: {seconds:.1f} s (from {SLICE} rows)")
    total = sum(ours.values()) + sum(cohorts.values())
    print(f"both manifests and cohorts: {total:.2f} s")
    print(f"ratio={sum(plain.values()) / sum(ours.values()):.1f}")
    if total >= LIMIT:
        sys.exit(f"both manifests and cohorts took {total:.1f} s, {LIMIT:g} or more")


def run_manifest(name: str, place: Path) -> float:
    """Return the seconds that the stage `manifest` takes."""
    entry = load_catalogue("datasets")[name]
    return run("manifest", {**entry, "name": name},
               output=place / f"{name}.parquet", card=place / f"{name}.json")  # fmt: skip


def run_cohort(name: str, place: Path) -> float:
    """Return the seconds that the stage `cohort` takes."""
    entry = load_catalogue("cohorts")[name]
    table, card = (place / f"{entry['dataset']}.{kind}" for kind in ("parquet", "json"))
    return run("cohort", {**entry, "name": name}, manifest=table, manifest_card=card,
               output=place / f"{name}.parquet", card=place / f"{name}.json")  # fmt: skip


def run(stage: str, settings: dict, **paths: Path) -> float:
    """Run a stage as the workflow does; return its time in seconds."""
    command = [sys.executable, "-m", f"medaudit.data.{stage}", "--settings", json.dumps(settings)]
    for option, path in paths.items():
        command += [f"--{option.replace('_', '-')}", str(path)]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def read_plainly(table: str, read_row, manifest: Path) -> float:
    """Return the seconds that reading the whole table row by row would take; check the result."""
    start = time.perf_counter()
    frame = pd.read_csv(embedded_table(table))
    opened = time.perf_counter() - start
    start = time.perf_counter()
    rows = pd.DataFrame([read_row(row) for _, row in frame.head(SLICE).iterrows()])
    each = (time.perf_counter() - start) / SLICE
    made = pd.read_parquet(manifest, columns=list(rows.columns)).head(SLICE)
    for column in rows:
        if not np.array_equal(rows[column].to_numpy(), made[column].to_numpy()):
            sys.exit(f"{table}: {column} differs between the two ways")
    return opened + each * len(frame)


def read_nih_row(row: pd.Series) -> dict:
    """Return one row of the manifest."""
    found = row["Finding Labels"].split("|")
    return {
        "image_id": row["Image Index"],
        "patient_id": str(row["Patient ID"]),
        "age": float(row["Patient Age"]),
        "a_sex": {"M": "male", "F": "female"}[row["Patient Gender"]],
        **{f"y_{finding}": float(finding in found) for finding in nih.FINDINGS},
    }


def read_chexpert_row(row: pd.Series) -> dict:
    """Return one row of the manifest."""
    path = row["Path"].split("/", 1)[1]
    return {
        "image_id": path,
        "patient_id": path.split("/")[1],
        "age": float(row["Age"]),
        "a_sex": row["Sex"].lower(),
        **{f"y_{finding}": float(row[finding] == 1) for finding in chexpert.FINDINGS},
    }


def load_catalogue(name: str) -> dict:
    """Return the entries of a catalogue."""
    return yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8"))[name]


if __name__ == "__main__":
    main()
