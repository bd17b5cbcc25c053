"""Names of remedies, controls and rules of selection as a reader sees them."""

LABELS = {
    "plain": "plain training",
    "plain_other_seeds": "plain training, other seeds",
    "plain_best_seed": "best of the other seeds",
    "reweighting": "reweighting",
    "resampling": "resampling of groups",
    "balancing": "balanced groups and classes",
    "group_dro": "Group DRO",
    "cvar_dro": "CVaR DRO",
    "just_train_twice": "Just Train Twice",
    "dfr": "deep feature reweighting",
    "domain_independent": "one head per group",
    "laftr": "LAFTR (adversary)",
    "cfair": "CFair (conditional adversary)",
    "leace": "LEACE (linear erasure)",
    "exponentiated_gradient": "exponentiated gradient",
    "grid_search": "grid search (reductions)",
    "fscl": "FSCL (contrastive)",
    "equalized_odds": "thresholds for equalised odds",
    "equal_opportunity": "thresholds for equal opportunity",
    "equal_opportunity_relaxed": "relaxed equal opportunity",
    "equal_sensitivity": "a threshold per group",
    "one_threshold": "one lower threshold for all",
    "platt": "Platt recalibration",
    "isotonic": "isotonic recalibration",
    "beta": "beta recalibration",
    "platt_by_group": "Platt recalibration by group",
    "isotonic_by_group": "isotonic recalibration by group",
    "beta_by_group": "beta recalibration by group",
}
"""Remedies and controls by name."""

RULES = {
    "worst_group": "the worst group's AUC on validation",
    "auc": "the AUC on validation",
    "dto": "the distance to the best AUC of every group on validation",
}
"""Rules by which the points of a search are selected."""

LAWFUL = (
    "Some remedies need a patient's group to decide about that patient. Whether that is allowed, and "
    "right, is a question of law and ethics that no number here answers."
)


def remedy(name: str) -> str:
    """Return the display name of a remedy or control."""
    return LABELS.get(name, name)


def selected_by(rule: str) -> str:
    """Write how what is compared was selected; a model that is audited as given was not."""
    return f"selected by {RULES[rule]}" if rule in RULES else "the model as given"
