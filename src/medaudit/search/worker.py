"""One worker: takes trials until the search has as many as were asked for."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import optuna
import pandas as pd
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import TrialState

from medaudit.adapt.objective import Objective
from medaudit.core.errors import MedauditError
from medaudit.search.journal import Lock
from medaudit.search.space import BITS, Layout, suggest_point
from medaudit.search.trials import UNDEFINED, next_trial, return_lost, tally
from medaudit.search.worker_leases import Leases

log = logging.getLogger(__name__)
WAIT_SECONDS = 1.0


class Runner(Protocol):
    """What trains a point: `medaudit.search.trial_runner.TrialRunner`."""

    layout: Layout
    validation: pd.DataFrame

    def run(self, point: dict, report: Callable[[int, np.ndarray], bool]) -> None:
        """Train, and report the validation logits after each epoch; True ends it."""


class Undefined(Exception):
    """The objective has no value for this point."""


@dataclass
class Worker:
    """A worker and what it shares with the others.

    Parameters
    ----------
    study : optuna.Study
        With the pruner of the search.
    lock : Lock
        Of the study's journal.
    leases : Leases
        Held by this process.
    settings : dict
        ``entry`` (the method's entry), ``tasks``, ``task_type``, ``seed``.
    make_runner : callable
        Builds the runner; called once, and not at all if nothing is left to do.
    """

    study: optuna.Study
    lock: Lock
    leases: Leases
    settings: dict
    make_runner: Callable[[], Runner]
    runner: Runner | None = None
    objective: Objective | None = None

    def work(self) -> int:
        """Run trials until the search has ended; return how many this worker finished."""
        finished = 0
        while not self._ended():
            if self.runner is None and self._some_left():
                self._prepare()
            taken = self._take() if self.runner is not None else None
            if taken is None:
                time.sleep(WAIT_SECONDS)
            else:
                finished += self._run(*taken)
        return finished

    def _prepare(self) -> None:
        entry, tasks = self.settings["entry"], self.settings["tasks"]
        self.runner = self.make_runner()
        self.objective = Objective(
            entry["objective"], self.runner.validation, tasks, self.settings["task_type"]
        )
        groups = self.objective.groups()
        for group in groups:
            if group["status"] != "ok":
                log.warning("the objective leaves out a group: %s", group)
        self.study.set_user_attr("groups", groups)
        if entry["space"] in BITS:
            layout = self.runner.layout
            parts = {"units": list(layout.units), "components": list(layout.components)}
            self.study.set_user_attr("layout", parts)

    def _ended(self) -> bool:
        with self.lock:
            return_lost(self.study, self.leases.alive)
            now, trials = tally(self.study), self.settings["entry"]["trials"]
        if now.undefined > trials:
            raise MedauditError(
                f"search: {now.undefined} points had no value and {now.counted} had one: lower "
                "the learning_rate range, or look at the log for what the trials say"
            )
        return now.counted >= trials

    def _some_left(self) -> bool:
        now = tally(self.study)
        begun = now.counted + now.running + now.waiting
        return now.waiting > 0 or begun < self.settings["entry"]["trials"]

    def _take(self) -> tuple[optuna.Trial, dict] | None:
        entry = {**self.settings["entry"], "seed": self.settings["seed"]}
        layout = self.runner.layout if entry["space"] in BITS else None
        with self.lock:
            if not self._some_left():
                return None
            return next_trial(
                self.study,
                entry,
                self.leases.token,
                lambda trial: suggest_point(trial, entry, layout),
            )

    def _run(self, trial: optuna.Trial, point: dict) -> bool:
        """Train a point and tell how it ended; False where it has no value or was taken away."""
        start, processor = time.monotonic(), time.process_time()
        try:
            try:
                values = self._train(trial, point)
            except Undefined as reason:
                self._drop(trial, point, str(reason))
                return False
            seconds, busy = time.monotonic() - start, time.process_time() - processor
            self._tell(trial, values, {"seconds": seconds, "processor_seconds": busy})
        except UpdateFinishedTrialError:
            log.warning("trial %d was given to another worker: not counted", trial.number)
            return False
        return True

    def _drop(self, trial: optuna.Trial, point: dict, reason: str) -> None:
        log.warning("trial %d %s: undefined: %s", trial.number, point, reason)
        with self.lock:
            trial.set_user_attr(UNDEFINED, reason)
            self.study.tell(trial, state=TrialState.FAIL)

    def _train(self, trial: optuna.Trial, point: dict) -> list[float]:
        """Return the best value so far after each epoch: a refit keeps its best epoch too."""
        values: list[float] = []
        better = max if self.study.direction == StudyDirection.MAXIMIZE else min

        def report(epoch: int, logits: np.ndarray) -> bool:
            found = self.objective.measure(logits)
            if found.status != "ok":
                raise Undefined(found.status)
            values.append(better([*values[-1:], found.value]))
            trial.report(values[-1], epoch)
            return trial.should_prune()

        self.runner.run(point, report)
        return values

    def _tell(self, trial: optuna.Trial, values: list[float], cost: dict[str, float]) -> None:
        whole = len(values) == self.settings["entry"]["epochs"]
        with self.lock:
            for name, value in cost.items():
                trial.set_user_attr(name, value)
            if whole:
                self.study.tell(trial, values[-1])
            else:
                self.study.tell(trial, state=TrialState.PRUNED)
        log.info("trial %d: %.4f after %d epochs", trial.number, values[-1], len(values))
