"""Metrics of every group, with intervals from a bootstrap of patients."""

from pathlib import Path

from medaudit.core import table_io
from medaudit.core.stage import run
from medaudit.metrics.group_audit import audit


def evaluate(
    settings: dict,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
    replicates: Path,
    threads: int = 1,
) -> None:
    """Write the metrics of one model's predictions and their bootstrap replicates.

    Parameters
    ----------
    settings : dict
        See `audit`.
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output, replicates : Path
        Metrics (CSV) and, row by row, their replicates (``.npy``).
    threads : int
        Blocks of replicates computed at once; changes no number.
    """
    metrics, drawn = audit(
        table_io.read_table(predictions, table_io.PREDICTIONS),
        table_io.read_audited(cohort, groups),
        settings,
        threads,
    )
    table_io.write_table(metrics, output, table_io.METRICS)
    table_io.write_array(drawn, replicates)


if __name__ == "__main__":
    run(evaluate)
