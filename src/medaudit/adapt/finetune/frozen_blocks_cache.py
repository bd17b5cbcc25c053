"""Outputs of frozen blocks, computed once and shared by all trials and workers of a search.

A trial in which the first k blocks are frozen starts from the deepest stored level up to k. A
level is one file of all training views and validation images, written under a lock to a temporary
file and renamed, so that a killed worker leaves nothing that another would read.
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

from medaudit.adapt.finetune.loader import Feed, ImageFeed
from medaudit.adapt.finetune.network import Network
from medaudit.core.table_io import atomic

BATCH = 128
GIGABYTES = 20.0
log = logging.getLogger(__name__)


@dataclass
class PrefixFeed:
    """Stored outputs of the first units.

    Parameters
    ----------
    images : ImageFeed
        Says whose turn a view is.
    level : int
        See `medaudit.adapt.finetune.block_chain.Stages.run`.
    values : numpy.ndarray
        Memory map [views * n_train + n_val, ...]: view by view the training images, then the
        validation images.
    train, val : numpy.ndarray
        For each row of the image store its number among them, or -1.
    """

    images: ImageFeed
    level: int
    values: np.ndarray
    train: np.ndarray
    val: np.ndarray

    @cached_property
    def count(self) -> int:
        """Training images."""
        return int(self.train.max()) + 1

    def training(self, rows: np.ndarray, part: np.ndarray, key: tuple, epoch: int) -> torch.Tensor:
        """Return the `part` of a training batch, see `medaudit.adapt.finetune.loader.Feed`."""
        turn = self.images.turn(rows[part], epoch)
        return self._take(turn * self.count + self.train[rows[part]])

    def plain(self, rows: np.ndarray) -> torch.Tensor:
        """Return validation images."""
        return self._take(self.images.views * self.count + self.val[rows])

    def _take(self, numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.values[numbers]).float()


class PrefixCache:
    """The stored levels of one network and one set of images.

    Parameters
    ----------
    folder : Path
        Shared by all workers.
    network : Network
        With its initial weights.
    images : ImageFeed
        What it is fed without a cache.
    rows : dict of str to numpy.ndarray
        Store rows of ``train`` and ``val``.
    settings : dict
        ``gigabytes``: bound of all levels together, 20 by default; ``precision``: ``float16``
        (default) or ``float32``.
    """

    def __init__(
        self, folder: Path, network: Network, images: ImageFeed, rows: dict, settings: dict
    ) -> None:
        self.network, self.images, self.rows = network, images, rows
        self.dtype = np.dtype(settings.get("precision", "float16"))
        self.levels: tuple[int, ...] = ()
        self._opened: dict[int, np.ndarray | None] = {}
        if self.usable:
            self.folder = folder / self._fingerprint()
            sizes = [one.nbytes * self.count for one in self._one()]
            self.levels = choose_levels(sizes, settings.get("gigabytes", GIGABYTES) * 1e9)

    @property
    def usable(self) -> bool:
        """Whether the tower can be cut and no picture is ever new."""
        return self.network.stages is not None and self.images.views is not None

    @property
    def count(self) -> int:
        """How many pictures a level holds."""
        return self.images.views * len(self.rows["train"]) + len(self.rows["val"])

    def feed(self) -> Feed:
        """Return the deepest feed below which nothing is tuned; store it if it is not yet.

        The network's frozen part must have its initial weights.
        """
        frozen = self.network.stages.frozen() if self.levels else 0
        level = max((level for level in self.levels if level <= frozen), default=0)
        values = self._open(level) if level else None
        if values is None:
            return self.images
        size = len(self.images.pixels)
        places = {name: _places(rows, size) for name, rows in self.rows.items()}
        return PrefixFeed(self.images, level, values, **places)

    def _one(self) -> Iterator[np.ndarray]:
        """Yield what a picture is at level 1, 2, ..., one after the other."""
        value = self.images.plain(self.rows["val"][:1])
        for start in range(self.network.stages.end):
            value = self._advance(value, start, start + 1)
            yield value[0].float().cpu().numpy().astype(self.dtype)

    @torch.no_grad()
    def _advance(self, values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        self.network.eval()
        gpu = self.network.device.type == "cuda"
        with torch.autocast(self.network.device.type, torch.bfloat16, gpu):
            return self.network.stages.run(values.to(self.network.device), start, stop)

    def _open(self, level: int) -> np.ndarray | None:
        if level not in self._opened:
            path = self.folder / f"level_{level}.npy"
            try:
                with _locked(path):
                    if not path.exists():
                        self._store(level, path)
                self._opened[level] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, OverflowError) as error:
                log.warning("cannot store %s (%s): its blocks are run in each step", path, error)
                self._opened[level] = None
        return self._opened[level]

    def _store(self, level: int, path: Path) -> None:
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink()
        with atomic(path) as temporary, temporary.open("wb") as stream:
            first = next(self._pictures())
            shape = self._advance(first[:1], 0, level).shape[1:]
            header = {"descr": self.dtype.str, "fortran_order": False}
            np.lib.format.write_array_header_1_0(stream, {**header, "shape": (self.count, *shape)})
            for pictures in self._pictures():
                stream.write(self._narrow(self._advance(pictures, 0, level)).data)
        log.info("stored level %d: %s, %.2f GB", level, path, path.stat().st_size / 1e9)

    def _narrow(self, values: torch.Tensor) -> np.ndarray:
        largest = np.finfo(self.dtype).max
        if not (values.abs() <= largest).all():
            raise OverflowError(f"values beyond {largest:g}, try cache.precision float32")
        return np.ascontiguousarray(values.float().cpu().numpy(), self.dtype)

    def _pictures(self) -> Iterator[torch.Tensor]:
        train, val = self.rows["train"], self.rows["val"]
        for view in range(self.images.views):
            for rows in _chunks(train):
                yield self.images.fixed(rows, np.full(len(rows), view))
        for rows in _chunks(val):
            yield self.images.plain(rows)

    def _fingerprint(self) -> str:
        """Return a hash of all that the stored values depend on."""
        encoder, entry = self.network.encoder, self.images.entry
        facts = (encoder.spec(), self.dtype.str, self.images.views, entry.get("augmentation"))
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, tensor in sorted(self.network.tower.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().reshape(-1).view(np.uint8))
        for rows in self.rows.values():
            digest.update(rows.tobytes())
            for part in _chunks(rows):
                digest.update(np.ascontiguousarray(self.images.pixels[part]))
        return digest.hexdigest()[:16]


def stored_feed(folder: Path, network: Network, images: ImageFeed, splits: dict) -> Feed:
    """Return what a network is fed by its method's ``cache``: null for the images themselves."""
    cache = images.entry.get("cache")
    if cache is None:
        return images
    rows = {name: splits[name].rows for name in ("train", "val")}
    return PrefixCache(folder, network, images, rows, cache).feed()


