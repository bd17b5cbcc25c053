"""Base class of the pretraining algorithms, and the batch that they get."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """Augmented images of one forward pass: a whole batch or a micro-batch of it.

    Parameters
    ----------
    views : torch.Tensor
        float32 [b, views, channels, size, size], normalised, on the device.
    positions : torch.Tensor
        int64 [b], positions of the images in the training set, on the CPU.
    draws : torch.Tensor
        float32 [b, k], random numbers of this step, uniform in [0, 1), on the CPU.
    """

    views: torch.Tensor
    positions: torch.Tensor
    draws: torch.Tensor

    def __len__(self) -> int:
        return len(self.positions)


class Algorithm(torch.nn.Module):
    """A pretraining loss, split into the parts that gradient accumulation needs.

    ``loss(encode(batch), targets(batch))`` is the loss. `encode` treats each image separately, so
    it can run in micro-batches; `loss` gets the rows of all images of this process, and collects
    those of the other processes if it needs them.

    Attributes
    ----------
    views : int
        Augmented views per image.
    draws : int
        Random numbers per image and step.
    pooling : str
        How the pretrained encoder's features become one vector: ``token`` or ``avg``, as
        `medaudit.models.kinds.timm` takes it.
    separable : bool
        The loss is the mean of the rows that `encode` returns.
    indivisible : bool
        `encode` needs the whole batch at once, because of batch norm in the encoder.
    """

    views: int = 1
    draws: int = 0
    pooling: str = "token"
    separable: bool = False
    indivisible: bool = False

    def begin_step(self, done: float) -> None:
        """Prepare a step; `done` is the fraction of the training completed before it."""

    def end_step(self) -> None:
        """Adjust parameters after the optimizer's update."""

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return one row per image, with gradient."""
        raise NotImplementedError

    def targets(self, batch: Batch) -> torch.Tensor:
        """Return one row per image without gradient; by default an empty one."""
        return torch.empty(len(batch), 0, device=batch.views.device)

    def loss(self, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of this process's images."""
        raise NotImplementedError

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights to save."""
        raise NotImplementedError

    def decay_all(self) -> bool:
        """Return whether weight decay also applies to biases and norms."""
        return False
