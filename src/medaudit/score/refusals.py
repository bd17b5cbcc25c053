"""How often groups are refused an answer, and rates that count refusals as errors."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medaudit.core.entry_types.evaluation import Evaluation
from medaudit.core.errors import MedauditError
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.outcome_metrics import MEAN, Outcome, mean_of
from medaudit.metrics.sample import Sample
from medaudit.score.outcome_tables import outcome_tables


def refusal_tables(
    refused: dict[str, pd.DataFrame],
    tasks: Sequence[str],
    cohort: pd.DataFrame,
    sample: Sample,
    settings: AuditSettings,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return rows of metrics and gaps on refusals, and their permuted gaps.

    Parameters
    ----------
    refused : dict
        See `Answers`, in the order of `tasks` or of some of them.
    tasks : sequence of str
        Findings.
    cohort : pandas.DataFrame
        The cohort of the audit.
    sample : Sample
        Its test split.
    settings : AuditSettings
        Of the run.
    """
    ids = cohort.loc[cohort["split"] == "test", "image_id"]
    outcomes = []
    for label, rows in refused.items():
        own = rows.drop_duplicates("image_id").set_index("image_id").reindex(ids)
        if own["y"].isna().all():
            raise MedauditError("refusals: no image id matches; name the id column with --id")
        task = next((t for t in tasks if t.casefold() in label.casefold()), tasks[0])
        y, answer = own["y"].to_numpy(float), own["answer"].to_numpy(float)
        outcomes += _outcomes(task, y, answer)
    evaluation: Evaluation = settings["evaluation"]
    metrics, gaps, null = outcome_tables(
        outcomes, sample.attributes, sample.patient, evaluation, settings["cohort"]
    )
    names = {"model": settings["model"], "method": settings["method"]}
    return metrics.assign(**names), gaps.assign(**names), null


def _outcomes(task: str, y: np.ndarray, answer: np.ndarray) -> list[Outcome]:
    known, lost = ~np.isnan(y), np.isnan(answer)
    values = {
        "refusal_rate": np.where(known, lost.astype(float), np.nan),
        "tpr_refusals_as_misses": np.where(y == 1, answer == 1, np.nan),
        "tnr_refusals_as_errors": np.where(y == 0, answer == 0, np.nan),
    }
    better = {"refusal_rate": -1}
    return [
        Outcome(task, name, MEAN, mean_of(v.astype(float)), (0.0, 1.0), better.get(name, 1))
        for name, v in values.items()
    ]


def decided_only(evaluation: Evaluation) -> Evaluation:
    """Return the settings without the metrics that need scores."""
    kept = [name for name in evaluation["metrics"] if METRICS[name].decided]
    return {**evaluation, "metrics": kept or ["accuracy"]}
