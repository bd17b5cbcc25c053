"""Logistic regressions of scikit-learn: deep feature reweighting, and fairlearn's reductions."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import logit

from medaudit.adapt.mitigate.problem import Part, Point, Problem

SUBSETS = 3
"""Balanced subsets whose coefficients are averaged."""
RIDGE, LASSO = (1e-4, 0.1), (0.03, 1.0)
"""Ranges of scikit-learn's C by penalty, which take the place of the learning rate."""
SMALLEST = 1e-12
ITERATIONS = 10
"""Rounds of exponentiated gradient at most."""

Scorer = Callable[[np.ndarray], np.ndarray]
"""Embeddings ``[n, d]`` to logits ``[S, C, n]``."""


def deep_feature_reweighting(problem: Problem, points: list[Point]) -> Scorer:
    """Fit L1-regularised logistic regression to subsets with equally many rows of every cell.

    Kirichenko, Izmailov and Wilson 2023, "Last layer re-training is sufficient for robustness to
    spurious correlations" (arXiv 2204.02937). Each subset has as many rows of each group and class
    as the smallest cell; coefficients are averaged over subsets. The subsets are of the training
    split (the paper's variant DFR Tr-Tr), because validation selects. The learning rate of a point is
    its place in the range of C.
    """
    train = problem.train
    found = np.zeros((len(problem.rngs), len(points), train.x.shape[1] + 1))
    for s, rng in enumerate(problem.rngs):
        for _ in range(SUBSETS):
            rows = balanced_rows(train.cell, rng)
            for c, point in enumerate(points):
                found[s, c] += _lasso(train, rows, penalty(problem, point, LASSO)) / SUBSETS
    return lambda x: found[..., :-1] @ x.T.astype(float) + found[..., -1:]


def balanced_rows(cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows with as many of each cell as the smallest cell has, drawn without replacement."""
    cells, counts = np.unique(cell, return_counts=True)
    each = [rng.choice(np.flatnonzero(cell == c), counts.min(), replace=False) for c in cells]
    return np.sort(np.concatenate(each))


def exponentiated_gradient(problem: Problem, points: list[Point]) -> Scorer:
    """Fit fairlearn's `ExponentiatedGradient` for equalised odds; strength: the allowed violation.

    Agarwal, Beygelzimer, Dudik, Langford and Wallach 2018, "A reductions approach to fair
    classification" (arXiv 1803.02453). The classifier is randomised over several predictors; its
    score here is the mean of their probabilities with the classifier's own weights.
    """
    from fairlearn.reductions import EqualizedOdds, ExponentiatedGradient

    turn = _rotation(problem.train.x)
    mixtures = []
    for point in points:
        fitted = ExponentiatedGradient(
            _logistic(penalty(problem, point, RIDGE)),
            EqualizedOdds(),
            eps=point.strength,
            max_iter=ITERATIONS,
        )
        _fit(fitted, turn(problem.train.x), problem.train)
        kept = [(w, fitted.predictors_[k]) for k, w in fitted.weights_.items() if w > 0]
        mixtures.append(kept)

    def scores(x: np.ndarray) -> np.ndarray:
        turned = turn(x)
        mixed = [sum(w * _probability(one, turned) for w, one in kept) for kept in mixtures]
        return _repeat(logit(np.clip(mixed, SMALLEST, 1 - SMALLEST)), problem)

    return scores


def grid_search(problem: Problem, points: list[Point]) -> Scorer:
    """Fit fairlearn's `GridSearch` for equalised odds; its grid has one predictor per point.

    The same paper, section on grid search. The penalty is the middle of its range for all points.
    """
    from fairlearn.reductions import EqualizedOdds, GridSearch

    turn = _rotation(problem.train.x)
    middle = float(np.sqrt(RIDGE[0] * RIDGE[1]))
    fitted = GridSearch(_logistic(middle), EqualizedOdds(), grid_size=len(points))
    _fit(fitted, turn(problem.train.x), problem.train)
    predictors = [fitted.predictors_[k % len(fitted.predictors_)] for k in range(len(points))]

    def scores(x: np.ndarray) -> np.ndarray:
        turned = turn(x)
        shares = [_probability(one, turned) for one in predictors]
        return _repeat(logit(np.clip(shares, SMALLEST, 1 - SMALLEST)), problem)

    return scores


def classify(features: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit scikit-learn's logistic regression (C = 1); return coefficients and intercept ``[d + 1]``."""
    fitted = _logistic(1.0).fit(features, y)
    return np.append(fitted.coef_[0], fitted.intercept_[0])


def penalty(problem: Problem, point: Point, ends: tuple[float, float]) -> float:
    """Return scikit-learn's C of a point: the learning rate, moved to the range `ends`."""
    low, high = np.log(problem.training["learning_rate"])
    share = (np.log(point.learning_rate) - low) / (high - low)
    first, last = np.log(ends)
    return float(np.exp(first + share * (last - first)))


def _logistic(c: float):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=200)


def _lasso(part: Part, rows: np.ndarray, c: float) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(l1_ratio=1, solver="liblinear", C=c, random_state=0)
    model.fit(part.x[rows].astype(float), part.y[rows])
    return np.append(model.coef_[0], model.intercept_[0])


def _fit(reduction, x: np.ndarray, part: Part) -> None:
    with warnings.catch_warnings():
        # Rounds that do not converge, and grids of few points, are part of the budget.
        warnings.simplefilter("ignore")
        reduction.fit(x, part.y.astype(int), sensitive_features=part.group)


def _rotation(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a rotation to the rows' own span: the same ridge regressions, with fewer columns."""
    if len(x) >= x.shape[1]:
        return lambda rows: rows.astype(float)
    axes = np.linalg.svd(x.astype(float), full_matrices=False)[2]
    return lambda rows: rows @ axes.T


def _probability(predictor, x: np.ndarray) -> np.ndarray:
    """Return P(y = 1); a constant predictor of fairlearn has no probabilities."""
    if hasattr(predictor, "predict_proba"):
        return predictor.predict_proba(x)[:, -1]
    return np.asarray(predictor.predict(x), dtype=float)


def _repeat(found: np.ndarray, problem: Problem) -> np.ndarray:
    """Return logits of a deterministic fit ``[C, n]`` once per seed."""
    return np.repeat(np.asarray(found)[None], len(problem.rngs), axis=0)
