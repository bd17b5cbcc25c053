"""Stage `sensitivity`: what would have to be true for a difference between groups to vanish.

For each attribute and task the largest difference between groups is put to four questions:

- ``missing_attribute``: what if the images of unknown group belonged to the worst place?
- ``label_noise``: which error of the reference label in one group would make the difference?
- ``prevalence``: what are PPV, NPV and net benefit at the prevalence of the target population?
- ``threshold``: at which thresholds does the difference remain?

All answers are closed forms or searches on the test set, conditional on its values: they have no
interval. ``docs/robustness.md`` explains them.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from medaudit.audit.sensitivity.questions import Questions, asked
from medaudit.core.audit_tables import SENSITIVITY
from medaudit.core.entry_types.evaluation import EvaluationSensitivity
from medaudit.core.table_io import PREDICTIONS, read_audited, read_table, write_table
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import ECE_BINS, AuditSettings
from medaudit.metrics.group_metrics import ALL, group_names, measure_groups, sort_attribute
from medaudit.metrics.sample import Sample, read_sample

DEFAULTS: EvaluationSensitivity = {
    "prevalence": {},
    "false_positive_harm": None,
    "label_sensitivity": 1.0,
    "label_specificity": 1.0,
    "flagged": [0.5, 2.0],
}
"""What is assumed where the settings say nothing."""


def sensitivity(
    settings: AuditSettings,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path | None = None,
    output: Path,
) -> None:
    """Write the sensitivity table of one model and method on a cohort.

    Parameters
    ----------
    settings : AuditSettings
        See `ask`.
    predictions, cohort : Path
        Tables `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    groups : Path, optional
        Groups and weights of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.audit_tables.SENSITIVITY`.
    """
    table, rows = read_audited(cohort, groups), read_table(predictions, PREDICTIONS)
    write_table(ask(rows, table, settings), output, SENSITIVITY)


def ask(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    settings: AuditSettings,
    sample: Sample | None = None,
) -> pd.DataFrame:
    """Return the sensitivity table of one run.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS` and `COHORT`.
    settings : AuditSettings
        As for `medaudit.audit.evaluate`; of ``evaluation``: ``metrics``, ``threshold``,
        ``minimum`` and ``sensitivity`` (`DEFAULTS`).
    sample : Sample, optional
        What `read_sample` makes of the tables and settings; default: it is read here.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.SENSITIVITY`; one row per single task, attribute,
        question and metric, means over seeds. ``status`` is ``too_few`` where fewer than two
        groups reach the minimum, ``undefined:no_decision`` where there is no threshold.

    Raises
    ------
    MedauditError
        See `medaudit.metrics.sample.read_sample`.
    """
    sample = sample or read_sample(predictions, cohort, settings)
    rows = [
        row
        for attribute in sample.attributes
        if attribute.name != ALL
        for row in _rows(sample, attribute, settings)
    ]
    names = {name: settings[name] for name in ("cohort", "model", "method")}
    return pd.DataFrame(
        [{**names, "seed": "mean", **row} for row in rows], columns=list(SENSITIVITY.columns)
    )


def _rows(sample: Sample, attribute: Attribute, settings: AuditSettings) -> Iterator[dict]:
    evaluation = settings["evaluation"]
    assumed: EvaluationSensitivity = {**DEFAULTS, **evaluation.get("sensitivity", {})}
    blocks = sort_attribute(sample, attribute, ECE_BINS)
    wanted = list(dict.fromkeys([*asked(evaluation["metrics"]), "tpr", "fpr"]))
    groups = group_names(attribute)
    found = measure_groups(sample, attribute, groups, blocks, {**evaluation, "metrics": wanted})
    for t, task in enumerate(sample.tasks):
        questions = Questions(sample, attribute, t, found, assumed)
        for row in questions.rows(evaluation["metrics"]):
            yield {"task": task, "attribute": attribute.name, **row}
