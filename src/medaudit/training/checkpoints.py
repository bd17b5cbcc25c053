"""Checkpoints that survive a kill at any moment.

A checkpoint is written to a temporary file, flushed and renamed; the last two are kept. The state
belongs to a fingerprint of everything that determines the result: another one is started anew.
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
log = logging.getLogger(__name__)


def interval() -> float:
    """Return the seconds between checkpoints: ``$MEDAUDIT_CHECKPOINT_SECONDS`` or 120."""
    return float(os.environ.get("MEDAUDIT_CHECKPOINT_SECONDS", 120))


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : Path
        Holds nothing else; on a file system that all processes of the run see.
    fingerprint : str
        Of settings, data and code. Checkpoints with another one are not used.
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
                log.warning("cannot read checkpoint %s (%s): trying an older one", path, error)
                continue
            if state["fingerprint"] == self.fingerprint:
                log.info("resuming from %s", path)
                return state
            log.warning("%s is of other settings, data or code: not used", path)
        return None

    def due(self) -> bool:
        """Return whether it is time for the next checkpoint."""
        return time.monotonic() - self.written >= interval()

    def save(self, step: int, state: dict) -> None:
        """Write the state after `step` steps and delete all but the last two."""
        with atomic(self.folder / f"step_{step:010d}.pt") as temporary:
            torch.save({**state, "fingerprint": self.fingerprint}, temporary)
        for path in self._paths()[:-KEPT]:
            path.unlink()
        self.written = time.monotonic()

    def discard(self) -> None:
        """Delete everything, for a run that has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step_*.pt"))
