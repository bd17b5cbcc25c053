"""Read a cohort's decoded images."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, IMAGES, read_json, read_table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """The decoded images of a cohort.

    Attributes
    ----------
    folder : Path
        Where they lie.
    ids : pandas.Index
        image_id of each row of `images`; only images that could be read.
    images : numpy.memmap
        uint8 ``[n, size, size]`` or ``[n, size, size, 3]``, read as needed.
    excluded : pandas.DataFrame
        image_id, status (``missing`` or ``broken``) and error of the cohort's other images.
    card : dict
        The store's card; ``card["phantom"]`` says whether the pixels are made up.
    """

    folder: Path
    ids: pd.Index
    images: np.ndarray
    excluded: pd.DataFrame
    card: dict

    def rows(self, image_ids) -> np.ndarray:
        """Return the rows of `images` that hold these images, in their order.

        Raises
        ------
        MedauditError
            An image is not in the store; says whether it was excluded.
        """
        rows = self.ids.get_indexer(pd.Index(image_ids))
        if (rows < 0).any():
            lost = pd.Index(image_ids)[rows < 0]
            known = self.excluded.set_index("image_id")["error"]
            reason = known.get(lost[0], "it does not belong to this cohort")
            raise MedauditError(
                f"image store {self.folder}: lacks {len(lost)} of the images asked for, "
                f"first {lost[0]!r}: {reason}"
            )
        return rows

    def read(self, image_ids) -> np.ndarray:
        """Return these images as uint8 ``[k, size, size]`` or ``[k, size, size, 3]``."""
        return self.images[self.rows(image_ids)]


def open_store(folder: Path) -> Store:
    """Open the results folder of the stage `images`.

    Raises
    ------
    MedauditError
        A file is lacking, or the index does not belong to the pixels.
    """
    try:
        pixels = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        card = read_json(folder / "card.json")
    except (OSError, ValueError) as error:
        raise MedauditError(f"image store {folder}: {error}; run the stage `images`") from error
    index = read_table(folder / "index.parquet", IMAGES)
    ok = index[index["status"] == "ok"].sort_values("row")
    if not np.array_equal(ok["row"], np.arange(len(pixels))):
        raise MedauditError(
            f"image store {folder}: index.parquet has {len(ok)} images that are ok, images.npy "
            f"{len(pixels)}; delete the folder and run the stage `images` again"
        )
    excluded = index.loc[index["status"] != "ok", ["image_id", "status", "error"]]
    return Store(folder, pd.Index(ok["image_id"]), pixels, excluded, card)


def usable_images(cohort: Path, store: Store) -> np.ndarray:
    """Return the ids of the cohort's images that the store did not exclude, in their order."""
    ids = read_table(cohort, COHORT, columns=["image_id"])["image_id"]
    excluded = ids.isin(store.excluded["image_id"])
    if excluded.any():
        log.warning("%d of %d images were excluded by the store", excluded.sum(), len(ids))
    return ids[~excluded].to_numpy()
