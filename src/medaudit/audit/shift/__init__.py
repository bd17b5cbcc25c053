"""Stage `shift`: why rates change elsewhere, and how many local patients make them equal again.

The audit of the external cohort (`medaudit.audit.evaluate`, `medaudit.audit.disparity`) says how a
model does there. This stage compares it with home: it splits each group's change into prevalence,
case mix, threshold and ranking, and draws the learning curve of labelled local patients.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.audit.shift.case_mix import number_cells
from medaudit.audit.shift.local_patients import learning_curves
from medaudit.audit.shift.parts import METRICS, PARTS, Parts, split_change
from medaudit.audit.shift.sides import Side
from medaudit.core.audit_tables import LOCAL, SHIFT
from medaudit.core.entry_types.evaluation import EvaluationMinimum
from medaudit.core.table_io import PREDICTIONS, read_audited, read_table, write_table
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.intervals import percentile_interval
from medaudit.metrics.operating_points import decision_margins
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import Sample, read_sample

Row = dict[str, Any]
Changes = tuple[Parts, Parts, np.ndarray]
"""Parts of the group's change, of the change of its difference from all others, and coverage."""

MOST_DRAWS = 200
"""Bootstrap draws; each has ROC curves of its own, so more of them cost memory."""


class Place:
    """A run's test sample in one place, with its margins and bootstrap draws."""

    def __init__(self, sample: Sample, rows: pd.DataFrame, draws: int) -> None:
        self.sample, self.rows = sample, rows
        self.margin, self.cut = decision_margins(sample)
        drawn = draw_patients(sample.stratum, sample.stream, slice(0, draws), sample.identity)
        self.weights = np.hstack([np.ones((len(rows), 1)), drawn[sample.patient]])

    def side(self, seed: int, task: int, members: np.ndarray, cell: np.ndarray) -> Side:
        """Return the images of `members` for one seed and task."""
        y = self.sample.y[:, task]
        kept = members & ~np.isnan(y)
        margin = self.margin[seed, kept, task]
        return Side(margin, y[kept] == 1, self.weights[kept], cell[kept])


def shift(
    settings: AuditSettings,
    *,
    predictions: Path,
    cohort: Path,
    groups: Path,
    home_predictions: Path,
    home_cohort: Path,
    home_groups: Path,
    output: Path,
    local: Path,
) -> None:
    """Write the parts of the change from home to elsewhere, and the learning curves.

    Parameters
    ----------
    settings : AuditSettings
        Of the external cohort, as for `medaudit.audit.evaluate`; of ``evaluation``: ``threshold``,
        ``bootstrap`` (``draws``, ``level``), ``minimum``, ``margins``.
    predictions, cohort, groups : Path
        Of the external cohort, made by `medaudit.adapt.transfer`; the split ``local`` has the
        patients that the learning curve draws from.
    home_predictions, home_cohort, home_groups : Path
        Of the home cohort, by the same model and method.
    output : Path
        Table `medaudit.core.audit_tables.SHIFT`.
    local : Path
        Table `medaudit.core.audit_tables.LOCAL`.
    """
    frame, rows = read_audited(cohort, groups), read_table(predictions, PREDICTIONS)
    home_frame = read_audited(home_cohort, home_groups)
    places = places_of(
        (read_table(home_predictions, PREDICTIONS), home_frame), (rows, frame), settings
    )
    names = [settings["cohort"], settings["model"], settings["method"]]
    run = dict(zip(("cohort", "model", "method"), names, strict=True))
    found = compare(places, settings).assign(**run)
    write_table(found[list(SHIFT.columns)], output, SHIFT)
    samples = (places[0].sample, places[1].sample)
    curves = learning_curves(rows, frame, samples, settings).assign(**run)
    write_table(curves[list(LOCAL.columns)], local, LOCAL)


def places_of(
    home: tuple[pd.DataFrame, pd.DataFrame],
    away: tuple[pd.DataFrame, pd.DataFrame],
    settings: AuditSettings,
) -> list[Place]:
    """Return the test samples at home and elsewhere, each from (predictions, cohort).

    Test weights are not used: prevalence and case mix are compared as they are in both places.
    """
    draws = min(settings["evaluation"]["bootstrap"]["draws"], MOST_DRAWS)
    plain: AuditSettings = {**settings, "test_weights": "none"}
    return [
        Place(read_sample(p, c, plain), c[c["split"] == "test"], draws)
        for p, c in ((home[0], _only_known(home[1], plain)), away)
    ]


