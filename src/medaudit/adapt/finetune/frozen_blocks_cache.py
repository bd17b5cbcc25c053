"""Outputs of frozen blocks, computed once and shared by all trials and workers of a search.

A trial whose first k blocks are frozen starts from the deepest stored level up to k. This is exact,
because a frozen block is the same function in every step of every trial: its weights are the
pretrained ones, it is in evaluation mode (no dropout, fixed batch-norm statistics), and images have
a fixed set of views. All workers read the same stored numbers, so a trial does not depend on who
stored them. Compared with running the blocks in each step, only rounding differs (to `precision`,
and by the size of the batches).

A level is one file with all training views and validation images. It is written under a lock to a
temporary file and then renamed, so that a killed worker leaves nothing that another would read.
"""

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from medaudit.adapt.finetune.block_chain import BlockChain
from medaudit.adapt.finetune.cached_levels import choose_levels
from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import ImageLoader, Loader
from medaudit.adapt.finetune.network import Network
from medaudit.core.entry_types.methods import MethodEntryCache
from medaudit.core.table_io import atomic
from medaudit.training.precision import precision

BATCH = 128
"""Images per forward pass while a level is stored."""

GIGABYTES = 20.0
"""Default size limit of all levels together."""

log = logging.getLogger(__name__)


@dataclass
class CachedLoader:
    """Batches of stored block outputs, see `medaudit.adapt.finetune.loader.Loader`.

    Parameters
    ----------
    images : ImageLoader
        Determines which view of an image an epoch shows.
    views : int
        Number of views per training image.
    level : int
        Level of `medaudit.adapt.finetune.block_chain.BlockChain` that is stored.
    values : numpy.ndarray
        Memory map [views * n_train + n_val, ...]: the training images view by view, then the
        validation images.
    train, val : numpy.ndarray
        Maps each row of the image store to its position among the images of the split, or -1.
    """

    images: ImageLoader
    views: int
    level: int
    values: np.ndarray
    train: np.ndarray
    val: np.ndarray

    @cached_property
    def count(self) -> int:
        """Number of training images."""
        return int(self.train.max()) + 1

    def training_batch(
        self, rows: np.ndarray, part: np.ndarray, key: tuple, epoch: int
    ) -> torch.Tensor:
        """Return the `part` of a training batch, see `medaudit.adapt.finetune.loader.Loader`."""
        view = self.images.view_in_epoch(rows[part], epoch)
        return self._take(view * self.count + self.train[rows[part]])

    def plain_batch(self, rows: np.ndarray) -> torch.Tensor:
        """Return validation images; training images are stored only with augmentation."""
        return self._take(self.views * self.count + self.val[rows])

    def _take(self, positions: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.values[positions]).float()


