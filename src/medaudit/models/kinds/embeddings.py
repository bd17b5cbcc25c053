"""Vectors that somebody already has: of CXR Foundation, of a service, of another laboratory.

Nothing is encoded here. The vectors are looked up by the images' ids, so the stages after `embed`
work as for any other model; what needs weights (fine-tuning, search, zero-shot) does not run.
"""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.data.image_ids import IdMatch, match_ids
from medaudit.models.interface import ModelSettings
from medaudit.models.stored_vectors import open_vectors
from medaudit.models.weights.files import check_sha256

SHOWN = 5
CONSTANT = 1e-6
"""A column counts as constant if its range is at most this fraction of its largest value."""

log = logging.getLogger(__name__)


def build(settings: ModelSettings) -> "StoredEmbeddings":
    """Open the file of vectors.

    Parameters
    ----------
    settings : dict
        ``file``, ``sha256`` (of a file, may be null), ``array``, ``ids`` and ``shape``
        (`medaudit.models.stored_vectors.open_vectors`); ``pooling``: how several vectors per image
        become one (``mean``, ``max``, ``first`` or ``flatten``); ``missing``: what happens if
        images of the cohort have no vector (``fail`` or ``leave_out``).
    """
    return StoredEmbeddings(settings)


class StoredEmbeddings:
    """A file of vectors and how it belongs to a cohort.

    Parameters
    ----------
    settings : dict
        See `build`.
    """

    uses_torch = False

    def __init__(self, settings: Mapping[str, Any]) -> None:
        path = data_root() / settings["file"]
        self.settings = settings
        self.where = f"model {settings.get('name', 'embeddings')}: {path}"
        self.hash = check_sha256(path, settings.get("sha256")) if path.is_file() else None
        self.opened = open_vectors(settings)
        self.notes: list[str] = []

    def find(self, cohort: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of the images that have a vector, and their vectors.

        Parameters
        ----------
        cohort : pandas.DataFrame
            ``image_id`` and ``path`` of the images that are wanted.

        Returns
        -------
        ids : numpy.ndarray
            Image ids of the cohort, text, ``[n]``, in the cohort's order.
        vectors : numpy.ndarray
            float32 ``[n, d]``.

        Raises
        ------
        MedauditError
            No id matches; an image has no vector, and ``missing`` is ``fail``; an id is duplicate
            with different vectors; a vector is not finite.
        """
        ids, values = self.opened.load()
        place = self._join(ids, values, cohort)
        found = place >= 0
        image_ids = cohort["image_id"].to_numpy(object)[found]
        vectors = pool(np.asarray(values[place[found]]), self.settings.get("pooling"))
        with np.errstate(over="ignore"):  # refused below
            kept = vectors.astype(np.float32)
        self._check(image_ids, vectors, kept)
        self.notes.append(f"{self.opened.array}: {self.opened.dtype}, {list(values.shape)}")
        for note in self.notes:
            log.info("%s: %s", self.where, note)
        return image_ids, kept

    def spec(self) -> dict:
        """Return the file, its hash, and how it was read and joined, as JSON."""
        keys = ("file", "array", "ids", "pooling", "shape", "missing")
        return {
            "kind": "embeddings",
            **{key: self.settings.get(key) for key in keys},
            "sha256": self.hash,
            "read_as": self.notes,
            "versions": {"numpy": np.__version__},
        }

    def _join(self, ids: np.ndarray, values: np.ndarray, cohort: pd.DataFrame) -> np.ndarray:
        """Return the position of each image's vector, -1 if it has none."""
        match = match_ids(ids, cohort)
        if match.rule is None:
            raise MedauditError(
                f"{self.where}: none of its {len(ids)} ids ({_some(ids)}) is an image of the cohort "
                f"({_some(cohort['image_id'])}, paths {_some(cohort['path'])}); write the cohort's "
                "image_id or path into the file's ids"
            )
        self._refuse_different(match, ids, values)
        absent = match.place < 0
        self.notes.append(
            f"joined by {match.rule}: {(~absent).sum()} of {len(cohort)} images have a vector, "
            f"{absent.sum()} have none; {len(match.extra)} vectors are of other images, "
            f"{len(match.repeated)} are duplicates of the same vector"
        )
        if absent.any() and self.settings.get("missing", "fail") == "fail":
            by_split = cohort.loc[absent, "split"].value_counts().to_dict()
            raise MedauditError(
                f"{self.where}: {absent.sum()} of {len(cohort)} images of the cohort have no vector "
                f"({', '.join(f'{count} in {name}' for name, count in by_split.items())}), e.g. "
                f"{_some(cohort.loc[absent, 'image_id'])}. Add them: leaving images out can create "
                "or hide a gap. Or set `missing: leave_out`"
            )
        return match.place

    def _refuse_different(self, match: IdMatch, ids: np.ndarray, values: np.ndarray) -> None:
        """Refuse an image with several vectors that differ."""
        if not len(match.repeated):
            return
        first = match.place[match.owner]
        same = [
            np.array_equal(values[a], values[b], equal_nan=True)
            for a, b in zip(first, match.repeated, strict=True)
        ]
        other = match.repeated[~np.array(same)]
        if len(other):
            raise MedauditError(
                f"{self.where}: {len(other)} ids are duplicate, with different vectors, e.g. "
                f"{_some(ids[other])} (matched by {match.rule}); keep one vector per image"
            )

    def _check(self, ids: np.ndarray, vectors: np.ndarray, kept: np.ndarray) -> None:
        """Refuse vectors that are not finite; note constant columns."""
        broken = ~np.isfinite(kept).all(axis=1)
        if broken.any():
            over = np.isfinite(vectors[broken]).all()
            why = "too large for float32" if over else "NaN or infinite"
            raise MedauditError(
                f"{self.where}: the vectors of {broken.sum()} of {len(ids)} images are {why}, e.g. of "
                f"{_some(ids[broken])}; compute them again, or remove these images from the file and "
                "set `missing: leave_out`"
            )
        low, high = kept.min(axis=0), kept.max(axis=0)
        constant = int((high - low <= CONSTANT * np.maximum(abs(low), abs(high))).sum())
        if constant == kept.shape[1] and len(kept) > 1:
            raise MedauditError(
                f"{self.where}: every image has the same vector; the file is not what the model gave"
            )
        if constant:
            self.notes.append(f"{constant} of {kept.shape[1]} columns are constant")


def pool(values: np.ndarray, pooling: str | None) -> np.ndarray:
    """Return one vector per image ``[n, d]`` from ``[n, ..., d]``.

    Parameters
    ----------
    values : numpy.ndarray
        ``[n, d]``, which is returned as it is, or a grid of vectors ``[n, ..., d]``.
    pooling : str or None
        ``mean`` or ``max`` over the grid, its ``first`` vector, or ``flatten``: all side by side.
    """
    if values.ndim == 2:
        return values
    if pooling == "flatten":
        return values.reshape(len(values), -1)
    grid = values.reshape(len(values), -1, values.shape[-1])
    if pooling == "first":
        return grid[:, 0]
    wide = grid.astype(np.float64)  # float16 and whole numbers overflow in a sum
    return wide.max(axis=1) if pooling == "max" else wide.mean(axis=1)


def _some(values: Any) -> str:
    return ", ".join(map(repr, list(values)[:SHOWN]))
