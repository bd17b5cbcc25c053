"""Checkpoints that survive a kill at any moment.

A checkpoint is written to a temporary file, flushed and renamed; the last two are kept. It carries
a fingerprint of everything that determines the result; a run with another fingerprint does not
load it and starts from the beginning.
"""

import logging
import os
import pickle
import shutil
import time
from pathlib import Path

import torch

from medaudit.core.table_io import atomic

KEPT = 2
"""Checkpoints to keep: if the newest cannot be read, the run resumes from the one before."""

log = logging.getLogger(__name__)


def interval() -> float:
    """Return the seconds between checkpoints: ``$MEDAUDIT_CHECKPOINT_SECONDS`` or 120."""
    return float(os.environ.get("MEDAUDIT_CHECKPOINT_SECONDS", 120))


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : Path
        Contains only these checkpoints; on a file system that all processes of the run share.
    fingerprint : str
        Hash of settings, data and code; checkpoints with another fingerprint are ignored.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.written = time.monotonic()

    def load(self, device: torch.device) -> dict | None:
        """Return the newest readable state of this run, or None."""
        for path in reversed(self._paths()):
            try:
                state = torch.load(path, map_location=device, weights_only=True)
            except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
                log.warning("cannot read checkpoint %s (%s): trying the one before", path, error)
                continue
            if state["fingerprint"] == self.fingerprint:
                log.info("resuming from %s", path)
                return state
            log.warning("%s belongs to other settings, data or code: ignored", path)
        return None

    def due(self) -> bool:
        """Return whether it is time for the next checkpoint."""
        return time.monotonic() - self.written >= interval()

    def save(self, step: int, state: dict) -> None:
        """Write the state after `step` steps, then delete all but the last two checkpoints."""
        with atomic(self.folder / f"step_{step:010d}.pt") as temporary:
            torch.save({**state, "fingerprint": self.fingerprint}, temporary)
        for path in self._paths()[:-KEPT]:
            path.unlink()
        self.written = time.monotonic()

    def discard(self) -> None:
        """Delete all checkpoints; call it when the run has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step_*.pt"))