def choose_levels(sizes: list[int], budget: float) -> tuple[int, ...]:
    """Return the levels that save most blocks within a bound.

    The level of the features first: it is small and serves every trial with a linear head. Then
    one after the other the level that saves most units a byte, where each depth of the frozen
    prefix is taken to be equally likely; so few levels lie evenly and not all at the top, where
    most trials could not use them.

    Parameters
    ----------
    sizes : list of int
        Bytes of level 1, 2, ...; the last one is that of the features.
    budget : float
        Bytes.
    """
    end, chosen = len(sizes), set()
    while True:
        left = budget - sum(sizes[level - 1] for level in chosen)
        rest = [lv for lv in range(1, end + 1) if lv not in chosen and sizes[lv - 1] <= left]
        if not rest:
            return tuple(sorted(chosen))
        saved = _saved_units(chosen, end)
        best = max(
            rest,
            key=lambda lv: (lv == end, (_saved_units({*chosen, lv}, end) - saved) / sizes[lv - 1]),
        )
        chosen.add(best)


def _saved_units(levels: set[int], end: int) -> int:
    return sum(max((lv for lv in levels if lv <= frozen), default=0) for frozen in range(end + 1))


def _places(rows: np.ndarray, size: int) -> np.ndarray:
    places = np.full(size, -1)
    places[rows] = np.arange(len(rows))
    return places


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file; a killed process lets go of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
