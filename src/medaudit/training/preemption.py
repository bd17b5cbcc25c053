"""Preemption: how a job ends after SIGTERM, which SLURM sends shortly before the time limit.

A training loop checks the signal after each step, writes a checkpoint and exits with
`EXIT_PREEMPTED`. Under SLURM the job first puts itself back into the queue. It keeps its job
number, so that whatever monitors it (Snakemake) sees a waiting job instead of a failed one.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

EXIT_PREEMPTED = 75
"""Exit code after SIGTERM (EX_TEMPFAIL): the same command resumes the job."""

SLURM_TIMEOUT = 20
"""Seconds to wait for a SLURM command; by default SLURM kills a job 30 s after SIGTERM."""

log = logging.getLogger(__name__)


class PreemptionSignal:
    """Signal handler that records whether SIGTERM was received."""

    def __init__(self) -> None:
        self.received = False

    def __call__(self, *_: object) -> None:
        """Record the signal; the training loop checks `received` after each step."""
        self.received = True


@contextmanager
def catch_sigterm() -> Iterator[PreemptionSignal]:
    """Record SIGTERM instead of dying from it; restore the previous handler on exit."""
    preemption = PreemptionSignal()
    before = signal.signal(signal.SIGTERM, preemption)
    try:
        yield preemption
    finally:
        signal.signal(signal.SIGTERM, before)


def requeue_and_exit(saved: str) -> NoReturn:
    """Requeue the SLURM job, if there is one, and exit with `EXIT_PREEMPTED`.

    Parameters
    ----------
    saved : str
        What the job can resume from, for the log: "checkpoint of step 12 written".
    """
    log.info("SIGTERM: %s; the same command resumes from there", saved)
    requeue_slurm_job()
    sys.exit(EXIT_PREEMPTED)


def requeue_slurm_job() -> bool:
    """Put this process's SLURM job back into the queue; return whether that worked."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    # SIGTERM also follows scancel. SLURM would run a cancelled job again if it were requeued, so
    # ask for the state: a cancelled job is COMPLETING, one at its time limit is still RUNNING.
    state = run_slurm_command("squeue", "--noheader", "--jobs", job, "--format", "%T")
    if state != "RUNNING":
        log.info("SLURM job %s is %s: not requeued", job, state or "unknown")
        return False
    requeued = run_slurm_command("scontrol", "requeue", job) is not None
    log.info("SLURM job %s %s", job, "requeued" if requeued else "could not be requeued")
    return requeued


def run_slurm_command(*command: str) -> str | None:
    """Return the output of a SLURM command, or None if it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SLURM_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s: %s", command[0], error)
        return None
    if done.returncode:
        log.warning("%s: %s", command[0], done.stderr.strip())
        return None
    return done.stdout.strip()
