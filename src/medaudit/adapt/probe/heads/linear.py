"""Head `linear`: one affine layer on standardised embeddings."""

import numpy as np

from medaudit.adapt.affine_layer import Parameters, affine, affine_gradients, layer


def initial(settings: dict, inputs: int, outputs: int, rng: np.random.Generator) -> Parameters:
    """Return weight ``[outputs, inputs]`` and bias ``[outputs]``, drawn as in torch.nn.Linear."""
    return layer(inputs, outputs, rng)


def forward(settings: dict, parameters: Parameters, x: np.ndarray, rngs=None) -> tuple:
    """Return logits ``[S, L, b, outputs]`` and what `backward` needs."""
    return affine(x, *parameters).swapaxes(1, 2), x


def backward(parameters: Parameters, cache: np.ndarray, gradient: np.ndarray) -> Parameters:
    """Return the gradients of weight and bias."""
    return affine_gradients(cache, gradient.swapaxes(1, 2), parameters[0].shape)
