"""Base class of all models made of torch: device, preprocessing, inference without gradients."""

import numpy as np
import torch
from torch.nn.functional import interpolate

from medaudit.models.interface import ImageInput
from medaudit.training.batches import CPU, to_device


class TorchEncoder:
    """A frozen torch module with its preprocessing.

    Parameters
    ----------
    module : torch.nn.Module
        Maps float ``[b, channels, size, size]`` to ``[b, d]``. It is set to evaluation mode and
        moved to the GPU if there is one.
    image_input : ImageInput
        Its preprocessing.
    description : dict
        Further contents of `spec`, next to preprocessing, device and versions.
    """

    uses_torch = True

    def __init__(self, module: torch.nn.Module, image_input: ImageInput, description: dict) -> None:
        gpu = torch.cuda.is_available()
        # With its number: "cuda" alone would be GPU 0 in the threads of every process.
        self.device = torch.device("cuda", torch.cuda.current_device()) if gpu else CPU
        layout = torch.channels_last if gpu else torch.preserve_format
        self.module = module.eval().to(self.device, memory_format=layout)
        self.input = image_input
        self.description = description

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Return pixels as the model expects them, see `prepare_images`."""
        return prepare_images(images, self.input, self.device)

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Return float32 ``[b, d]`` for uint8 ``[b, h, w]`` or ``[b, h, w, 3]``."""
        return self.features(self.prepare(images)).cpu().numpy()

    @torch.inference_mode()
    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return float32 ``[b, d]`` on the device for pixels as `prepare` returns them.

        Mixed precision and channels-last memory are used on a GPU only. It is float16, not bfloat16
        as in training: it is as fast, and eight times finer; `embed` refuses an overflow.
        """
        if self.device.type == "cuda":
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            return self.module(pixels).float()

    def spec(self) -> dict:
        """Return weights, preprocessing, device and versions as JSON."""
        return {
            **self.description,
            "preprocessing": self.input.spec(),
            "device": self.device.type,
            "versions": {"torch": torch.__version__, **self.description.get("versions", {})},
        }


def prepare_images(
    images: np.ndarray, image_input: ImageInput, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Resize and normalise uint8 pixels.

    Resized values stay fractional: they are not rounded to whole grey levels.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 ``[b, h, w]`` or ``[b, h, w, 3]``.
    image_input : ImageInput
        The model's preprocessing.
    device : torch.device or str
        Device of the computation and the result.

    Returns
    -------
    torch.Tensor
        float32 ``[b, channels, size, size]``.
    """
    pixels = to_device(torch.from_numpy(np.array(images)), torch.device(device))
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    pixels = pixels.float()
    if image_input.channels == 1:
        pixels = pixels.mean(dim=1, keepdim=True)
    size = (image_input.size, image_input.size)
    if pixels.shape[2:] != size:
        pixels = interpolate(pixels, size, mode=image_input.interpolation, antialias=True)
        pixels = pixels.clamp_(0, 255)  # bicubic interpolation overshoots at edges
    # A grey image becomes three channels here, by broadcasting, so that it is resized only once.
    mean, std = (
        torch.tensor(values, device=device).view(1, -1, 1, 1)
        for values in (image_input.mean, image_input.std)
    )
    return (pixels / 255 - mean) / std
