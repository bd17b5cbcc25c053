"""Batches from image stores; seed and epoch determine the order of the images.

Nothing here has state: the order of an epoch is a function of (seed, epoch), and the random views
of a step are a function of (seed, step). A resumed run, on any number of processes, sees the same
data.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import is_dataclass
from typing import TypeVar

import numpy as np
import torch

from medaudit.core.seeds import generator
from medaudit.data.image_store import Images, StoredImages, sizes_of

Result = TypeVar("Result")
Tensors = TypeVar("Tensors", torch.Tensor, list[torch.Tensor])
CPU = torch.device("cpu")
AHEAD = 3
"""Smallest number of batches to read ahead while the model trains; one per thread if more."""
LAUNCHED = 3
"""Largest number of batches whose computation waits on the GPU."""


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
        return channels_first(images)

    def _take_each(self, positions: np.ndarray) -> torch.Tensor | list[torch.Tensor]:
        images: dict[int, np.ndarray] = {}
        for number, here in self._stores(positions):
            found = self.arrays[number][self.row[positions[here]]]
            images |= dict(zip(here.tolist(), found, strict=True))
        return channels_first([images[place] for place in range(len(positions))])

    def _stores(self, positions: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each array's number, and where its images are among `positions`."""
        for number in range(len(self.arrays)):
            here = np.flatnonzero(self.store[positions] == number)
            if len(here):
                yield number, here


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the random order of `count` images in an epoch: int64 [count]."""
    return generator("order", seed, epoch).permutation(count)


def channels_first(images: Images) -> torch.Tensor | list[torch.Tensor]:
    """Return images ``[h, w]`` or ``[h, w, 3]`` as [channels, h, w]."""
    if isinstance(images, list):
        # Copied: they may be parts of a memory map, which torch must not write to.
        return [channels_first(np.array(image)[None])[0] for image in images]
    tensor = torch.from_numpy(images)
    return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)


def to_device(tensors: Tensors, device: torch.device) -> Tensors:
    """Return a tensor, or each of a list, on a device.

    To a GPU, it is copied from pinned memory, without waiting.
    """
    if isinstance(tensors, list):
        return [to_device(tensor, device) for tensor in tensors]
    if device.type != "cuda" or tensors.is_cuda:
        return tensors.to(device)
    return tensors.pin_memory().to(device, non_blocking=True)


def read_ahead(
    jobs: Iterable[Callable[[], Result]], workers: int = 2, device: torch.device = CPU
) -> Iterator[Result]:
    """Run `jobs` in threads ahead of the consumer, and yield their results in order.

    On a GPU, each thread has a CUDA stream of its own, so that what a job does there (copies,
    random views, resizing) overlaps with the training step. The consumer's stream waits for the
    job's; the processor does not.

    Parameters
    ----------
    jobs : iterable of callable
        Each returns a tensor, or a sequence or dataclass of tensors.
    workers : int
        Number of threads.
    device : torch.device
        The device that jobs use, if it is a GPU.
    """
    ahead = max(AHEAD, workers)
    lanes = _Lanes(device) if device.type == "cuda" else None
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque = deque()
        for job in jobs:
            waiting.append(pool.submit(lanes.run, job) if lanes else pool.submit(job))
            if len(waiting) > ahead:
                result = waiting.popleft().result()
                yield lanes.receive(*result) if lanes else result
        while waiting:
            result = waiting.popleft().result()
            yield lanes.receive(*result) if lanes else result


class _Lanes(threading.local):
    """One CUDA stream for each thread that prepares batches."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.taken: deque = deque()

    def run(self, job: Callable[[], Result]) -> tuple[Result, torch.cuda.Event]:
        """Run a job on this thread's stream; return its result and the event of its end."""
        with torch.cuda.stream(self.stream):
            result = job()
            return result, self.stream.record_event()

    def receive(self, result: Result, ready: torch.cuda.Event) -> Result:
        """Return a result for use on the consumer's stream."""
        consumer = torch.cuda.current_stream(self.device)
        consumer.wait_event(ready)
        for tensor in tensors_of(result):
            # The allocator must not hand this memory to the thread's stream while it is in use here.
            tensor.record_stream(consumer)
        # Launching is faster than computing. Without a limit, batches would fill the GPU's memory.
        self.taken.append(consumer.record_event())
        if len(self.taken) > LAUNCHED:
            self.taken.popleft().synchronize()
        return result


def tensors_of(value: object) -> Iterator[torch.Tensor]:
    """Yield the tensors on a GPU in a tensor, sequence or dataclass."""
    if isinstance(value, torch.Tensor):
        if value.is_cuda:
            yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_of(part)
    elif is_dataclass(value):
        for part in vars(value).values():
            yield from tensors_of(part)
