"""Logits of an external cohort's images from what was trained at home, by kind of method."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.adapt.carried.heads import read_heads
from medaudit.adapt.finetune_settings import TransferSettings
from medaudit.adapt.targets import rescale
from medaudit.core.embeddings import read_embeddings
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.core.table_io import read_metadata


@dataclass(frozen=True)
class Sources:
    """The files that an external cohort is predicted from; those of another kind are None.

    Parameters
    ----------
    weights : list of Path
        Heads of a probe, or tuned weights.
    embeddings : Path or None
        Embeddings of the external cohort's images.
    images : Path or None
        Its image store.
    point : Path or None
        The best point of a search at home.
    """

    weights: list[Path]
    embeddings: Path | None = None
    images: Path | None = None
    point: Path | None = None


def probe(
    settings: TransferSettings, ids: pd.Series, sources: Sources
) -> tuple[np.ndarray, np.ndarray]:
    """Return which images have an embedding, bool ``[n]``, and their logits ``[seeds, m, k]``."""
    from medaudit.adapt.probe.heads import find_head
    from medaudit.adapt.probe.sweep import predict

    found, x = _embedded(ids, sources)
    scale, parameters = read_heads(sources.weights[0])
    if x.shape[1] != len(scale[0]):
        raise MedauditError(
            f"the heads {sources.weights[0]} take {len(scale[0])} features, the embeddings of "
            f"{settings['model']} have {x.shape[1]}: delete the embeddings and run again"
        )
    head = find_head(settings["entry"]["head"])
    return found, predict(head, settings["entry"], parameters, rescale(x, *scale))[:, 0]


def zero_shot(
    settings: TransferSettings, ids: pd.Series, sources: Sources, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same as `probe`, from prompts for the tasks at home."""
    from medaudit.adapt.zero_shot import image_logits

    found, x = _embedded(ids, sources)
    assert sources.embeddings is not None  # `_embedded` has read it
    spec = read_metadata(sources.embeddings).get("spec") or {}
    given: Any = settings
    return found, image_logits(given, x, spec, threads)[0][None]


def finetune(
    settings: TransferSettings, ids: pd.Series, sources: Sources, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same as `probe`, from tuned weights and pixels."""
    import torch

    from medaudit.adapt.carried.tuned import read_tuned
    from medaudit.adapt.finetune.loader import ImageLoader
    from medaudit.adapt.finetune.network import build_network, predict_logits
    from medaudit.adapt.finetune.refit_point import settings_at_point
    from medaudit.data.image_store import open_store
    from medaudit.training.distributed import join_processes

    if sources.images is None:
        raise MedauditError("transfer: fine-tuned models need --images")
    torch.set_num_threads(threads)
    at_point = settings_at_point(settings, sources.point)
    store = open_store(sources.images)
    found = ids.isin(store.ids).to_numpy()
    rows = store.rows(ids[found])
    names = (settings["home"], settings["model"], settings["method"])
    logits = []
    with join_processes() as processes:
        for index, state in read_tuned(sources.weights).items():
            seed = derive_seed("finetune", *names, index)
            network = build_network(at_point, seed, processes.device)
            network.load_tuned(state)
            loader = ImageLoader(store.images, network.encoder, at_point["entry"])
            logits.append(predict_logits(network, loader, rows))
    return found, np.stack(logits)


def _embedded(ids: pd.Series, sources: Sources) -> tuple[np.ndarray, np.ndarray]:
    """Return which images have an embedding, and their embeddings."""
    if sources.embeddings is None:
        raise MedauditError("transfer: probes and zero-shot methods need --embeddings")
    known, vectors = read_embeddings(sources.embeddings)
    place = pd.Index(known).get_indexer(ids)
    return place >= 0, vectors[place[place >= 0]]
