"""Facts about foundation models, and the runs by which a study compares them (Khan et al. 2023)."""

from medaudit.core.documents import CohortCard
from medaudit.report.studies.evidence import Evidence, ordered
from medaudit.report.studies.extras import Extras

UNKNOWN = "not stated"
DOMAINS = ("none", "natural", "medical", UNKNOWN)
OBJECTIVES = ("none", "masked", "contrastive", "supervised", "image_text", UNKNOWN)
FAMILIES = {"vit": "ViT", "resnet": "ResNet"}


def objective(extras: Extras, model: str) -> str:
    """Return a model's pretraining objective, one of `OBJECTIVES`."""
    return _pretraining(extras, model).get("objective", UNKNOWN)


def domain(extras: Extras, model: str) -> str:
    """Return the kind of images a model was pretrained on, one of `DOMAINS`."""
    return _pretraining(extras, model).get("domain", UNKNOWN)


def family(extras: Extras, model: str) -> str:
    """Return the architecture family of a model for a reader, e.g. ``ViT``."""
    name = extras.models.get(model, {}).get("family")
    return FAMILIES.get(name, name) if name else UNKNOWN


def is_procedural(extras: Extras, model: str) -> bool:
    """Return whether this run pretrained a model on procedurally generated images."""
    return bool(extras.models.get(model, {}).get("pretrained", {}).get("procedural"))


def is_ensemble(extras: Extras, model: str) -> bool:
    """Return whether a model is the mean of other models."""
    return "members" in extras.models.get(model, {})


def identity(extras: Extras, model: str) -> str:
    """Return ``family/objective/domain`` of a model, or of each member of an ensemble."""
    members = extras.models.get(model, {}).get("members", [model])
    parts = (
        f"{family(extras, m).lower()}/{objective(extras, m)}/{domain(extras, m)}" for m in members
    )
    return " ".join(sorted(parts))


def trained_part(extras: Extras, method: str) -> str:
    """Return what a method trains.

    ``full`` (all weights), ``linear`` (one linear layer on frozen features) or ``other``.
    """
    entry = extras.methods.get(method, {})
    if "linear" in (entry.get("tune"), entry.get("head")):
        return "linear"
    return "full" if entry.get("tune") == "full" else "other"


def main_method(evidence: Evidence, extras: Extras) -> str | None:
    """Return the method by which models are compared; None without runs.

    It is the first method of the study's main grid that trains all weights, else the first one.
    The order is that of the configuration: nothing is selected by results.
    """
    present = ordered(evidence.runs["method"], evidence.entry.get("methods", []))
    present = [name for name in present if name in evidence.entry.get("methods", present)]
    full = [name for name in present if trained_part(extras, name) == "full"]
    return next(iter([*full, *present]), None)


def own_models(evidence: Evidence, extras: Extras, cohort: str) -> list[str]:
    """Return the models of the study's main grid that ran with the main method on a cohort.

    Ensembles, and models that only ``also`` adds, are left out. The order is by family, then from
    scratch, natural, medical; within these, the study's.
    """
    runs = evidence.runs
    kept = runs["cohort"].eq(cohort) & runs["method"].eq(main_method(evidence, extras))
    present = set(runs.loc[kept, "model"])
    found = [name for name in evidence.entry.get("models", []) if name in present]
    found = [name for name in found if not is_ensemble(extras, name)]
    families = ordered(family(extras, name) for name in found)
    return sorted(
        found,
        key=lambda name: (
            families.index(family(extras, name)),
            DOMAINS.index(domain(extras, name)),
        ),
    )


def own_cohorts(evidence: Evidence) -> list[str]:
    """Return the cohorts of the study's main grid that have runs."""
    return [name for name in evidence.entry.get("cohorts", []) if name in evidence.cards]


def balanced_pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """Return pairs of (unbalanced, balanced) cohorts with the same test set.

    The unbalanced one belongs to the study's main grid. The test sets are the same if
    ``test_sha256`` (images, labels, attributes, weights), tasks and attributes of the cards are:
    only then do the two cohorts share their bootstrap draws.
    """
    return _with_same_test(evidence, "race_sex")


def same_size_as(evidence: Evidence, plain: str) -> str | None:
    """Return the unbalanced cohort with as many training images as the balanced one, if any."""
    return next((b for a, b in _with_same_test(evidence, "same_size") if a == plain), None)


def _with_same_test(evidence: Evidence, kind: str) -> list[tuple[str, str]]:
    cards = evidence.cards
    plain = [name for name in own_cohorts(evidence) if balance_of(cards[name]) == "none"]
    other = [name for name in cards if balance_of(cards[name]) == kind]
    return [(a, b) for a in plain for b in other if _same_test(cards[a], cards[b])]


def balance_of(card: CohortCard) -> str:
    """Return how the training split of a cohort was balanced; ``none`` if it was not.

    ``same_size`` is not balanced either: it has as many images as the balanced split.
    """
    return card.get("balance", {}).get("kind", "none")


def training_images(card: CohortCard) -> int | None:
    """Return the number of training images of a cohort; None if its card does not count them."""
    rows = [row for row in card.get("counts", []) if row["attribute"] == "all"]
    return next((row["n_images"] for row in rows if row["split"] == "train"), None)


def _same_test(first: CohortCard, second: CohortCard) -> bool:
    keys = ("test_sha256", "tasks", "attributes")
    return all(first.get(key) and first.get(key) == second.get(key) for key in keys)


def _pretraining(extras: Extras, model: str) -> dict:
    return extras.models.get(model, {}).get("pretraining", {})
