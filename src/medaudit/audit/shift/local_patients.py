"""How many labelled local patients make sensitivity equal again: learning curves of four repairs.

Local patients are drawn at random from the split ``local``, many times and for growing numbers; the
repair learns from them, and the external test split shows the result:

- ``threshold``: one new threshold for all, by the rule of home;
- ``group_thresholds``: one threshold per group, with the sensitivity that all patients of home have
  at the threshold of home;
- ``recalibrated``: Platt's recalibration of the scores, and the threshold of home at the risk that
  it has at home;
- ``group_recalibrated``: the same with one recalibration per group.

``carried`` is the threshold of home without a local patient. Where the drawn patients of a group
lack a class, its repair is not possible, and the threshold of home stays.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.external import LOCAL
from medaudit.core.margins import margin_of
from medaudit.core.seeds import generator
from medaudit.metrics.attributes import Attribute, read_attributes
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.calibration import fit_platt, logit
from medaudit.metrics.operating_points import decision_margins, lead
from medaudit.metrics.sample import Sample
from medaudit.metrics.thresholds import choose_threshold, value_for

CARRIED, THRESHOLD, PER_GROUP = "carried", "threshold", "group_thresholds"
RECALIBRATED, RECALIBRATED_PER_GROUP = "recalibrated", "group_recalibrated"
ACTIONS = (THRESHOLD, PER_GROUP, RECALIBRATED, RECALIBRATED_PER_GROUP)

SIZES = (25, 50, 100, 200, 400, 800, 1600)
DRAWS = 20
"""Samples of local patients of each size."""
EQUAL = 0.05
"""Largest difference in sensitivity that counts as equal where no margin is declared."""


@dataclass(frozen=True)
class Images:
    """Images with their margins ``[seeds, n, tasks]``, labels ``[n, tasks]`` and patients ``[n]``."""

    margin: np.ndarray
    y: np.ndarray
    patient: np.ndarray


@dataclass(frozen=True)
class Home:
    """What home hands over, each ``[seeds, tasks]``: cut, sensitivity, and Platt's fit ``[..., 2]``."""

    cut: np.ndarray
    sensitivity: np.ndarray
    platt: np.ndarray


def learning_curves(
    predictions: pd.DataFrame,
    cohort: pd.DataFrame,
    samples: tuple[Sample, Sample],
    settings: AuditSettings,
) -> pd.DataFrame:
    """Return the largest difference in sensitivity after each repair, by number of local patients.

    Parameters
    ----------
    predictions, cohort : pandas.DataFrame
        Of the external cohort.
    samples : tuple of Sample
        The test samples at home and elsewhere.
    settings : AuditSettings
        ``task_type``, ``attributes``, and of ``evaluation`` ``threshold`` and ``margins``.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.core.audit_tables.LOCAL` without the names of the run. Means over seeds
        and tasks come before differences between groups. ``target``: the larger of the margin
        (`EQUAL` if none is declared) and of the difference at home; ``share_within``: the share of
        the draws at or below it. Status ``missing`` without local patients, ``too_few`` where a
        group lacks positives or negatives of a task.
    """
    home, away = samples
    own = _images(predictions, cohort, LOCAL, away)
    known = _known(predictions, cohort, home, away)
    local = (cohort["split"] == LOCAL).to_numpy()
    frames = []
    for attribute in away.attributes[1:]:
        here = next(a for a in home.attributes if a.name == attribute.name)
        near = _codes(cohort, local, attribute, settings)
        curve = _Curve(attribute, near, own, away, known, settings)
        frames.append(curve.rows(_target(here, home, settings)))
    columns = ["seed", "task", "attribute", "action", "patients", "gap", "gap_low", "gap_high"]
    columns += ["target", "share_within", "tpr", "fpr", "fpr_gap", "draws", "status"]
    return pd.concat(frames, ignore_index=True).reindex(columns=columns)


