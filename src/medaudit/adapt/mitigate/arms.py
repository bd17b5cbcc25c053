"""Fits every remedy and control of one task and attribute, and selects by each rule."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medaudit.adapt.after_training import AFTER_TRAINING, Scored, apply_after, needs_group
from medaudit.adapt.logits import ranked_probabilities
from medaudit.adapt.mitigate.problem import Part, Point, Problem, draw_points
from medaudit.adapt.mitigate.remedies import REMEDIES, Remedy, plain
from medaudit.adapt.mitigate.selection import choose, group_aucs
from medaudit.core.entry_types.evaluation import EvaluationMinimum, EvaluationThreshold
from medaudit.core.mitigation import (
    AFTER,
    BEST_SEED,
    CONTROL,
    CONTROLS,
    EMBEDDINGS,
    OTHER_SEEDS,
    PLAIN,
)
from medaudit.metrics.thresholds import choose_threshold, value_for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decided:
    """Scores and decisions ``[S, n]`` of the test images, by one remedy selected by one rule."""

    rule: str
    remedy: str
    score: np.ndarray
    decision: np.ndarray


@dataclass(frozen=True)
class Terms:
    """What all arms share.

    Parameters
    ----------
    task : str
        Name.
    rules : list of str
        Rules of `medaudit.adapt.mitigate.selection`.
    threshold, minimum : dict
        Of the evaluation.
    remedies : list of str
        Names of remedies on embeddings and after training.
    """

    task: str
    rules: list[str]
    threshold: EvaluationThreshold
    minimum: EvaluationMinimum
    remedies: list[str]

    @property
    def fewest(self) -> int:
        """Positives and negatives that a group needs to take part in a selection."""
        return max(1, self.minimum["n_pos"], self.minimum["n_neg"])


class Arms:
    """Every remedy and control, fitted one after the other.

    Parameters
    ----------
    problem : Problem
        Training and validation rows.
    test : Part
        Test rows; their labels are not read.
    terms : Terms
        See there.
    many : tuple of int
        Seeds of the controls: plain training with other seeds, and the best of them.

    Attributes
    ----------
    records : list of dict
        What was searched and selected for each remedy, and its cost.
    """

    def __init__(
        self,
        problem: Problem,
        test: Part,
        terms: Terms,
        many: tuple[int, ...],
    ) -> None:
        self.problem, self.test, self.terms = problem, test, terms
        self.many = many
        self.records: list[dict[str, Any]] = []
        self._plain: dict[str, tuple[Point, np.ndarray, np.ndarray]] = {}

    def run(self) -> Iterator[Decided]:
        """Yield every arm: plain training, remedies on embeddings, controls, remedies after training."""
        yield from self._fitted(PLAIN, Remedy(plain))
        for name in self.terms.remedies:
            if name in REMEDIES:
                yield from self._fitted(name, REMEDIES[name])
        yield from self._many_seeds()
        for name in self.terms.remedies:
            if name in AFTER_TRAINING:
                yield from self._after(name)

    def _fitted(self, name: str, remedy: Remedy) -> Iterator[Decided]:
        problem, training = self.problem, self.problem.training
        ends = (training["learning_rate"][0], training["learning_rate"][1])
        points = draw_points(name, ends, remedy.strength, training["configurations"])
        start = time.process_time()
        scorer = remedy.fit(problem, points)
        val = scorer(problem.val.x)
        seconds = time.process_time() - start
        aucs = self._aucs(val).mean(axis=0)
        chosen = {rule: choose(rule, aucs) for rule in self.terms.rules}
        self._record(name, seconds, points=[p._asdict() for p in points], chosen=chosen)
        log.info("%s: %.1f s", name, seconds)
        test = scorer(self.test.x)
        for rule, place in chosen.items():
            shares = _probabilities(val[:, place], test[:, place])
            if name == PLAIN:
                self._plain[rule] = (points[place], *shares)
            yield self._decided(rule, name, *shares)

    def _many_seeds(self) -> Iterator[Decided]:
        """Yield as many plain seeds as a remedy has points, and the best of them by each rule."""
        start = time.process_time()
        found: dict[Point, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for point, _, _ in self._plain.values():
            if point not in found:
                scorer = plain(replace(self.problem, seeds=self.many), [point])
                val = scorer(self.problem.val.x)
                aucs = self._aucs(val)[:, 0]
                found[point] = (val[:, 0], aucs, scorer(self.test.x)[:, 0])
        for name in (OTHER_SEEDS, BEST_SEED):
            self._record(name, time.process_time() - start, seeds=len(self.many))
        for rule, (point, _, _) in self._plain.items():
            val, aucs, test = found[point]
            best = [choose(rule, aucs)]
            yield self._decided(rule, OTHER_SEEDS, *_probabilities(val, test))
            yield self._decided(rule, BEST_SEED, *_probabilities(val[best], test[best]))

    def _after(self, name: str) -> Iterator[Decided]:
        start = time.process_time()
        pooled: set[int] = set()
        val_part = self.problem.val
        for rule, (_, val, test) in self._plain.items():
            outcomes = [
                apply_after(
                    name,
                    Scored(before, val_part.y, self.problem.known(val_part.group)),
                    Scored(after, np.empty(0), self.problem.known(self.test.group)),
                    self.terms.threshold,
                    self.terms.minimum,
                    self.terms.task,
                    seed,
                )
                for seed, (before, after) in enumerate(zip(val, test, strict=True))
            ]
            done = [one for one in outcomes if one is not None]
            if len(done) == len(outcomes):
                pooled |= {code for one in done for code in one.pooled}
                scores, decisions = (
                    np.stack([getattr(one, key) for one in done]) for key in ("score", "decision")
                )
                yield Decided(rule, name, scores, decisions)
        self._record(name, time.process_time() - start, pooled=sorted(pooled))

    def _aucs(self, logits: np.ndarray) -> np.ndarray:
        val = self.problem.val
        return group_aucs(logits, val.y, self.problem.known(val.group), self.terms.fewest)

    def _decided(self, rule: str, name: str, val: np.ndarray, test: np.ndarray) -> Decided:
        threshold = self.terms.threshold
        value = value_for(threshold, self.terms.task)
        positive = self.problem.val.y == 1
        cuts = [choose_threshold(one, positive, threshold["rule"], value) for one in val]
        decision = np.where(np.isnan(cuts)[:, None], np.nan, test >= np.array(cuts)[:, None])
        return Decided(rule, name, test, decision)

    def _record(self, name: str, seconds: float, **more: Any) -> None:
        needs = name in AFTER_TRAINING and needs_group(name)
        kind = CONTROL if name in CONTROLS else AFTER if name in AFTER_TRAINING else EMBEDDINGS
        found: dict[str, Any] = {"remedy": name, "kind": kind, "needs_group": needs}
        found["processor_seconds"] = round(seconds, 3)
        self.records.append({**found, **more})


def _probabilities(val: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of both splits by one map that keeps the order of all logits."""
    both = np.concatenate([val, test], axis=-1)
    shares = ranked_probabilities(both[..., None], False)[..., 0]
    return shares[..., : val.shape[-1]], shares[..., val.shape[-1] :]
