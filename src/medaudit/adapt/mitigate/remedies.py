"""The remedies that act on stored embeddings, by name, each with its search space and its paper."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medaudit.adapt.mitigate import example_weights, last_layer
from medaudit.adapt.mitigate.adversarial import Adversarial, Conditional
from medaudit.adapt.mitigate.contrastive import Contrastive
from medaudit.adapt.mitigate.erasure import Eraser
from medaudit.adapt.mitigate.heads import DomainHeads, GroupDRO, LinearHead, TailRisk
from medaudit.adapt.mitigate.last_layer import Scorer
from medaudit.adapt.mitigate.problem import Point, Problem
from medaudit.adapt.mitigate.training import Head, score, train

FIRST_SHARE = 4
"""Just Train Twice finds the errors after a quarter of the epochs."""


@dataclass(frozen=True)
class Remedy:
    """A remedy on stored embeddings.

    Parameters
    ----------
    fit : callable
        ``(Problem, list of Point) -> Scorer``.
    strength : tuple of float, optional
        Lowest and highest value of its own setting, searched on a logarithmic scale.
    """

    fit: Callable[[Problem, list[Point]], Scorer]
    strength: tuple[float, float] | None = None


def _strengths(points: list[Point]) -> np.ndarray:
    return np.array([point.strength for point in points])


def _train(head: Head, problem: Problem, points: list[Point], **options) -> Scorer:
    parameters = train(head, problem.train, points, problem.training, problem.rngs, **options)
    return lambda x: score(head, parameters, x)


def plain(problem: Problem, points: list[Point]) -> Scorer:
    """Train with the mean loss: what every remedy is compared with."""
    return _train(LinearHead(_strengths(points)), problem, points)


def reweighting(problem: Problem, points: list[Point]) -> Scorer:
    """Weight examples so that group and class are independent."""
    weight = example_weights.reweighing(problem.train.y, problem.train.group)
    return _train(LinearHead(_strengths(points)), problem, points, weight=weight)


def resampling(problem: Problem, points: list[Point]) -> Scorer:
    """Draw every group equally often."""
    chance = example_weights.equal_shares(problem.train.group) / len(problem.train.y)
    return _train(LinearHead(_strengths(points)), problem, points, chance=chance)


def balancing(problem: Problem, points: list[Point]) -> Scorer:
    """Weight examples so that every group and class has the same total."""
    weight = example_weights.equal_shares(problem.train.cell)
    return _train(LinearHead(_strengths(points)), problem, points, weight=weight)


def group_dro(problem: Problem, points: list[Point]) -> Scorer:
    """Raise the weight of the group and class with the largest loss, step by step."""
    head = GroupDRO(_strengths(points), len(problem.rngs), problem.train.cell)
    return _train(head, problem, points)


def cvar_dro(problem: Problem, points: list[Point]) -> Scorer:
    """Minimise the mean of the worst losses, without the groups."""
    return _train(TailRisk(_strengths(points)), problem, points)


def just_train_twice(problem: Problem, points: list[Point]) -> Scorer:
    """Train briefly, then train again with the errors upweighted, without the groups."""
    head, strength = LinearHead(_strengths(points)), _strengths(points)
    first = train(
        head,
        problem.train,
        points,
        problem.training,
        problem.rngs,
        epochs=max(1, problem.training["epochs"] // FIRST_SHARE),
    )
    logits = score(head, first, problem.train.x)
    weight = example_weights.errors_upweighted(logits, problem.train.y, strength)
    return _train(head, problem, points, weight=weight)


def domain_independent(problem: Problem, points: list[Point]) -> Scorer:
    """Train one head per group, and average their logits."""
    return _train(DomainHeads(_strengths(points), problem.groups), problem, points)


def laftr(problem: Problem, points: list[Point]) -> Scorer:
    """Hide the group from an adversary with the group-normalised l1 loss."""
    return _adversarial(Adversarial, problem, points)


def cfair(problem: Problem, points: list[Point]) -> Scorer:
    """Hide the group within each class from an adversary, with balanced error rates."""
    return _adversarial(Conditional, problem, points)


def _adversarial(kind: type[Adversarial], problem: Problem, points: list[Point]) -> Scorer:
    hidden = problem.training["hidden"]
    head = kind(_strengths(points), problem.train.cell, problem.groups, hidden)
    return _train(head, problem, points)


def leace(problem: Problem, points: list[Point]) -> Scorer:
    """Erase the groups' linear trace from the embeddings, then train plainly."""
    erase = Eraser(problem.train.x, problem.train.group)
    head = LinearHead(_strengths(points))
    part = problem.train._replace(x=erase(problem.train.x))
    parameters = train(head, part, points, problem.training, problem.rngs)
    return lambda x: score(head, parameters, erase(x))


def fscl(problem: Problem, points: list[Point]) -> Scorer:
    """Train an encoder with the fair contrastive loss, then fit logistic regression to it."""
    head = Contrastive(_strengths(points), problem.training["hidden"])
    parameters = train(head, problem.train, points, problem.training, problem.rngs)
    features = head.features(parameters, problem.train.x)
    found = np.array(
        [[last_layer.classify(one, problem.train.y) for one in row] for row in features]
    )
    weight, bias = found[..., :-1, None], found[..., -1, None]
    return lambda x: (head.features(parameters, x) @ weight)[..., 0] + bias


REMEDIES = {
    "reweighting": Remedy(reweighting),
    "resampling": Remedy(resampling),
    "balancing": Remedy(balancing),
    "group_dro": Remedy(group_dro, (0.001, 0.1)),
    "cvar_dro": Remedy(cvar_dro, (0.2, 0.8)),
    "just_train_twice": Remedy(just_train_twice, (2.0, 20.0)),
    "dfr": Remedy(last_layer.deep_feature_reweighting),
    "domain_independent": Remedy(domain_independent),
    "laftr": Remedy(laftr, (0.05, 2.0)),
    "cfair": Remedy(cfair, (0.05, 2.0)),
    "leace": Remedy(leace),
    "exponentiated_gradient": Remedy(last_layer.exponentiated_gradient, (0.01, 0.2)),
    "grid_search": Remedy(last_layer.grid_search),
    "fscl": Remedy(fscl, (0.05, 0.5)),
}
"""Remedies by name."""
