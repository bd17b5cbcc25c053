"""Images per CPU second: drawing phantoms, and decoding compared with the usual Pillow loop.

``ratio`` is our speed divided by that of Pillow's convert and resize, geometric mean over kinds of
files.
"""

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from medaudit.data.phantoms.chest import render
from medaudit.data.readers.decode import decode_file

SIZE = 224
ROUNDS = 5


def main() -> None:
    """Measure and print; the last line is ``ratio=<x>``."""
    for size, count in ((64, 600), (128, 150), (224, 60)):
        rows = make_rows(count)
        render(rows[:8], {}, size)
        seconds = measure(lambda rows=rows, size=size: render(rows, {}, size))
        print(f"phantom {size}: {count / seconds:.0f} images/s")
    with tempfile.TemporaryDirectory() as folder:
        ratios = [compare(name, paths) for name, paths in write_files(Path(folder)).items()]
    print(f"ratio={statistics.geometric_mean(ratios):.2f}")


def compare(name: str, paths: list[Path]) -> float:
    """Return our speed divided by Pillow's for decoding these files to 224 x 224."""
    ways = {
        "medaudit": lambda: [decode_file(path, SIZE) for path in paths],
        "pillow": lambda: [read_pillow(path) for path in paths],
    }
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, function in ways.items():
            times[way].append(measure(function))
    ours, theirs = (statistics.median(times[way]) for way in ways)
    speeds = f"medaudit {len(paths) / ours:.0f}, pillow {len(paths) / theirs:.0f} images/s"
    print(f"{name}: {speeds}, ratio {theirs / ours:.2f}")
    return theirs / ours


def read_pillow(path: Path) -> np.ndarray:
    """Read as most code does: convert to RGB, then resize bilinearly."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def write_files(folder: Path) -> dict[str, list[Path]]:
    """Write phantoms as PNG and JPEG files in the sizes of public datasets."""
    pictures = render(make_rows(4), {}, 512)
    kinds = {
        "PNG 1024 x 1024": ((1024, 1024), ".png", 2),
        "JPEG 390 x 320": ((390, 320), ".jpg", 16),
        "JPEG 2828 x 2320": ((2828, 2320), ".jpg", 1),
    }
    files = {}
    for name, (shape, suffix, copies) in kinds.items():
        files[name] = []
        for i, picture in enumerate(np.repeat(pictures, copies, axis=0)):
            path = folder / f"{name}{i}{suffix}"
            large = cv2.resize(picture, shape, interpolation=cv2.INTER_CUBIC)
            with io.BytesIO() as stream:
                Image.fromarray(large).save(stream, "PNG" if suffix == ".png" else "JPEG")
                path.write_bytes(stream.getvalue())
            files[name].append(path)
    return files


def make_rows(count: int) -> pd.DataFrame:
    """Return rows with one finding each."""
    names = ("Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation")
    ids = [str(i) for i in range(count)]
    rows = pd.DataFrame({"image_id": ids, "patient_id": ids, "age": 60.0, "view": "PA"})
    for k, name in enumerate(names):
        rows[f"y_{name}"] = (np.arange(count) % len(names) == k).astype(float)
    return rows


def measure(function: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
