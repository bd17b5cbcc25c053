"""Stage `evaluate`: metrics of every group, with intervals from a bootstrap of patients."""

from pathlib import Path

from medaudit.core import table_io
from medaudit.core.stage import run
from medaudit.metrics.audit_settings import AuditSettings, hash_inputs
from medaudit.metrics.group_audit import audit


def evaluate(
    settings: AuditSettings,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
    values: Path,
    replicates: Path,
    threads: int = 1,
) -> None:
    """Write the metrics of one model's predictions and their bootstrap replicates.

    Parameters
    ----------
    settings : AuditSettings
        See `medaudit.metrics.group_audit.audit`.
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Metrics as CSV, rounded for a reader.
    values : Path
        The same table as Parquet, at full precision, for `medaudit.audit.disparity`. Its footer
        holds the hashes of what it was made of (`hash_inputs`).
    replicates : Path
        Replicates (``.npy``); row i belongs to row i of both tables.
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
    made_of = hash_inputs(settings, predictions=predictions, cohort=cohort, groups=groups)
    table_io.write_table(metrics, values, table_io.METRICS, made_of=made_of)
    table_io.write_array(drawn, replicates)


if __name__ == "__main__":
    run(evaluate)
