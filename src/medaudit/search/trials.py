"""Trials of a search: the next point, requeueing of lost trials, and which trials count.

Each point has a position in the search's sequence. Its random draws depend on the search's seed, the
position and the trials before it, so that a search with one worker proposes the same points however
often the worker is killed. Functions that change a study must be called while the journal's lock is
held, which makes each call one step for all workers.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from medaudit.adapt.finetune_settings import SearchPoint, TrainingEntry
from medaudit.core.entry_types import MethodEntry
from medaudit.core.seeds import derive_seed
from medaudit.search.halving import Halving
from medaudit.search.journal import JournalLock

MAX_ATTEMPTS = 4
"""Attempts at a point whose worker is killed each time; then the point is given up."""

STARTUP_TRIALS = 10
"""Random trials before TPE (Optuna's default), or a quarter of the budget if that is less."""

POSITION, WORKER, POINT, ATTEMPT = "position", "worker", "point", "attempt"
UNDEFINED = "undefined"
"""User attributes of a trial; `UNDEFINED` is the reason why the objective has no value."""

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of the trials that count towards the budget."""


class SearchEntry(TrainingEntry, total=False):
    """Entry of a search's method with the text that seeds the search."""

    seed: str


@dataclass(frozen=True)
class TrialCounts:
    """Numbers of trials of a search.

    Parameters
    ----------
    counted : int
        Complete and pruned trials, which count towards the budget.
    running, waiting : int
        Trials in training, and trials requeued after their worker was killed.
    undefined : int
        Points at which the objective is undefined, and points that were given up.
    """

    counted: int
    running: int
    waiting: int
    undefined: int


def count_trials(study: optuna.Study) -> TrialCounts:
    """Return the numbers of trials of a study."""
    trials = study.get_trials(deepcopy=False)
    states = [trial.state for trial in trials]
    return TrialCounts(
        counted=sum(state in COUNTED for state in states),
        running=states.count(TrialState.RUNNING),
        waiting=states.count(TrialState.WAITING),
        undefined=sum(trial.state == TrialState.FAIL and not is_lost(trial) for trial in trials),
    )


def is_lost(trial: FrozenTrial) -> bool:
    """Return whether a trial was cut off and its point runs, or ran, again."""
    failed = trial.state == TrialState.FAIL and UNDEFINED not in trial.user_attrs
    return failed and not _is_given_up(trial)


def _is_given_up(trial: FrozenTrial) -> bool:
    return POINT in trial.user_attrs and trial.user_attrs.get(ATTEMPT, 1) >= MAX_ATTEMPTS


def requeue_lost_trials(study: optuna.Study, alive: Callable[[str], bool]) -> None:
    """Requeue the points of killed workers, each once and at its old position.

    Parameters
    ----------
    study : optuna.Study
        Changed: a lost trial is marked as failed, and its point waits for the next worker.
    alive : callable
        Returns whether the worker of a token is alive.
    """
    trials = study.get_trials(deepcopy=False)
    requeued = {(t.user_attrs.get(POSITION), t.user_attrs.get(ATTEMPT)) for t in trials}
    for trial in trials:
        attrs = trial.user_attrs
        if trial.state != TrialState.RUNNING or (WORKER in attrs and alive(attrs[WORKER])):
            continue
        if POINT in attrs and not _is_given_up(trial):
            attempt = attrs.get(ATTEMPT, 1) + 1
            # A worker may be killed between the next two writes. The trial then still runs and is
            # found here again, but its point must not be queued twice.
            if (attrs[POSITION], attempt) not in requeued:
                kept = {POSITION: attrs[POSITION], ATTEMPT: attempt, POINT: attrs[POINT]}
                params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
                study.enqueue_trial(params, user_attrs=kept)
        study.tell(trial.number, state=TrialState.FAIL)


def next_trial(
    study: optuna.Study,
    entry: SearchEntry,
    worker: str,
    suggest: Callable[[optuna.Trial], SearchPoint],
) -> tuple[optuna.Trial, SearchPoint]:
    """Start the next trial, at a requeued point or a new one; return trial and point.

    Parameters
    ----------
    study : optuna.Study
        Without lost trials (see `requeue_lost_trials`).
    entry : dict
        ``seed`` (text that seeds the search), ``sampler``, ``space``, ``trials``.
    worker : str
        Token of this worker.
    suggest : callable
        Asks a trial for a point.
    """
    position = _next_position(study)
    study.sampler = make_sampler(entry, position)
    trial = study.ask()
    if POSITION not in trial.user_attrs:
        trial.set_user_attr(POSITION, position)
    trial.set_user_attr(WORKER, worker)
    point = suggest(trial)
    # Last: a trial that has its point can be requeued; one killed before this line just fails, and
    # its position is free again.
    trial.set_user_attr(POINT, point)
    return trial, point


def _next_position(study: optuna.Study) -> int:
    """Return the first position that no trial has, apart from lost ones."""
    taken = {
        trial.user_attrs.get(POSITION)
        for trial in study.get_trials(deepcopy=False)
        if not is_lost(trial)
    }
    return next(position for position in range(len(taken) + 1) if position not in taken)


def make_sampler(entry: SearchEntry, position: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one point, seeded by the search and the point's position."""
    seed = derive_seed("search", entry["seed"], position)
    if entry["sampler"] == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=min(STARTUP_TRIALS, entry["trials"] // 4),
            multivariate=True,
            # In the depth-first space, points have different coordinates.
            group=entry["space"] == "depth_first36",
            # Running trials count as bad ones, so that workers do not all try the same region.
            constant_liar=True,
            seed=seed,
        )


def open_study(
    storage: optuna.storages.BaseStorage,
    lock: JournalLock,
    name: str,
    entry: MethodEntry,
    direction: Literal["maximize", "minimize"],
) -> optuna.Study:
    """Return the study of a search, created if it does not exist."""
    pruning = entry["pruning"]
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if pruning:
        pruner = Halving(pruning["first"], pruning["factor"], entry["epochs"])
    with lock:
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction=direction,
            pruner=pruner,
            sampler=optuna.samplers.RandomSampler(seed=0),
            load_if_exists=True,
        )
