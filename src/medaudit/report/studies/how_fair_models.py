"""What is known of a study's foundation models, and which of its runs speak for them."""

from medaudit.report.studies.evidence import RUN, Evidence, ordered
from medaudit.report.studies.extras import Extras

UNKNOWN = "not stated"
DOMAINS = ("none", "natural", "medical", UNKNOWN)
OBJECTIVES = ("none", "masked", "contrastive", "supervised", "image_text", UNKNOWN)
FAMILIES = {"vit": "ViT", "resnet": "ResNet"}


def objective(extras: Extras, model: str) -> str:
    """Return one of `OBJECTIVES`."""
    return _pretraining(extras, model).get("objective", UNKNOWN)


def domain(extras: Extras, model: str) -> str:
    """Return one of `DOMAINS`."""
    return _pretraining(extras, model).get("domain", UNKNOWN)


def family(extras: Extras, model: str) -> str:
    """Return the family of a model's architecture for a reader, e.g. ``ViT``."""
    name = extras.models.get(model, {}).get("family")
    return FAMILIES.get(name, name) or UNKNOWN


def is_procedural(extras: Extras, model: str) -> bool:
    """Tell whether this run pretrained a model on images drawn by rules, not photographs."""
    return bool(extras.models.get(model, {}).get("pretrained", {}).get("procedural"))


def is_ensemble(extras: Extras, model: str) -> bool:
    """Tell whether a model is the mean of others."""
    return "members" in extras.models.get(model, {})


def identity(extras: Extras, model: str) -> str:
    """Return ``family/objective/domain`` of a model; of an ensemble, those of its members."""
    members = extras.models.get(model, {}).get("members", [model])
    parts = (
        f"{family(extras, m).lower()}/{objective(extras, m)}/{domain(extras, m)}" for m in members
    )
    return " ".join(sorted(parts))


def way(extras: Extras, method: str) -> str:
    """Return how a method trains.

    ``full`` (all weights), ``linear`` (one linear layer on frozen features) or ``other``.
    """
    entry = extras.methods.get(method, {})
    if "linear" in (entry.get("tune"), entry.get("head")):
        return "linear"
    return "full" if entry.get("tune") == "full" else "other"


def main_method(evidence: Evidence, extras: Extras) -> str | None:
    """Return the method by which models are compared, None without runs.

    The first method of the study's own cross that trains all weights, else its first; the order
    is declared, nothing is picked by results.
    """
    there = ordered(evidence.runs["method"], evidence.entry.get("methods", []))
    there = [name for name in there if name in evidence.entry.get("methods", there)]
    full = [name for name in there if way(extras, name) == "full"]
    return next(iter([*full, *there]), None)


def own_models(evidence: Evidence, extras: Extras, cohort: str) -> list[str]:
    """Return the models of the study's own cross that ran by the main method on a cohort.

    Without ensembles; those of ``also`` alone are left out. By family, then from scratch, natural,
    medical, in the study's order.
    """
    runs = evidence.runs
    kept = runs["cohort"].eq(cohort) & runs["method"].eq(main_method(evidence, extras))
    there = set(runs.loc[kept, "model"])
    found = [name for name in evidence.entry.get("models", []) if name in there]
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
    """Return the cohorts of the study's own cross that have runs."""
    return [name for name in evidence.entry.get("cohorts", []) if name in evidence.cards]


def balanced_pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """Return pairs of cohorts with the same test set: one of the study's own trained unbalanced,
    and any that is balanced.

    The card's ``balance`` tells them apart; the same test set is the same ``test_sha256`` (images,
    labels, attributes, weights), tasks and attributes. Only such cohorts share their draws.
    """
    cards = evidence.cards
    plain = [name for name in own_cohorts(evidence) if balance_of(cards[name]) == "none"]
    other = [name for name in cards if balance_of(cards[name]) != "none"]
    return [(a, b) for a in plain for b in other if _same_test(cards[a], cards[b])]


def balance_of(card: dict) -> str:
    """Return how the training split of a cohort was balanced; ``none`` where it was not."""
    return card.get("balance", {}).get("kind", "none")


def run_of(cohort: str, model: str, method: str) -> dict[str, str]:
    """Return a run's names as a row."""
    return dict(zip(RUN, (cohort, model, method), strict=True))


def _same_test(first: dict, second: dict) -> bool:
    keys = ("test_sha256", "tasks", "attributes")
    return all(first.get(key) and first.get(key) == second.get(key) for key in keys)


def _pretraining(extras: Extras, model: str) -> dict:
    return extras.models.get(model, {}).get("pretraining", {})
