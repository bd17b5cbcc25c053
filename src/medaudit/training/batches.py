"""Batches from image stores; seed and epoch determine the order of the images.

Nothing here has state: the order of an epoch is a function of (seed, epoch), and the random views
of a step are a function of (seed, step). A resumed run, on any number of processes, sees the same
data.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from medaudit.core.seeds import generator

Result = TypeVar("Result")
AHEAD = 3
"""Smallest number of batches to read ahead while the model trains; one per thread if more."""


class ImageRows:
    """Rows of one or several image arrays as one sequence.

    Parameters
    ----------
    arrays : list of numpy.ndarray
        uint8 [n, s, s] (grey) or [n, s, s, 3], usually memory maps, all of the same size.
    rows : list of numpy.ndarray
        The rows of each array that belong to the sequence, in order.
    """

    def __init__(self, arrays: list[np.ndarray], rows: list[np.ndarray]) -> None:
        self.arrays = arrays
        self.store = np.repeat(np.arange(len(arrays)), [len(part) for part in rows])
        self.row = np.concatenate([np.asarray(part, np.int64) for part in rows])

    def __len__(self) -> int:
        return len(self.row)

    @property
    def side(self) -> int:
        """Side of the stored images in pixels."""
        return self.arrays[0].shape[1]

    def take(self, positions: np.ndarray) -> torch.Tensor:
        """Return the images at `positions`: uint8 [len(positions), channels, s, s]."""
        images = np.empty((len(positions), *self.arrays[0].shape[1:]), np.uint8)
        for number, array in enumerate(self.arrays):
            here = np.flatnonzero(self.store[positions] == number)
            if len(here):
                images[here] = array[self.row[positions[here]]]
        tensor = torch.from_numpy(images)
        return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)


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
