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
    """Write the predictions of several seeds, made by one or several jobs, to one file.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names).
    seeds : list of Path
        Tables of `medaudit.core.table_io.PREDICTIONS`, one per job, for the same images and tasks.
    output : Path
        The rows of all seeds in the order of seeds; the footer joins their ``runs`` and ``notes``.

    Raises
    ------
    MedauditError
        The seeds have predictions for different images or tasks.
    """
    tables = [read_table(path, PREDICTIONS) for path in seeds]
    rows = [rows_of_one_seed(table) for table in tables]
    for path, other in zip(seeds, rows, strict=True):
        if not other.equals(rows[0]):
            raise MedauditError(
                f"{path} has predictions for other images or tasks than {seeds[0]}: one of them is "
                "older than the cohort; delete both and run again"
            )
    footers = [read_metadata(path) for path in seeds]
    first = footers[0]
    chosen = [run for part in footers for run in part["runs"]["chosen"]]
    trials = [trial for part in footers for trial in part["runs"]["trials"]]
    runs = {**first["runs"], "chosen": chosen, "trials": trials}
    notes = list(dict.fromkeys(note for part in footers for note in part["notes"]))
    table = pd.concat(tables).sort_values("seed", kind="stable", ignore_index=True)
    write_table(table, output, PREDICTIONS, **{**first, "runs": runs, "notes": notes})


def rows_of_one_seed(table: pd.DataFrame) -> pd.DataFrame:
    """Return image, split and task of the rows of a table's first seed; all its seeds have them."""
    first = table[table["seed"] == table["seed"].iloc[0]]
    return first[["image_id", "split", "task"]].reset_index(drop=True)


if __name__ == "__main__":
    run(merge_seeds)
