"""The simulated cases: populations with a known truth, by topic."""

from dataclasses import dataclass, field, replace

import numpy as np

from medaudit.plan.population import Group, Population, group_of_auc
from truths import Calibrated

SEPARATION = ("auc", "average_precision", "accuracy", "tpr", "fpr", "f1")
USUAL = (*SEPARATION, "ppv", "selection_rate")
GIVEN_LABELS = ("auc", "average_precision", "accuracy", "balanced_accuracy", "tpr", "fpr")
"""Where the numbers of positives are fixed. A fixed number also fixes much of how selection rate,
F1 and PPV vary, which an audit takes to be random: cases whose labels are drawn have these."""
CALIBRATION = ("ece", "brier", "ppv", "npv", "auc", "tpr")
FIRST = ("Calibration", "Groups that differ", "Equivalence at the margin", "Planned studies")
"""Topics that are simulated first."""


@dataclass(frozen=True)
class Cell:
    """One simulated case.

    Parameters
    ----------
    name : str
        Its seed.
    topic : str
        Heading in the page of results.
    population : Population
        Whom to draw.
    metrics : tuple of str
        What to audit.
    weights : str
        ``lognormal``: weights of the last group are lognormal(1.3). ``zero``: weight 0 for all but
        as many images of each group as the smallest has. Empty: no weights.
    margin : float, optional
        The true gap; counts how often the upper limit is below it.
    power : dict of str to tuple
        Metric to the lowest and highest share of samples with p <= .05 that is right.
    kind : str
        ``audit``, or another function of `outcomes.KINDS`.
    options : dict
        What that function needs further.
    """

    name: str
    topic: str
    population: Population
    metrics: tuple[str, ...] = USUAL
    weights: str = ""
    margin: float | None = None
    power: dict[str, tuple[float, float]] = field(default_factory=dict)
    kind: str = "audit"
    options: dict = field(default_factory=dict)


def alike(sizes, prevalence=0.35, auc=0.9, fpr=None) -> tuple[Group, ...]:
    """Return groups of these sizes, alike in everything else."""
    return tuple(group_of_auc(int(n), prevalence, auc, fpr) for n in sizes)


def _sizes():
    sizes = {
        "300/20": (300, 20),
        "300/100/40/20": (300, 100, 40, 20),
        "12 groups of 12 to 200": np.linspace(12, 200, 12).round(),
    }
    for words, numbers in sizes.items():
        for auc in (0.90,) if len(numbers) == 12 else (0.80, 0.90, 0.976):
            groups = alike(numbers, 0.35, auc)
            metrics = (*USUAL, "ece")
            yield Cell(f"{words}, AUC {auc:g}", "Sizes of groups", Population(groups), metrics)
    for small in (20, 40):
        groups = tuple(Group(n, 0.35, 0.86, 0.2) for n in (300, small))
        yield Cell(f"300/{small}, TPR .86", "Sizes of groups", Population(groups))
    groups = tuple(Group(n, 0.35, 0.86, 0.2) for n in (300, 100, 40, 20))
    yield Cell("300/100/40/20, TPR .86", "Sizes of groups", Population(groups))


def _positives():
    for positives in (5, 10, 25):
        for rate in (0.80, 0.90, 0.98):
            fpr = max(1 - rate, 0.15)
            groups = tuple(Group(n, 1 / 3, rate, fpr) for n in (240, 3 * positives))
            name = f"{positives} positives, {2 * positives} negatives, TPR {rate:g}"
            yield Cell(name, "Few positives", Population(groups, exact=True), GIVEN_LABELS)
    for positives in (10, 25):
        groups = tuple(Group(n, 1 / 3, 0.9, 0.15) for n in (240, 3 * positives))
        yield Cell(f"{positives} positives on average, TPR .9", "Few positives", Population(groups))


def _discrimination():
    for auc in (0.80, 0.92, 0.98):
        for positives, total in ((10, 30), (25, 100)):
            groups = alike((300, total), positives / total, auc)
            name = f"{positives} of {total} positive, AUC {auc:g}"
            yield Cell(name, "Discrimination", Population(groups, exact=True), GIVEN_LABELS)


