"""Simulated patients: groups of known size, prevalence and performance, images that cluster.

The model of scores is binormal: given the label, the latent score (the logit of the score) of an
image is normal in every group. Its marginal distribution, and so every metric's true value, does
not depend on how strongly the images of a patient are correlated.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

TASK = "finding"
ATTRIBUTE = "group"


@dataclass(frozen=True)
class Group:
    """One group of patients and how a model scores them.

    Parameters
    ----------
    patients : int
        Number of patients.
    prevalence : float
        Share of images (equal to the share of patients) with label 1, in (0, 1).
    tpr, fpr : float
        True and false positive rate at the score 0.5, in (0, 1).
    spread : tuple of float
        Standard deviation of the latent scores of negatives and of positives.
    """

    patients: int
    prevalence: float
    tpr: float
    fpr: float
    spread: tuple[float, float] = (1.0, 1.0)

    @property
    def means(self) -> tuple[float, float]:
        """Mean latent score of negatives and of positives; the threshold is at 0."""
        return (
            float(norm.ppf(self.fpr) * self.spread[0]),
            float(norm.ppf(self.tpr) * self.spread[1]),
        )

    @property
    def auc(self) -> float:
        """Area under the binormal ROC curve: Phi((m1 - m0) / sqrt(s0^2 + s1^2))."""
        low, high = self.means
        return float(norm.cdf((high - low) / np.hypot(*self.spread)))

    @property
    def accuracy(self) -> float:
        """Share of right decisions at the score 0.5."""
        return self.prevalence * self.tpr + (1 - self.prevalence) * (1 - self.fpr)

    def draw(
        self, owner: np.ndarray, rng: np.random.Generator, population: "Population"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw labels and latent scores of the images of this group.

        Parameters
        ----------
        owner : ndarray of int, shape (images,)
            Patient of each image, 0 to `patients` - 1.
        rng : numpy.random.Generator
            Source of randomness.
        population : Population
            How the images of a patient are correlated.

        Returns
        -------
        y : ndarray of bool, shape (images,)
        latent : ndarray of float, shape (images,)
        """
        y = self._draw_labels(owner, rng, population)
        noise = clustered_normal(owner, self.patients, population.score_correlation, rng)
        return y, np.asarray(self.means)[y.astype(int)] + np.asarray(self.spread)[
            y.astype(int)
        ] * noise

    def _draw_labels(self, owner, rng, population: "Population") -> np.ndarray:
        if population.exact:
            ill = rng.permutation(self.patients) < round(self.prevalence * self.patients)
            return ill[owner]
        trait = clustered_normal(owner, self.patients, population.label_correlation, rng)
        return trait < norm.ppf(self.prevalence)


def group_of_auc(patients: int, prevalence: float, auc: float, fpr: float | None = None) -> Group:
    """Return a group with the given AUC.

    Parameters
    ----------
    patients : int
        Number of patients.
    prevalence : float
        Share of positives.
    auc : float
        Area under the ROC curve, in (0, 1).
    fpr : float, optional
        False positive rate at the threshold. Default: where the true positive rate equals
        1 - fpr (the maximum of Youden's index).
    """
    distance = np.sqrt(2) * norm.ppf(auc)
    low = -distance / 2 if fpr is None else norm.ppf(fpr)
    return Group(patients, prevalence, float(norm.cdf(low + distance)), float(norm.cdf(low)))


def clustered_normal(
    owner: np.ndarray, patients: int, correlation: float, rng: np.random.Generator
) -> np.ndarray:
    """Return standard normal values, with `correlation` between the images of a patient."""
    own = rng.standard_normal(owner.size)
    if correlation == 0:
        return own
    shared = rng.standard_normal(patients)[owner]
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


@dataclass(frozen=True)
class Population:
    """The groups of a study, and how the images of a patient cluster.

    Parameters
    ----------
    groups : tuple of Group
        At least two for an audit.
    images : tuple of int
        Smallest and largest number of images of a patient; all numbers between are equally likely.
    score_correlation : float
        Correlation of the latent scores of two images of a patient with the same label, in [0, 1).
    label_correlation : float
        Correlation of the normal traits that decide the labels of a patient's images, in [0, 1];
        1: all images of a patient have the same label.
    exact : bool
        Whether exactly ``round(prevalence * patients)`` patients of each group are positive, each
        with all their images.
    """

    groups: tuple[Group, ...]
    images: tuple[int, int] = (1, 1)
    score_correlation: float = 0.0
    label_correlation: float = 1.0
    exact: bool = False

    @property
    def patients(self) -> int:
        """Number of patients in all groups."""
        return sum(group.patients for group in self.groups)

    def resized(self, factor: float) -> "Population":
        """Return the population with `factor` times the patients in every group."""
        sizes = [max(1, math.ceil(g.patients * factor)) for g in self.groups]
        groups = [replace(g, patients=n) for g, n in zip(self.groups, sizes, strict=True)]
        return replace(self, groups=tuple(groups))


@dataclass(frozen=True)
class Drawn:
    """Simulated images, one element per image.

    Parameters
    ----------
    group, patient : ndarray of int
        Codes; patients are numbered over all groups.
    y : ndarray of bool
        Labels.
    latent : ndarray of float
        Logit of the score.
    weight : ndarray of float, optional
        Importance weights.
    """

    group: np.ndarray
    patient: np.ndarray
    y: np.ndarray
    latent: np.ndarray
    weight: np.ndarray | None = field(default=None)


def draw(population: Population, rng: np.random.Generator) -> Drawn:
    """Draw the patients of all groups with their images."""
    parts, first = [], 0
    for code, group in enumerate(population.groups):
        low, high = population.images
        count = rng.integers(low, high + 1, group.patients) if high > low else low
        owner = np.repeat(np.arange(group.patients), count)
        y, latent = group.draw(owner, rng, population)
        parts.append((np.full(owner.size, code), owner + first, y, latent))
        first += group.patients
    return Drawn(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def as_tables(drawn: Drawn, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return simulated images as the tables that an audit reads.

    Parameters
    ----------
    drawn : Drawn
        The images; all are in the split ``test``.
    name : str
        Begins every id, so that two simulated cohorts have random streams of their own.

    Returns
    -------
    predictions, cohort : pandas.DataFrame
        As `medaudit.metrics.group_audit.audit` takes them: task `TASK`, attribute `ATTRIBUTE`.
    """
    images = _ids(f"{name}-i", np.arange(drawn.y.size))
    cohort = pd.DataFrame(
        {
            "image_id": images,
            "patient_id": _ids(f"{name}-p", drawn.patient),
            "split": "test",
            f"a_{ATTRIBUTE}": group_names(int(drawn.group.max()) + 1)[drawn.group],
        }
    )
    if drawn.weight is not None:
        cohort[f"w_{ATTRIBUTE}_{TASK}"] = drawn.weight
    predictions = pd.DataFrame(
        {
            "image_id": images,
            "split": "test",
            "task": TASK,
            "seed": 0,
            "y": drawn.y.astype(float),
            "score": expit(drawn.latent),
        }
    )
    return predictions, cohort


def group_names(count: int) -> np.ndarray:
    """Return the names of the first `count` groups, an array of str."""
    return np.array([f"g{code:02d}" for code in range(count)], object)


def _ids(prefix: str, codes: np.ndarray) -> np.ndarray:
    found, place = np.unique(codes, return_inverse=True)
    return np.array([f"{prefix}{code:07d}" for code in found], object)[place]
