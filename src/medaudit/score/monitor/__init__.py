"""After deployment: metrics and gaps by period, with limits that hold over all looks.

``medaudit monitor predictions.csv --date study_date --baseline 6`` on the command line, `monitor`
in a notebook.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from medaudit.core.entry_types.evaluation import Evaluation, EvaluationThreshold
from medaudit.core.errors import MedauditError
from medaudit.metrics.aliases import resolve_metrics
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.sample import Sample, read_sample
from medaudit.score.assemble import Study, assemble
from medaudit.score.monitor.periods import LENGTHS, Periods, baseline_periods, cut_periods
from medaudit.score.monitor.series import METRICS, Part, Series, make_part
from medaudit.score.monitor.table import Monitored, tabulate
from medaudit.score.monitor.watch import can_watch, watch
from medaudit.score.reading import read_reading
from medaudit.score.sources import Source, read_predictions

DEFAULT = ("tpr", "fpr")
READ_ALREADY = ("event", "time", "horizon", "sheet", "missing")
"""Keys of `columns` that only reading the files needs."""


@dataclass(frozen=True)
class Plan:
    """What is fixed before the first look.

    Parameters
    ----------
    date : str
        Column of dates.
    baseline : str
        Number of first periods, or the name of the last of them.
    length : str
        ``month``, ``quarter``, ``week`` or ``year``.
    looks : int
        Planned number of looks after the baseline; later periods are shown without a verdict.
    false_alarms : float
        Probability of any false alarm in any series over all planned looks.
    metrics : tuple of str
        Of `medaudit.score.monitor.series.METRICS`, or others of their names, e.g. sensitivity.
    date_format : str, optional
        Of `datetime.strptime`.
    """

    date: str
    baseline: str
    length: str = "month"
    looks: int = 24
    false_alarms: float = 0.05
    metrics: Sequence[str] = DEFAULT
    date_format: str | None = None

    def check(self) -> None:
        """Raise `MedauditError` where a value cannot be used."""
        if self.length not in LENGTHS:
            raise MedauditError(f"--by {self.length}: choose from {', '.join(LENGTHS)}")
        if not 1 <= self.looks <= 200:
            raise MedauditError(f"--looks {self.looks}: plan 1 to 200 looks")
        if not 0 < self.false_alarms < 0.5:
            raise MedauditError(
                f"--false-alarms {self.false_alarms}: give a probability between 0 and 0.5, e.g. 0.05"
            )
        wrong = [name for name in self.metrics if name not in METRICS]
        if wrong or not self.metrics:
            raise MedauditError(
                f"--metrics {' '.join(wrong)}: cannot be watched; choose from {', '.join(METRICS)}"
            )


def monitor(
    predictions: Source,
    plan: Plan,
    groups: str | Path | pd.DataFrame | None = None,
    *,
    labels: Path | pd.DataFrame | None = None,
    columns: dict[str, Any] | None = None,
    attributes: list[str] | None = None,
    age_threshold: float | list[float] = 60,
    scores: str = "auto",
    positive: str | None = None,
    threshold: EvaluationThreshold | None = None,
    yes: bool = False,
) -> Monitored:
    """Compare every period after the baseline with it, overall, by group, and between groups.

    Parameters
    ----------
    predictions, groups : str, Path or pandas.DataFrame
        As for `medaudit.score.score`, of one model and one seed, with a column of dates.
    plan : Plan
        What is fixed before the first look.
    labels, columns, attributes, age_threshold, scores, positive, yes : optional
        As for `medaudit.score.score`.
    threshold : dict, optional
        Default: fixed at 0.5. The threshold in use; a rule needs validation rows.

    Returns
    -------
    Monitored
        Table by series and period, and alarms.

    Raises
    ------
    MedauditError
        The files or the plan cannot be used.

    Notes
    -----
    The probability that any series raises an alarm although nothing changed is at most
    ``false_alarms``: it is divided equally among series and planned looks, and the critical value of
    each look accounts for all possible starts of a change
    (`medaudit.metrics.repeated_looks.critical_values`). Images of a patient who comes again count
    together.
    """
    plan = replace(plan, metrics=tuple(resolve_metrics(plan.metrics)))
    plan.check()
    reading = read_reading(columns)
    sheet, _ = read_predictions(predictions, labels, reading)
    if plan.date not in sheet.frame:
        raise MedauditError(
            f"{sheet.where} has no column {plan.date!r}; name the dates with --date: it has "
            f"{', '.join(map(str, sheet.frame.columns))}"
        )
    study = assemble(
        sheet.frame.drop(columns=plan.date),
        Path(groups) if isinstance(groups, str) else groups,
        # what was read from several files, or made from times to an event, is in the table now
        {key: value for key, value in (columns or {}).items() if key not in READ_ALREADY},
        {
            "attributes": attributes,
            "control": [],
            "age_threshold": age_threshold,
            "scores": scores,
            "task_type": "auto",
            "positive": positive,
            "yes": yes,
        },
    )
    dates = sheet.frame[plan.date].iloc[list(study.rows)].reset_index(drop=True)
    where = f"{sheet.where}, column {plan.date}"
    periods = cut_periods(dates, plan.length, plan.date_format, where)
    return _monitor(study, plan, periods, threshold or {"rule": "fixed", "value": 0.5})


def _monitor(
    study: Study, plan: Plan, periods: Periods, threshold: EvaluationThreshold
) -> Monitored:
    sample = _sample(study, plan, threshold)
    tested = (study.cohort["split"] == "test").to_numpy()
    codes = periods.codes[tested]
    n_baseline = baseline_periods(periods.labels, plan.baseline)
    found = list(_series(sample, codes, len(periods.labels), plan.metrics))
    n_watched = sum(can_watch(one, n_baseline) for one in found)
    spent = np.full(plan.looks, plan.false_alarms / plan.looks / max(n_watched, 1))
    looks = {k: watch(one, n_baseline, spent) for k, one in enumerate(found)}
    details = {
        "model": " / ".join(next(iter(study.predictions))),
        "n_baseline": n_baseline,
        "n_watched": n_watched,
        "undated": int((codes < 0).sum()),
        "has_patients": study.has_patients,
        "threshold": threshold,
        "detected": study.detected,
        "date_format": periods.format,
    }
    return tabulate(found, looks, periods.labels, plan, details)


def _sample(study: Study, plan: Plan, threshold: EvaluationThreshold) -> Sample:
    runs = list(study.predictions)
    if len(runs) > 1:
        names = ", ".join(" / ".join(run) for run in runs)
        raise MedauditError(f"one model is watched at a time; the file has {names}: select one")
    (model, method), rows = next(iter(study.predictions.items()))
    evaluation = {"metrics": list(plan.metrics), "threshold": threshold}
    settings = {
        "cohort": study.name,
        "model": model,
        "method": method,
        "task_type": study.task_type,
        "tasks": study.tasks,
        "attributes": study.attributes,
        "strata": [],
        "evaluation": cast(Evaluation, evaluation),
    }
    sample = read_sample(rows, study.cohort, cast(AuditSettings, settings))
    if len(sample.seeds) > 1:
        raise MedauditError(
            f"one seed is watched at a time; the file has {', '.join(sample.seeds)}: select one"
        )
    return sample


def _series(sample: Sample, codes: np.ndarray, n_periods: int, metrics: Sequence[str]) -> Any:
    dated = codes >= 0
    period = np.maximum(codes, 0)
    for t, task in enumerate(sample.tasks):
        arrays: dict[str, np.ndarray] = {
            "y": sample.y[:, t],
            "decision": sample.decision[0, :, t],
            "score": sample.score[0, :, t],
            "patient": sample.patient,
        }
        for metric in metrics:
            for attribute in sample.attributes:
                parts: dict[str, Part] = {}
                for code, level in enumerate(attribute.levels):
                    chosen = dated & (attribute.codes == code)
                    parts[level] = make_part(metric, arrays, chosen, period, n_periods)
                    yield Series(task, metric, attribute.name, level, (parts[level],))
                for name, first, second in _contrasts(attribute.levels, attribute.codes):
                    rest = make_part(metric, arrays, dated & second, period, n_periods)
                    yield Series(task, metric, attribute.name, name, (parts[first], rest))


def _contrasts(levels: tuple[str, ...], codes: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    """Return the differences to watch: of two groups their own, of more each minus all others."""
    if len(levels) < 2:
        return []
    if len(levels) == 2:
        return [(f"{levels[0]} minus {levels[1]}", levels[0], codes == 1)]
    return [
        (f"{level} minus others", level, (codes >= 0) & (codes != code))
        for code, level in enumerate(levels)
    ]
