"""Stage `merge_seeds`: join the predictions of all seeds of a fine-tuning into one table."""

from pathlib import Path
from typing import TypedDict

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.stage import run
from medaudit.core.table_io import PREDICTIONS, read_metadata, read_table, write_table


class MergeSettings(TypedDict):
    """Settings of the stage `merge_seeds`."""

    cohort: str
    model: str
    method: str


def merge_seeds(settings: MergeSettings, *, seeds: list[Path], output: Path) -> None:
    """Write the predictions of several seeds, each made by its own job, to one file.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names).
    seeds : list of Path
        Tables of `medaudit.core.table_io.PREDICTIONS`, one per seed, for the same images and tasks.
    output : Path
        The rows of all seeds in the order of seeds; the footer joins their ``runs`` and ``notes``.

    Raises
    ------
    MedauditError
        The seeds have predictions for different images or tasks.
    """
    tables = [read_table(path, PREDICTIONS) for path in seeds]
    rows = [table[["image_id", "split", "task"]] for table in tables]
    for path, other in zip(seeds, rows, strict=True):
        if not other.equals(rows[0]):
            raise MedauditError(
                f"{path} has predictions for other images or tasks than {seeds[0]}: one of them is "
                "older than the cohort; delete both and run again"
            )
    footers = [read_metadata(path) for path in seeds]
    first = footers[0]
    chosen = [run for part in footers for run in part["runs"]["chosen"]]
    trials = [
        {**trial, "seed": part["runs"]["chosen"][0]["seed"]}
        for part in footers
        for trial in part["runs"].get("trials", [])
    ]
    runs = {**first["runs"], "chosen": chosen, "trials": trials}
    notes = list(dict.fromkeys(note for part in footers for note in part["notes"]))
    table = pd.concat(tables).sort_values("seed", kind="stable", ignore_index=True)
    write_table(table, output, PREDICTIONS, **{**first, "runs": runs, "notes": notes})


if __name__ == "__main__":
    run(merge_seeds)
