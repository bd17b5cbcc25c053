"""Loads and augments the images of each step, for this process's share of the batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from medaudit.core.seeds import generator
from medaudit.models.pretrain.algorithm import Algorithm, Batch
from medaudit.models.pretrain.settings import Settings
from medaudit.training.augmentation import apply_views, draw_views
from medaudit.training.batches import ImageRows, epoch_order, read_ahead, to_device
from medaudit.training.distributed import Processes


@dataclass(frozen=True)
class RawBatch:
    """Images of a micro-batch on the device; on the CPU, the random numbers of their augmentation."""

    images: torch.Tensor | list[torch.Tensor]
    matrices: torch.Tensor
    positions: torch.Tensor
    draws: torch.Tensor


class ViewLoader:
    """Yields this process's share of every batch; batches are the same for any number of processes.

    Parameters
    ----------
    settings : Settings
        Batch size, seed, augmentation, input.
    images : ImageRows
        The training set.
    processes : Processes
        The rank and the device of this process.
    algorithm : Algorithm
        Says how many views and random numbers an image needs.
    """

    def __init__(
        self, settings: Settings, images: ImageRows, processes: Processes, algorithm: Algorithm
    ) -> None:
        self.settings, self.images, self.processes = settings, images, processes
        self.views, self.draws = algorithm.views, algorithm.draws
        self.steps_per_epoch = len(images) // settings.batch_size
        self.order: tuple[int, np.ndarray] | None = None
        shape = (1, 1, settings.input.channels, 1, 1)
        device = processes.device
        self.mean = torch.tensor(settings.input.mean, device=device).view(shape)
        self.std = torch.tensor(settings.input.std, device=device).view(shape)

    def steps(self, first: int, last: int) -> Iterator[list[RawBatch]]:
        """Yield the micro-batches of each step from `first` up to `last`; threads read ahead."""
        size = self.settings.batch_size // self.processes.world
        micro = min(self.settings.micro_batch or size, size)
        pieces = -(-size // micro)
        jobs = (job for step in range(first, last) for job in self._jobs(step, micro))
        parts: list[RawBatch] = []
        for raw in read_ahead(jobs, device=self.processes.device):
            parts.append(raw)
            if len(parts) == pieces:
                yield parts
                parts = []

    def augment(self, raw: RawBatch) -> Batch:
        """Return the views of the images, cropped and normalised on the device."""
        side = self.settings.input.size
        views = [apply_views(raw.images, raw.matrices[:, view], side) for view in range(self.views)]
        pixels = (torch.stack(views, dim=1) - self.mean) / self.std
        return Batch(pixels, raw.positions, raw.draws)

    def _jobs(self, step: int, micro: int) -> Iterator[Callable[[], RawBatch]]:
        """Yield functions that read the micro-batches of a step.

        Random numbers are drawn for the whole batch, then this process takes its share: so they
        are the same for any number of processes.
        """
        settings = self.settings
        epoch, number = divmod(step, self.steps_per_epoch)
        start = number * settings.batch_size
        positions = self._epoch_order(epoch)[start : start + settings.batch_size]
        rng = generator("step", settings.seed, step)
        sizes = np.repeat(self.images.sizes(positions), self.views, axis=0)
        matrices = draw_views(rng, len(sizes), sizes, settings.augmentation)
        matrices = matrices.reshape(settings.batch_size, self.views, 2, 3)
        draws = rng.random((settings.batch_size, self.draws), dtype=np.float32)
        mine = self.processes.share(settings.batch_size)
        parts = [values[mine] for values in (positions, matrices, draws)]
        for at in range(0, len(parts[0]), micro):
            piece = [part[at : at + micro] for part in parts]
            yield partial(self._read, *piece)

    def _read(self, positions: np.ndarray, matrices: np.ndarray, draws: np.ndarray) -> RawBatch:
        images = to_device(self.images.take(positions), self.processes.device)
        return RawBatch(
            images, *(torch.from_numpy(array) for array in (matrices, positions, draws))
        )

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, epoch_order(len(self.images), self.settings.seed, epoch)
        return self.order[1]