def _images(predictions: pd.DataFrame, cohort: pd.DataFrame, split: str, like: Sample) -> Images:
    """Return the images of a split, on the scale of the decisions of `like`."""
    frame = cohort[cohort["split"] == split]
    rows = predictions[predictions["split"].eq(split) & predictions["task"].isin(like.tasks)]
    score = np.full((len(like.seeds), len(frame), len(like.tasks)), np.nan)
    y = np.full(score.shape[1:], np.nan)
    at = (
        pd.Index(like.seeds).get_indexer(rows["seed"].astype(str)),
        pd.Index(frame["image_id"]).get_indexer(rows["image_id"]),
        pd.Index(like.tasks).get_indexer(rows["task"]),
    )
    score[at], y[at[1:]] = rows["score"], rows["y"].astype(float)
    margin = lead(score) if like.multiclass else logit(score)
    return Images(margin, y, frame["patient_id"].to_numpy())


def _known(predictions: pd.DataFrame, cohort: pd.DataFrame, home: Sample, away: Sample) -> Home:
    cut = decision_margins(away)[1]
    val = _images(predictions, cohort, "val", away)
    positive = (home.y == 1)[None]
    flagged = np.where(positive, home.decision, np.nan)
    platt = np.full((*cut.shape, 2), np.nan)
    for s, t in np.ndindex(*cut.shape):
        rows = np.isfinite(val.margin[s, :, t]) & np.isfinite(val.y[:, t])
        platt[s, t] = fit_platt(val.margin[s, rows, t], val.y[rows, t] == 1)
    return Home(cut, np.nanmean(flagged, axis=1), platt)


def _codes(
    cohort: pd.DataFrame, rows: np.ndarray, attribute: Attribute, settings: AuditSettings
) -> np.ndarray:
    """Return the group codes of local rows, in the levels of the test rows."""
    if not rows.any():
        return np.empty(0, int)
    found = read_attributes(cohort, rows, settings["attributes"])
    own = next(a for a in found if a.name == attribute.name)
    place = np.array([*(attribute.levels.index(name) for name in own.levels), -1])
    return place[own.codes]


def _target(attribute: Attribute, home: Sample, settings: AuditSettings) -> float:
    """Return the difference in sensitivity between groups that counts as equal."""
    rates = [
        np.mean([_rate(home, attribute.codes == g, t) for t in range(len(home.tasks))])
        for g in range(len(attribute.levels))
    ]
    declared = margin_of(settings["evaluation"].get("margins", {}), "tpr", attribute.name)
    equal = EQUAL if declared is None else declared
    return float(np.nanmax([equal, np.nanmax(rates) - np.nanmin(rates)]))


def _rate(sample: Sample, members: np.ndarray, task: int) -> float:
    rows = members & (sample.y[:, task] == 1)
    return float(sample.decision[:, rows, task].mean()) if rows.any() else np.nan


