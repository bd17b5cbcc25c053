"""Affine layers of many runs at once: S seeds times L settings, parameters ``[S, L, ...]``."""

import numpy as np

Parameters = list[np.ndarray]


def layer(inputs: int, outputs: int, rng: np.random.Generator) -> Parameters:
    """Return a random affine layer: weight ``[outputs, inputs]`` and bias ``[outputs]``, float32."""
    bound = inputs**-0.5
    shapes = (outputs, inputs), (outputs,)
    return [rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes]


def affine(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the output of all runs' layers for the batch of their seed.

    The learning rates of a seed see the same batch, so their weights are stacked to one matrix:
    one large product per seed is much faster than one small product per run.

    Parameters
    ----------
    x : numpy.ndarray
        ``[S or 1, b, inputs]``.
    weight, bias : numpy.ndarray
        ``[S, L, outputs, inputs]`` and ``[S, L, outputs]``.

    Returns
    -------
    numpy.ndarray
        ``[S, b, L, outputs]``.
    """
    seeds, rates, outputs, inputs = weight.shape
    y = x @ weight.reshape(seeds, rates * outputs, inputs).swapaxes(1, 2)
    y = y.reshape(seeds, -1, rates, outputs)
    y += bias[:, None]
    return y


def affine_gradients(x: np.ndarray, gradient: np.ndarray, shape: tuple) -> Parameters:
    """Return the gradients of weight and bias from the output's gradient ``[S, b, L, outputs]``."""
    flat = gradient.reshape(*gradient.shape[:2], -1)
    return [(flat.swapaxes(1, 2) @ x).reshape(shape), flat.sum(axis=1).reshape(shape[:3])]
