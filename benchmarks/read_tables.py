"""Time to read a table of a million rows with the loader `columns`: joins, labels, groups, ages.

Prints the parts and ends with the ratio of the time to the limit of 20 s.

    python benchmarks/read_tables.py [ROWS]
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from medaudit.data.manifest import manifest

LIMIT = 20.0
ENTRY: dict[str, Any] = {
    "name": "million",
    "loader": "columns",
    "table": "images.csv",
    "join": [
        {"table": "patients.csv", "on": "subject"},
        {
            "table": "admissions.csv",
            "on": "subject",
            "several": "consistent",
        },
    ],
    "keep": [{"column": "view", "values": ["PA", "AP"]}],
    "columns": {
        "path": "files/p{subject:.2}/{subject}/{image}.jpg",
        "image": "image",
        "patient": "subject",
        "age": {"column": "anchor_age", "year": "anchor_year", "study": "StudyDate"},
        "view": "view",
        "split": "split",
    },
    "labels": {
        **{f"L{k}": {"column": f"L{k}", "uncertain": ["-1"], "blank": "zeros"} for k in range(14)},
        "pneumonia": {"column": "words", "contains": ["pneumonia"], "separator": "|"},
    },
    "groups": {
        "sex": {"column": "gender", "levels": {"female": ["F"], "male": ["M"]}},
        "race": {
            "column": "race",
            "levels": {"black": ["BLACK*"], "white": ["WHITE*"]},
            "rest": "other",
        },
        "insurance": "insurance",
        "dose": {"column": "dose", "quantiles": 4},
    },
}


def write(folder: Path, rows: int) -> None:
    """Write a table of images, one of patients and one of admissions, three per patient."""
    rng = np.random.default_rng(0)
    count = max(rows // 4, 1)
    ids = rng.permutation(10_000_000 + np.arange(count)).astype(str)
    subject = np.sort(ids[rng.integers(count, size=rows)])
    words = np.array(["", "mass", "pneumonia|mass", "edema|effusion|nodule"])
    images = pd.DataFrame(
        {
            "image": [f"{k:08x}" for k in rng.permutation(rows)],
            "subject": subject,
            "StudyDate": rng.integers(2100, 2200, rows) * 10000 + 704,
            "view": rng.choice(["PA", "AP", "LATERAL"], rows, p=[0.45, 0.5, 0.05]),
            "split": rng.choice(["train", "validate", "test"], rows),
            "dose": rng.uniform(0, 9, rows).round(3),
            "words": words[rng.integers(4, size=rows)],
            **{f"L{k}": rng.choice(["1.0", "0.0", "-1.0", ""], rows) for k in range(14)},
            **{f"unused{k}": rng.integers(9, size=rows) for k in range(10)},
        }
    )
    images.to_csv(folder / "images.csv", index=False)
    people = {
        "subject": ids,
        "gender": rng.choice(["F", "M"], count),
        "anchor_age": rng.integers(18, 60, count),
        "anchor_year": 2150,
    }
    people["anchor_age"] = np.where(people["anchor_age"] > 0, people["anchor_age"], 0)
    pd.DataFrame({**people, "anchor_year": 2140}).to_csv(folder / "patients.csv", index=False)
    admissions = {
        "subject": np.repeat(ids, 3),
        "race": rng.choice(["WHITE", "BLACK/AFRICAN", "ASIAN"], 3 * count, p=[0.9, 0.08, 0.02]),
        "insurance": np.repeat(rng.choice(["Medicare", "Other"], count), 3),
    }
    pd.DataFrame(admissions).to_csv(folder / "admissions.csv", index=False)


def main(rows: int = 1_000_000) -> None:
    """Write the tables, read them, and print the times."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        os.chdir(folder)
        write(folder, rows)
        sizes = {p.name: p.stat().st_size / 1e6 for p in sorted(folder.glob("*.csv"))}
        print(", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()))
        entry = {**ENTRY, "folder": str(folder)}
        entry["columns"] = {
            **ENTRY["columns"],
            "age": {**ENTRY["columns"]["age"], "impossible": "missing"},
        }
        start, cpu = time.perf_counter(), time.process_time()
        manifest(entry, output=folder / "m.parquet", card=folder / "m.json")
        taken, cpu = time.perf_counter() - start, time.process_time() - cpu
        made = len(pd.read_parquet(folder / "m.parquet", columns=["image_id"]))
        print(f"{rows:,} rows read, {made:,} written to the manifest in {taken:.1f} s")
        print(f"{cpu:.1f} s of CPU time")
        print(f"ratio={taken / LIMIT:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
