"""What a study of searches compares: what each run trained, on which dataset and attribute.

A cohort is one dataset with one attribute, as in FairTune (Dutt et al. 2024); a comparison is a set
of runs that stand in one of its tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from medaudit.report.studies import how_fair_models
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.extras import Extras

BITS = {
    "blocks36": "fairtune",
    "depth_first36": "fairtune_depth_first",
    "attention12": "fairtune_12_attention",
    "layernorm12": "fairtune_12_layernorm",
}
"""Spaces of bits, and what their search for the worst group's AUC is called."""

FULL, FAIRTUNE, RANDOM, SCRATCH, OVERALL = (
    *("full", "fairtune", "random_masks"),
    *("scratch", "fairtune_36_overall"),
)
WORST_GROUP = "auc_min"
PRETRAINING = {"supervised": "supervised", "masked": "mae", "none": "none"}
"""Objectives of pretraining, and what they are called in the transcript of the paper."""

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
    """Runs that stand in one table.

    Parameters
    ----------
    name : str
        One of `TITLES`.
    runs : pandas.DataFrame
        `RUN`, ``dataset``, ``attribute``, ``arm`` (`arm_of`), ``label`` (for a reader; one for
        each model and method) and ``pretraining``, in the study's order.
    """

    name: str
    runs: pd.DataFrame

    @property
    def labels(self) -> list[str]:
        """What is compared, in the study's order."""
        return list(self.runs["label"].unique())

    @property
    def everywhere(self) -> pd.DataFrame:
        """The runs of what ran on every cohort: what averages and ranks are of."""
        cohorts = self.runs.groupby("label")["cohort"].transform("nunique")
        return self.runs[cohorts == self.runs["cohort"].nunique()]


def comparisons(evidence: Evidence, extras: Extras) -> Iterator[Comparison]:
    """Give the comparisons that a study's runs make up.

    ``results`` is the main model (`main_model`) with every method, and training from scratch; of
    several searches for bits only FairTune's own and the random one. ``masked_pretraining`` are other
    models pretrained by masking; ``overlapping`` the cohorts whose attribute is an intersection;
    ``ablation`` the main model's searches for bits beside full fine-tuning, where there are several.
    Fewer than two methods are no comparison.
    """
    runs = searched_runs(evidence, extras)
    if runs.empty:
        return
    main = main_model(evidence, extras)
    scratch = runs["arm"] == SCRATCH
    whole, single = runs["model"] == main, ~runs["attribute"].str.contains(" & ")
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
    """Return the study's runs of kind search as `Comparison` has them, without ``label``."""
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


def attribute_of(card: dict) -> str:
    """Return the attribute that a cohort is about: the first of its card."""
    first = card["attributes"][0]
    return first if isinstance(first, str) else " & ".join(first)


def arm_of(entry: dict) -> str:
    """Return what a method of kind search trains, whatever it is called here.

    A named mask (``full``), a training (``fairprune``), one of `BITS` for the worst group's AUC,
    ``fairtune_36_overall`` for that of everybody, ``random_masks``; else its space and objective.
    """
    space, metric = entry.get("space"), entry.get("objective", {}).get("metric", WORST_GROUP)
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
    """Return the first of the study's own models that is pretrained, else the first."""
    there = set(evidence.runs["model"])
    models = [name for name in evidence.entry.get("models", []) if name in there]
    known = [name for name in models if how_fair_models.objective(extras, name) != "none"]
    return next(iter([*known, *models]), None)


def _labelled(runs: pd.DataFrame) -> pd.DataFrame:
    models = runs.loc[runs["arm"] != SCRATCH, "model"].nunique()
    labels = runs["method"] if models < 2 else runs["method"] + ", " + runs["model"]
    return runs.assign(label=labels.mask(runs["arm"] == SCRATCH, SCRATCH))[
        [*RUN, "dataset", "attribute", "arm", "label", "pretraining"]
    ].reset_index(drop=True)
