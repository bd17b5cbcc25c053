"""AdamW for many runs at once, and its cosine schedule."""

from collections.abc import Iterator

import numpy as np

BETAS = (0.9, 0.999)
EPSILON = 1e-8
BLOCK = 32_768
"""Parameters per update, so few that the arrays of a block stay in the processor's cache."""

FLUSH_EVERY = 64
NEGLIGIBLE = 1e-30
"""Every `FLUSH_EVERY` steps, moments smaller than `NEGLIGIBLE` are set to 0."""


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), as in torch.

    An update is bound by memory traffic, and two things reduce it. The moments are stored without
    their factors ``1 - beta``, which are folded into the step size. Parameters are updated in
    blocks that stay in the processor's cache.

    Parameters
    ----------
    parameters : list of numpy.ndarray
        float32 ``[S, L, ...]``, contiguous; changed in place by `step`.
    rates : numpy.ndarray
        ``[L]``, the peak learning rate of each run.
    weight_decay : float
        Applied to every parameter including biases, as torch does by default.
    """

    def __init__(self, parameters: list[np.ndarray], rates: np.ndarray, weight_decay: float):
        self.parameters, self.rates, self.weight_decay = parameters, rates, weight_decay
        self.first = [np.zeros_like(parameter) for parameter in parameters]
        self.second = [np.zeros_like(parameter) for parameter in parameters]
        self.steps = 0
        self._scratch = np.empty(BLOCK, np.float32)

    def step(self, gradients: list[np.ndarray], schedule: float) -> None:
        """Update the parameters; the learning rates are multiplied by `schedule`."""
        self.steps += 1
        # Bias corrections, divided by the factors 1 - beta that the moments lack.
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
        """Set moments far below `EPSILON` to 0: denormal numbers make a step 12 times slower."""
        for moment in (*self.first, *self.second):
            moment[np.abs(moment) < NEGLIGIBLE] = 0

    def _update(self, arrays: tuple, size: float, decay: float, epsilon: float) -> None:
        """Update one block of parameters and moments in place."""
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
    """Return the factor of the learning rate at `step` of `steps`, which falls from 1 towards 0.

    Half a cosine without restarts, updated every batch (Loshchilov and Hutter 2017, equation 5).
    """
    return 0.5 * (1 + np.cos(np.pi * step / steps))


def _runs(arrays: tuple) -> Iterator[tuple]:
    """Yield the index of the learning rate and flat views of the arrays of each run."""
    for seed in range(arrays[0].shape[0]):
        for rate in range(arrays[0].shape[1]):
            yield rate, tuple(array[seed, rate].reshape(-1) for array in arrays)


def _blocks(run: tuple) -> Iterator[tuple]:
    """Yield views of at most `BLOCK` parameters of one run's arrays."""
    for start in range(0, run[0].size, BLOCK):
        yield tuple(array[start : start + BLOCK] for array in run)