def _clusters():
    cases = [
        ((120, 60), (1, 3), 0.5, 1.0), ((120, 60), (1, 10), 0.5, 1.0),
        ((60, 30), (10, 40), 0.0, 1.0), ((60, 30), (10, 40), 0.5, 1.0),
        ((60, 30), (10, 40), 0.9, 1.0), ((60, 30), (10, 40), 0.5, 0.3),
        ((60, 30), (10, 40), 0.9, 0.3), ((60, 30), (10, 40), 0.5, 0.0),
        ((100, 20), (40, 40), 0.9, 1.0), ((100, 20), (5, 5), 0.9, 1.0),
        ((300, 100, 40, 20), (1, 10), 0.6, 0.5),
    ]  # fmt: skip
    for sizes, images, rho, labels in cases:
        groups = alike(sizes, 0.35, 0.90)
        population = Population(groups, images, rho, labels)
        name = (
            f"{'/'.join(map(str, sizes))} patients of {images[0]}-{images[1]} images, "
            f"correlation {rho:g}, of labels {labels:g}"
        )
        yield Cell(name, "Images of a patient", population)
    for positives in (5, 15):
        groups = alike((150, 3 * positives), 1 / 3, 0.90)
        population = Population(groups, (4, 4), 0.6, exact=True)
        name = f"{positives} positive patients of 4 images, correlation 0.6"
        yield Cell(name, "Images of a patient", population, GIVEN_LABELS)


def _prevalence():
    for sizes, prevalences in (
        ((300, 300), (0.05, 0.5)),
        ((300, 60), (0.1, 0.5)),
        ((300, 300, 200, 200), (0.05, 0.1, 0.3, 0.5)),
    ):
        groups = tuple(group_of_auc(n, p, 0.88) for n, p in zip(sizes, prevalences, strict=True))
        name = f"{'/'.join(map(str, sizes))}, prevalence {'/'.join(map(str, prevalences))}"
        yield Cell(name, "Unequal prevalence", Population(groups), SEPARATION)


def _weights():
    for sizes in ((300, 300), (300, 100), (100, 300)):
        name = f"{sizes[0]}/{sizes[1]}, lognormal(1.3) weights in the second group"
        population = Population(alike(sizes, 0.35, 0.88))
        yield Cell(name, "Importance weights", population, (*USUAL, "ece"), weights="lognormal")
    population = Population(alike((900, 100), 0.3, 0.88))
    yield Cell("900/100, 100 of each drawn", "Importance weights", population, weights="zero")
    groups = (group_of_auc(900, 0.3, 0.87), group_of_auc(100, 0.3, 0.74))
    name = "900/100, 100 of each drawn, AUC .87/.74"
    yield Cell(name, "Importance weights", Population(groups), ("auc",), weights="zero")


def _calibration():
    topic = "Calibration"
    for shift, words in ((0, "both calibrated"), (1, "B too low"), (-1, "B too high")):
        groups = (Calibrated(400, 0.15), Calibrated(400, 0.5, shift))
        name = f"400/400, prevalence .15/.5, {words}" + (" by 1 logit" if shift else "")
        found = ("ece", "brier", "calibration_intercept") if shift else ()
        power = dict.fromkeys(found, (0.8, 1.0))
        metrics = (*CALIBRATION, "calibration_intercept")
        yield Cell(name, topic, Population(groups), metrics, power=power)
    for sizes in ((400, 150), (400, 50), (500, 20), (200, 200)):
        groups = tuple(Calibrated(n, 0.3) for n in sizes)
        name = f"{sizes[0]}/{sizes[1]}, both calibrated, prevalence .3"
        yield Cell(name, topic, Population(groups), CALIBRATION)
    groups = (Calibrated(60, 0.3), Calibrated(60, 0.3))
    population = Population(groups, (1, 10), 0.5)
    name = "60/60 patients of 1-10 images, correlation 0.5, both calibrated"
    yield Cell(name, topic, population, CALIBRATION)


def _unequal_spread():
    for sizes, prevalence in (((600, 60), (0.3, 0.3)), ((600, 100), (0.5, 0.1))):
        first = group_of_auc(sizes[0], prevalence[0], 0.86)
        second = _spread_out(replace(first, patients=sizes[1], prevalence=prevalence[1]))
        name = f"{sizes[0]}/{sizes[1]}, prevalence {prevalence[0]:g}/{prevalence[1]:g}"
        yield Cell(name, "Equal AUC, unequal spread", Population((first, second)), ("auc", "tpr"))


def _spread_out(group: Group) -> Group:
    """Return a group with the same AUC and TPR, positives more spread out than negatives."""
    from scipy.stats import norm

    spread = (0.6, 1.8)
    high = norm.ppf(group.tpr) * spread[1]
    low = high - norm.ppf(group.auc) * np.hypot(*spread)
    return replace(group, spread=spread, fpr=float(norm.cdf(low / spread[0])))


