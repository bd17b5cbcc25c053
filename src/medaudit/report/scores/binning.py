"""Scores of each group counted in bins, so that curves can be drawn without any patient's row.

A bin never holds fewer than `LEAST` patients of the group that it counts, unless nobody.
"""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics.sample import Sample

LEAST = 5
"""Patients of a group in a bin at least; smaller bins are joined to their neighbours."""
BINS = 40
"""Bins of all test images of a task, of about equal numbers of images."""
DIGITS = 3
"""Significant digits of an edge: an edge is no patient's score."""


@dataclass(frozen=True)
class GroupBins:
    """The scores of one group in one task.

    Parameters
    ----------
    at : ndarray of int, shape (bins + 1,)
        Places in the task's edges where the group's bins begin and end; the first is 0.
    positive, negative : ndarray of float, shape (bins,)
        Images in each bin: mean over seeds, sums of importance weights where there are some.
    mean : ndarray of float, shape (bins,)
        Mean score in each bin; NaN where it is empty.
    decided : ndarray of float, shape (4,)
        True positives, false negatives, false positives and true negatives at the audit's
        thresholds, each seed at its own; NaN where there are none.
    inflation : tuple of float
        Images of an image's patient, on average, among positives and among negatives: the design
        effect if the images of a patient were copies of each other (Kish 1965).
    """

    at: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    mean: np.ndarray
    decided: np.ndarray
    inflation: tuple[float, float]


@dataclass(frozen=True)
class TaskBins:
    """The scores of all groups in one task.

    Parameters
    ----------
    edges : ndarray of float, shape (edges,)
        Rising from 0; the last is above every score. Bin i holds scores from edge i to below i + 1.
    threshold : float
        Mean over seeds of the audit's thresholds; NaN without.
    groups : dict of (str, str) to GroupBins
        By attribute and group; groups without both classes or below the minimum are left out.
    """

    edges: np.ndarray
    threshold: float
    groups: dict[tuple[str, str], GroupBins]


def bin_scores(sample: Sample, minimum: int, least: int = LEAST) -> dict[str, TaskBins]:
    """Count the scores of every task and group of the test split.

    Parameters
    ----------
    sample : Sample
        Of `medaudit.metrics.sample.read_sample`.
    minimum : int
        Images that a group needs, as in the audit.
    least : int
        Patients that a bin of a group holds at least.

    Returns
    -------
    dict of str to TaskBins
        By task. A task without positives or without negatives is left out.
    """
    return {
        task: found
        for t, task in enumerate(sample.tasks)
        if (found := _bin_task(sample, t, minimum, least)).groups
    }


