"""The stages of a run: one rule, one module and one results folder of the same name each."""

PACKAGES = {
    "data": ("manifest", "cohort", "groups", "images"),
    "models": ("pretrain", "embed"),
    "search": ("search", "best_trial"),
    "adapt": ("probe", "zero_shot", "finetune", "merge_seeds", "ensemble", "predictions"),
    "audit": (
        *("evaluate", "disparity", "dialects", "gap_decomposition", "attribute_probes", "lint"),
    ),
    "report": ("compare", "report"),
}
"""Rule file of ``workflow/rules`` (and package of ``medaudit``) to its stages, in flow order."""

MODULES = {stage: f"{package}.{stage}" for package, stages in PACKAGES.items() for stage in stages}
"""Stage to its module below ``medaudit``; ``python -m medaudit.<module>`` runs it."""