def _alternatives():
    topic = "Groups that differ"
    patients = (group_of_auc(30, 0.35, 0.92), group_of_auc(30, 0.35, 0.68))
    name = "60 patients of 10-40 images, AUC .92/.68"
    population = Population(patients, (10, 40), 0.2, 0.2)
    yield Cell(name, topic, population, ("auc",), power={"auc": (0.8, 1.0)})
    for sizes in ((300, 100), (100, 300), (300, 100, 100, 100)):
        better, worse = group_of_auc(sizes[0], 0.3, 0.90), group_of_auc(sizes[-1], 0.3, 0.80)
        groups = (*(replace(better, patients=n) for n in sizes[:-1]), worse)
        name = f"{'/'.join(map(str, sizes))}, AUC .90, of the last group .80"
        yield Cell(name, topic, Population(groups), USUAL)
    groups = (Group(300, 0.3, 0.9, 0.15), Group(60, 0.3, 0.7, 0.15))
    yield Cell("300/60, TPR .9/.7", topic, Population(groups), USUAL)


def _equivalence():
    for sizes in ((200, 200), (400, 60), (200, 200, 200, 200)):
        groups = [Group(n, 0.4, 0.90, 0.15) for n in sizes]
        groups[-1] = replace(groups[-1], tpr=0.80)
        name = f"{'/'.join(map(str, sizes))}, true gap of TPR .10"
        population = Population(tuple(groups))
        yield Cell(name, "Equivalence at the margin", population, ("tpr",), margin=0.10)
        better = group_of_auc(sizes[0], 0.4, 0.90)
        groups = [replace(better, patients=n) for n in sizes[:-1]]
        groups.append(group_of_auc(sizes[-1], 0.4, 0.85))
        name = f"{'/'.join(map(str, sizes))}, true gap of AUC .05"
        population = Population(tuple(groups))
        yield Cell(name, "Equivalence at the margin", population, ("auc",), margin=0.05)


def _families():
    population = Population(alike((400,), 0.3, 0.88))
    options = {"models": 12, "correlation": 0.98, "levels": (2, 3, 4)}
    name = "12 near-identical models x 3 attributes, 400 patients"
    yield Cell(name, "Many tests", population, ("auc", "tpr"), kind="family", options=options)


def _detectable():
    for metric, base, sizes, worse in (
        ("auc", 0.871, (200, 200), 1), ("auc", 0.967, (300, 60), 0), ("auc", 0.967, (300, 60), 1),
        ("auc", 0.871, (300, 60), 0), ("auc", 0.871, (300, 60), 1),
        ("auc", 0.871, (200, 200, 200, 200), 3),
        ("tpr", 0.85, (300, 60), 0), ("tpr", 0.85, (300, 60), 1),
    ):  # fmt: skip
        if metric == "auc":
            groups = alike(sizes, 0.35, base)
        else:
            groups = tuple(Group(n, 0.35, base, 0.15) for n in sizes)
        name = (
            f"{'/'.join(map(str, sizes))}, {metric} {base:g}, group {worse + 1} worse by "
            "`smallest_detectable`"
        )
        yield Cell(
            name, "Smallest detectable gap", Population(groups), (metric,), kind="detectable",
            power={metric: (0.76, 0.92)}, options={"worse": worse},
        )  # fmt: skip


def _planned():
    two = (Group(1, 0.35, 0.85, 0.15),) * 2
    unequal = (group_of_auc(4, 0.4, 0.9), group_of_auc(1, 0.2, 0.9))
    cases = [
        ("TPR .85/.70, two equal groups", Population(two), "tpr", 0.15),
        ("FPR .15/.25, 1-10 images, correlation 0.5", Population(two, (1, 10), 0.5, 0.5), "fpr", 0.1),
        ("AUC .90/.78, groups 4 : 1, prevalence .4/.2", Population(unequal), "auc", 0.12),
        ("accuracy .85/.73, four equal groups", Population(two * 2), "accuracy", 0.12),
        ("gap of AUC that 300/60 find", Population(alike((300, 60), 0.35, 0.9)), "auc", None),
        ("gap of TPR that 200/200/80 find", Population(
            tuple(Group(n, 0.35, 0.85, 0.15) for n in (200, 200, 80))), "tpr", None),
    ]  # fmt: skip
    for name, population, metric, gap in cases:
        yield Cell(
            name, "Planned studies", population, (metric,), kind="planned",
            power={metric: (0.76, 0.84)}, options={"gap": gap},
        )  # fmt: skip


def all_cells() -> list[Cell]:
    """Return every cell, in the order of the page."""
    topics = (
        _sizes, _positives, _discrimination, _clusters, _prevalence, _weights, _calibration,
        _unequal_spread, _alternatives, _equivalence, _detectable, _planned, _families,
    )  # fmt: skip
    cells = [cell for topic in topics for cell in topic()]
    assert len({cell.name for cell in cells}) == len(cells)
    return cells
