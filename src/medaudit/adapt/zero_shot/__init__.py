"""Stage `zero_shot`: stored image embeddings against prompts; no image is encoded again."""

import logging
from pathlib import Path

import numpy as np

from medaudit.adapt.logits import probabilities
from medaudit.adapt.targets import join_embeddings, predictions, targets
from medaudit.adapt.zero_shot.prompts import ClassPrompts, make_prompts
from medaudit.adapt.zero_shot.scoring import Scoring, class_logits
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_metadata, write_table

POOLINGS = {"clip": "vector", "gloria": "max", "cxrclip": "mean"}
"""How the owner of a format makes one score a class of several prompts."""

log = logging.getLogger(__name__)


def zero_shot(
    settings: dict, *, cohort: Path, embeddings: Path, output: Path, threads: int = 1
) -> None:
    """Classify a cohort's images by the similarity of their embeddings to prompts.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names); ``entry``, the method's catalogue entry
        (``format`` and what `medaudit.adapt.zero_shot.prompts.make_prompts` reads; ``pooling``, see
        `medaudit.adapt.zero_shot.scoring.class_logits`, by default the format owner's); ``model_entry``,
        the model's; ``tasks``; ``task_type``.
    cohort : Path
        The cohort's table.
    embeddings : Path
        The model's embeddings of its images.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS` with seed 0. Its footer holds ``prompts`` (the
        words and whose they are), ``scoring`` (scale, bias, link, pooling), ``spec`` and
        ``phantom`` of the embeddings, ``rows`` of each split and ``notes``.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The model has no text tower, the embeddings were made with other weights, or the format
        cannot answer the cohort's tasks.
    """
    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    frame, images, notes = join_embeddings(cohort, embeddings)
    targets(frame, settings["tasks"], multiclass)
    prompts = make_prompts(entry, settings["tasks"])
    encoder = _text_encoder(settings, read_metadata(embeddings).get("spec") or {}, threads)
    scoring = Scoring(
        encoder.logit_scale,
        encoder.logit_bias,
        encoder.link,
        entry.get("pooling") or POOLINGS[entry["format"]],
    )
    kept = (frame["split"] != "train").to_numpy()
    texts = encode_prompts(encoder, prompts)
    logits = class_logits(images[kept], prompts, texts, scoring, multiclass)
    scores = probabilities(logits, multiclass)
    write_table(
        predictions(frame[kept], scores[None], settings["tasks"]),
        output,
        PREDICTIONS,
        **{name: settings[name] for name in ("cohort", "model", "method")},
        **{key: read_metadata(embeddings).get(key) for key in ("spec", "phantom")},
        prompts=[part.spec() for part in prompts],
        scoring=scoring.spec(),
        rows={name: int((frame["split"] == name).sum()) for name in ("train", "val", "test")},
        notes=notes,
    )


def encode_prompts(encoder, prompts: list[ClassPrompts]) -> dict[str, np.ndarray]:
    """Return the embedding of every prompt, a class at a time as MedCLIP's owner does it."""
    texts = {}
    for words in (words for part in prompts for words in (part.positive, part.negative) if words):
        texts |= dict(zip(words, encoder.encode_texts(list(words)), strict=True))
    log.info("%d prompts", len(texts))
    return texts


def _text_encoder(settings: dict, spec: dict, threads: int):
    """Build the model and check that it is the one that made the embeddings."""
    import torch

    from medaudit.models.kinds import build

    torch.set_num_threads(threads)
    encoder = build({**settings["model_entry"], "name": settings["model"]})
    if not hasattr(encoder, "encode_texts"):
        raise MedauditError(
            f"model {settings['model']} of kind {settings['model_entry']['kind']!r} has no text "
            f"tower: take {settings['method']} out of its study"
        )
    here = encoder.spec()
    if here.get("sha256") != spec.get("sha256"):
        raise MedauditError(
            f"the embeddings of {settings['model']} were made with weights {spec.get('sha256')}, "
            f"now they are {here.get('sha256')}: delete the embeddings and run again"
        )
    return encoder
