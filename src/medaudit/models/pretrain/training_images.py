"""What a pretraining is trained on: training rows of image stores, drawn images, or both."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_table
from medaudit.data.image_store import Store, open_store
from medaudit.data.phantoms.procedural import render
from medaudit.models.pretrain.captions import describe_findings
from medaudit.models.pretrain.settings import Settings
from medaudit.training.batches import ImageRows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """The training set of a pretraining.

    Parameters
    ----------
    images : ImageRows
        All images.
    findings : list of str
        What each image shows, for captions; empty where the algorithm needs none.
    described : list of dict
        For the card: where the images come from, how many, and what was left out.
    """

    images: ImageRows
    findings: list[str]
    described: list[dict]


def gather_sources(
    settings: Settings, images: list[Path], cohorts: list[Path], audited: list[Path]
) -> Sources:
    """Collect the training images.

    Parameters
    ----------
    settings : Settings
        `fraction`, `exclude_audited`, `procedural`, `seed`.
    images, cohorts : list of Path
        Image store folders and the cohort file of each, in the same order.
    audited : list of Path
        Further cohort files whose validation and test patients must not be seen.

    Raises
    ------
    MedauditError
        Lists differ in length, no image is left, sides or colours differ, or captions are asked
        for and there are no findings.
    """
    if len(images) != len(cohorts):
        raise MedauditError(
            f"pretraining {settings.name}: {len(images)} image stores and {len(cohorts)} cohorts; "
            "give one cohort file for each store"
        )
    frames = [read_table(path, COHORT) for path in cohorts]
    held_out = _held_out(frames, audited) if settings.exclude_audited else set()
    chosen = pd.DataFrame(columns=["patient_id", "image_id"])
    arrays, rows, findings, described = [], [], [], []
    for folder, path, frame in zip(images, cohorts, frames, strict=True):
        store = open_store(folder)
        part, note = _select(settings, store, frame, held_out)
        part, note["duplicates"] = _without(part, chosen)
        chosen = pd.concat([chosen, part[["patient_id", "image_id"]]])
        arrays.append(store.images)
        rows.append(store.rows(part["image_id"]))
        findings += part["findings"].tolist() if "findings" in part else []
        described.append({**_describe(part, store, path), "left_out": note})
    if settings.procedural:
        arrays.append(_draw(settings))
        rows.append(np.arange(len(arrays[-1])))
        described.append({"procedural": vars(settings.procedural), "images": len(arrays[-1])})
    _check(settings, arrays, rows)
    return Sources(ImageRows(arrays, rows), findings, described)


def _held_out(frames: list[pd.DataFrame], audited: list[Path]) -> set[str]:
    columns = ["patient_id", "split"]
    others = [read_table(path, COHORT, columns=columns) for path in audited]
    empty = pd.DataFrame(columns=columns)
    everyone = pd.concat([empty, *(frame[columns] for frame in frames), *others])
    return set(everyone.loc[everyone["split"] != "train", "patient_id"])


def _select(
    settings: Settings, store: Store, cohort: pd.DataFrame, held_out: set[str]
) -> tuple[pd.DataFrame, dict]:
    """Return the rows to train on, and how many were left out and why."""
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
    unique = np.sort(patients.unique())
    order = generator("fraction", settings.seed).permutation(len(unique))
    return unique[order[: round(settings.fraction * len(unique))]]


def _without(part: pd.DataFrame, chosen: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Leave out images that an earlier store has already given."""
    keys = pd.MultiIndex.from_frame(part[["patient_id", "image_id"]])
    twice = keys.isin(pd.MultiIndex.from_frame(chosen))
    return part[~twice], int(twice.sum())


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


def _draw(settings: Settings) -> np.ndarray:
    if settings.algorithm == "clip":
        raise MedauditError(f"pretraining {settings.name}: procedural images have no captions")
    count = max(1, round(settings.fraction * settings.procedural.images))
    return render(count, settings.input.size, settings.procedural.seed)


def _check(settings: Settings, arrays: list[np.ndarray], rows: list[np.ndarray]) -> None:
    where = f"pretraining {settings.name}"
    count = sum(len(part) for part in rows)
    if count < settings.batch_size:
        raise MedauditError(
            f"{where}: {count} training images are fewer than the batch_size "
            f"{settings.batch_size}; lower it, or give more images"
        )
    shapes = sorted({array.shape[1:] for array in arrays})
    if len(shapes) > 1:
        raise MedauditError(
            f"{where}: the image stores differ in size or channels ({shapes}); make them with the "
            "same image_size"
        )
    if settings.input.channels == 1 and len(shapes[0]) == 3:
        raise MedauditError(f"{where}: colour images, but input.channels is 1")
    log.info("%s: %d images of %s", where, count, shapes[0])
