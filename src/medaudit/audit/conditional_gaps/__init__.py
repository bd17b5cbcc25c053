"""Stage `conditional_gaps`: gaps at equal age, view, ...: within strata, and standardised.

The crude gap compares groups as they are. If one of them is older, and the model is worse in the
old, it shows a gap that age explains. This stage compares groups within strata of what is
controlled for (``evaluation.control``), and standardised: as if every group had the mix of strata
of all images together.
"""

from pathlib import Path

import pandas as pd

from medaudit.audit.conditional_gaps.comparison import Comparison
from medaudit.audit.conditional_gaps.strata import controlled, read_control
from medaudit.core.audit_tables import CONDITIONAL
from medaudit.core.table_io import PREDICTIONS, read_audited, read_table, write_table
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.group_metrics import ALL
from medaudit.metrics.sample import read_sample


def conditional_gaps(
    settings: AuditSettings,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
) -> None:
    """Write the conditional gaps of one model and method on a cohort.

    Parameters
    ----------
    settings : AuditSettings
        See `find_conditional_gaps`.
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.audit_tables.CONDITIONAL`.
    """
    table, rows = read_audited(cohort, groups), read_table(predictions, PREDICTIONS)
    write_table(find_conditional_gaps(rows, table, settings), output, CONDITIONAL)


def find_conditional_gaps(
    predictions: pd.DataFrame, cohort: pd.DataFrame, settings: AuditSettings
) -> pd.DataFrame:
    """Compare the groups of every attribute within strata, and standardised over them.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    settings : AuditSettings
        As for `medaudit.audit.evaluate`; of ``evaluation``: ``control`` (attributes or columns of
        the cohort), ``metrics``, ``threshold``, ``minimum``, ``bootstrap`` (``level``), ``null``
        (``draws``).

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.CONDITIONAL`, means over seeds. An attribute that is
        controlled for itself, or crossed with one that is, has no rows; nor have metrics that are
        neither an AUC nor a ratio of counts (`medaudit.audit.conditional_gaps.columns`). A group
        and stratum below the minimum has the usual status, and such strata are not compared; the
        gap is ``too_few`` where the strata that are left hold less than half of the images.

    Raises
    ------
    MedauditError
        See `medaudit.metrics.sample.read_sample` and `read_control`.
    """
    sample = read_sample(predictions, cohort, settings)
    control = read_control(cohort, settings["evaluation"]["control"])
    rows = [
        row
        for attribute in sample.attributes
        if attribute.name != ALL and not controlled(attribute.name, control.name)
        for row in Comparison(sample, control, attribute, settings).rows()
    ]
    names = {name: settings[name] for name in ("cohort", "model", "method")}
    head = {**names, "seed": "mean", "control": control.name}
    return pd.DataFrame([{**head, **row} for row in rows], columns=list(CONDITIONAL.columns))
