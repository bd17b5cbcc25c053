"""The exact gradient of one optimizer step from micro-batches, also for contrastive losses."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

import torch

from medaudit.models.pretrain.algorithm import Algorithm, Batch


class MicroBatch(Protocol):
    """Images that are encoded together, before augmentation."""

    @property
    def positions(self) -> torch.Tensor:
        """One number per image."""


M = TypeVar("M", bound=MicroBatch)


def accumulate_gradients(
    algorithm: Algorithm,
    parts: list[M],
    make: Callable[[M], Batch],
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    scale: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
) -> float:
    """Add the gradient of the loss over all micro-batches to the parameters; return the loss.

    A contrastive loss is not a sum over micro-batches, because each image is a negative for all
    others. It is exact here by gradient caching (Gao et al. 2021, arXiv 2101.06983): encode all
    rows without gradient, compute the loss and its gradient with respect to each row, then encode
    each micro-batch again and backpropagate the gradients of its rows. Nothing is encoded twice if
    there is only one micro-batch or the loss is a mean over rows.

    Parameters
    ----------
    algorithm : Algorithm
        Model and loss; gradients are added to its parameters.
    parts : list
        The micro-batches before augmentation.
    make : callable
        Augments a micro-batch. It is called twice if the micro-batch is encoded twice, and must
        return the same batch both times.
    autocast : callable
        Returns the context of the forward passes.
    scale : callable
        Applied to the loss before `backward` (loss scaling in half precision).

    Returns
    -------
    float
        The loss of this process.
    """
    if algorithm.separable:
        return _accumulate_means(algorithm, parts, make, autocast, scale)
    again = len(parts) > 1
    # First pass: with several micro-batches only rows are kept, no activations.
    with torch.set_grad_enabled(not again), autocast():
        encoded = [_encode(algorithm, make(part)) for part in parts]
    rows, targets = (torch.cat(tensors) for tensors in zip(*encoded, strict=True))
    # The graph is cut at the rows, so that `backward` leaves the gradient of each row there.
    rows = rows.detach().requires_grad_() if again else rows
    with autocast():
        loss = algorithm.loss(rows, targets)
    scale(loss).backward()
    if again:
        assert rows.grad is not None  # backward has just set it
        sizes = [len(part.positions) for part in parts]
        for part, gradient in zip(parts, rows.grad.split(sizes), strict=True):
            with autocast():
                encoded_again = algorithm.encode(make(part))
            encoded_again.backward(gradient)
    return loss.item()


def _encode(algorithm: Algorithm, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return algorithm.encode(batch), algorithm.targets(batch)


def _accumulate_means(
    algorithm: Algorithm,
    parts: list[M],
    make: Callable[[M], Batch],
    autocast: Callable[[], AbstractContextManager],
    scale: Callable[[torch.Tensor], torch.Tensor],
) -> float:
    # Micro-batches may differ in size, so each is weighted by its share of the images.
    count, total = sum(len(part.positions) for part in parts), 0.0
    for part in parts:
        with autocast():
            rows, targets = _encode(algorithm, make(part))
            loss = algorithm.loss(rows, targets) * (len(rows) / count)
        scale(loss).backward()
        total += loss.item()
    return total
