"""One micro-batch, and what every algorithm offers to the loop."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """Images of one forward pass.

    Parameters
    ----------
    views : torch.Tensor
        float32 [b, views, channels, size, size], normalised.
    positions : torch.Tensor
        int64 [b], where the images stand in the training set.
    draws : torch.Tensor
        float32 [b, k], uniform in [0, 1), drawn for this step.
    """

    views: torch.Tensor
    positions: torch.Tensor
    draws: torch.Tensor

    def __len__(self) -> int:
        return len(self.positions)


class Algorithm(torch.nn.Module):
    """A loss over images, in the parts that accumulation over micro-batches needs.

    ``loss(encode(batch), targets(batch))`` is the loss. `encode` treats each image by itself, so
    that it can run in pieces; `loss` sees the rows of the whole share of this process and talks
    to the other processes where it needs theirs.
    """

    views = 1
    draws = 0
    separable = False  # the loss is the mean of the rows that `encode` returns
    indivisible = False  # `encode` needs the whole batch at once, for its own batch norm

    def begin_step(self, done: float) -> None:
        """Prepare a step; `done` is the share of the training that is behind it."""

    def end_step(self) -> None:
        """Tidy up after the optimizer."""

    def encode(self, batch: Batch) -> torch.Tensor:
        """Return one row an image, with gradient."""
        raise NotImplementedError

    def targets(self, batch: Batch) -> torch.Tensor:
        """Return one row an image that takes no gradient; by default an empty one."""
        return torch.empty(len(batch), 0, device=batch.views.device)

    def loss(self, rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of this process's images."""
        raise NotImplementedError

    def weights(self) -> dict[str, torch.Tensor]:
        """Return what the run is for: the weights to be saved."""
        raise NotImplementedError

    def decay_all(self) -> bool:
        """Return whether weight decay also acts on biases and norms."""
        return False
