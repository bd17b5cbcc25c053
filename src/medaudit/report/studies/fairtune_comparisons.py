"""The comparisons of a study of searches: sets of runs, each with its arm, dataset and attribute.

A cohort is one dataset with one attribute, as in FairTune (Dutt et al. 2024); a comparison is the
set of runs in one of its tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import MethodEntry
from medaudit.core.intersections import SEPARATOR, join_names
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.extras import Extras

BITS = {
    "blocks36": "fairtune",
    "depth_first36": "fairtune_depth_first",
    "attention12": "fairtune_12_attention",
    "layernorm12": "fairtune_12_layernorm",
}
"""Search space of bits to the arm that searches it for the worst group's AUC."""

FULL, FAIRTUNE, RANDOM, SCRATCH, OVERALL = (
    *("full", "fairtune", "random_masks"),
    *("scratch", "fairtune_36_overall"),
)
WORST_GROUP = "auc_min"
PRETRAINING = {"supervised": "supervised", "masked": "mae", "none": "none"}
"""Pretraining objective to its name in the transcript of the paper."""

RESULTS, MASKED = "results", "masked_pretraining"
OVERLAPPING, ABLATION = "overlapping", "ablation"
TITLES = {
    RESULTS: "Results: every method on every dataset and attribute",
    MASKED: "Models pretrained by masking",
    OVERLAPPING: "Overlapping attributes",
    ABLATION: "Ablation: what is searched, and for what",
}


@dataclass(frozen=True)
class Comparison:
    """The runs of one table.

    Parameters
    ----------
    name : str
        One of `TITLES`.
    runs : pandas.DataFrame
        `RUN`, ``dataset``, ``attribute``, ``arm`` (`arm_of`), ``label`` (for a reader; one per
        model and method) and ``pretraining``, in the study's order.
    """

    name: str
    runs: pd.DataFrame

    @property
    def labels(self) -> list[str]:
        """The labels that are compared, in the study's order."""
        return list(self.runs["label"].unique())

    @property
    def on_all_cohorts(self) -> pd.DataFrame:
        """The runs of labels that ran on every cohort: the basis of averages and ranks."""
        cohorts = self.runs.groupby("label")["cohort"].transform("nunique")
        return self.runs[cohorts == self.runs["cohort"].nunique()]


def comparisons(evidence: Evidence, extras: Extras) -> Iterator[Comparison]:
    """Yield the comparisons that a study's runs allow; each has at least two labels.

    ``results``: the main model (`main_model`) with every method, and training from scratch; of
    several searches for bits, only FairTune's own and the random one. ``masked_pretraining``: other
    models pretrained by masking. ``overlapping``: cohorts whose attribute is an intersection.
    ``ablation``: the main model's searches for bits and full fine-tuning, on cohorts with several
    searches.
    """
    runs = searched_runs(evidence, extras)
    if runs.empty:
        return
    main = main_model(evidence, extras)
    scratch = runs["arm"] == SCRATCH
    whole, single = runs["model"] == main, ~runs["attribute"].str.contains(SEPARATOR)
    masked = runs["pretraining"].eq("mae") & ~whole
    bits = runs["arm"].str.startswith(FAIRTUNE)
    several = runs[whole & single & bits].groupby("cohort")["arm"].nunique() > 1
    varied = runs["cohort"].isin(several.index[several])
    variant = bits & runs["arm"].ne(FAIRTUNE) & (runs["arm"].eq(FAIRTUNE)).any()
    kept = {
        RESULTS: single & (scratch | (whole & ~variant)),
        MASKED: single & (masked | scratch) & runs["cohort"].isin(runs.loc[masked, "cohort"]),
        OVERLAPPING: ~single,
        ABLATION: whole & single & varied & (bits | runs["arm"].isin([FULL, RANDOM])),
    }
    for name, rows in kept.items():
        part = Comparison(name, _labelled(runs[rows]))
        if len(part.labels) > 1:
            yield part


def searched_runs(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return the study's runs of kind search, with the columns of `Comparison` but ``label``."""
    runs = evidence.runs
    runs = runs[[extras.kind(name) == "search" for name in runs["method"]]].copy()
    cards = [evidence.cards[name] for name in runs["cohort"]]
    objectives = [how_fair_models.objective(extras, name) for name in runs["model"]]
    runs["dataset"] = [card.get("dataset") for card in cards]
    runs["attribute"] = [attribute_of(card) for card in cards]
    runs["pretraining"] = [PRETRAINING.get(name, name) for name in objectives]
    arms = [arm_of(extras.methods[name]) for name in runs["method"]]
    pairs = zip(arms, objectives, strict=True)
    runs["arm"] = [SCRATCH if pair == (FULL, "none") else pair[0] for pair in pairs]
    return runs.reset_index(drop=True)


def attribute_of(card: CohortCard) -> str:
    """Return the attribute that a cohort is about: the first one of its card."""
    first = card["attributes"][0]
    return join_names(first)


def arm_of(entry: MethodEntry) -> str:
    """Return the arm of a method of kind search: what it trains, whatever its name here.

    A named mask (``full``), a training algorithm (``fairprune``), one of `BITS` if it searches for
    the worst group's AUC, ``fairtune_36_overall`` if for the AUC of all patients, or
    ``random_masks``; else the space and the objective.
    """
    space, metric = entry["space"], entry.get("objective", {}).get("metric", WORST_GROUP)
    training = entry.get("training", "erm")
    if training != "erm":
        return training
    if space not in BITS:
        return space
    if entry.get("sampler") == "random":
        return RANDOM if space == "blocks36" else f"random {space}"
    if metric == WORST_GROUP:
        return BITS[space]
    return OVERALL if (space, metric) == ("blocks36", "auc") else f"{BITS[space]} {metric}"


def main_model(evidence: Evidence, extras: Extras) -> str | None:
    """Return the first pretrained model of the study's main grid, else its first model."""
    present = set(evidence.runs["model"])
    models = [name for name in evidence.entry.get("models", []) if name in present]
    known = [name for name in models if how_fair_models.objective(extras, name) != "none"]
    return next(iter([*known, *models]), None)


def _labelled(runs: pd.DataFrame) -> pd.DataFrame:
    models = runs.loc[runs["arm"] != SCRATCH, "model"].nunique()
    labels = runs["method"] if models < 2 else runs["method"] + ", " + runs["model"]
    return runs.assign(label=labels.mask(runs["arm"] == SCRATCH, SCRATCH))[
        [*RUN, "dataset", "attribute", "arm", "label", "pretraining"]
    ].reset_index(drop=True)
