"""Successive halving: stop most trials early, by their values on the whole validation split."""

import optuna
from optuna.trial import FrozenTrial, TrialState


class Halving(optuna.pruners.BasePruner):
    """Asynchronous successive halving (Li et al. 2020) with rungs at ``first * factor^k`` epochs.

    A trial continues if it is among the best 1 / `factor` of the trials that have reached its rung
    so far; while there are fewer than `factor` of them, if it is the best.

    This differs from Optuna's ``SuccessiveHalvingPruner`` in two ways, and otherwise stops the same
    trials (tested). Optuna also counts failed trials: the point of a worker that was killed runs
    again, and would compete with its own lost trial. And Optuna does not know the number of epochs,
    so it may stop a trial in its last epoch, when it is complete.

    Parameters
    ----------
    first : int
        Epochs of the first rung.
    factor : int
        One of `factor` trials continues.
    epochs : int
        Epochs of a complete trial.
    """

    def __init__(self, first: int, factor: int, epochs: int) -> None:
        self.factor, self.rungs = factor, set[int]()
        while first < epochs:
            self.rungs.add(first)
            first *= factor

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether to stop the trial after the last epoch that it reported."""
        epoch = trial.last_step
        if epoch not in self.rungs:
            return False
        others = study.get_trials(deepcopy=False)
        reached = [
            other.intermediate_values[epoch]
            for other in others
            if other.state != TrialState.FAIL
            and other.number != trial.number
            and epoch in other.intermediate_values
        ]
        value = trial.intermediate_values[epoch]
        maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
        ordered = sorted([*reached, value], reverse=maximize)
        worst = ordered[max(len(ordered) // self.factor, 1) - 1]
        return value < worst if maximize else value > worst
