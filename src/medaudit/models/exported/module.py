"""A model's file as a module of torch: types, layout of the pixels, batches, pooling of the output."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from medaudit.core.errors import MedauditError
from medaudit.models.exported.signature import Signature, named
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.files import file_sha256, weights_path
from medaudit.models.weights.load import check_golden

Run = Callable[[torch.Tensor], torch.Tensor]
"""Maps pixels on the CPU, as the file wants them, to its output."""


class ExportedModule(torch.nn.Module):
    """Runs a file on the CPU, whichever batches it was exported for.

    Parameters
    ----------
    run : callable
        Runs the file.
    settings : dict
        The catalogue entry: ``input`` and ``output``.
    signature : Signature or None
        What the file says about its input; None: nothing.
    """

    def __init__(self, run: Run, settings: Mapping[str, Any], signature: Signature | None) -> None:
        super().__init__()
        self.run, self.output = run, settings["output"]
        self.last = settings["input"].get("layout") == "channels_last"
        value = named(signature.inputs, settings["input"].get("name")) if signature else None
        self.dtype = getattr(torch, value.dtype) if value else torch.float32
        self.batch = value.shape[0] if value and value.shape else None
        self.where = f"model {settings.get('name', settings['kind'])} ({weights_path(settings)})"

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the output, pooled to ``[b, d]``, for float pixels ``[b, channels, size, size]``."""
        images = pixels.cpu()
        images = images.permute(0, 2, 3, 1) if self.last else images
        images = images.round() if self.dtype == torch.uint8 else images
        images = images.to(self.dtype).contiguous()
        step = self.batch or len(images)
        parts = [self._run(images[start : start + step]) for start in range(0, len(images), step)]
        return torch.cat(parts).to(pixels.device)

    def _run(self, images: torch.Tensor) -> torch.Tensor:
        count = len(images)
        if self.batch and count < self.batch:  # a file for batches of one size gets a full one
            images = torch.cat([images, images[-1:].expand(self.batch - count, *images.shape[1:])])
        output = self.run(images)
        if output.ndim == 1 and len(images) == len(output):
            output = output[:, None]
        if output.ndim < 2 or len(output) != len(images):
            raise MedauditError(
                f"{self.where}: for {len(images)} images it gives an output of shape "
                f"{list(output.shape)}; the first axis must be the images"
            )
        return self._pooled(output[:count].float())

    def _pooled(self, output: torch.Tensor) -> torch.Tensor:
        """Reduce tokens ``[b, t, d]`` or a map ``[b, d, h, w]`` (or channels last) to one vector."""
        pooling = self.output.get("pooling")
        if output.ndim == 2:
            return output
        if pooling == "flatten":
            return output.flatten(1)
        if output.ndim == 4 and not self.last:
            output = output.permute(0, 2, 3, 1)
        tokens = output.flatten(1, -2)
        if pooling == "first":
            return tokens[:, 0]
        if pooling not in ("mean", "max"):
            raise MedauditError(
                f"{self.where}: its output has the shape {list(output.shape)}; set "
                "`output: {pooling: ...}` to mean, max, first or flatten"
            )
        return tokens.mean(dim=1) if pooling == "mean" else tokens.amax(dim=1)


def exported_encoder(
    run: Run, settings: ModelSettings, signature: Signature | None, versions: dict[str, str]
) -> TorchEncoder:
    """Return the encoder of a model's file, after comparing its golden output if the entry has one."""
    module = ExportedModule(run, settings, signature)
    path = weights_path(settings)
    description = {
        "kind": settings["kind"],
        "weights": path.name,
        "sha256": file_sha256(path),
        "input": dict(settings["input"]),
        "output": dict(settings["output"]),
        "versions": versions,
    }
    encoder = TorchEncoder(module, scaled_input(settings), description)
    check_golden(encoder, settings)
    return encoder


def scaled_input(settings: ModelSettings) -> ImageInput:
    """Return the preprocessing; a ``range`` other than [0, 1] becomes part of mean and std."""
    given: dict[str, Any] = {**settings["input"]}
    low, high = given.pop("range", (0, 1))
    given.pop("layout", None)
    given.pop("name", None)
    # low + (high - low) * x - mean, divided by std, for x in [0, 1].
    given["mean"] = [(value - low) / (high - low) for value in given["mean"]]
    given["std"] = [value / (high - low) for value in given["std"]]
    return ImageInput.from_settings({"input": given})
