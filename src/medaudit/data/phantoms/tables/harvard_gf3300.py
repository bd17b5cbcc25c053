"""A synthetic table in Harvard-GF3300's layout, with its published counts."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.data.phantoms.tables.draw import draw_levels

USES = {"training": 2100, "validation": 300, "test": 900}
RACES = ("asian", "black", "white")  # the same number of each
SEXES = {"female": 1812, "male": 1488}
LANGUAGES = {"english": 2877, "other languages": 354, "spanish": 38, "unknown": 31}
MARITAL = {
    "married or partnered": 1800,
    "single": 900,
    "divorced": 250,
    "widowed": 300,
    "unknown": 50,
}
GLAUCOMA = 0.5  # its real share is not established


def write_table(folder: Path, rows: int | None, rng: np.random.Generator) -> None:
    """Write ``data_summary.csv`` with random patients.

    Splits, races, sexes and languages have the published counts (with `rows`: their shares) and are
    independent; the risk of glaucoma increases with age.
    """
    n = rows or sum(USES.values())
    age = np.clip(rng.normal(61, 15, n), 18, 96)
    risk = 1 / (1 + np.exp(-(age - 61) / 18))
    table = pd.DataFrame(
        {
            "filename": [f"data_{number:04d}.npz" for number in 1 + np.arange(n)],
            "age": np.round(age, 2),
            "gender": _shuffled_levels(rng, SEXES, n),
            "race": _shuffled_levels(rng, dict.fromkeys(RACES, 1), n),
            "ethnicity": draw_levels(rng, {"non-hispanic": 0.96, "hispanic": 0.04}, n),
            "language": _shuffled_levels(rng, LANGUAGES, n),
            "maritalstatus": draw_levels(rng, MARITAL, n),
            "glaucoma": np.where(rng.random(n) < 2 * GLAUCOMA * risk, "yes", "no"),
            "use": np.repeat(list(USES), _apportion(USES, n)),
        }
    )
    table.to_csv(folder / "data_summary.csv", index=False)


def _apportion(counts: dict[str, int], n: int) -> np.ndarray:
    """Return numbers of rows proportional to the counts; they sum to n."""
    ends = np.floor(np.cumsum(list(counts.values())) * (n / sum(counts.values())) + 0.5)
    return np.diff(ends, prepend=0).astype(int)


def _shuffled_levels(rng: np.random.Generator, counts: dict[str, int], n: int) -> np.ndarray:
    return rng.permutation(np.repeat(np.array(list(counts), object), _apportion(counts, n)))
