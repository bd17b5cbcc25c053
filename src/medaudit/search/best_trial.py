"""Stage `best_trial`: the best point of a search, its trials, and the certainty of each bit."""

from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import pandas as pd

from medaudit.adapt.finetune_settings import SearchPoint
from medaudit.core.audit_tables import SEARCH
from medaudit.core.entry_types import MethodEntry
from medaudit.core.errors import MedauditError
from medaudit.core.stage import run
from medaudit.core.table_io import REAL, read_json, write_json, write_table
from medaudit.search.space import MASK_SPACES, TRAINING_COORDINATES

COUNTED = ("complete", "pruned")
"""States of the trials that count towards the budget."""

COORDINATES = (
    "mask",
    "learning_rate",
    *(name for names in TRAINING_COORDINATES.values() for name in names),
)
"""Columns of a point; the mask is text, all others are numbers."""


class BestTrialSettings(TypedDict):
    """Settings of the stage `best_trial`."""

    cohort: str
    model: str
    method: str
    entry: MethodEntry


def best_trial(settings: BestTrialSettings, *, search: Path, output: Path, trials: Path) -> None:
    """Choose the complete trial with the best objective; between equal ones, the earlier point.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``entry`` (``kind``, ``space``, ``objective``,
        ``trials`` and ``epochs`` of the method).
    search : Path
        Output of a worker that ran until the search ended; the journal is in the same folder.
    output : Path
        JSON: ``point`` (``mask``, ``learning_rate``, and other searched coordinates), its
        ``number`` and ``value``; ``objective`` with ``direction`` and ``groups``; ``trials`` (number
        of complete, pruned, undefined and lost ones); ``epochs`` (run, lost, without_pruning),
        ``seconds`` and ``processor_seconds`` of the counted trials; ``bits`` (see
        `medaudit.search.bit_importance.describe_bits`); and ``best``, the best value after each
        point (the trajectory).
    trials : Path
        Table `medaudit.core.audit_tables.SEARCH`: counted and undefined points in the order of the
        search. All but its last three columns are the same in every run with a single worker.

    Raises
    ------
    MedauditError
        The search has not ended, or no trial is complete.
    """
    import optuna

    from medaudit.adapt.objective import direction_of
    from medaudit.search.bit_importance import describe_bits
    from medaudit.search.journal import open_journal

    journal = search.with_name(read_json(search)["journal"])
    storage, _ = open_journal(journal)
    study = optuna.load_study(study_name=journal.stem, storage=storage)
    entry, everything = settings["entry"], study.get_trials(deepcopy=False)
    direction = direction_of(entry["objective"]["metric"])
    table = tabulate(everything)
    ranked = rank(table, direction)
    _check(ranked, entry["trials"], journal)
    names = {"cohort": settings["cohort"], "model": settings["model"], "method": settings["method"]}
    best = ranked.iloc[0]
    result: dict[str, Any] = {
        **names,
        "point": point_of(best),
        "number": int(best["number"]),
        "value": float(best["value"]),
        "objective": {
            **entry["objective"],
            "direction": direction,
            "groups": study.user_attrs["groups"],
        },
        **summarize(table, everything, entry["epochs"]),
        "best": _trajectory(table, direction),
        "bits": [],
    }
    if entry["space"] in MASK_SPACES:
        result["layout"] = study.user_attrs["layout"]
        result["bits"] = describe_bits(
            ranked["mask"].tolist(),
            (ranked["state"] == "complete").to_numpy(),
            ranked["value"].to_numpy(),
            result["layout"],
            " ".join(names.values()),
        )
    write_table(table, trials, SEARCH)
    write_json(result, output)


def point_of(trial: pd.Series) -> SearchPoint:
    """Return the point of a row of `medaudit.core.audit_tables.SEARCH`."""
    numbers = {key: float(trial[key]) for key in COORDINATES[1:] if pd.notna(trial[key])}
    return cast(SearchPoint, {"mask": trial["mask"], **numbers})


def tabulate(everything: list) -> pd.DataFrame:
    """Return all points of a search as a table: one row per point, without lost trials."""
    from medaudit.search.trials import POINT, POSITION, WORKER, is_lost

    rows = [
        {
            "number": trial.user_attrs[POSITION],
            "state": _state(trial),
            "value": trial.value,
            **{key: trial.user_attrs[POINT].get(key) for key in COORDINATES},
            "epochs": trial.last_step or 0,
            "seconds": trial.user_attrs.get("seconds"),
            "processor_seconds": trial.user_attrs.get("processor_seconds"),
            "worker": trial.user_attrs.get(WORKER),
        }
        for trial in everything
        if trial.state.is_finished() and not is_lost(trial)
    ]
    table = pd.DataFrame(rows, columns=list(SEARCH.columns)).sort_values("number")
    numbers = [name for name, kind in SEARCH.columns.items() if kind == REAL]
    return table.astype(dict.fromkeys(numbers, float))


def _state(trial) -> str:
    """Return a trial's state; a failed trial that is not lost is ``undefined``."""
    name = trial.state.name.lower()
    return name if name in COUNTED else "undefined"


def rank(table: pd.DataFrame, direction: str) -> pd.DataFrame:
    """Return the counted trials, best first: complete ones, then pruned ones by their epochs."""
    counted = table[table["state"].isin(COUNTED)]
    order = counted.assign(
        early=counted["state"] != "complete",
        far=-counted["epochs"],
        worse=counted["value"] * (-1 if direction == "maximize" else 1),
    ).sort_values(["early", "far", "worse", "number"])
    return counted.loc[order.index]


def summarize(table: pd.DataFrame, everything: list, epochs: int) -> dict:
    """Return the number of trials in each state, and their epochs and seconds."""
    from medaudit.search.trials import is_lost

    states = table["state"].value_counts()
    counted = table[table["state"].isin(COUNTED)]
    lost = [trial for trial in everything if is_lost(trial)]
    kinds = {state: int(states.get(state, 0)) for state in (*COUNTED, "undefined")}
    return {
        "trials": {**kinds, "lost": len(lost)},
        "epochs": {
            "run": int(counted["epochs"].sum()),
            "lost": sum(trial.last_step or 0 for trial in lost),
            "without_pruning": len(counted) * epochs,
        },
        "seconds": round(float(counted["seconds"].sum()), 3),
        "processor_seconds": round(float(counted["processor_seconds"].sum()), 3),
    }


def _trajectory(table: pd.DataFrame, direction: str) -> list[float | None]:
    """Return the best value of all complete trials up to each point; None before the first."""
    value = table["value"].where(table["state"] == "complete")
    best = value.cummax() if direction == "maximize" else value.cummin()
    return [None if np.isnan(one) else float(one) for one in best.ffill()]


def _check(ranked: pd.DataFrame, trials: int, journal: Path) -> None:
    """Raise a `MedauditError` if the search has not ended or has no complete trial."""
    if len(ranked) < trials:
        raise MedauditError(
            f"{journal} has {len(ranked)} of {trials} trials, so the search has not ended: run the "
            "same `medaudit` or `snakemake` command again to continue it"
        )
    if ranked.iloc[0]["state"] != "complete":
        raise MedauditError(
            f"{journal}: all {len(ranked)} trials were pruned, none is complete: raise `trials`, or "
            "lower `pruning.factor`"
        )


if __name__ == "__main__":
    run(best_trial)
