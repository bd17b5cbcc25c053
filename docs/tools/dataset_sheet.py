"""Draw the sheet of phantom datasets: ``python docs/tools/dataset_sheet.py docs/datasets.png``.

It has one line per dataset whose table is synthetic too: four images without the finding, four with
it, no planted difference.
"""

import importlib
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml

from medaudit.core.table_io import atomic
from medaudit.data import datasets

CATALOGUE = Path(__file__).parents[2] / "config" / "datasets.yaml"
SIZE = 96
EACH = 4
CAPTION = 16
COLOUR_STEP = 9  # levels are rounded down to multiples of it, which keeps the file small


def draw_sheet(path: Path) -> None:
    """Write the contact sheet as a PNG file."""
    catalogue = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))["datasets"]
    sheet = np.vstack([_line(loader, catalogue[loader]) for loader in datasets.PHANTOM_MODULES])
    with atomic(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _line(loader: str, entry: dict) -> np.ndarray:
    settings = {**entry, "folder": None, "phantom": {"planted": []}}
    frame = datasets.load(settings).frame
    label = next(column for column in frame if column.startswith("y_"))
    rows = pd.concat([_choose(frame[frame[label] == value]) for value in (0.0, 1.0)])
    draw = importlib.import_module(f"medaudit.data.phantoms.{datasets.phantom_module(settings)}")
    pictures = draw.render(rows, settings, SIZE)
    if pictures.ndim == 3:
        pictures = np.repeat(pictures[..., None], 3, axis=3)
    line = np.full((SIZE + CAPTION, 2 * EACH * SIZE, 3), 255, np.uint8)
    line[CAPTION:] = np.hstack(list(pictures)) // COLOUR_STEP * COLOUR_STEP
    for place, word in ((0, "without"), (EACH * SIZE, "with")):
        text, spot = f"{loader}: {word} {label[2:]}", (place + 3, CAPTION - 4)
        cv2.putText(line, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def _choose(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of different subjects, evenly spread over the table."""
    subjects = frame.drop_duplicates("patient_id")
    return subjects.iloc[np.linspace(0, len(subjects) - 1, EACH).astype(int)]


if __name__ == "__main__":
    draw_sheet(Path(sys.argv[1]))
