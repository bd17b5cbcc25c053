"""Number types of forward passes: mixed precision on a GPU, float32 on a CPU."""

from collections.abc import Callable
from functools import partial

import torch


def precision(device: torch.device) -> tuple[str, Callable[[], torch.autocast]]:
    """Return the number type of forward passes on a device, and a function that makes its context.

    bfloat16 where the GPU has it in hardware (compute capability 8.0 and later), otherwise
    float16, which needs `gradient_scaler`; float32 on a CPU.
    """
    if device.type != "cuda":
        return "float32", partial(torch.autocast, device.type, enabled=False)
    # Without `including_emulation=False` torch says yes for older cards, which then compute in
    # bfloat16 without tensor cores: slower than float32.
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    kind = torch.bfloat16 if native else torch.float16
    return str(kind).removeprefix("torch."), partial(torch.autocast, device.type, dtype=kind)


def gradient_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Return the scaler of losses, without effect unless forward passes are in float16."""
    return torch.amp.GradScaler(device.type, enabled=precision(device)[0] == "float16")
