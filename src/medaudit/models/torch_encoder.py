"""Base class of all models made of torch: device, preprocessing, inference without gradients."""

from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import interpolate, pad

from medaudit.data.image_store import Images, by_size
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

    def prepare(self, images: Images) -> torch.Tensor:
        """Return pixels as the model expects them, see `prepare_images`."""
        return prepare_images(images, self.input, self.device)

    def prepare_views(self, views: np.ndarray) -> torch.Tensor:
        """Return training views as the model expects them: resized and normalised, not cropped.

        A view (uint8 ``[b, s, s]`` or ``[b, s, s, 3]``) already is a crop, as in the owners'
        training transforms.
        """
        whole = replace(self.input, square="stretch", resize=None)
        return prepare_images(views, whole, self.device)

    def encode_images(self, images: Images) -> np.ndarray:
        """Return float32 ``[b, d]`` for uint8 ``[b, h, w]`` or ``[b, h, w, 3]``, or a list."""
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
    images: Images, image_input: ImageInput, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Crop, pad or stretch, resize and normalise uint8 pixels.

    Resized values stay fractional: they are not rounded to whole grey levels.

    Parameters
    ----------
    images : numpy.ndarray or list of numpy.ndarray
        uint8 ``[b, h, w]`` or ``[b, h, w, 3]``; or images ``[h, w]`` or ``[h, w, 3]`` of several
        sizes.
    image_input : ImageInput
        The model's preprocessing.
    device : torch.device or str
        Device of the computation and the result.

    Returns
    -------
    torch.Tensor
        float32 ``[b, channels, size, size]``.
    """
    device = torch.device(device)
    if isinstance(images, np.ndarray):
        return _prepare(images, image_input, device)
    parts = [(places, _prepare(part, image_input, device)) for places, part in by_size(images)]
    order = torch.from_numpy(np.concatenate([places for places, _ in parts]).argsort())
    return torch.cat([part for _, part in parts])[to_device(order, device)]


def _prepare(images: np.ndarray, image_input: ImageInput, device: torch.device) -> torch.Tensor:
    """Prepare images of one size, see `prepare_images`."""
    pixels = to_device(torch.from_numpy(np.array(images)), device)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    pixels = pixels.float()
    if image_input.channels == 1:
        pixels = pixels.mean(dim=1, keepdim=True)
    if image_input.square == "pad":
        pixels = pad_to_square(pixels)
    size = resized_size(pixels.shape[2], pixels.shape[3], image_input)
    if pixels.shape[2:] != size:
        pixels = interpolate(pixels, size, mode=image_input.interpolation, antialias=True)
        pixels = pixels.clamp_(0, 255)  # bicubic interpolation overshoots at edges
    top, left = (round((length - image_input.size) / 2) for length in size)
    pixels = pixels[:, :, top : top + image_input.size, left : left + image_input.size]
    # A grey image becomes three channels here, by broadcasting, so that it is resized only once.
    mean, std = (
        torch.tensor(values, device=device).view(1, -1, 1, 1)
        for values in (image_input.mean, image_input.std)
    )
    return (pixels / 255 - mean) / std


def resized_size(height: int, width: int, image_input: ImageInput) -> tuple[int, int]:
    """Return the height and width to which an image is resized, before its middle is cropped.

    The longer side is rounded down, as in torchvision's ``Resize``.
    """
    length = image_input.resized
    if image_input.square == "stretch":
        return length, length
    shorter = min(height, width)
    return length * height // shorter, length * width // shorter


def pad_to_square(pixels: torch.Tensor) -> torch.Tensor:
    """Pad ``[..., h, w]`` with black to a square; an odd pixel goes to the end."""
    height, width = pixels.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return pad(pixels, (left, side - width - left, top, side - height - top))
