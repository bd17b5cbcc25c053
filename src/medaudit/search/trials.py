"""The trials of a search: which point comes next, whose trial is lost, what counts.

Each point has a place in the search's sequence. What is drawn for it depends on the search's seed,
its place and the trials before it, so that one worker, however often it is killed, goes through
the same points. All functions that change a study are called by a holder of the journal's lock,
which makes each of them one step for all workers.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from medaudit.core.seeds import derive_seed
from medaudit.search.halving import Halving
from medaudit.search.journal import Lock

LIVES = 4
"""Attempts at a point whose worker is killed each time, before it is given up."""

STARTUP = 10
"""Random trials before TPE (Optuna's default), or a quarter of the budget if that is less."""

PLACE, WORKER, POINT, ATTEMPT, UNDEFINED = "place", "worker", "point", "attempt", "undefined"
"""Attributes of a trial."""

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
"""What the budget is made of."""


@dataclass(frozen=True)
class Tally:
    """Numbers of trials.

    Parameters
    ----------
    counted : int
        Complete and pruned: what the budget is made of.
    running, waiting : int
        With a worker, and given back by one that was killed.
    undefined : int
        Points without a value, and points given up.
    """

    counted: int
    running: int
    waiting: int
    undefined: int


def tally(study: optuna.Study) -> Tally:
    """Count the trials of a study."""
    trials = study.get_trials(deepcopy=False)
    states = [trial.state for trial in trials]
    return Tally(
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
    return POINT in trial.user_attrs and trial.user_attrs.get(ATTEMPT, 1) >= LIVES


def return_lost(study: optuna.Study, alive: Callable[[str], bool]) -> None:
    """Give the points of killed workers back, each once and in its place.

    Parameters
    ----------
    study : optuna.Study
        Changed: a lost trial fails, and its point waits for the next worker.
    alive : callable
        Whether the worker of a token lives.
    """
    trials = study.get_trials(deepcopy=False)
    heirs = {(t.user_attrs.get(PLACE), t.user_attrs.get(ATTEMPT)) for t in trials}
    for trial in trials:
        attrs = trial.user_attrs
        if trial.state != TrialState.RUNNING or (WORKER in attrs and alive(attrs[WORKER])):
            continue
        if POINT in attrs and not _is_given_up(trial):
            kept = {PLACE: attrs[PLACE], ATTEMPT: attrs.get(ATTEMPT, 1) + 1, POINT: attrs[POINT]}
            if (kept[PLACE], kept[ATTEMPT]) not in heirs:
                params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
                study.enqueue_trial(params, user_attrs=kept)
        study.tell(trial.number, state=TrialState.FAIL)


def next_trial(
    study: optuna.Study,
    settings: dict,
    worker: str,
    suggest: Callable[[optuna.Trial], dict],
) -> tuple[optuna.Trial, dict]:
    """Begin the next trial: a point that was given back, or a new one.

    Parameters
    ----------
    study : optuna.Study
        Without lost trials (see `return_lost`).
    settings : dict
        ``seed`` (text of the search's seed), ``sampler``, ``trials``.
    worker : str
        Token of this worker.
    suggest : callable
        Asks a trial for a point.
    """
    place = _next_place(study)
    study.sampler = make_sampler(settings, place)
    trial = study.ask()
    if PLACE not in trial.user_attrs:
        trial.set_user_attr(PLACE, place)
    trial.set_user_attr(WORKER, worker)
    point = suggest(trial)
    trial.set_user_attr(POINT, point)
    return trial, point


def _next_place(study: optuna.Study) -> int:
    taken = {
        trial.user_attrs.get(PLACE)
        for trial in study.get_trials(deepcopy=False)
        if not is_lost(trial)
    }
    return next(place for place in range(len(taken) + 1) if place not in taken)


def make_sampler(settings: dict, place: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of one point, seeded by the search and the point's place."""
    seed = derive_seed("search", settings["seed"], place)
    if settings["sampler"] == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=min(STARTUP, settings["trials"] // 4),
            multivariate=True,
            group=settings["space"] == "depth_first36",
            constant_liar=True,
            seed=seed,
        )


def open_study(
    storage: optuna.storages.BaseStorage, lock: Lock, name: str, entry: dict, direction: str
) -> optuna.Study:
    """Open a search's study, or begin it."""
    pruning = entry["pruning"]
    pruner = optuna.pruners.NopPruner()
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