def compare(places: list[Place], settings: AuditSettings) -> pd.DataFrame:
    """Return the parts of each group's change, see `medaudit.audit.shift.parts`.

    Parameters
    ----------
    places : list of Place
        Of `places_of`.
    settings : AuditSettings
        ``evaluation``: ``bootstrap`` (``level``), ``minimum``.

    Returns
    -------
    pandas.DataFrame
        One row per task (and ``mean``), attribute, group, metric (``tpr``, ``fpr``,
        ``selection_rate``, ``auc``) and part (``change``, ``prevalence``, ``case_mix``,
        ``threshold``, ``ranking``), means over seeds. ``value``: of the group; ``gap``: the group's
        minus that of all others. Intervals are percentile intervals over the draws of patients,
        which are independent in the two places unless the test images are the same.
        ``too_few`` below the minimum in either place or among all others,
        ``undefined:no_decision`` without a threshold.
    """
    rows: list[dict] = []
    for away in places[1].sample.attributes[1:]:
        home = next(a for a in places[0].sample.attributes if a.name == away.name)
        rows += _attribute_rows(places, (home, away), settings)
    names = ("cohort", "model", "method")
    return pd.DataFrame(rows, columns=[c for c in SHIFT.columns if c not in names])


def _only_known(cohort: pd.DataFrame, settings: AuditSettings) -> pd.DataFrame:
    """Return the home cohort without what only it has: other labels are no columns of the pair."""
    kept = {f"y_{task}" for task in settings["tasks"]}
    return cohort[[c for c in cohort.columns if not c.startswith("y_") or c in kept]]


def _attribute_rows(
    places: list[Place], pair: tuple[Attribute, Attribute], settings: AuditSettings
) -> Iterator[dict]:
    """Yield the rows of one attribute: its groups, tasks, metrics and parts."""
    evaluation = settings["evaluation"]
    cells, count = number_cells([place.rows for place in places], pair[0].name)
    tasks = places[0].sample.tasks
    for group in pair[1].levels:
        if group not in pair[0].levels:
            continue
        own = [a.codes == a.levels.index(group) for a in pair]
        rest = [(a.codes >= 0) & (a.codes != a.levels.index(group)) for a in pair]
        each: list[Changes] = []
        for task, name in enumerate(tasks):
            head: Row = {"seed": "mean", "task": name, "attribute": pair[0].name, "group": group}
            head |= _counts(places, own, task)
            if not _enough(places, [*zip(own, rest, strict=True)], task, evaluation["minimum"]):
                yield from ({**head, **key, "status": "too_few"} for key in _keys())
                continue
            found = _over_seeds(places, (own, rest), task, (cells, count))
            each.append(found)
            yield from _rows(head, found, evaluation["bootstrap"]["level"])
        if len(tasks) > 1 and len(each) == len(tasks):
            head = {"seed": "mean", "task": "mean", "attribute": pair[0].name, "group": group}
            head |= {"n_home": int(own[0].sum()), "n_away": int(own[1].sum())}
            yield from _rows(head, _mean(each), evaluation["bootstrap"]["level"])


def _over_seeds(
    places: list[Place], members: tuple, task: int, case_mix: tuple[list[np.ndarray], int]
) -> Changes:
    """Return the parts of the group, those minus all others', and the coverage; means over seeds."""
    cells, count = case_mix
    each = []
    for seed in range(len(places[0].sample.seeds)):
        changes = []
        for who in members:
            home, away = (
                place.side(seed, task, rows, cell)
                for place, rows, cell in zip(places, who, cells, strict=True)
            )
            changes.append(split_change(home, away, float(places[0].cut[seed, task]), count))
        (own, coverage), (rest, _) = changes
        each.append((own, {key: own[key] - rest[key] for key in own}, coverage))
    return _mean(each)


def _mean(each: list[Changes]) -> Changes:
    own = {key: np.mean([found[0][key] for found in each], axis=0) for key in each[0][0]}
    gap = {key: np.mean([found[1][key] for found in each], axis=0) for key in each[0][1]}
    return own, gap, np.mean([found[2] for found in each], axis=0)


def _keys() -> list[dict[str, str]]:
    return [{"metric": metric, "part": part} for metric in METRICS for part in PARTS]


def _rows(head: Row, found: Changes, level: float) -> Iterator[dict]:
    own, gap, coverage = found
    for key in _keys():
        row = {**head, **key, "coverage": coverage[0]}
        values = [part[key["metric"], key["part"]] for part in (own, gap)]
        if not np.isfinite(values[0][0]):
            yield {**row, "status": "undefined:no_decision"}
            continue
        for prefix, draws in zip(("value", "gap"), values, strict=True):
            low, high = percentile_interval(draws[None, 1:], level)
            ends = ("low", "high") if prefix == "value" else ("gap_low", "gap_high")
            row |= {prefix: draws[0], ends[0]: low[0], ends[1]: high[0]}
        yield {**row, "status": "ok"}


def _counts(places: list[Place], members: list[np.ndarray], task: int) -> dict[str, int]:
    known = [~np.isnan(p.sample.y[:, task]) & m for p, m in zip(places, members, strict=True)]
    return dict(zip(("n_home", "n_away"), (int(k.sum()) for k in known), strict=True))


def _enough(
    places: list[Place], members: list[tuple], task: int, minimum: EvaluationMinimum
) -> bool:
    for place, sides in zip(places, members, strict=True):
        y = place.sample.y[:, task]
        for side in sides:
            positive, negative = int((y[side] == 1).sum()), int((y[side] == 0).sum())
            if positive + negative < minimum["n"] or positive < max(1, minimum["n_pos"]):
                return False
            if negative < max(1, minimum["n_neg"]):
                return False
    return True
