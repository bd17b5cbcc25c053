"""The exact gradient of one optimizer step from micro-batches, also for contrastive losses."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch.nn.parallel import DistributedDataParallel

from medaudit.models.pretrain.algorithm import Algorithm, Batch
from medaudit.training.distributed import average_gradients, in_parallel


class MicroBatch(Protocol):
    """Images that are encoded together, before augmentation."""

    @property
    def positions(self) -> torch.Tensor:
        """One number per image."""


class WholeLoss(torch.nn.Module):
    """The loss of a batch as one module, which DistributedDataParallel can wrap."""

    def __init__(self, algorithm: Algorithm) -> None:
        super().__init__()
        self.algorithm = algorithm

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the mean loss over the images of a batch."""
        algorithm = self.algorithm
        return algorithm.loss(algorithm.encode(batch), algorithm.targets(batch))


class GradientAccumulation:
    """Adds the gradient of a loss over micro-batches to the parameters, averaged over processes.

    A contrastive loss is not a sum over micro-batches, because each image is a negative for all
    others. It is exact here by gradient caching (Gao et al. 2021, arXiv 2101.06983): encode all
    rows without gradient, compute the loss and its gradient with respect to each row, then encode
    each micro-batch again and backpropagate the gradients of its rows. Nothing is encoded twice if
    there is only one micro-batch or the loss is a mean over rows.

    Parameters
    ----------
    algorithm : Algorithm
        Model and loss; gradients are added to its parameters.
    make : callable
        Augments a micro-batch. It is called twice if the micro-batch is encoded twice, and must
        return the same batch both times.
    autocast : callable
        Returns the context of the forward passes.
    scale : callable
        Applied to the loss before `backward` (loss scaling in half precision).
    """

    def __init__(
        self,
        algorithm: Algorithm,
        make: Callable[[Any], Batch],
        autocast: Callable[[], AbstractContextManager] = nullcontext,
        scale: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
    ) -> None:
        self.algorithm, self.make, self.autocast, self.scale = algorithm, make, autocast, scale
        self.whole = in_parallel(WholeLoss(algorithm))

    def add(self, parts: Sequence[MicroBatch]) -> torch.Tensor:
        """Add the gradient over all micro-batches; return the loss of this process, detached."""
        if self.algorithm.separable or len(parts) == 1:
            return self._add_means(parts)
        return self._add_cached(parts)

    def _add_means(self, parts: Sequence[MicroBatch]) -> torch.Tensor:
        # Micro-batches may differ in size, so each is weighted by its share of the images.
        count, total = sum(len(part.positions) for part in parts), []
        for number, part in enumerate(parts):
            # Processes exchange gradients once per step: in the backward pass of the last part.
            with self._unsynchronised(number < len(parts) - 1):
                with self.autocast():
                    loss = self.whole(self.make(part)) * (len(part.positions) / count)
                self.scale(loss).backward()
            total.append(loss.detach())
        return torch.stack(total).sum()

    def _add_cached(self, parts: Sequence[MicroBatch]) -> torch.Tensor:
        algorithm = self.algorithm
        # First pass: only rows are kept, no activations.
        with torch.no_grad(), self.autocast():
            encoded = [(algorithm.encode(b), algorithm.targets(b)) for b in map(self.make, parts)]
        rows, targets = (torch.cat(tensors) for tensors in zip(*encoded, strict=True))
        # The graph begins at the rows, so that `backward` leaves the gradient of each row there.
        rows.requires_grad_()
        with self.autocast():
            loss = algorithm.loss(rows, targets)
        self.scale(loss).backward()
        assert rows.grad is not None  # backward has just set it
        sizes = [len(part.positions) for part in parts]
        for part, gradient in zip(parts, rows.grad.split(sizes), strict=True):
            with self.autocast():
                encoded_again = algorithm.encode(self.make(part))
            encoded_again.backward(gradient)
        average_gradients([p for p in algorithm.parameters() if p.requires_grad])
        return loss.detach()

    def _unsynchronised(self, wanted: bool) -> AbstractContextManager:
        """Return a context in which `backward` leaves this process's own gradients."""
        if wanted and isinstance(self.whole, DistributedDataParallel):
            return self.whole.no_sync()
        return nullcontext()
