"""AdamW with a cosine schedule over many runs at once."""

from collections.abc import Iterator

import numpy as np

BETAS = (0.9, 0.999)
EPSILON = 1e-8
BLOCK = 32_768
FLUSH_EVERY = 64
NEGLIGIBLE = 1e-30


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), as torch.optim.AdamW.

    The moments are kept without their factors ``1 - beta``, which are folded into the step, and
    parameters are updated in blocks that stay in the processor's cache: both save memory traffic,
    which is all that this costs.

    Parameters
    ----------
    parameters : list of numpy.ndarray
        float32 ``[S, L, ...]``, contiguous; changed in place by `step`.
    rates : numpy.ndarray
        ``[L]``, the learning rate of each run before the schedule.
    weight_decay : float
        Applied to every parameter, biases too, as torch does by default.
    """

    def __init__(self, parameters: list[np.ndarray], rates: np.ndarray, weight_decay: float):
        self.parameters, self.rates, self.weight_decay = parameters, rates, weight_decay
        self.first = [np.zeros_like(parameter) for parameter in parameters]
        self.second = [np.zeros_like(parameter) for parameter in parameters]
        self.steps = 0
        self._scratch = np.empty(BLOCK, np.float32)

    def step(self, gradients: list[np.ndarray], schedule: float) -> None:
        """Take one step with the learning rates times `schedule`."""
        self.steps += 1
        first, second = ((1 - beta**self.steps) / (1 - beta) for beta in BETAS)
        rates = self.rates * schedule
        sizes = (rates * second**0.5 / first).astype(np.float32)
        decays = (1 - rates * self.weight_decay).astype(np.float32)
        if self.steps % FLUSH_EVERY == 0:
            self._flush()
        for arrays in zip(self.parameters, gradients, self.first, self.second, strict=True):
            for rate, run in _runs(arrays):
                for block in _blocks(run):
                    self._update(block, sizes[rate], decays[rate], EPSILON * second**0.5)

    def _flush(self) -> None:
        """Zero moments far below `EPSILON`: denormal numbers would slow a step twelvefold."""
        for moment in (*self.first, *self.second):
            moment[np.abs(moment) < NEGLIGIBLE] = 0

    def _update(self, arrays: tuple, size: float, decay: float, epsilon: float) -> None:
        parameter, gradient, first, second = arrays
        scratch = self._scratch[: len(parameter)]
        first *= np.float32(BETAS[0])
        first += gradient
        second *= np.float32(BETAS[1])
        second += np.multiply(gradient, gradient, out=scratch)
        np.sqrt(second, out=scratch)
        scratch += np.float32(epsilon)
        np.divide(first, scratch, out=scratch)
        scratch *= size
        parameter *= decay
        parameter -= scratch


def cosine(step: int, steps: int) -> float:
    """Return the factor of the learning rate at `step` of `steps`: from 1 down towards 0.

    Half a cosine without restarts, changed every batch (Loshchilov and Hutter 2017, equation 5).
    """
    return 0.5 * (1 + np.cos(np.pi * step / steps))


def _runs(arrays: tuple) -> Iterator[tuple]:
    for seed in range(arrays[0].shape[0]):
        for rate in range(arrays[0].shape[1]):
            yield rate, tuple(array[seed, rate].reshape(-1) for array in arrays)


def _blocks(run: tuple) -> Iterator[tuple]:
    for start in range(0, run[0].size, BLOCK):
        yield tuple(array[start : start + BLOCK] for array in run)
