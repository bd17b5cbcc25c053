"""A synthetic table in Fitzpatrick17k's layout, with its published counts."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.data.phantoms.tables.draw import draw_levels

ROWS = 16_577
# Skin type light (1 to 3) or dark (4 to 6), and malignant or not: FairTune, Table 9, all splits.
CELLS = {("light", 0): 9412, ("light", 1): 1651, ("dark", 0): 4440, ("dark", 1): 509}
SCALES = {"light": {1: 2947, 2: 4808, 3: 3308}, "dark": {4: 2781, 5: 1533, 6: 635}}
UNKNOWN = 565 / ROWS
NOT_MALIGNANT = {"non-neoplastic": 12_080, "benign": 2_234}
CONDITIONS = {
    "malignant": ("basal cell carcinoma", "melanoma", "squamous cell carcinoma"),
    "benign": ("seborrheic keratosis", "dermatofibroma", "pilar cyst"),
    "non-neoplastic": ("psoriasis", "lichen planus", "allergic contact dermatitis"),
}
NINE = {
    "malignant": "malignant epidermal",
    "benign": "benign epidermal",
    "non-neoplastic": "inflammatory",
}


def write_table(folder: Path, rows: int | None, rng: np.random.Generator) -> None:
    """Write ``fitzpatrick17k.csv`` with random rows.

    The probabilities of skin type and label are their published joint counts.
    """
    rows = rows or ROWS
    cells = list(CELLS)
    drawn = rng.choice(len(cells), rows, p=np.array(list(CELLS.values())) / sum(CELLS.values()))
    dark = np.array([cell[0] == "dark" for cell in cells])[drawn]
    ill = np.array([cell[1] == 1 for cell in cells])[drawn]
    scale = np.where(
        dark, draw_levels(rng, SCALES["dark"], rows), draw_levels(rng, SCALES["light"], rows)
    )
    scale[rng.random(rows) < UNKNOWN] = -1
    partition = np.where(ill, "malignant", draw_levels(rng, NOT_MALIGNANT, rows))
    number = rng.integers(3, size=rows)
    hashes = [rng.bytes(16).hex() for _ in range(rows)]
    table = pd.DataFrame(
        {
            "md5hash": hashes,
            "fitzpatrick_scale": scale,
            "fitzpatrick_centaur": scale,
            "label": [CONDITIONS[name][k] for name, k in zip(partition, number, strict=True)],
            "nine_partition_label": [NINE[name] for name in partition],
            "three_partition_label": partition,
            "qc": "",
            "url": [f"https://example.org/{name}.jpg" for name in hashes],
            "url_alphanum": [f"example{name}jpg" for name in hashes],
        }
    )
    table.to_csv(folder / "fitzpatrick17k.csv", index=False)
