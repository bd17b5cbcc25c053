"""The list of stages: each is a rule, a module and a results folder of the same name."""

PACKAGES = {
    "data": ("manifest", "cohort", "groups", "images"),
    "models": ("pretrain", "embed"),
    "search": ("search", "best_trial"),
    "adapt": (
        *("probe", "zero_shot", "finetune", "merge_seeds", "ensemble", "predictions"),
        *("transfer", "mitigate"),
    ),
    "audit": (
        *("evaluate", "disparity", "dialects", "gap_decomposition", "attribute_probes"),
        *("conditional_gaps", "sensitivity", "shift", "remedies", "lint"),
    ),
    "report": ("compare", "report", "gate"),
}
"""Rule file of ``workflow/rules``, which is a package of ``medaudit``, to its stages in order."""

MODULES = {stage: f"{package}.{stage}" for package, stages in PACKAGES.items() for stage in stages}
"""Stage to its module below ``medaudit``; ``python -m medaudit.<module>`` runs it."""
