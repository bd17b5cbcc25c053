"""One worker of a search: takes trials until the search has as many as requested."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import TrialState

from medaudit.adapt.finetune_settings import FinetuneSettings, SearchPoint
from medaudit.adapt.objective import Objective
from medaudit.core.errors import MedauditError
from medaudit.search.journal import JournalLock
from medaudit.search.space import MASK_SPACES, Layout, suggest_point
from medaudit.search.trials import (
    UNDEFINED,
    SearchEntry,
    count_trials,
    next_trial,
    requeue_lost_trials,
)
from medaudit.search.worker_leases import Leases

log = logging.getLogger(__name__)
WAIT_SECONDS = 1.0
"""Pause between two looks at the journal while all remaining trials are with other workers."""


class Runner(Protocol):
    """Trains points; implemented by `medaudit.search.trial_runner.TrialRunner`."""

    @property
    def layout(self) -> Layout:
        """Meaning of the bits of a mask."""

    @property
    def validation(self) -> pd.DataFrame:
        """Validation rows of the cohort, in the order of the logits."""

    def run(self, point: SearchPoint, report: Callable[[int, np.ndarray], bool]) -> None:
        """Train a point and report the validation logits after each epoch; True stops it."""


class UndefinedObjective(Exception):
    """The objective is undefined at this point, e.g. because training diverged."""


class Setup(NamedTuple):
    """Everything that a worker needs to train points; built before its first trial.

    Parameters
    ----------
    runner : Runner
        Trains points.
    objective : Objective
        The objective on the runner's validation split.
    layout : Layout or None
        Layout of the model's masks; None if the search does not vary the mask.
    """

    runner: Runner
    objective: Objective
    layout: Layout | None


@dataclass
class Worker:
    """A worker, and what it shares with other workers.

    Parameters
    ----------
    study : optuna.Study
        With the pruner of the search.
    lock : JournalLock
        Lock of the study's journal.
    leases : Leases
        Leases of all workers; this process holds one.
    settings : dict
        Settings of the stage `search`.
    make_runner : callable
        Builds the runner. It is called once, or not at all if no trial is left.
    """

    study: optuna.Study
    lock: JournalLock
    leases: Leases
    settings: FinetuneSettings
    make_runner: Callable[[], Runner]

    def work(self) -> int:
        """Run trials until the search has ended; return how many this worker finished."""
        finished, setup = 0, None
        while not self._ended():
            if setup is None and self._trials_left():
                setup = self._set_up()
            if setup is None or (taken := self._take_trial(setup)) is None:
                time.sleep(WAIT_SECONDS)
            else:
                finished += self._run_trial(setup, *taken)
        return finished

    def _set_up(self) -> Setup:
        """Build runner and objective, and store groups and layout in the study."""
        entry, tasks = self.settings["entry"], self.settings["tasks"]
        runner = self.make_runner()
        validation, task_type = runner.validation, self.settings["task_type"]
        objective = Objective(entry["objective"], validation, tasks, task_type)
        groups = objective.groups()
        for group in groups:
            if group["status"] != "ok":
                log.warning("the objective leaves out a group: %s", group)
        self.study.set_user_attr("groups", groups)
        layout = runner.layout if entry["space"] in MASK_SPACES else None
        if layout is not None:
            parts = {"units": list(layout.units), "components": list(layout.components)}
            self.study.set_user_attr("layout", parts)
        return Setup(runner, objective, layout)

    def _ended(self) -> bool:
        """Requeue lost trials; return whether the search has as many trials as requested."""
        with self.lock:
            requeue_lost_trials(self.study, self.leases.alive)
            now, trials = count_trials(self.study), self.settings["entry"]["trials"]
        if now.undefined > trials:
            raise MedauditError(
                f"search: the objective was undefined at {now.undefined} points and defined at "
                f"{now.counted}, for {trials} trials: lower the learning_rate range (training may "
                "diverge), or read the reason of each trial in the log of this job"
            )
        return now.counted >= trials

    def _trials_left(self) -> bool:
        """Return whether a requeued trial waits, or the budget allows another one to start."""
        now = count_trials(self.study)
        started = now.counted + now.running + now.waiting
        return now.waiting > 0 or started < self.settings["entry"]["trials"]

    def _take_trial(self, setup: Setup) -> tuple[optuna.Trial, SearchPoint] | None:
        """Start the next trial; None if other workers have all remaining ones."""
        names = (self.settings["cohort"], self.settings["model"], self.settings["method"])
        entry: SearchEntry = {**self.settings["entry"], "seed": " ".join(names)}
        with self.lock:
            if not self._trials_left():
                return None
            return next_trial(
                self.study,
                entry,
                self.leases.token,
                lambda trial: suggest_point(trial, entry, setup.layout),
            )

    def _run_trial(self, setup: Setup, trial: optuna.Trial, point: SearchPoint) -> bool:
        """Train a point and record how it ended; False if the trial does not count."""
        start, processor = time.monotonic(), time.process_time()
        try:
            try:
                values = self._train(setup, trial, point)
            except UndefinedObjective as reason:
                self._tell_undefined(trial, point, str(reason))
                return False
            seconds, busy = time.monotonic() - start, time.process_time() - processor
            self._tell(trial, values, {"seconds": seconds, "processor_seconds": busy})
        except UpdateFinishedTrialError:
            # This worker was silent for too long (a suspended machine, say): another one found its
            # lease expired and requeued the trial.
            log.warning("trial %d was requeued for another worker: not counted", trial.number)
            return False
        return True

    def _train(self, setup: Setup, trial: optuna.Trial, point: SearchPoint) -> list[float]:
        """Return the best value so far after each epoch, because a refit keeps its best epoch."""
        values: list[float] = []
        better = max if self.study.direction == StudyDirection.MAXIMIZE else min

        def report(epoch: int, logits: np.ndarray) -> bool:
            found = setup.objective.measure(logits)
            if found.status != "ok":
                raise UndefinedObjective(found.status)
            values.append(better([*values[-1:], found.value]))
            trial.report(values[-1], epoch)
            return trial.should_prune()

        setup.runner.run(point, report)
        return values

    def _tell_undefined(self, trial: optuna.Trial, point: SearchPoint, reason: str) -> None:
        log.warning("trial %d: the objective is undefined at %s: %s", trial.number, point, reason)
        with self.lock:
            trial.set_user_attr(UNDEFINED, reason)
            self.study.tell(trial, state=TrialState.FAIL)

    def _tell(self, trial: optuna.Trial, values: list[float], cost: dict[str, float]) -> None:
        """Record a trial as complete, or as pruned if it has fewer epochs than requested."""
        complete = len(values) == self.settings["entry"]["epochs"]
        with self.lock:
            for name, value in cost.items():
                trial.set_user_attr(name, value)
            if complete:
                self.study.tell(trial, values[-1])
            else:
                self.study.tell(trial, state=TrialState.PRUNED)
        log.info("trial %d: %.4f after %d epochs", trial.number, values[-1], len(values))
