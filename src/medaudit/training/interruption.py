"""When a run writes a checkpoint and when it stops: the same step in all of its processes.

The processes agree by a reduction, which makes a GPU wait. They therefore do so only every few
seconds, at a step that they have agreed on before; a single process just looks at its own signal.
"""

import time
from typing import NamedTuple

import torch
import torch.distributed as dist

from medaudit.training.checkpoints import Checkpoints, interval
from medaudit.training.distributed import Processes
from medaudit.training.preemption import PreemptionSignal

SECONDS = 5.0
"""Longest time between two agreements, if steps take about equally long."""


class Decision(NamedTuple):
    """What all processes do after a step.

    Parameters
    ----------
    stop : bool
        SIGTERM was received by one of them: write a checkpoint and exit.
    save : bool
        It is time for a checkpoint, or `stop` is true.
    """

    stop: bool
    save: bool


class Interruption:
    """Decides after each step whether to stop and whether to write a checkpoint.

    Parameters
    ----------
    processes : Processes
        This process among all.
    preemption : PreemptionSignal
        Whether this process has received SIGTERM.
    checkpoints : Checkpoints
        Knows when the next checkpoint is due.
    """

    def __init__(
        self, processes: Processes, preemption: PreemptionSignal, checkpoints: Checkpoints
    ) -> None:
        self.processes, self.preemption, self.checkpoints = processes, preemption, checkpoints
        self.every, self.steps, self.since = 1, 0, time.monotonic()

    def decide(self) -> Decision:
        """Return what to do after this step; call it after the same steps in all processes."""
        stop, due = self.preemption.received, self.checkpoints.due()
        if self.processes.world == 1:
            return Decision(stop, stop or due)
        self.steps += 1
        if self.steps < self.every:
            return Decision(False, False)
        return self._agree(stop, due)

    def _agree(self, stop: bool, due: bool) -> Decision:
        """Reduce the decisions of all processes, and the number of steps to the next agreement."""
        now = time.monotonic()
        seconds = (now - self.since) / self.steps
        every = max(1, int(min(SECONDS, interval()) / max(seconds, 1e-6)))
        # The largest of the negative numbers is that of the slowest process.
        values = torch.tensor([int(stop), int(due), -every], device=self.processes.device)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        stop_seen, due_seen, negative = values.tolist()
        self.every, self.steps, self.since = -negative, 0, now
        return Decision(bool(stop_seen), bool(stop_seen or due_seen))
