"""What a model is, before it is used: its size, the state of its file, and what it sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medaudit.core.errors import MedauditError
from medaudit.data.image_store import Images
from medaudit.models.interface import Encoder, ImageInput
from medaudit.models.kinds import build, network
from medaudit.models.torch_encoder import TorchEncoder, prepare_images
from medaudit.models.vision_language import Towers
from medaudit.models.weights.files import check_weights, file_sha256, weights_path

CELL, GAP = 224, 8
"""Side of a picture of the contact sheet, and the space between two, in pixels."""


@dataclass(frozen=True)
class FileState:
    """The file that an entry names.

    Parameters
    ----------
    path : Path or None
        Where it is or should be; None for random weights.
    problems : list of str
        What is missing or wrong, each with the remedy.
    sha256 : str or None
        Of the file; None if it is not there.
    size : int
        Bytes.
    """

    path: Path | None
    problems: list[str]
    sha256: str | None = None
    size: int = 0


def file_state(name: str, entry: Mapping[str, Any]) -> FileState:
    """Return the state of a model's file; it is hashed, not loaded."""
    if entry.get("weights") is None:
        return FileState(None, [])
    path = weights_path(entry)
    problems = check_weights({name: dict(entry)})
    if not path.is_file():
        return FileState(path, problems)
    found, expected = file_sha256(path), entry.get("sha256")
    if expected and found != expected.lower():
        problems.append(f"model {name}: {path} has SHA-256 {found}, the catalogue says {expected}")
    return FileState(path, problems, found, path.stat().st_size)


def parameters(entry: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of parameters by tower, without memory for them.

    Returns
    -------
    dict of str to int
        ``image`` and, of a vision-language model, ``text``; empty for a kind without a network.
    """
    with torch.device("meta"):
        made = network(entry)
    if made is None:
        return {}
    towers = (
        {"image": made.image, "text": made.text} if isinstance(made, Towers) else {"image": made}
    )
    return {name: sum(p.numel() for p in tower.parameters()) for name, tower in towers.items()}


def load(entry: Mapping[str, Any]) -> Encoder | str:
    """Return the model built from its file, or the message of the error that it ends with."""
    try:
        return build(entry)
    except MedauditError as error:
        return str(error)


def seen(images: Images, entry: Mapping[str, Any], encoder: Encoder | None = None) -> np.ndarray:
    """Return what a model sees of pictures: the prepared pixels, as grey levels or colours again.

    Parameters
    ----------
    images : numpy.ndarray or list of numpy.ndarray
        uint8 pictures, see `medaudit.data.image_store.Images`.
    entry : mapping
        The model's catalogue entry.
    encoder : Encoder, optional
        The loaded model, whose own preparation is then used.

    Returns
    -------
    numpy.ndarray
        uint8 ``[b, size, size, 3]``.
    """
    given = ImageInput.from_settings(entry)
    if isinstance(encoder, TorchEncoder):
        pixels = encoder.prepare(images)
    else:
        pixels = prepare_images(images, given)
    mean, std = (torch.tensor(x).view(1, -1, 1, 1) for x in (given.mean, given.std))
    levels = (pixels.cpu() * std + mean).mul(255).round().clamp(0, 255).byte()
    return levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()


def contact_sheet(images: Images, prepared: np.ndarray) -> np.ndarray:
    """Return pictures above what the model sees of them, uint8 ``[h, w, 3]``.

    Every picture is scaled to its cell: grey surrounds one that is not square.
    """
    rows = ([_cell(image) for image in images], [_cell(image) for image in prepared])
    width = len(rows[0]) * (CELL + GAP) + GAP
    sheet = np.full((2 * (CELL + GAP) + GAP, width, 3), 128, np.uint8)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            top, left = GAP + row * (CELL + GAP), GAP + column * (CELL + GAP)
            sheet[top : top + CELL, left : left + CELL] = cell
    return sheet


def _cell(image: np.ndarray) -> np.ndarray:
    import cv2

    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    height, width = (max(1, round(n * CELL / max(colour.shape[:2]))) for n in colour.shape[:2])
    small = cv2.resize(np.ascontiguousarray(colour), (width, height), interpolation=cv2.INTER_AREA)
    cell = np.full((CELL, CELL, 3), 128, np.uint8)
    top, left = (CELL - height) // 2, (CELL - width) // 2
    cell[top : top + height, left : left + width] = small
    return cell