class _Curve:
    """The learning curves of one attribute."""

    def __init__(
        self,
        attribute: Attribute,
        codes: np.ndarray,
        local: Images,
        away: Sample,
        known: Home,
        settings: AuditSettings,
    ) -> None:
        self.attribute, self.codes, self.local, self.known = attribute, codes, local, known
        self.rule = settings["evaluation"]["threshold"]
        self.values = [value_for(self.rule, task) for task in away.tasks]
        self.groups = range(len(attribute.levels))
        margin = decision_margins(away)[0]
        # The test margins of each seed, task, group and class, sorted: a rate is a search.
        self.tests = {
            (s, t, g, label): np.sort(
                margin[s, (attribute.codes == g) & (away.y[:, t] == label), t]
            )
            for s, t in np.ndindex(*known.cut.shape)
            for g in self.groups
            for label in (1, 0)
        }
        self.name = away.stream

    def rows(self, target: float) -> pd.DataFrame:
        """Return the rows of all actions and numbers of patients."""
        head = {"seed": "mean", "task": "mean", "attribute": self.attribute.name}
        if any(len(part) == 0 for part in self.tests.values()):
            return pd.DataFrame([{**head, "action": CARRIED, "patients": 0, "status": "too_few"}])
        shape = (*self.known.cut.shape, len(self.groups))
        carried = np.broadcast_to(self.known.cut[..., None], shape)
        found = [
            _summary({**head, "action": CARRIED, "patients": 0}, [self._rates(carried)], target)
        ]
        people = np.unique(self.local.patient[self.codes >= 0])
        sizes = [n for n in SIZES if n < len(people)] + ([len(people)] if len(people) else [])
        for n in sizes:
            drawn: dict[str, list[np.ndarray]] = {action: [] for action in ACTIONS}
            for draw in range(DRAWS if n < len(people) else 1):
                rng = generator("local patients", self.name, self.attribute.name, draw)
                chosen = np.isin(self.local.patient, rng.permutation(people)[:n])
                for action in ACTIONS:
                    drawn[action].append(self._rates(self._cuts(action, chosen)))
            found += [
                _summary({**head, "action": action, "patients": n}, rates, target)
                for action, rates in drawn.items()
            ]
        if not sizes:
            found += [{**head, "action": a, "patients": 0, "status": "missing"} for a in ACTIONS]
        return pd.DataFrame(found)

    def _rates(self, cuts: np.ndarray) -> np.ndarray:
        """Return TPR and FPR of each group, ``[2, groups]``: means over tasks and seeds."""
        rates = np.empty((2, *cuts.shape))
        for s, t, g in np.ndindex(*cuts.shape):
            for row, label in enumerate((1, 0)):
                margins = self.tests[s, t, g, label]
                below = np.searchsorted(margins, cuts[s, t, g], side="left")
                rates[row, s, t, g] = 1 - below / len(margins)
        return rates.mean(axis=(1, 2))

    def _cuts(self, action: str, chosen: np.ndarray) -> np.ndarray:
        """Return the cut of each seed, task and group after a repair on the chosen images."""
        shape = (*self.known.cut.shape, len(self.groups))
        cuts = np.broadcast_to(self.known.cut[..., None], shape).copy()
        per_group = action in (PER_GROUP, RECALIBRATED_PER_GROUP)
        members = [self.codes == g for g in self.groups] if per_group else [self.codes >= 0]
        for s, t in np.ndindex(*shape[:2]):
            y = self.local.y[:, t]
            for g, own in enumerate(members):
                rows = chosen & own & np.isfinite(y) & np.isfinite(self.local.margin[s, :, t])
                cut = self._cut(action, self.local.margin[s, rows, t], y[rows] == 1, (s, t))
                if np.isfinite(cut):
                    cuts[s, t, slice(g, g + 1) if per_group else slice(None)] = cut
        return cuts

    def _cut(
        self, action: str, margin: np.ndarray, positive: np.ndarray, at: tuple[int, int]
    ) -> float:
        """Return the cut that some local images give; NaN where they cannot."""
        if positive.all() or not positive.any():
            return np.nan
        if action == THRESHOLD:
            value = self.values[at[1]]
            if self.rule["rule"] == "fixed":
                return np.nan
            return choose_threshold(margin, positive, self.rule["rule"], value)
        if action == PER_GROUP:
            return choose_threshold(margin, positive, "sensitivity", self.known.sensitivity[at])
        intercept, slope = fit_platt(margin, positive)
        at_home = self.known.platt[at]
        risk = at_home[0] + at_home[1] * self.known.cut[at]
        return (risk - intercept) / slope if slope > 0 else np.nan


def _summary(head: dict, rates: list[np.ndarray], target: float) -> dict:
    """Return a row from TPR and FPR by group, ``[2, groups]`` in each draw."""
    gaps = np.ptp(np.stack(rates), axis=2)
    low, high = np.quantile(gaps[:, 0], [0.025, 0.975])
    tpr, fpr = np.stack(rates).mean(axis=(0, 2))
    return {
        **head,
        "gap": gaps[:, 0].mean(),
        "gap_low": low,
        "gap_high": high,
        "target": target,
        "share_within": (gaps[:, 0] <= target + 1e-9).mean(),
        "tpr": tpr,
        "fpr": fpr,
        "fpr_gap": gaps[:, 1].mean(),
        "draws": len(rates),
        "status": "ok",
    }
