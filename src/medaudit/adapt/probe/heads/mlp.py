"""Head `mlp`: affine layer, ReLU, dropout and affine layer on standardised embeddings."""

import numpy as np

from medaudit.adapt.affine_layer import Parameters, affine, affine_gradients, layer


def initial(settings: dict, inputs: int, outputs: int, rng: np.random.Generator) -> Parameters:
    """Return weights and biases of both layers; ``settings["hidden"]`` is the hidden width."""
    return layer(inputs, settings["hidden"], rng) + layer(settings["hidden"], outputs, rng)


def forward(settings: dict, parameters: Parameters, x: np.ndarray, rngs=None) -> tuple:
    """Return logits ``[S, L, b, outputs]`` and what `backward` needs.

    The learning rates of a seed share their dropout masks; ``settings["dropout"]`` is the
    probability of dropping a hidden unit.
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


def _dropout(rate: float, shape: tuple, rngs) -> np.ndarray:
    """Return inverted-dropout factors ``[S, b, 1, width]``: 0, or 1 / (1 - rate)."""
    if rngs is None or rate == 0:
        return np.ones((), np.float32)
    seeds, batch, _, width = shape
    kept = np.stack([rng.random((batch, 1, width), dtype=np.float32) >= rate for rng in rngs])
    return kept.astype(np.float32) / np.float32(1 - rate)
