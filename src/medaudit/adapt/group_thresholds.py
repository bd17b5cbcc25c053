"""Decisions by thresholds chosen on validation so that groups have equal error rates.

Those that need a patient's group at test time may be unlawful or unwanted where the group must not
change a decision: that is for law and ethics to say, and `ONE_THRESHOLD` does without.
"""

import numpy as np

RELAXED = 0.05
"""Largest range of sensitivities that the relaxed optimiser allows, on validation."""
GRID = 1000
CONSTRAINTS = {
    "equalized_odds": ("equalized_odds", None),
    "equal_opportunity": ("true_positive_rate_parity", None),
    "equal_opportunity_relaxed": ("true_positive_rate_parity", RELAXED),
}
"""Name to the constraint and the tolerance of fairlearn's `ThresholdOptimizer`."""


def optimise_thresholds(
    name: str,
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    test: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> np.ndarray:
    """Return the decisions of fairlearn's `ThresholdOptimizer`, fitted on validation.

    Hardt, Price and Srebro 2016, "Equality of opportunity in supervised learning"
    (arXiv 1610.02413), by the library. The objective is balanced accuracy. Decisions may be
    randomised: two thresholds of a group, one of them drawn for each image (`seed`).

    Parameters
    ----------
    name : str
        A key of `CONSTRAINTS`.
    score, y, group : numpy.ndarray
        ``[n]``, of the validation images; every group has both classes.
    test : tuple of numpy.ndarray
        Score and group of the images to decide; only groups of `group`.
    seed : int
        For the drawn thresholds.
    """
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.linear_model import LinearRegression

    as_given = LinearRegression()  # fairlearn wants an estimator: 1 * score + 0
    as_given.coef_, as_given.intercept_ = np.ones(1), 0.0
    constraint, tolerance = CONSTRAINTS[name]
    optimizer = ThresholdOptimizer(
        estimator=as_given,
        constraints=constraint,
        objective="balanced_accuracy_score",
        grid_size=GRID,
        prefit=True,
        predict_method="predict",
        tol=tolerance,
    )
    optimizer.fit(score[:, None], y.astype(int), sensitive_features=group)
    return optimizer.predict(test[0][:, None], sensitive_features=test[1], random_state=seed)


def sensitivity_threshold(score: np.ndarray, y: np.ndarray, target: float) -> float:
    """Return the highest threshold with a sensitivity of at least `target` (score >= threshold).

    Examples
    --------
    >>> sensitivity_threshold(np.array([0.9, 0.4, 0.7, 0.2]), np.array([1, 1, 0, 0]), 0.5)
    0.9
    """
    from medaudit.metrics.thresholds import choose_threshold

    return choose_threshold(score, y == 1, "sensitivity", target)


def equal_sensitivity(
    score: np.ndarray, y: np.ndarray, group: np.ndarray, target: float
) -> dict[int, float]:
    """Return each group's own threshold for the same sensitivity on validation."""
    return {
        code: sensitivity_threshold(score[group == code], y[group == code], target)
        for code in np.unique(group[group >= 0]).tolist()
    }


def one_threshold(score: np.ndarray, y: np.ndarray, group: np.ndarray, target: float) -> float:
    """Return the one threshold at which every group reaches a sensitivity on validation.

    It is the lowest of the groups' own thresholds. No group is needed at test time; the price is
    more false positives in every other group.
    """
    return min(equal_sensitivity(score, y, group, target).values())
