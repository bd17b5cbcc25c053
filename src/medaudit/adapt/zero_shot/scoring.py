"""Logits of classes from the embeddings of images and prompts, as the model was trained."""

from dataclasses import asdict, dataclass

import numpy as np

from medaudit.adapt.zero_shot.prompts import ClassPrompts
from medaudit.core.errors import MedauditError

POOLINGS = ("vector", "mean", "max")
"""Ways to pool the prompts of a class, see `class_logits`."""


@dataclass(frozen=True)
class Scoring:
    """How a cosine becomes a logit, and how the prompts of a class are pooled.

    Parameters
    ----------
    scale, bias : float
        A logit is ``scale * cosine + bias``; `scale` is not the logarithm that some models store.
    link : str
        ``softmax`` or ``sigmoid``, by the loss the model was trained with.
    pooling : str
        See `class_logits`.
    """

    scale: float
    bias: float
    link: str
    pooling: str

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise MedauditError(
                f"zero-shot pooling {self.pooling!r} is unknown; there are {POOLINGS}"
            )

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
    """Return one logit per image and class.

    The logit of a class with negative prompts is the difference of positive and negative: its
    log-odds. A softmax over the logits of exclusive classes is right with and without negative
    prompts: if classes have the odds ``exp(z)`` and exactly one is true, class k has the
    probability ``exp(z_k) / sum(exp(z))``. This also holds for a model trained with a sigmoid,
    whose bias cancels.

    Parameters
    ----------
    images : numpy.ndarray
        Embeddings ``[n, d]``; their lengths do not matter, but must not be 0.
    prompts : list of ClassPrompts
        Prompts of k classes.
    texts : dict of str to numpy.ndarray
        Embedding ``[d]`` of every prompt.
    scoring : Scoring
        ``pooling``: ``vector``, the cosine with the normalised mean of a class's normalised
        prompts (CLIP); ``mean`` (MedCLIP) or ``max`` (GLoRIA), of the cosines with its prompts.
    multiclass : bool
        Classes exclude each other.

    Returns
    -------
    numpy.ndarray
        float64 ``[n, k]``.

    Raises
    ------
    MedauditError
        Embeddings of images and prompts differ in length, or one of them is 0. Or the tasks do not
        exclude each other, have no negative prompts, and the model was trained with a softmax:
        then nothing gives the probability of a single task.
    """
    unit = _normalised(images, "an image")
    columns = []
    for part in prompts:
        logit = _logit(unit, part.positive, texts, scoring)
        if part.negative:
            logit = logit - _logit(unit, part.negative, texts, scoring)
        elif not multiclass and scoring.link != "sigmoid":
            raise MedauditError(
                f"zero-shot: {part.task} does not exclude the other tasks, the prompt format has no "
                "negative prompts, and the model was trained with a softmax, so its score is no "
                "probability; set `format: cxrclip`"
            )
        columns.append(logit)
    return np.stack(columns, axis=1)


def _logit(unit: np.ndarray, words: tuple[str, ...], texts: dict, scoring: Scoring) -> np.ndarray:
    """Return the logits ``[n]`` of the prompts `words` for images of length 1."""
    vectors = np.stack([texts[text] for text in words])
    if vectors.shape[1] != unit.shape[1]:
        raise MedauditError(
            f"zero-shot: image embeddings have length {unit.shape[1]}, prompt embeddings "
            f"{vectors.shape[1]}: they come from different models; delete the image embeddings and "
            "run again"
        )
    vectors = _normalised(vectors, "a prompt")
    if scoring.pooling == "vector":
        vectors = _normalised(vectors.mean(axis=0, keepdims=True), "a class")
    cosines = unit @ vectors.T
    pooled = cosines.max(axis=1) if scoring.pooling == "max" else cosines.mean(axis=1)
    return scoring.scale * pooled + scoring.bias


def _normalised(vectors: np.ndarray, what: str) -> np.ndarray:
    """Return float64 vectors of length 1; `what` names them in an error."""
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise MedauditError(f"zero-shot: the embedding of {what} is all 0, so no cosine is defined")
    return vectors / lengths
