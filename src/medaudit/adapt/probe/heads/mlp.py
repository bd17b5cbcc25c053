"""MLP probe: affine layer, ReLU, dropout, affine layer on standardised embeddings."""

import numpy as np

from medaudit.adapt.probe.heads.linear import Parameters, affine, affine_gradients, layer


def initial(settings: dict, inputs: int, outputs: int, rng: np.random.Generator) -> Parameters:
    """Return both layers' weights and biases; ``settings["hidden"]`` is the width."""
    return layer(inputs, settings["hidden"], rng) + layer(settings["hidden"], outputs, rng)


def forward(settings: dict, parameters: Parameters, x: np.ndarray, rngs=None) -> tuple:
    """Return logits ``[S, L, b, outputs]`` and what `backward` needs.

    The learning rates of a seed share their dropout masks (share ``settings["dropout"]``).
    """
    weight_1, bias_1, weight_2, bias_2 = parameters
    hidden = affine(x, weight_1, bias_1)
    scale = _dropout(settings["dropout"], hidden.shape, rngs)
    active = (hidden > 0) * scale
    hidden *= active
    logits = hidden.swapaxes(1, 2) @ weight_2.swapaxes(2, 3) + bias_2[:, :, None]
    return logits, (x, active, hidden)


def backward(parameters: Parameters, cache: tuple, gradient: np.ndarray) -> Parameters:
    """Return the gradients of both layers' weights and biases."""
    weight_1, _, weight_2, _ = parameters
    x, active, hidden = cache
    last = [gradient.swapaxes(2, 3) @ hidden.swapaxes(1, 2), gradient.sum(axis=2)]
    inner = (gradient @ weight_2).swapaxes(1, 2) * active
    return affine_gradients(x, inner, weight_1.shape) + last


def _dropout(share: float, shape: tuple, rngs) -> np.ndarray:
    if rngs is None or share == 0:
        return np.float32(1)
    seeds, batch, _, width = shape
    kept = np.stack([rng.random((batch, 1, width), dtype=np.float32) >= share for rng in rngs])
    return kept.astype(np.float32) / np.float32(1 - share)
