"""Read the image store of a cohort: the decoded images that the stage `images` writes."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, IMAGES, read_json, read_table

log = logging.getLogger(__name__)


class MixedImages:
    """Images of different sizes in one array, each with its aspect ratio.

    ``images[rows]`` is a list of arrays, where an array of images of one size would give an array.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 [bytes], usually a memory map: the images one after the other.
    sizes : numpy.ndarray
        int64 [n, 2], height and width of each image in pixels.
    channels : int
        1 or 3.
    """

    def __init__(self, pixels: np.ndarray, sizes: np.ndarray, channels: int) -> None:
        self.pixels, self.sizes, self.channels = pixels, sizes, channels
        self.starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1) * channels)])

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, rows: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, rows: np.ndarray | slice) -> list[np.ndarray]: ...
    def __getitem__(self, rows: int | np.ndarray | slice) -> np.ndarray | list[np.ndarray]:
        """Return these images: uint8 ``[h, w]`` or ``[h, w, 3]`` each."""
        if isinstance(rows, int | np.integer):
            return self._read(rows)
        return [self._read(row) for row in np.arange(len(self))[rows].tolist()]

    def _read(self, row: int) -> np.ndarray:
        height, width = self.sizes[row].tolist()
        shape = (height, width) if self.channels == 1 else (height, width, self.channels)
        return self.pixels[self.starts[row] : self.starts[row + 1]].reshape(shape)


StoredImages: TypeAlias = np.ndarray | MixedImages
"""Images of a store: uint8 ``[n, h, w]`` or ``[n, h, w, 3]`` if all have one size."""
Images: TypeAlias = np.ndarray | list[np.ndarray]
"""Some images: an array if they have one size, else a list of arrays."""


def sizes_of(images: StoredImages, rows: np.ndarray) -> np.ndarray:
    """Return height and width of the images in these rows: int64 [len(rows), 2]."""
    if isinstance(images, MixedImages):
        return images.sizes[rows]
    return np.tile(np.array(images.shape[1:3], np.int64), (len(rows), 1))


def by_size(images: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images of each size as one array, after their positions (int64)."""
    if isinstance(images, np.ndarray):
        yield np.arange(len(images)), images
        return
    shapes = [image.shape for image in images]
    for shape in dict.fromkeys(shapes):
        positions = np.flatnonzero([other == shape for other in shapes])
        yield positions, np.stack([images[k] for k in positions])


@dataclass(frozen=True)
class Store:
    """The decoded images of a cohort.

    Attributes
    ----------
    folder : Path
        Folder of the store.
    ids : pandas.Index
        image_id of each row of `images`; only images that could be decoded.
    images : StoredImages
        Read from disk when accessed.
    excluded : pandas.DataFrame
        image_id, status (``missing`` or ``broken``) and error of the cohort's other images.
    card : dict
        The store's card; ``card["phantom"]`` is true if the pixels are synthetic.
    """

    folder: Path
    ids: pd.Index
    images: StoredImages
    excluded: pd.DataFrame
    card: dict

    def rows(self, image_ids: Iterable[str]) -> np.ndarray:
        """Return the positions of these images in `images`, in the given order.

        Raises
        ------
        MedauditError
            An image is not in the store; the message gives the reason if it was excluded.
        """
        wanted = pd.Index(image_ids)
        rows = self.ids.get_indexer(wanted)
        if (rows < 0).any():
            missing = wanted[rows < 0]
            known = self.excluded.set_index("image_id")["error"]
            reason = known.get(missing[0], "it does not belong to this cohort")
            raise MedauditError(
                f"image store {self.folder} lacks {len(missing)} of the {len(wanted)} images wanted, "
                f"e.g. {missing[0]!r}: {reason}"
            )
        return rows

    def read(self, image_ids: Iterable[str]) -> Images:
        """Return these images."""
        return self.images[self.rows(image_ids)]


def open_store(folder: Path) -> Store:
    """Open the store that the stage `images` wrote into `folder`.

    Raises
    ------
    MedauditError
        A file is missing, or index and pixels do not belong together.
    """
    try:
        pixels = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        card = read_json(folder / "card.json")
    except (OSError, ValueError) as error:
        raise MedauditError(
            f"image store {folder}: {error}; run the stage `images` again"
        ) from error
    index = read_table(folder / "index.parquet", IMAGES)
    ok, images = read_images(folder, pixels, index)
    excluded = index.loc[index["status"] != "ok", ["image_id", "status", "error"]]
    return Store(folder, pd.Index(ok["image_id"]), images, excluded, card)


def read_images(
    folder: Path, pixels: np.ndarray, index: pd.DataFrame
) -> tuple[pd.DataFrame, StoredImages]:
    """Return the index of the images in a store, in their order, and the images.

    Parameters
    ----------
    folder : Path
        For the error.
    pixels : numpy.ndarray
        Content of ``images.npy``.
    index : pandas.DataFrame
        Table `medaudit.core.table_io.IMAGES`.

    Raises
    ------
    MedauditError
        Index and pixels do not belong together.
    """
    ok = index[index["status"] == "ok"].sort_values("row")
    images: StoredImages = pixels
    if pixels.ndim == 1:
        sizes = ok.reindex(columns=["stored_height", "stored_width"]).fillna(0).to_numpy(np.int64)
        channels = 3 if len(pixels) == 3 * sizes.prod(axis=1).sum() else 1
        images = MixedImages(pixels, sizes, channels)
    whole = not isinstance(images, MixedImages) or images.starts[-1] == len(pixels)
    if not whole or not np.array_equal(ok["row"], np.arange(len(images))):
        found = len(images) if whole else f"{len(pixels):,} bytes, another number of"
        raise MedauditError(
            f"image store {folder}: index.parquet has {len(ok)} images with status ok, images.npy "
            f"has {found}; delete the folder and run the stage `images` again"
        )
    return ok, images


def usable_images(cohort: Path, store: Store) -> np.ndarray:
    """Return the image ids of a cohort's table without those the store excluded, in table order."""
    ids = read_table(cohort, COHORT, columns=["image_id"])["image_id"]
    excluded = ids.isin(store.excluded["image_id"])
    if excluded.any():
        log.warning("%d of %d images were excluded by the store", excluded.sum(), len(ids))
    return ids[~excluded].to_numpy()
