"""The audit of simulated images: the functions that audit real ones, with few draws."""

import pandas as pd

from medaudit.audit.disparity import find_gaps
from medaudit.core.entry_types import Evaluation
from medaudit.metrics.audit_settings import ECE_BINS, AuditSettings
from medaudit.metrics.group_audit import audit
from medaudit.metrics.sample import read_sample
from medaudit.plan.population import ATTRIBUTE, TASK


def evaluation_of(metrics: list[str], gaps: list[str], draws: int, null: int) -> Evaluation:
    """Return evaluation settings for simulated images: the threshold is 0.5, the level 95 %."""
    return {
        "metrics": metrics,
        "gaps": gaps,
        "threshold": {"rule": "fixed", "value": 0.5},
        "bootstrap": {"draws": draws, "level": 0.95},
        "null": {"draws": null},
        "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
        "ece_bins": ECE_BINS,
    }


def audit_tables(
    predictions: pd.DataFrame, cohort: pd.DataFrame, name: str, evaluation: Evaluation
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Audit one simulated cohort and return its tables of metrics and of gaps, of its one seed.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        See `medaudit.plan.population.as_tables`.
    name : str
        Names the cohort, whose permutations have a random stream of their own.
    evaluation : Evaluation
        See `evaluation_of`.
    """
    settings = settings_of(name, evaluation, weighted=f"w_{ATTRIBUTE}_{TASK}" in cohort)
    sample = read_sample(predictions, cohort, settings)
    metrics, replicates = audit(predictions, cohort, settings, sample=sample)
    gaps, _ = find_gaps(predictions, cohort, settings, metrics, replicates, sample=sample)
    # With one seed the mean over seeds is that seed; it alone has a smallest detectable gap.
    return metrics[metrics["seed"] == "0"], gaps[gaps["seed"] == "mean"].assign(seed="0")


def settings_of(name: str, evaluation: Evaluation, weighted: bool = False) -> AuditSettings:
    """Return the settings of a simulated run."""
    return {
        "cohort": name,
        "model": "simulated",
        "method": "simulated",
        "task_type": "multilabel",
        "tasks": [TASK],
        "attributes": [ATTRIBUTE],
        "test_weights": "equal_prevalence" if weighted else "none",
        "evaluation": evaluation,
    }
