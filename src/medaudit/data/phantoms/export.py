"""Write a drawn dataset to disk in its owner's layout, to try a run that reads real files.

``python -m medaudit.data.phantoms.export oasis data/oasis`` writes the table and the images
that a run without a folder would draw; then set ``folder`` of the dataset to ``oasis``. A file in the
folder says that it is drawn, and what is planted: every output of a run on it repeats that.
"""

import argparse
import importlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import simplejpeg
import yaml

from medaudit.core.seeds import generator
from medaudit.core.table_io import atomic, write_json
from medaudit.data import datasets
from medaudit.data.datasets import harvard_gf3300, ol3i
from medaudit.data.phantoms.export_files import EMBEDDED, write_layout, write_radiographs
from medaudit.data.phantoms.layouts import WRITERS as LAYOUTS
from medaudit.data.phantoms.tables.oasis import SIDE, SLICES, make_header

SHAPES = {"ham10000": (600, 450), "fitzpatrick17k": (500, 400), "papila": (644, 484)}
"""Width and height of the JPEG files; PAPILA's at a quarter of the owner's."""

SIDES = {"ol3i": 512, "oasis": SIDE, "harvard_gf3300": 200}
"""Side of the scans in pixels; volumes are smaller than the owner's, for speed."""

QUALITY = 95
BRIGHT = 3000  # voxel value of the brightest tissue in a volume
PATIENTS = 200  # of a layout, and rows of a radiographs' table
PART = 256  # images in memory at the same time


def write_phantom(settings: dict, folder: Path, image_size: int) -> pd.DataFrame:
    """Write the table and the images of a phantom dataset in its owner's layout.

    Parameters
    ----------
    settings : dict
        Catalogue entry of a dataset and its ``name``; ``phantom`` has the number of rows, the seed
        and the planted rules.
    folder : Path
        Folder to write; it is made if it does not exist.
    image_size : int
        Side of the drawn images in pixels; JPEG files are then stretched to the owner's shape.

    Returns
    -------
    pandas.DataFrame
        The manifest as the loader reads it from the folder; its rows are those of a run without
        a folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loader, phantom = settings["loader"], settings.get("phantom") or {}
    # First, so that nothing in the folder is ever without it.
    planted = {key: phantom.get(key, []) for key in ("planted", "marks")}
    write_json(planted, folder / datasets.DRAWN)
    if loader == "columns":
        return write_layout(settings, folder, phantom.get("rows") or PATIENTS, image_size)
    if loader in EMBEDDED:
        return write_radiographs(settings, folder, phantom.get("rows") or PATIENTS, image_size)
    drawn = importlib.import_module(f"medaudit.data.phantoms.tables.{loader}")
    rng = generator("phantom", "table", loader, phantom.get("seed", 0))
    drawn.write_table(folder, phantom.get("rows"), rng)
    frame = datasets.load({**settings, "folder": str(folder.absolute()), "table": None}).frame
    WRITERS[loader](folder, frame, settings, image_size)
    return frame


def _write_jpegs(folder: Path, rows: pd.DataFrame, settings: dict, size: int) -> None:
    draw = importlib.import_module(f"medaudit.data.phantoms.{datasets.phantom_module(settings)}")
    for start in range(0, len(rows), PART):
        part = rows.iloc[start : start + PART]
        for name, picture in zip(part["path"], draw.render(part, settings, size), strict=True):
            shaped = cv2.resize(picture, SHAPES[settings["loader"]])
            with atomic(folder / name) as path:
                path.write_bytes(simplejpeg.encode_jpeg(shaped, QUALITY, colorspace="RGB"))


def _measure(rows: pd.DataFrame, settings: dict, size: int) -> np.ndarray:
    module = importlib.import_module(f"medaudit.data.phantoms.{datasets.phantom_module(settings)}")
    return module.measure(rows, settings, size)


def _write_slices(folder: Path, rows: pd.DataFrame, settings: dict, size: int) -> None:
    import h5py

    with atomic(folder / ol3i.SLICES) as path, h5py.File(path, "w", locking=False) as table:
        for start in range(0, len(rows), PART):
            part = rows.iloc[start : start + PART]
            values = np.rint(_measure(part, settings, size)).astype(np.int16)
            for name, one in zip(part["image_id"], values, strict=True):
                table.create_dataset(name, data=one)


def _write_volumes(folder: Path, rows: pd.DataFrame, settings: dict, size: int) -> None:
    """Write the volume of each session, with the slices that the manifest does not use."""
    for _, session in rows.groupby(rows["path"].str.rpartition("#")[0], sort=False):
        every = session.iloc[:1].loc[lambda one: one.index.repeat(SLICES)]
        name, place = session["image_id"].iloc[0][:-4], session["path"].iloc[0].rpartition("=")[0]
        numbers = range(SLICES)
        every = every.assign(
            image_id=[f"{name}_{number:03d}" for number in numbers],
            path=[f"{place}={number}" for number in numbers],
        )
        values = np.rint(BRIGHT * _measure(every, settings, size)).astype(">i2")
        voxels = values[:, ::-1].transpose(2, 0, 1)  # from [slice, down, right] to [x, y, z]
        header = folder / place.rpartition("#")[0]
        with atomic(header) as path, path.open("wb") as stream:
            make_header(voxels.shape).write_to(stream)
        with atomic(header.with_suffix(".img")) as path:
            path.write_bytes(voxels.tobytes(order="F"))


def _write_maps(folder: Path, rows: pd.DataFrame, settings: dict, size: int) -> None:
    """Write one file per patient, a pickled dictionary as the owner's."""
    for start in range(0, len(rows), PART):
        part = rows.iloc[start : start + PART]
        for (_, row), values in zip(part.iterrows(), _measure(part, settings, size), strict=True):
            held = {
                harvard_gf3300.ARRAY: values,
                "glaucoma": int(row[f"y_{harvard_gf3300.TASK}"]),
                "male": int(row["a_sex"] == "male"),
                "race": ("asian", "black", "white").index(row["a_race"]),
                "age": np.float64(row["age"]),
            }
            target = folder / row["path"].rpartition("#")[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic(target) as path:
                np.savez(path, np.array(held, dtype=object))


WRITERS = {
    **dict.fromkeys(SHAPES, _write_jpegs),
    "ol3i": _write_slices,
    "oasis": _write_volumes,
    "harvard_gf3300": _write_maps,
}


def main() -> None:
    """Write the dataset named on the command line."""
    parser = argparse.ArgumentParser(
        description="Write a drawn dataset to disk in its owner's layout."
    )
    parser.add_argument("dataset", choices=[*WRITERS, *EMBEDDED, *LAYOUTS])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--catalogue", type=Path, default=Path("config/datasets.yaml"))
    parser.add_argument(
        "--rows",
        type=int,
        help="rows of the table, or patients (default: as many as the owner's, or 200)",
    )
    parser.add_argument("--size", type=int, help="side of the images in pixels")
    given = parser.parse_args()
    entry = yaml.safe_load(given.catalogue.read_text(encoding="utf-8"))["datasets"][given.dataset]
    phantom = {**entry.get("phantom", {}), **({"rows": given.rows} if given.rows else {})}
    size = given.size or SIDES.get(given.dataset, 384)
    write_phantom({**entry, "name": given.dataset, "phantom": phantom}, given.folder, size)


if __name__ == "__main__":
    main()
