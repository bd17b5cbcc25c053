"""Progress of a training run: a bar on a terminal, lines in a log."""

import logging
import sys
import time
from typing import SupportsFloat

from tqdm import tqdm

log = logging.getLogger(__name__)
LINE_SECONDS = 15.0
"""Seconds between two lines of the log."""


class Progress:
    """Shows images per second and the remaining time.

    Parameters
    ----------
    name : str
        Name of the run.
    steps, done : int
        Steps of the whole run, and steps done before it was resumed.
    images : int
        Images per step.
    shown : bool
        True only in the process of rank 0.
    """

    def __init__(self, name: str, steps: int, done: int, images: int, shown: bool) -> None:
        self.name, self.steps, self.first, self.images = name, steps, done, images
        self.done, self.shown = done, shown
        self.start = self.line = time.monotonic()
        hidden = not (shown and sys.stderr.isatty())
        self.bar = tqdm(
            total=steps * images,
            initial=done * images,
            unit="img",
            unit_scale=True,
            desc=name,
            disable=hidden,
        )

    def update(self, epoch: float, loss: SupportsFloat) -> None:
        """Count one step.

        Parameters
        ----------
        epoch : float
            Epochs done, with fractions.
        loss : float or torch.Tensor
            Loss of this process's part of the batch. It is read only for a line of the log: reading
            a tensor makes the processor wait for the GPU.
        """
        self.done += 1
        self.bar.update(self.images)
        now = time.monotonic()
        if self.shown and (now - self.line >= LINE_SECONDS or self.done == self.steps):
            self.line = now
            log.info("%s: epoch %.1f, loss %.4f, %s", self.name, epoch, float(loss), self.pace())

    def pace(self) -> str:
        """Return speed and remaining time, e.g. ``312 images/s, 0:45 left``."""
        seconds = (time.monotonic() - self.start) / max(self.done - self.first, 1)
        minutes, rest = divmod(round(seconds * (self.steps - self.done)), 60)
        hours, minutes = divmod(minutes, 60)
        left = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
        return f"{self.images / max(seconds, 1e-9):.0f} images/s, {left} left"

    def close(self) -> None:
        """Close the bar."""
        self.bar.close()
