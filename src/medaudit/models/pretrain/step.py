"""The gradient of one optimizer step, in as many micro-batches as memory asks for."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

from medaudit.models.pretrain.algorithm import Algorithm, Batch

Part = TypeVar("Part")


def accumulate(
    algorithm: Algorithm,
    parts: list[Part],
    make: Callable[[Part], Batch],
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    scale: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
) -> float:
    """Add the gradient of the loss over all micro-batches together, and return the loss.

    Exact for contrastive losses too, where the micro-batches are each other's negatives: rows are
    encoded without gradient, the loss over all of them gives each row's gradient, and each
    micro-batch is encoded again to pass its rows' gradient on (Gao et al. 2021, arXiv 2101.06983).
    Nothing is encoded twice where there is one micro-batch or the loss is a mean over rows.

    Parameters
    ----------
    algorithm : Algorithm
        Gradients are added to its parameters.
    parts : list
        The micro-batches, as `make` takes them; with ``positions`` of one row an image.
    make : callable
        Makes a micro-batch; called again where it is needed again.
    autocast : callable
        Gives the context of the forward passes.
    scale : callable
        Applied to the loss before `backward`.

    Returns
    -------
    float
        The loss of this process.
    """
    if algorithm.separable:
        return _accumulate_means(algorithm, parts, make, autocast, scale)
    again = len(parts) > 1
    with torch.set_grad_enabled(not again), autocast():
        encoded = [_encode(algorithm, make(part)) for part in parts]
    rows, targets = (torch.cat(tensors) for tensors in zip(*encoded, strict=True))
    rows = rows.detach().requires_grad_() if again else rows
    with autocast():
        loss = algorithm.loss(rows, targets)
    scale(loss).backward()
    if again:
        sizes = [len(part.positions) for part in parts]
        for part, gradient in zip(parts, rows.grad.split(sizes), strict=True):
            with autocast():
                encoded_again = algorithm.encode(make(part))
            encoded_again.backward(gradient)
    return loss.item()


def _encode(algorithm: Algorithm, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return algorithm.encode(batch), algorithm.targets(batch)


def _accumulate_means(algorithm, parts, make, autocast, scale) -> float:
    count, total = sum(len(part.positions) for part in parts), 0.0
    for part in parts:
        with autocast():
            rows, targets = _encode(algorithm, make(part))
            loss = algorithm.loss(rows, targets) * (len(rows) / count)
        scale(loss).backward()
        total += loss.item()
    return total
