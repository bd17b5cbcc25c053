"""Architectures of timm without their classifier, with the constants that their owners use."""

import timm
import torch
from timm.layers import StdConv2d

BIT_EPSILON = 1e-10
"""Added to the variance of a kernel before BiT standardises it (big_transfer, torch, JAX and TF2)."""


def create_architecture(name: str, **arguments: object) -> torch.nn.Module:
    """Return timm's model without its classifier, with timm's initial weights.

    Parameters
    ----------
    name : str
        A model of timm. For BiT's (``resnetv2_*_bit``) the epsilon of weight standardisation is
        the owners' 1e-10, not timm's 1e-8: it matters where kernels have a standard deviation
        below 0.01.
    **arguments
        Of `timm.create_model`.
    """
    module = timm.create_model(name, pretrained=False, num_classes=0, **arguments)
    if name.split(".")[0].endswith("_bit"):
        for part in module.modules():
            if isinstance(part, StdConv2d):
                part.eps = BIT_EPSILON
    return module
