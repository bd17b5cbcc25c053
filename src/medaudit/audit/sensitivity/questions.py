"""The rows of one attribute and task: the largest difference between groups, put to each question."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medaudit.audit.sensitivity import flagged_shares as thresholds
from medaudit.audit.sensitivity import missing_groups as missing
from medaudit.audit.sensitivity.label_noise import Rates, explain
from medaudit.audit.sensitivity.target_prevalence import (
    METRICS,
    at_prevalence,
    equal_benefit,
    prevalence_for,
)
from medaudit.core.entry_types.evaluation import EvaluationSensitivity
from medaudit.core.statuses import Status
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.gaps import harm
from medaudit.metrics.group_metrics import GroupMetrics, importance_weights
from medaudit.metrics.sample import Sample

GAP = "max_min"
BASE = {"tpr": 1, "fpr": 0, "selection_rate": None}
"""Rates of flagged images, and the label of the images that they are about (None: any)."""
UNKNOWN_METRICS = ("auc", "tpr", "fpr", "selection_rate")
"""Metrics whose difference is bounded over the images of unknown group."""


@dataclass(frozen=True)
class _Pair:
    """The two groups that differ most, as places in the attribute, and the difference (above 0)."""

    worst: int
    best: int
    value: float

    def sign(self, metric: str) -> int:
        """Return 1 where the best group has the larger value, else -1."""
        return -1 if metric == "fpr" else 1


class Questions:
    """One attribute and single task of a sample.

    Parameters
    ----------
    sample : Sample
        The test split.
    attribute : Attribute
        The groups.
    t : int
        Place of the task.
    metrics : GroupMetrics
        Values of the groups.
    assumed : EvaluationSensitivity
        What the questions assume.
    """

    def __init__(
        self,
        sample: Sample,
        attribute: Attribute,
        t: int,
        metrics: GroupMetrics,
        assumed: EvaluationSensitivity,
    ) -> None:
        self.sample, self.attribute, self.t = sample, attribute, t
        self.metrics, self.assumed = metrics, assumed
        self.y = sample.y[:, t]
        self.known = ~np.isnan(self.y)
        self.factor = importance_weights(sample, attribute, t)
        self.unknown = self.known & (attribute.codes < 0)
        self.prevalence = self._prevalence()

    def rows(self, wanted: Sequence[str]) -> Iterator[dict]:
        """Yield the rows of every question; of the rates, those that are `wanted`."""
        for metric in UNKNOWN_METRICS:
            if metric in wanted:
                yield self._row("missing_attribute", metric, self._missing)
        for metric in ("tpr", "fpr"):
            if metric in wanted:
                yield self._row("label_noise", metric, self._label_noise)
        for metric in BASE:
            if metric in wanted:
                yield self._row("threshold", metric, self._threshold)
        yield from self._prevalence_rows()

    def _row(self, question: str, metric: str, answer) -> dict:
        pair, status = self._pair(metric)
        row = self._start(question, metric, status)
        if pair is None:
            return row
        row |= self._named(pair) | {"value": pair.value}
        row |= answer(metric, pair)
        row["vanishes"] = "yes" if row.pop("gone") else "no"
        return row

    def _start(self, question: str, metric: str, status: str) -> dict:
        used = self.known & (self.attribute.codes >= 0)
        return {
            "question": question,
            "group": GAP,
            "metric": metric,
            "n": int(used.sum()),
            "n_unknown": int(self.unknown.sum()),
            "status": str(status),
        }

    def _named(self, pair: _Pair) -> dict:
        levels = self.attribute.levels
        return {"worst": levels[pair.worst], "best": levels[pair.best]}

    def _values(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return values (mean over seeds) and statuses of the groups."""
        m, size = self.metrics.metrics.index(metric), len(self.attribute.levels)
        place = (slice(0, size), -1, self.t, m)
        return self.metrics.value[place], self.metrics.status[place]

    def _pair(self, metric: str) -> tuple[_Pair | None, str]:
        value, status = self._values(metric)
        ok = np.flatnonzero(status == "ok")
        if ok.size < 2:
            return None, next((s for s in status if s != "ok"), Status.TOO_FEW)
        worst, best = _extremes(ok, harm(metric, value[ok]))
        return _Pair(worst, best, float(abs(value[worst] - value[best]))), Status.OK

    # ------------------------------------------------------------------ missing attribute
    def _missing(self, metric: str, pair: _Pair) -> dict:
        label = BASE.get(metric)
        base = self.known if label is None else self.y == label
        n_unknown = int((base & self.unknown).sum())
        bounds = [self._bounds(metric, pair, s) for s in range(len(self.sample.seeds))]
        low, high, fewest = np.mean(bounds, axis=0)
        return {
            "n": int((base & (self.attribute.codes >= 0)).sum()),
            "n_unknown": n_unknown,
            "low": low,
            "high": high,
            "present": n_unknown / max(base.sum(), 1),
            "tipping": fewest / n_unknown if n_unknown else np.nan,
            "gone": np.isfinite(fewest),
        }

    def _bounds(self, metric: str, pair: _Pair, s: int) -> missing.Bounds:
        upper, lower = pair.best, pair.worst
        if pair.sign(metric) < 0:
            upper, lower = lower, upper
        if metric == "auc":
            three = (self.attribute.codes == upper, self.attribute.codes == lower, self.unknown)
            return missing.bound_auc(*(self._scores(rows, s) for rows in three))
        label = BASE[metric]
        base = self.known if label is None else self.y == label
        flagged = self.sample.decision[s, :, self.t] == 1
        high, low = (
            missing.Rate(self.factor[own & flagged].sum(), self.factor[own].sum())
            for own in (base & (self.attribute.codes == g) for g in (upper, lower))
        )
        rest = base & self.unknown
        counts = (int((rest & flagged).sum()), int((rest & ~flagged).sum()))
        return missing.bound_rate(high, low, counts)

    def _scores(self, rows: np.ndarray, s: int) -> missing.Scores:
        score = self.sample.score[s, :, self.t]
        own = rows & self.known & ((self.factor > 0) | self.unknown)
        sides = [own & (self.y == label) for label in (1, 0)]
        return missing.Scores(*(score[r] for r in sides), *(self.factor[r] for r in sides))

    # ------------------------------------------------------------------------ label noise
    def _prevalence(self) -> np.ndarray:
        """Return the prevalence of each group, weighted; NaN for an empty one."""
        found = []
        for g in range(len(self.attribute.levels)):
            own = self.known & (self.attribute.codes == g)
            total = self.factor[own].sum()
            positive = self.factor[own & (self.y == 1)].sum()
            found.append(positive / total if total > 0 else np.nan)
        return np.array(found)

    def _rates(self, g: int) -> Rates:
        tpr, fpr = (float(self._values(metric)[0][g]) for metric in ("tpr", "fpr"))
        return Rates(tpr, fpr, float(self.prevalence[g]))

    def _label_noise(self, metric: str, pair: _Pair) -> dict:
        given = (self.assumed["label_sensitivity"], self.assumed["label_specificity"])
        best, worst = self._rates(pair.best), self._rates(pair.worst)
        if not np.isfinite([*best, *worst]).all():
            return {"status": str(Status.TOO_FEW), "gone": False}
        noise = explain(metric, best, worst, *given)
        present = given[1] if metric == "tpr" else given[0]
        return {
            "assumed": present,
            "present": present,
            "tipping": noise.tipping,
            "share": noise.share,
            "gone": np.isfinite(noise.tipping),
        }

    # -------------------------------------------------------------------------- threshold
    def _threshold(self, metric: str, pair: _Pair) -> dict:
        if self.sample.threshold is None:
            return {"status": str(Status.NO_DECISION), "gone": False}
        low, high = self.assumed["flagged"]
        factor = thresholds.factors((low, high))
        curves = [self._curve(metric, pair, s, factor) for s in range(len(self.sample.seeds))]
        curve = thresholds.Curve(*(np.mean(parts, axis=0) for parts in zip(*curves, strict=True)))
        if np.isnan(curve.share).any():
            return {"status": str(Status.NO_DECISION), "gone": False}
        found = thresholds.reach(curve, (low, high))._asdict()
        present = float(curve.share[curve.factor == 1][0])
        return {**found, "present": present, "gone": bool(found["low"] <= 0)}

    def _curve(self, metric: str, pair: _Pair, s: int, factor: np.ndarray) -> thresholds.Curve:
        score, label = self.sample.score[s, :, self.t], BASE[metric]
        base = (self.known if label is None else self.y == label) & (self.factor > 0)
        members = [base & (self.attribute.codes == g) for g in (pair.best, pair.worst)]
        groups = [thresholds.Group(score[own], self.factor[own]) for own in members]
        if pair.sign(metric) < 0:
            groups.reverse()
        assert self.sample.threshold is not None
        chosen = float(self.sample.threshold[s, self.t])
        return thresholds.follow(score[self.known], (groups[0], groups[1]), factor, chosen)

    # ------------------------------------------------------------------------- prevalence
    def _prevalence_rows(self) -> Iterator[dict]:
        """Yield a row for each group, and one for the largest difference, of every metric."""
        labels = self.y[self.known & (self.attribute.codes >= 0)]
        task = self.sample.tasks[self.t]
        target = float(self.assumed["prevalence"].get(task, labels.mean() if labels.size else 0))
        (tpr, one), (fpr, two) = (self._values(metric) for metric in ("tpr", "fpr"))
        ok = (one == "ok") & (two == "ok")
        bad = np.where(one == "ok", two, one)
        cost = self._harm()
        for metric in METRICS:
            own = at_prevalence(metric, tpr, fpr, self.prevalence, cost)
            new = at_prevalence(metric, tpr, fpr, target, cost)
            status = np.where(ok & ~np.isfinite(own + new), Status.NO_DECISION, bad)
            for g, name in enumerate(self.attribute.levels):
                row = self._start("prevalence", metric, status[g]) | {"group": name}
                row["n"] = int(self.metrics.counts[g, self.t, 0])
                row |= {"assumed": target, "present": self.prevalence[g]}
                if status[g] == "ok":
                    row |= {"value": own[g], "adjusted": new[g]}
                yield row
            yield self._prevalence_gap(metric, (own, new, status), target, cost)

    def _harm(self) -> float:
        """Return the harm of a false positive: as set, or the odds of the mean threshold."""
        harm_given = self.assumed["false_positive_harm"]
        if harm_given is not None:
            return float(harm_given)
        if self.sample.threshold is None:
            return np.nan
        at = float(self.sample.threshold[:, self.t].mean())
        return at / (1 - at) if at < 1 else np.nan

    def _prevalence_gap(
        self,
        metric: str,
        parts: tuple[np.ndarray, np.ndarray, np.ndarray],
        target: float,
        cost: float,
    ) -> dict:
        own, new, status = parts
        ok = np.flatnonzero(status == "ok")
        if ok.size < 2:
            bad = next((s for s in status if s != "ok"), Status.TOO_FEW)
            return self._start("prevalence", metric, bad)
        # Net benefit at its own prevalence says how ill a group is: it is compared at the target's.
        compared = new if metric == "net_benefit" else own
        worst, best = _extremes(ok, -compared[ok])
        pair = _Pair(worst, best, float(compared[best] - compared[worst]))
        first, second = self._rates(best), self._rates(worst)
        if metric == "net_benefit":
            tpr, fpr = (first.tpr, second.tpr), (first.fpr, second.fpr)
            present, tipping = target, equal_benefit(tpr, fpr, cost)
        else:
            present = float(self.prevalence[worst])
            tipping = prevalence_for(metric, second.tpr, second.fpr, float(own[best]))
        row = self._start("prevalence", metric, Status.OK) | self._named(pair)
        row |= {"value": pair.value, "adjusted": float(new[best] - new[worst])}
        row |= {"assumed": target, "present": present, "tipping": tipping}
        return row | {"vanishes": "yes" if np.isfinite(tipping) else "no"}


def _extremes(groups: np.ndarray, badness: np.ndarray) -> tuple[int, int]:
    """Return the worst and the best group; two groups also where all are alike."""
    order = np.argsort(badness, kind="stable")
    return int(groups[order[-1]]), int(groups[order[0]])
