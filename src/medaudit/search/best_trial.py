"""Stage `select`: the best point of a search, its trials, and how sure the search is of each bit."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import SEARCH
from medaudit.core.errors import MedauditError
from medaudit.core.stage import run
from medaudit.core.table_io import REAL, read_json, write_json, write_table
from medaudit.search.space import BITS, FURTHER

COUNTED = ("complete", "pruned")
COORDINATES = ("mask", "learning_rate", *(name for names in FURTHER.values() for name in names))


def best_trial(settings: dict, *, search: Path, output: Path, trials: Path) -> None:
    """Choose the complete trial with the best objective; equal ones go to the earlier point.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``entry`` (the method's, without what concerns
        the training of its best point).
    search : Path
        What a worker that saw the search's end wrote; the journal lies beside it.
    output : Path
        JSON: ``point`` (``mask``, ``learning_rate``, and what else was searched), its ``number``
        and ``value``; ``objective`` with ``direction`` and ``groups``; ``trials`` (complete,
        pruned, undefined, lost); ``epochs`` (run, lost, without_pruning), ``seconds`` and
        ``processor_seconds`` of the counted trials;
        ``bits`` (see `medaudit.search.bit_importance.describe_bits`) and ``best`` (the best value after each
        point) for the search's trajectory.
    trials : Path
        Table `medaudit.core.audit_tables.SEARCH`: counted and undefined points in their order. All but its
        last three columns is the same for every run with one worker.

    Raises
    ------
    MedauditError
        The search has not ended, or none of its trials is complete.
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
    names = {key: settings[key] for key in ("cohort", "model", "method")}
    best = ranked.iloc[0]
    result = {
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
    if entry["space"] in BITS:
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


def point_of(trial: pd.Series) -> dict:
    """Return the point of a trial of `medaudit.core.audit_tables.SEARCH`."""
    numbers = {key: float(trial[key]) for key in COORDINATES[1:] if pd.notna(trial[key])}
    return {"mask": trial["mask"], **numbers}


def tabulate(everything: list) -> pd.DataFrame:
    """Return the points of a search in their order, each once, with how they ended."""
    from medaudit.search.trials import PLACE, POINT, WORKER, is_lost

    rows = [
        {
            "number": trial.user_attrs[PLACE],
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
    name = trial.state.name.lower()
    return name if name in COUNTED else "undefined"


def rank(table: pd.DataFrame, direction: str) -> pd.DataFrame:
    """Return the counted trials, the best first: complete ones, then by how far they came."""
    counted = table[table["state"].isin(COUNTED)]
    order = counted.assign(
        early=counted["state"] != "complete",
        far=-counted["epochs"],
        worse=counted["value"] * (-1 if direction == "maximize" else 1),
    ).sort_values(["early", "far", "worse", "number"])
    return counted.loc[order.index]


def summarize(table: pd.DataFrame, everything: list, epochs: int) -> dict:
    """Return numbers of trials and what they cost."""
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
    """Return the best value of a complete trial so far, after each point."""
    value = table["value"].where(table["state"] == "complete")
    best = value.cummax() if direction == "maximize" else value.cummin()
    return [None if np.isnan(one) else float(one) for one in best.ffill()]


def _check(ranked: pd.DataFrame, trials: int, journal: Path) -> None:
    if len(ranked) < trials:
        raise MedauditError(
            f"{journal} has {len(ranked)} of {trials} trials: the search has not ended; run it on"
        )
    if ranked.iloc[0]["state"] != "complete":
        raise MedauditError(
            f"{journal}: no trial ran to its end; set pruning.first lower or ask for more trials"
        )


if __name__ == "__main__":
    run(best_trial)
