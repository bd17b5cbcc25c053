"""Small models in ONNX and torch.export files, and what they give by plain torch."""

import warnings
from pathlib import Path

import torch
from torch import nn

SIZE = 16


class Tiny(nn.Module):
    """A convolution, pooled to six numbers, and a head on them."""

    def __init__(self, outputs: int = 3, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 6, 3, stride=2)
        self.head = nn.Linear(6, outputs)

    def forward(self, image):
        features = torch.relu(self.stem(image)).mean(dim=(2, 3))
        return features, self.head(features)


class Only(nn.Module):
    """One of the outputs of a network."""

    def __init__(self, whole: nn.Module, place: int) -> None:
        super().__init__()
        self.whole, self.place = whole, place

    def forward(self, image):
        return self.whole(image)[self.place]


def tiny(seed: int = 0, **arguments: int) -> Tiny:
    torch.manual_seed(seed)
    return Tiny(**arguments).eval()


def write_onnx(module: nn.Module, path: Path, names=("features", "logits"), batch=None, size=SIZE, channels=3) -> None:  # fmt: skip
    """Write by torch; `batch` is that of the file, None: any."""
    axes = {} if batch else {"image": {0: "batch"}, **{name: {0: "batch"} for name in names}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(batch or 2, channels, size, size),),
            path,
            dynamo=False,
            input_names=["image"],
            output_names=list(names),
            dynamic_axes=axes,
        )


def write_program(module: nn.Module, path: Path, batch=None, size=SIZE) -> None:
    """Write by torch.export."""
    shapes = None if batch else ({0: torch.export.Dim("batch", min=1, max=1024)},)
    example = (torch.zeros(batch or 2, 3, size, size),)
    torch.export.save(torch.export.export(module, example, dynamic_shapes=shapes), path)