class FrozenBlocksCache:
    """Stored levels of one network for one set of images; made by `open_cache`.

    Parameters
    ----------
    folder : Path
        Shared by all workers; each combination of weights, images and views has a subfolder.
    network : Network
        With its initial weights.
    chain : BlockChain
        The network's tower.
    images : ImageLoader
        Loads the images for the blocks that are run.
    views : int
        Number of fixed views of a training image.
    rows : dict of str to numpy.ndarray
        Store rows of ``train`` and ``val``.
    settings : dict
        ``gigabytes``: size limit of all levels together; ``precision``: ``float16`` (default) or
        ``float32``.
    """

    def __init__(
        self,
        folder: Path,
        network: Network,
        chain: BlockChain,
        images: ImageLoader,
        views: int,
        rows: dict[str, np.ndarray],
        settings: MethodEntryCache,
    ) -> None:
        self.network, self.chain, self.images = network, chain, images
        self.views, self.rows = views, rows
        self.dtype: np.dtype = np.dtype(settings.get("precision", "float16"))
        self._opened: dict[int, np.ndarray | None] = {}
        self.folder = folder / self._fingerprint()
        sizes = [one.nbytes * self.count for one in self._outputs_of_one_image()]
        self.levels = choose_levels(sizes, settings.get("gigabytes", GIGABYTES) * 1e9)

    @property
    def count(self) -> int:
        """Number of images in a level, counting each view."""
        return self.views * len(self.rows["train"]) + len(self.rows["val"])

    def loader(self) -> Loader:
        """Return the loader of the deepest usable level; store that level if it is missing.

        The frozen part of the network must have its initial weights.
        """
        frozen = self.chain.frozen_level()
        level = max((level for level in self.levels if level <= frozen), default=0)
        values = self._open(level) if level else None
        if values is None:
            return self.images
        size = len(self.images.pixels)
        places = {name: _positions(rows, size) for name, rows in self.rows.items()}
        return CachedLoader(self.images, self.views, level, values, **places)

    def _outputs_of_one_image(self) -> Iterator[np.ndarray]:
        """Yield the output of one image at level 1, 2, ..., to measure its size."""
        value = self.images.plain_batch(self.rows["val"][:1])
        for start in range(self.chain.end):
            value = self._advance(value, start, start + 1)
            yield value[0].float().cpu().numpy().astype(self.dtype)

    @torch.no_grad()
    def _advance(self, values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return the values of level `stop` from those of level `start`."""
        self.network.eval()
        with precision(self.network.device)[1]():
            return self.chain.run(values.to(self.network.device), start, stop)

    def _open(self, level: int) -> np.ndarray | None:
        """Return the memory map of a level; None if it cannot be stored."""
        if level not in self._opened:
            path = self.folder / f"level_{level}.npy"
            try:
                with _locked(path):
                    if not path.exists():
                        self._store(level, path)
                self._opened[level] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, OverflowError) as error:
                # The cache only saves time: without it, trials are slower and have the same result.
                log.warning("cannot store %s (%s): its blocks run in each step", path, error)
                self._opened[level] = None
        return self._opened[level]

    def _store(self, level: int, path: Path) -> None:
        """Write a level; the caller holds its lock."""
        for leftover in path.parent.glob(f".{path.name}.*"):  # of a worker that was killed
            leftover.unlink()
        with atomic(path) as temporary, temporary.open("wb") as stream:
            first = next(self._images())
            shape = self._advance(first[:1], 0, level).shape[1:]
            header = {"descr": self.dtype.str, "fortran_order": False}
            np.lib.format.write_array_header_1_0(stream, {**header, "shape": (self.count, *shape)})
            for images in self._images():
                stream.write(self._narrow(self._advance(images, 0, level)).data)
        log.info("stored level %d: %s, %.2f GB", level, path, path.stat().st_size / 1e9)

    def _narrow(self, values: torch.Tensor) -> np.ndarray:
        """Return values in the precision of the cache; raise if it cannot represent them."""
        largest = np.finfo(self.dtype).max
        if not (values.abs() <= largest).all():
            raise OverflowError(f"values beyond {largest:g}; set `cache.precision: float32`")
        return np.ascontiguousarray(values.float().cpu().numpy(), self.dtype)

    def _images(self) -> Iterator[torch.Tensor]:
        """Yield the images of a level in the order of its file."""
        train, val = self.rows["train"], self.rows["val"]
        for view in range(self.views):
            for rows in _chunks(train):
                yield self.images.fixed_views(rows, np.full(len(rows), view))
        for rows in _chunks(val):
            yield self.images.plain_batch(rows)

    def _fingerprint(self) -> str:
        """Return a hash of everything that the stored values depend on."""
        encoder, entry = self.network.encoder, self.images.entry
        facts = (encoder.spec(), self.dtype.str, self.images.views, entry.get("augmentation"))
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, tensor in sorted(self.network.tower.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().reshape(-1).view(np.uint8))
        for rows in self.rows.values():
            digest.update(rows.tobytes())
            for part in _chunks(rows):
                for image in self.images.pixels[part]:
                    digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()[:16]


def open_cache(
    folder: Path,
    network: Network,
    images: ImageLoader,
    splits: dict[str, Split],
    settings: MethodEntryCache | None,
) -> FrozenBlocksCache | None:
    """Return the cache of a network and its images, or None if nothing can be stored.

    Parameters
    ----------
    folder : Path
        Shared by all workers.
    network : Network
        With its initial weights.
    images : ImageLoader
        Loads the images.
    splits : dict of str to Split
        ``train`` and ``val``.
    settings : dict or None
        The method's ``cache``; None: store nothing.

    Returns
    -------
    FrozenBlocksCache or None
        None also if the tower cannot be cut into blocks, or if each step draws new views.
    """
    if settings is None or network.chain is None or images.views is None:
        return None
    rows = {name: splits[name].rows for name in ("train", "val")}
    return FrozenBlocksCache(folder, network, network.chain, images, images.views, rows, settings)


def _positions(rows: np.ndarray, size: int) -> np.ndarray:
    """Return the position of each of `size` store rows in `rows`, or -1."""
    positions = np.full(size, -1)
    positions[rows] = np.arange(len(rows))
    return positions


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file; the system releases it when a process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