def choose_edges(scores: np.ndarray, thresholds: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the edges of bins: rounded quantiles, and the thresholds as they are.

    Parameters
    ----------
    scores : ndarray
        Scores in [0, 1].
    thresholds : ndarray
        The audit's thresholds; those inside (0, 1] are edges.
    bins : int
        Number of quantiles.

    Returns
    -------
    ndarray
        Rising; from 0 to just above 1.
    """
    inner = np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1])
    rounded = [float(f"{value:.{DIGITS}g}") for value in inner]
    own = [float(value) for value in np.unique(thresholds[np.isfinite(thresholds)])]
    kept = {value for value in (*rounded, *own) if 0 < value <= 1}
    return np.array([0.0, *sorted(kept), np.nextafter(1.0, 2.0)])


def join_small(patients: np.ndarray, least: int, keep: np.ndarray) -> np.ndarray:
    """Return the places of the edges that stay, so that every bin holds enough patients.

    Parameters
    ----------
    patients : ndarray of int, shape (bins,)
        Patients in each bin.
    least : int
        Patients that a joined bin needs.
    keep : ndarray of bool, shape (bins + 1,)
        Edges to keep where both sides allow it, such as a threshold.

    Returns
    -------
    ndarray of int
        First 0, last ``bins``.
    """
    total = np.concatenate([[0], np.cumsum(patients)])
    wanted = [k for k in np.flatnonzero(keep) if least <= total[k] <= total[-1] - least]
    places = [0]
    for k in range(1, len(patients)):
        after = next((w for w in wanted if w >= k), len(patients))
        enough = total[k] - total[places[-1]] >= least
        room = k == after or total[after] - total[k] >= least
        if enough and room:
            places.append(k)
    return np.array([*places, len(patients)])


def _bin_task(sample: Sample, t: int, minimum: int, least: int) -> TaskBins:
    known = ~np.isnan(sample.y[:, t])
    thresholds = np.full(1, np.nan) if sample.threshold is None else sample.threshold[:, t]
    groups: dict[tuple[str, str], GroupBins] = {}
    edges = np.array([0.0, 1.0])
    if known.any():
        edges = choose_edges(sample.score[:, known, t].ravel(), thresholds)
        for attribute in sample.attributes:
            weights = sample.weights.get((attribute.name, sample.tasks[t]))
            for code, group in enumerate(attribute.levels):
                rows = known & (attribute.codes == code)
                if weights is not None:
                    rows &= ~np.isnan(weights)
                own = np.ones(int(rows.sum())) if weights is None else weights[rows]
                found = _bin_group(sample, t, rows, own, edges, thresholds, minimum, least)
                if found is not None:
                    groups[attribute.name, group] = found
    return TaskBins(edges, float(np.mean(thresholds)), groups)


def _bin_group(
    sample: Sample,
    t: int,
    rows: np.ndarray,
    weights: np.ndarray,
    edges: np.ndarray,
    thresholds: np.ndarray,
    minimum: int,
    least: int,
) -> GroupBins | None:
    positive = sample.y[rows, t] == 1
    if rows.sum() < max(minimum, 2 * least) or positive.all() or not positive.any():
        return None
    patient, scores = sample.patient[rows], sample.score[:, rows, t]
    place = np.searchsorted(edges, scores, side="right") - 1
    bins = len(edges) - 1
    fewest = np.min([_patients(line, patient, bins) for line in place], axis=0)
    at = join_small(fewest, least, np.isin(edges, thresholds))
    if len(at) < 3:
        return None
    counts = {}
    for name, own in (("positive", positive), ("negative", ~positive)):
        each = [np.bincount(line[own], weights[own], bins) for line in place]
        counts[name] = np.add.reduceat(np.mean(each, axis=0), at[:-1])
    sums = np.mean(
        [np.bincount(line, weights * s, bins) for line, s in zip(place, scores, strict=True)],
        axis=0,
    )
    total = counts["positive"] + counts["negative"]
    mean = np.divide(
        np.add.reduceat(sums, at[:-1]), total, out=np.full(len(total), np.nan), where=total > 0
    )
    return GroupBins(
        at=at,
        **counts,
        mean=mean,
        decided=_decided(sample.decision[:, rows, t], positive, weights),
        inflation=(
            _inflation(patient[positive], weights[positive]),
            _inflation(patient[~positive], weights[~positive]),
        ),
    )


def _patients(place: np.ndarray, patient: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of patients in each bin, each counted with the first of their images only.

    So joined bins hold at least the sum of their counts.
    """
    first = np.unique(patient, return_index=True)[1]
    return np.bincount(place[first], minlength=bins)


def _decided(decision: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if np.isnan(decision).any():
        return np.full(4, np.nan)
    yes = decision == 1
    cells = (yes & positive, ~yes & positive, yes & ~positive, ~yes & ~positive)
    return np.array([np.mean(cell @ weights) for cell in cells])


def _inflation(patient: np.ndarray, weights: np.ndarray) -> float:
    """Return total weight over the effective number of patients (Kish 1965), at least 1.

    The effective number of patients is (sum w)^2 / sum over patients of (sum of their w)^2.
    """
    by_patient = np.bincount(patient, weights)
    return max(1.0, float((by_patient**2).sum() / weights.sum()))
