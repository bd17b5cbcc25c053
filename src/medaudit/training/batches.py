"""Batches from image stores; seed and epoch determine the order of the images.

Nothing here has state: the order of an epoch is a function of (seed, epoch), and the random views
of a step are a function of (seed, step). A resumed run, on any number of processes, sees the same
data.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from medaudit.core.seeds import generator
from medaudit.data.image_store import StoredImages, sizes_of

Result = TypeVar("Result")
AHEAD = 3
"""Smallest number of batches to read ahead while the model trains; one per thread if more."""


class ImageRows:
    """Rows of one or several image arrays as one sequence.

    Parameters
    ----------
    arrays : list of StoredImages
        uint8 [n, h, w] (grey) or [n, h, w, 3], usually memory maps, or images of several sizes;
        all with the same number of channels.
    rows : list of numpy.ndarray
        The rows of each array that belong to the sequence, in order.
    """

    def __init__(self, arrays: Sequence[StoredImages], rows: list[np.ndarray]) -> None:
        self.arrays = arrays
        shapes = [array.shape[1:] for array in arrays if isinstance(array, np.ndarray)]
        self.uniform = len(shapes) == len(arrays) and len(set(shapes)) == 1
        self.store = np.repeat(np.arange(len(arrays)), [len(part) for part in rows])
        self.row = np.concatenate([np.asarray(part, np.int64) for part in rows])

    def __len__(self) -> int:
        return len(self.row)

    def sizes(self, positions: np.ndarray) -> np.ndarray:
        """Return height and width of the images at `positions`: int64 [len(positions), 2]."""
        sizes = np.empty((len(positions), 2), np.int64)
        for number, here in self._stores(positions):
            sizes[here] = sizes_of(self.arrays[number], self.row[positions[here]])
        return sizes

    def take(self, positions: np.ndarray) -> torch.Tensor | list[torch.Tensor]:
        """Return the images at `positions`: uint8 [len(positions), channels, h, w].

        If not all images have one size, it is a list of [channels, h, w].
        """
        if not self.uniform:
            return self._take_each(positions)
        images: np.ndarray | None = None
        for number, here in self._stores(positions):
            found = np.asarray(self.arrays[number][self.row[positions[here]]])
            if images is None:
                images = np.empty((len(positions), *found.shape[1:]), np.uint8)
            images[here] = found
        assert images is not None  # no batch is empty
        tensor = torch.from_numpy(images)
        return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)

    def _take_each(self, positions: np.ndarray) -> list[torch.Tensor]:
        images: dict[int, torch.Tensor] = {}
        for number, here in self._stores(positions):
            found = self.arrays[number][self.row[positions[here]]]
            for place, image in zip(here.tolist(), found, strict=True):
                tensor = torch.from_numpy(np.array(image))
                images[place] = tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)
        return [images[place] for place in range(len(positions))]

    def _stores(self, positions: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each array's number, and where its images are among `positions`."""
        for number in range(len(self.arrays)):
            here = np.flatnonzero(self.store[positions] == number)
            if len(here):
                yield number, here


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the random order of `count` images in an epoch: int64 [count]."""
    return generator("order", seed, epoch).permutation(count)


def read_ahead(jobs: Iterable[Callable[[], Result]], workers: int = 2) -> Iterator[Result]:
    """Run `jobs` in threads ahead of the consumer, and yield their results in order."""
    ahead = max(AHEAD, workers)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque = deque()
        for job in jobs:
            waiting.append(pool.submit(job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
