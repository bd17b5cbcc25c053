"""How long a run still takes: a line on the terminal while it runs."""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

TYPICAL_SECONDS = {
    "manifest": 1.0,
    "cohort": 1.0,
    "groups": 1.0,
    "images": 3.0,
    "pretrain": 30.0,
    "embed": 8.0,
    "probe": 4.0,
    "zero_shot": 6.0,
    "finetune": 20.0,
    "search": 18.0,
    "best_trial": 1.0,
    "merge_seeds": 1.0,
    "ensemble": 1.5,
    "predictions": 1.5,
    "transfer": 3.0,
    "mitigate": 10.0,
    "evaluate": 2.5,
    "disparity": 5.0,
    "dialects": 1.8,
    "gap_decomposition": 1.3,
    "attribute_probes": 3.0,
    "conditional_gaps": 3.0,
    "sensitivity": 1.5,
    "shift": 3.0,
    "remedies": 2.5,
    "lint": 2.5,
    "compare": 20.0,
    "report": 6.0,
    "gate": 1.0,
}
"""Seconds of a job of the default audit by rule, measured on one core."""

ENOUGH = 10.0
"""Seconds of typical work that must be done before the rest is estimated."""

EVERY = 20.0
"""Seconds between two lines."""

Jobs = Iterable[tuple[str, bool]]
"""Rule of each job of the run, and whether it is finished."""


def typical_seconds(rule: str) -> float:
    """Return what a job of a rule typically takes; a second where that is not known."""
    return TYPICAL_SECONDS.get(rule, 1.0)


def seconds_left(jobs: Jobs, elapsed: float) -> float | None:
    """Return the estimated time until the end of a run.

    Parameters
    ----------
    jobs : iterable of tuple
        See `Jobs`.
    elapsed : float
        Seconds since the start.

    Returns
    -------
    float or None
        The rest of the typical work, at the speed of the work that is done; None until enough is.
    """
    known = [(typical_seconds(rule), finished) for rule, finished in jobs]
    done = sum(seconds for seconds, finished in known if finished)
    left = sum(seconds for seconds, finished in known if not finished)
    return None if done < ENOUGH else elapsed * left / done


def describe(jobs: Jobs, elapsed: float) -> str:
    """Return e.g. ``120 of 227 jobs done, about 6 min left``; empty while that is not known."""
    listed = list(jobs)
    left = seconds_left(listed, elapsed)
    if left is None:
        return ""
    finished = sum(done for _, done in listed)
    return f"{finished} of {len(listed)} jobs done, about {spell_time(left)} left"


def spell_time(seconds: float) -> str:
    """Return e.g. ``40 s``, ``12 min``, ``3.5 h``, ``4.2 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def jobs_of_run(workflow: Any) -> list[tuple[str, bool]]:
    """Return the jobs (see `Jobs`) of a run of Snakemake."""
    dag = workflow.dag
    jobs = list(dag.needrun_jobs(exclude_finished=False))
    return [(job.rule.name, dag.finished(job)) for job in jobs]


def show_time_left(jobs: Callable[[], Jobs]) -> threading.Event:
    """Print a line from time to time until the process ends, if standard error is a terminal.

    Setting the event that is returned ends it.
    """
    ended, started = threading.Event(), time.monotonic()

    def show() -> None:
        while not ended.wait(EVERY):
            line = describe(jobs(), time.monotonic() - started)
            if line:
                print(line, file=sys.stderr)

    if sys.stderr.isatty():
        threading.Thread(target=show, daemon=True).start()
    return ended
