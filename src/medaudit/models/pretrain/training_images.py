"""The training images of a pretraining: from image stores, drawn by rules (procedural), or both."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_table
from medaudit.data.image_store import MixedImages, Store, StoredImages, open_store
from medaudit.data.phantoms.procedural import render
from medaudit.models.pretrain.captions import describe_findings
from medaudit.models.pretrain.settings import Procedural, Settings
from medaudit.training.batches import ImageRows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingImages:
    """The training set of a pretraining.

    Parameters
    ----------
    images : ImageRows
        All images.
    findings : list of str
        The findings of each image in words, for captions; empty if the algorithm needs none.
    described : list of dict
        For the card, per source: origin and number of the images, and how many were excluded why.
    """

    images: ImageRows
    findings: list[str]
    described: list[dict]


def gather_training_images(
    settings: Settings, images: list[Path], cohorts: list[Path], audited: list[Path]
) -> TrainingImages:
    """Collect the training images of all sources; an image in two stores is used once.

    Parameters
    ----------
    settings : Settings
        `fraction`, `exclude_audited`, `procedural`, `seed`.
    images, cohorts : list of Path
        Image store folders, and the cohort file of each in the same order.
    audited : list of Path
        Further cohort files, whose validation and test patients are excluded.

    Raises
    ------
    MedauditError
        The lists differ in length, fewer images than a batch are left, stores differ in channels,
        or ``clip`` is to be trained on images without findings.
    """
    if len(images) != len(cohorts):
        raise MedauditError(
            f"pretraining {settings.name}: {len(images)} image stores and {len(cohorts)} cohorts; "
            "give one cohort file for each store"
        )
    frames = [read_table(path, COHORT) for path in cohorts]
    held_out = _held_out(frames, audited) if settings.exclude_audited else set()
    chosen = pd.DataFrame(columns=["patient_id", "image_id"])
    arrays: list[StoredImages] = []
    rows: list[np.ndarray] = []
    findings: list[str] = []
    described: list[dict] = []
    for folder, path, frame in zip(images, cohorts, frames, strict=True):
        store = open_store(folder)
        part, note = _select(settings, store, frame, held_out)
        part, note["duplicates"] = _drop_duplicates(part, chosen)
        chosen = pd.concat([chosen, part[["patient_id", "image_id"]]])
        arrays.append(store.images)
        rows.append(store.rows(part["image_id"]))
        findings += part["findings"].tolist() if "findings" in part else []
        described.append({**_describe(part, store, path), "left_out": note})
    if settings.procedural:
        arrays.append(_draw(settings, settings.procedural))
        rows.append(np.arange(len(arrays[-1])))
        described.append({"procedural": vars(settings.procedural), "images": len(arrays[-1])})
    _check(settings, arrays, rows)
    return TrainingImages(ImageRows(arrays, rows), findings, described)


def _held_out(frames: list[pd.DataFrame], audited: list[Path]) -> set[str]:
    columns = ["patient_id", "split"]
    others = [read_table(path, COHORT, columns=columns) for path in audited]
    empty = pd.DataFrame(columns=columns)
    everyone = pd.concat([empty, *(frame[columns] for frame in frames), *others])
    return set(everyone.loc[everyone["split"] != "train", "patient_id"])


def _select(
    settings: Settings, store: Store, cohort: pd.DataFrame, held_out: set[str]
) -> tuple[pd.DataFrame, dict]:
    """Return the rows to train on, and the number of rows excluded by each reason."""
    readable = cohort[cohort["image_id"].isin(store.ids)]
    train = readable[readable["split"] == "train"]
    seen = train[~train["patient_id"].isin(held_out)]
    kept = seen[seen["patient_id"].isin(_some_patients(settings, seen["patient_id"]))]
    note = {
        "unreadable": len(cohort) - len(readable),
        "not_train": len(readable) - len(train),
        "held_out_patients": len(train) - len(seen),
        "outside_fraction": len(seen) - len(kept),
    }
    if settings.algorithm == "clip":
        described = kept.assign(findings=describe_findings(kept))
        kept = described.dropna(subset="findings")
        note["without_findings"] = len(described) - len(kept)
    return kept, note


def _some_patients(settings: Settings, patients: pd.Series) -> np.ndarray:
    # The order depends on the seed only, so a smaller fraction is a subset of a larger one.
    unique = np.sort(patients.unique())
    order = generator("fraction", settings.seed).permutation(len(unique))
    return unique[order[: round(settings.fraction * len(unique))]]


def _drop_duplicates(part: pd.DataFrame, chosen: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows without images of an earlier store, and the number of those."""
    keys = pd.MultiIndex.from_frame(part[["patient_id", "image_id"]])
    seen = keys.isin(pd.MultiIndex.from_frame(chosen))
    return part[~seen], int(seen.sum())


def _describe(part: pd.DataFrame, store: Store, path: Path) -> dict:
    return {
        "cohort": path.stem,
        "cohort_sha256": sha256(path),
        "store_card_sha256": sha256(store.folder / "card.json"),
        "phantom": store.card.get("phantom"),
        "split": "train",
        "images": len(part),
        "patients": int(part["patient_id"].nunique()),
    }


def _draw(settings: Settings, procedural: Procedural) -> np.ndarray:
    if settings.algorithm == "clip":
        raise MedauditError(
            f"pretraining {settings.name}: procedural images have no captions, which clip needs; "
            "use mae or moco_v3"
        )
    count = max(1, round(settings.fraction * procedural.images))
    return render(count, settings.input.size, procedural.seed)


def _check(settings: Settings, arrays: list[StoredImages], rows: list[np.ndarray]) -> None:
    where = f"pretraining {settings.name}"
    count = sum(len(part) for part in rows)
    if count < settings.batch_size:
        raise MedauditError(
            f"{where}: {count} training images are fewer than the batch_size "
            f"{settings.batch_size}; lower it, or give more images"
        )
    channels = sorted({_channels(array) for array in arrays})
    if len(channels) > 1:
        raise MedauditError(
            f"{where}: the image stores have different numbers of channels ({channels}); set the "
            "same `channels` for their cohorts"
        )
    if settings.input.channels == 1 and channels != [1]:
        raise MedauditError(f"{where}: the images have colour, but input.channels is 1; set 3")
    log.info("%s: %d images", where, count)


def _channels(images: StoredImages) -> int:
    return images.channels if isinstance(images, MixedImages) else (1, 3)[images.ndim - 3]
