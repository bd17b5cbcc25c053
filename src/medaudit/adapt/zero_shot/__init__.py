"""Stage `zero_shot`: compare stored image embeddings with text prompts; no image is encoded."""

import logging
from pathlib import Path
from typing import TypedDict

import numpy as np

from medaudit.adapt.logits import ranked_probabilities
from medaudit.adapt.targets import join_embeddings, predictions, targets
from medaudit.adapt.zero_shot.prompts import ClassPrompts, make_prompts
from medaudit.adapt.zero_shot.scoring import Scoring, class_logits
from medaudit.core.entry_types import MethodEntry, ModelEntry
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_metadata, write_table

POOLINGS = {"clip": "vector", "gloria": "max", "cxrclip": "mean", "templates": "vector"}
"""How the authors of a format pool the prompts of a class into one score."""

log = logging.getLogger(__name__)


class ZeroShotSettings(TypedDict):
    """Settings of the stage `zero_shot`."""

    cohort: str
    model: str
    method: str
    entry: MethodEntry
    model_entry: ModelEntry
    tasks: list[str]
    task_type: str


def zero_shot(
    settings: ZeroShotSettings, *, cohort: Path, embeddings: Path, output: Path, threads: int = 1
) -> None:
    """Classify a cohort's images by the similarity of their embeddings to text prompts.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names); ``entry``, the method's entry in the catalogue
        (see `medaudit.adapt.zero_shot.prompts.make_prompts`; ``pooling``, see
        `medaudit.adapt.zero_shot.scoring.class_logits`, defaults to that of the format's authors);
        ``model_entry``, the model's entry; ``tasks``; ``task_type``.
    cohort : Path
        The cohort's table.
    embeddings : Path
        The model's embeddings of its images.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS` with seed 0. Its footer contains ``prompts``
        (text and source), ``scoring`` (scale, bias, link, pooling), ``spec`` and ``phantom`` of the
        embeddings, the number of ``rows`` per split, and ``notes``.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The model has no text tower, the embeddings were made with other weights, or the prompt
        format has no prompts for a task.
    """
    multiclass = settings["task_type"] == "multiclass"
    frame, images, notes = join_embeddings(cohort, embeddings)
    targets(frame, settings["tasks"], multiclass)
    kept = (frame["split"] != "train").to_numpy()
    spec = read_metadata(embeddings).get("spec") or {}
    logits, prompts, scoring = image_logits(settings, images[kept], spec, threads)
    scores = ranked_probabilities(logits, multiclass)
    write_table(
        predictions(frame[kept], scores[None], settings["tasks"]),
        output,
        PREDICTIONS,
        cohort=settings["cohort"],
        model=settings["model"],
        method=settings["method"],
        **{key: read_metadata(embeddings).get(key) for key in ("spec", "phantom")},
        prompts=[part.spec() for part in prompts],
        scoring=scoring.spec(),
        rows={name: int((frame["split"] == name).sum()) for name in ("train", "val", "test")},
        notes=notes,
    )


def image_logits(
    settings: ZeroShotSettings, images: np.ndarray, spec: dict, threads: int
) -> tuple[np.ndarray, list[ClassPrompts], Scoring]:
    """Return logits ``[n, tasks]`` of embeddings ``[n, d]``, and the prompts and scoring they used.

    Parameters
    ----------
    settings : dict
        Settings of the stage.
    images : numpy.ndarray
        Embeddings of images.
    spec : dict
        Description of the encoder that made them.
    threads : int
        Processor threads.
    """
    entry = settings["entry"]
    prompts = make_prompts(entry, settings["tasks"])
    encoder = _text_encoder(settings, spec, threads)
    scoring = Scoring(
        encoder.logit_scale,
        encoder.logit_bias,
        encoder.link,
        entry.get("pooling") or POOLINGS[entry["format"]],
    )
    texts = encode_prompts(encoder, prompts)
    multiclass = settings["task_type"] == "multiclass"
    return class_logits(images, prompts, texts, scoring, multiclass), prompts, scoring


def encode_prompts(encoder, prompts: list[ClassPrompts]) -> dict[str, np.ndarray]:
    """Return the embedding of every prompt.

    Each class is encoded as one batch, as in MedCLIP's own code: MedCLIP's text pooling depends on
    the other prompts in the batch.
    """
    texts: dict[str, np.ndarray] = {}
    for words in (words for part in prompts for words in (part.positive, part.negative) if words):
        texts |= dict(zip(words, encoder.encode_texts(list(words)), strict=True))
    log.info("%d prompts", len(texts))
    return texts


def _text_encoder(settings: ZeroShotSettings, spec: dict, threads: int):
    """Return the model, after a check that its weights made the embeddings."""
    import torch

    from medaudit.models.kinds import build

    torch.set_num_threads(threads)
    encoder = build({**settings["model_entry"], "name": settings["model"]})
    if not hasattr(encoder, "encode_texts"):
        raise MedauditError(
            f"model {settings['model']} of kind {settings['model_entry']['kind']!r} has no text "
            f"tower: remove {settings['model']} or {settings['method']} from the study"
        )
    here = encoder.spec()
    if here.get("sha256") != spec.get("sha256"):
        raise MedauditError(
            f"the embeddings of {settings['model']} were made with weights {spec.get('sha256')}, "
            f"but the weights are now {here.get('sha256')}: delete the embeddings and run again"
        )
    return encoder
