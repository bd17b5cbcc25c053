"""Draw the sheet of chest phantoms: ``python docs/tools/phantom_sheet.py docs/phantom.png``.

The first row shows people and views without findings, the second row one patient three times and an
effusion at decreasing visibility. The other rows show every finding, each the clearest of ten
drawn.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from medaudit.core.table_io import atomic
from medaudit.data.phantoms.chest import render
from medaudit.data.phantoms.chest.findings import FINDINGS

SIZE = 132
COLUMNS = 7
CAPTION = 16
CANDIDATES = 10
GREY_STEP = 7  # grey levels are rounded down to multiples of it, which keeps the file small


def draw_sheet(path: Path) -> None:
    """Write the contact sheet as a PNG file."""
    rows, captions = list_rows()
    rules = [
        {"where": {"level": level}, "findings": "all", "visibility": float(level)}
        for level in ("0.5", "0.25", "0")
    ]
    pictures = render(rows, {"phantom": {"planted": rules}}, SIZE)
    cells = [_label(*pair) for pair in zip(pictures, captions, strict=True)]
    lines = [np.hstack(cells[i : i + COLUMNS]) for i in range(0, len(cells), COLUMNS)]
    with atomic(path) as temporary:
        cv2.imwrite(str(temporary), np.vstack(lines), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def list_rows() -> tuple[pd.DataFrame, list[str]]:
    """Return the table rows to draw, and the caption of each cell of the sheet."""
    people = [
        ("man of 30", "man30", 30, "male", "PA"),
        ("woman of 30", "woman30", 30, "female", "PA"),
        ("man of 85", "man85", 85, "male", "PA"),
        ("woman of 85", "woman85", 85, "female", "PA"),
        ("boy of 5", "boy", 5, "male", "AP"),
        ("man of 60, AP", "man60", 60, "male", "AP"),
        ("the same, lateral", "man60", 60, "male", "lateral"),
        ("one patient, film 1", "w", 50, "female", "PA"),
        ("film 2", "w", 50, "female", "PA"),
        ("film 3", "w", 50, "female", "PA"),
    ]
    cells = [(*person, "no_finding", "1") for person in people]
    shown = [(f"effusion, {level}", level) for level in ("1", "0.5", "0.25", "0")]
    cells += [(text, "e", 60, "male", "PA", "pleural_effusion", level) for text, level in shown]
    cells += [(name.replace("_", " "), "m", 50, "male", "PA", name, "1") for name in FINDINGS]
    cells += [("none of them", "m", 50, "male", "PA", "no_finding", "1")]
    names = ("caption", "patient_id", "age", "a_sex", "view", "finding", "a_level")
    rows = pd.DataFrame(cells, columns=names)
    rows["image_id"] = rows.index.astype(str)
    for name in FINDINGS:
        rows[f"y_{name}"] = (rows["finding"] == name).astype(float)
    rows["image_id"] = [_choose_film(row) for _, row in rows.iterrows()]
    return rows, rows["caption"].tolist()


def _choose_film(row: pd.Series) -> str:
    """Return the image_id whose draws (noise, side, place) show the row's finding most clearly."""
    if row["finding"] == "no_finding":
        return row["image_id"]
    films = pd.DataFrame([row] * CANDIDATES).assign(image_id=[str(i) for i in range(CANDIDATES)])
    without = films.assign(**{f"y_{row['finding']}": 0.0})
    change = render(films, {}, 64).astype(int) - render(without, {}, 64)
    return str(np.square(change).sum(axis=(1, 2)).argmax())


def _label(picture: np.ndarray, caption: str) -> np.ndarray:
    cell = np.full((SIZE + CAPTION, SIZE), 255, np.uint8)
    cell[:SIZE] = picture // GREY_STEP * GREY_STEP
    spot = (3, SIZE + CAPTION - 5)
    cv2.putText(cell, caption, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.31, 0, 1, cv2.LINE_AA)
    return cell


if __name__ == "__main__":
    draw_sheet(Path(sys.argv[1]))
