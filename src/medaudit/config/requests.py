"""What a study can ask for beside the standard tables and figures, and the stages that needs.

Imports nothing: it is read at every start of the workflow. What makes each table and figure
stands under the same name in `medaudit.report.tables.extra` and `medaudit.report.figures.extra`.
"""

TABLES: dict[str, tuple[str, ...]] = {
    "zero_shot": ("dialects",),
    "fine_tuning": ("dialects",),
    "class_f1": (),
    "group_f1": (),
    "changes": ("dialects",),
    "dialects": ("dialects",),
    "rankings": ("dialects",),
    "published": ("dialects",),
    "attribute_probes": ("attribute_probes",),
    "parts": ("gap_decomposition",),
    "models": (),
    "claims": (),
    "pretraining_data": (),
    "pretraining_epochs": (),
    "pretraining_fraction": (),
    "ensembles": (),
    "linear_against_full": (),
    "search_claims": (),
    "results": ("dialects",),
    "averages": ("dialects",),
    "rank_tests": ("dialects",),
    "masked_pretraining": ("dialects",),
    "overlapping": ("dialects",),
    "ablation": ("dialects",),
    "search": ("dialects", "best_trial", "footers"),
    "search_costs": ("dialects", "best_trial"),
}
"""Stages by table."""

FIGURES: dict[str, tuple[str, ...]] = {
    "adaptation": (),
    "class_f1": (),
    "group_f1": (),
    "learning_rates": ("footers",),
    "lora_rank": (),
    "attribute_probes": ("attribute_probes",),
    "performance_fairness": (),
    "balanced": (),
    "relative_to_average": (),
    "disease_by_group": (),
    "critical_difference": ("dialects",),
    "mask_frequencies": ("best_trial",),
    "group_curves": ("footers",),
    "search_trajectories": ("best_trial",),
    "bit_stability": ("best_trial",),
}
"""Stages by figure; ``footers`` are those of the predictions, ``select`` what searches found."""


def stages_of(entry: dict) -> set[str]:
    """Return the stages that the tables and figures of a study's entry need.

    Parameters
    ----------
    entry : dict
        With ``tables`` and ``figures``, lists of the names here; either may be absent.
    """
    asked = [TABLES[name] for name in entry.get("tables", [])]
    asked += [FIGURES[name] for name in entry.get("figures", [])]
    return {stage for stages in asked for stage in stages}
