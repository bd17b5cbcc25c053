"""Position embeddings at another image size, resampled as each owner does."""

from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Resampling:
    """How an owner's code fits position embeddings to another grid of patches; always bicubic.

    Parameters
    ----------
    antialias : bool
        Whether a smaller grid is smoothed first.
    offset : float
        Added to the number of patches on a side before the ratio of the two grids is taken, as
        DINOv2 does (0.1) in models without registers; 0 interpolates to the exact size.
    """

    antialias: bool = False
    offset: float = 0.0


def resample_positions(
    positions: torch.Tensor, length: int, prefix: int, rule: Resampling
) -> torch.Tensor:
    """Return position embeddings for another square grid.

    Parameters
    ----------
    positions : torch.Tensor
        ``[1, prefix + n * n, d]``.
    length : int
        Wanted number of positions.
    prefix : int
        Number of tokens before the patches, e.g. 1 for the class token; they stay as they are.
    rule : Resampling
        The owner's way.

    Returns
    -------
    torch.Tensor
        ``[1, length, d]``; `positions` itself if it has that length, or if one of the two grids is
        not square.
    """
    old, new = (round(max(n - prefix, 0) ** 0.5) for n in (positions.shape[1], length))
    square = old**2 + prefix == positions.shape[1] and new**2 + prefix == length
    if positions.shape[1] == length or not square or old == 0:
        return positions
    grid = positions[:, prefix:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    # With an offset the ratio and not the size is given, so that the sampled points are the owner's.
    ratio = (new + rule.offset) / old
    size, scale = (None, (ratio, ratio)) if rule.offset else ((new, new), None)
    grid = interpolate(grid, size, scale, mode="bicubic", antialias=rule.antialias)
    patches = grid.permute(0, 2, 3, 1).reshape(1, new * new, -1).to(positions.dtype)
    return torch.cat([positions[:, :prefix], patches], dim=1)
