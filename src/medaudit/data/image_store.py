"""Read the image store of a cohort: the decoded images that the stage `images` writes."""

import logging
from collections.abc import Iterable
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
        Folder of the store.
    ids : pandas.Index
        image_id of each row of `images`; only images that could be decoded.
    images : numpy.memmap
        uint8 ``[n, size, size]`` or ``[n, size, size, 3]``, read from disk when accessed.
    excluded : pandas.DataFrame
        image_id, status (``missing`` or ``broken``) and error of the cohort's other images.
    card : dict
        The store's card; ``card["phantom"]`` is true if the pixels are synthetic.
    """

    folder: Path
    ids: pd.Index
    images: np.ndarray
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

    def read(self, image_ids: Iterable[str]) -> np.ndarray:
        """Return these images as uint8 ``[k, size, size]`` or ``[k, size, size, 3]``."""
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
    ok = index[index["status"] == "ok"].sort_values("row")
    if not np.array_equal(ok["row"], np.arange(len(pixels))):
        raise MedauditError(
            f"image store {folder}: index.parquet has {len(ok)} images with status ok, images.npy "
            f"has {len(pixels)}; delete the folder and run the stage `images` again"
        )
    excluded = index.loc[index["status"] != "ok", ["image_id", "status", "error"]]
    return Store(folder, pd.Index(ok["image_id"]), pixels, excluded, card)


def usable_images(cohort: Path, store: Store) -> np.ndarray:
    """Return the image ids of a cohort's table without those the store excluded, in table order."""
    ids = read_table(cohort, COHORT, columns=["image_id"])["image_id"]
    excluded = ids.isin(store.excluded["image_id"])
    if excluded.any():
        log.warning("%d of %d images were excluded by the store", excluded.sum(), len(ids))
    return ids[~excluded].to_numpy()
