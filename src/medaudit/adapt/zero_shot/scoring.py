"""From embeddings of images and prompts to logits, as the model was trained to compare them."""

from dataclasses import asdict, dataclass

import numpy as np

from medaudit.adapt.zero_shot.prompts import ClassPrompts
from medaudit.core.errors import MedauditError

POOLINGS = ("vector", "mean", "max")


@dataclass(frozen=True)
class Scoring:
    """How a model turns a cosine into a logit, and prompts into a class.

    Parameters
    ----------
    scale, bias : float
        A logit is ``scale * cosine + bias``; the scale is not a logarithm.
    link : str
        ``softmax`` or ``sigmoid``: the loss the model was trained with.
    pooling : str
        See `class_logits`.
    """

    scale: float
    bias: float
    link: str
    pooling: str

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise MedauditError(f"zero-shot pooling {self.pooling!r} is none of {POOLINGS}")

    def spec(self) -> dict:
        """Return the scoring as JSON."""
        return asdict(self)


def class_logits(
    images: np.ndarray,
    prompts: list[ClassPrompts],
    texts: dict[str, np.ndarray],
    scoring: Scoring,
    multiclass: bool,
) -> np.ndarray:
    """Return one logit for each image and class.

    A class with negative prompts has the difference of both, its log-odds. Softmax over the
    logits is then right for exclusive classes in either case: of classes with odds ``exp(z)``, of
    which exactly one is true, class k has probability ``exp(z_k) / sum(exp(z))``. So it is for a
    model trained with a sigmoid, whose bias cancels.

    Parameters
    ----------
    images : numpy.ndarray
        Embeddings ``[n, d]``, of any length but 0.
    prompts : list of ClassPrompts
        Of k classes.
    texts : dict of str to numpy.ndarray
        Embedding ``[d]`` of every prompt.
    scoring : Scoring
        ``pooling``: ``vector``, the cosine with the normalised mean of a class's normalised
        prompts (CLIP); ``mean`` (MedCLIP) or ``max`` (GLoRIA) of the cosines.
    multiclass : bool
        Classes exclude each other.

    Returns
    -------
    numpy.ndarray
        float64 ``[n, k]``, any sign.

    Raises
    ------
    MedauditError
        Sizes differ, a vector is 0, or tasks that do not exclude each other have no negative
        prompts and the model no sigmoid: a softmax over them would be wrong.
    """
    unit = _normalised(images, "an image")
    columns = []
    for part in prompts:
        logit = _logit(unit, part.positive, texts, scoring)
        if part.negative:
            logit = logit - _logit(unit, part.negative, texts, scoring)
        elif not multiclass and scoring.link != "sigmoid":
            raise MedauditError(
                f"zero-shot: {part.task} may be true beside other tasks, its prompts have no "
                "negative and the model was trained with a softmax; use format cxrclip"
            )
        columns.append(logit)
    return np.stack(columns, axis=1)


def _logit(unit: np.ndarray, words: tuple[str, ...], texts: dict, scoring: Scoring) -> np.ndarray:
    vectors = np.stack([texts[text] for text in words])
    if vectors.shape[1] != unit.shape[1]:
        raise MedauditError(
            f"image embeddings have {unit.shape[1]} numbers, those of prompts {vectors.shape[1]}: "
            "they are of different models"
        )
    vectors = _normalised(vectors, "a prompt")
    if scoring.pooling == "vector":
        vectors = _normalised(vectors.mean(axis=0, keepdims=True), "a class")
    cosines = unit @ vectors.T
    pooled = cosines.max(axis=1) if scoring.pooling == "max" else cosines.mean(axis=1)
    return scoring.scale * pooled + scoring.bias


def _normalised(vectors: np.ndarray, what: str) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise MedauditError(f"zero-shot: the embedding of {what} is 0, so it has no cosine")
    return vectors / lengths
