"""Anatomy and exposure of a synthetic patient, from the table's row and random numbers."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

PATIENT_DRAWS = 20
IMAGE_DRAWS = 12
LATERAL = ("lateral", "l", "ll", "rl")


@dataclass(frozen=True)
class Traits:
    """Anatomy and exposure of n images; every array is ``[n, 1, 1]`` float32.

    Lengths are in units of half the image width, brightness is in [0, 1].
    """

    male: np.ndarray
    old: np.ndarray
    young: np.ndarray
    fat: np.ndarray
    wall: np.ndarray
    apex: np.ndarray
    dome_right: np.ndarray
    dome_left: np.ndarray
    heart: np.ndarray
    rib_spacing: np.ndarray
    rib_phase: np.ndarray
    bone: np.ndarray
    knob: np.ndarray
    calcium: np.ndarray
    breast: np.ndarray
    clavicle: np.ndarray
    ap: np.ndarray
    contrast: np.ndarray
    brightness: np.ndarray
    tree_right: np.ndarray
    tree_left: np.ndarray

    def take(self, rows: np.ndarray) -> "Traits":
        """Return the traits of some of the images."""
        return Traits(*(getattr(self, field.name)[rows] for field in fields(self)))


def describe(rows: pd.DataFrame, patient: np.ndarray, image: np.ndarray) -> Traits:
    """Return the traits of the rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``age``, ``view`` and optionally ``a_sex``. A missing age or sex is drawn for the patient.
    patient, image : numpy.ndarray
        Uniform random numbers of each row's patient, ``[n, PATIENT_DRAWS]``, and of the image,
        ``[n, IMAGE_DRAWS]``.
    """
    u = [column[:, None, None] for column in patient.astype(np.float32).T]
    v = [column[:, None, None] for column in image.astype(np.float32).T]
    male = _sex(rows, patient[:, 0])
    age = _age(rows, patient[:, 1])
    old = np.clip((age - 35) / 45, 0, 1.2)
    young = np.clip((16 - age) / 16, 0, 1)
    ap = (rows["view"].fillna("").str.upper() == "AP").to_numpy(np.float32)[:, None, None]
    fat = u[2] * (1 - 0.7 * young)
    breath = 0.06 * (v[0] - 0.5) + 0.05 * ap  # AP films are taken in bed, with a shallower breath
    dome = 0.43 + 0.16 * (u[3] - 0.5) - 0.03 * old - breath - 0.04 * fat
    return Traits(
        male=male,
        old=old,
        young=young,
        fat=fat,
        wall=0.66 + 0.05 * male + 0.13 * (u[4] - 0.5) - 0.12 * young,
        apex=-0.80 + 0.13 * (u[5] - 0.5) + 0.05 * old + 0.04 * ap,
        dome_right=dome,
        dome_left=dome + 0.07 + 0.04 * (u[6] - 0.5),
        heart=(0.95 + 0.20 * (u[7] - 0.5) + 0.06 * old + 0.15 * young)
        * (1 + 0.12 * ap)
        * (1 + 0.04 * (v[1] - 0.5)),
        rib_spacing=0.172 + 0.05 * (u[8] - 0.5),
        rib_phase=u[9],
        bone=(0.75 + 0.4 * u[10]) * (1 - 0.35 * old * (1 - 0.6 * male)) * (1 - 0.3 * young),
        knob=0.6 + 0.3 * u[11] + 0.7 * old,
        calcium=np.clip(old - 0.45 - 0.4 * u[12], 0, 0.6),
        breast=(1 - male) * (1 - young) * (0.6 + 0.6 * u[13]) + 0.25 * male * fat,
        clavicle=-0.60 + 0.06 * (u[14] - 0.5) - 0.05 * ap,
        ap=ap,
        contrast=(1 - 0.18 * fat) * (1 - 0.10 * ap) * (1 + 0.40 * (v[2] - 0.5)),
        brightness=0.04 + 0.14 * (v[3] - 0.5) + 0.03 * fat,
        tree_right=u[15],
        tree_left=u[16],
    )


def is_lateral(rows: pd.DataFrame) -> np.ndarray:
    """Return which rows are lateral views, bool ``[n]``; an unknown view counts as frontal."""
    return rows["view"].fillna("").str.lower().isin(LATERAL).to_numpy(bool)


def _sex(rows: pd.DataFrame, draw: np.ndarray) -> np.ndarray:
    known = rows["a_sex"] if "a_sex" in rows else pd.Series(None, rows.index, dtype=object)
    male = known.map({"male": 1.0, "female": 0.0}).to_numpy(float)
    return np.where(np.isnan(male), draw < 0.5, male).astype(np.float32)[:, None, None]


def _age(rows: pd.DataFrame, draw: np.ndarray) -> np.ndarray:
    age = rows["age"].to_numpy(float)
    return np.where(np.isnan(age), 30 + 50 * draw, age).astype(np.float32)[:, None, None]
