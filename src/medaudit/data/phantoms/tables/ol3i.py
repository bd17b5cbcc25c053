"""A synthetic table in OL3I's layout, with its published counts."""

from pathlib import Path

import numpy as np
import pandas as pd

# FairTune, Table 12 (the official split), by split and label: scans of persons up to 60 and over
# 60, of men and of women.
COUNTS = {
    ("train", 0): {"<=60": 3512, ">60": 1487, "male": 1984, "female": 3015},
    ("train", 1): {"<=60": 87, ">60": 141, "male": 111, "female": 117},
    ("val", 0): {"<=60": 830, ">60": 417, "male": 498, "female": 749},
    ("val", 1): {"<=60": 13, ">60": 43, "male": 32, "female": 24},
    ("test", 0): {"<=60": 1060, ">60": 478, "male": 629, "female": 909},
    ("test", 1): {"<=60": 25, ">60": 46, "male": 39, "female": 32},
}
UNLABELLED = 250  # scans that only have a five-year label; their real number is not known


def write_table(folder: Path, rows: int | None, rng: np.random.Generator) -> None:
    """Write ``clinical_data.csv`` with random persons.

    Every cell of Table 12 has its published count (with `rows`: its share, at least one); age and
    sex are independent within each split and label.
    """
    share = 1 if rows is None else rows / sum(c["male"] + c["female"] for c in COUNTS.values())
    parts = [_draw(rng, counts, share, *cell) for cell, counts in COUNTS.items()]
    blank = _draw(rng, COUNTS["train", 0], UNLABELLED * share / 4999, "", "")
    table = pd.concat([*parts, blank]).sample(frac=1, random_state=int(rng.integers(1 << 31)))
    table.insert(0, "anon_id", rng.permutation(len(table)) + 10_000)
    later = rng.random(len(table)) < 0.15
    table["label_5y"] = np.where(table["label_1y"] == 1, 1, later.astype(int))
    table["set_5y"] = rng.choice(["train", "val", "test"], len(table), p=[0.64, 0.16, 0.2])
    table.to_csv(folder / "clinical_data.csv", index=False)


def _draw(
    rng: np.random.Generator, counts: dict, share: float, split: str, label: object
) -> pd.DataFrame:
    young, old, men, women = (max(1, round(share * n)) for n in counts.values())
    years = np.concatenate([_years(rng, young, 18, 60), _years(rng, old, 61, 95)])
    sexes = np.repeat(["male", "female"], [men, women])
    n = min(len(years), len(sexes))
    return pd.DataFrame(
        {
            "age": rng.permutation(years)[:n],
            "sex": rng.permutation(sexes)[:n],
            "bmi": np.round(rng.normal(28, 5, n), 1),
            "smoker": rng.integers(0, 2, n),
            "label_1y": label,
            "set_1y": split,
        }
    )


def _years(rng: np.random.Generator, n: int, low: int, high: int) -> np.ndarray:
    """Return random whole years from `low` to `high`; those nearer to 60 are more frequent."""
    drawn = rng.beta(2.2, 1.2, n) if high <= 60 else rng.beta(1.1, 2.5, n)
    return low + np.floor(drawn * (high - low + 1)).clip(0, high - low).astype(int)
