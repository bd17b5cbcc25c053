"""Tables and figures that a study can request in addition to the standard ones, and their stages.

Imports nothing heavy: it is read at every start of the workflow. The functions that make them are
in `medaudit.report.tables.extra` and `medaudit.report.figures.extra`, under the same names.
"""

from medaudit.core.entry_types import StudyEntry

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
"""Table to the optional stages whose results it shows."""

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
"""Figure to the optional stages whose results it shows; ``footers`` means those of predictions."""


def stages_of(entry: StudyEntry) -> set[str]:
    """Return the optional stages that the requested tables and figures of a study need.

    Parameters
    ----------
    entry : dict
        ``tables`` and ``figures`` are lists of the names here; either may be absent.
    """
    needed = [TABLES[name] for name in entry.get("tables", [])]
    needed += [FIGURES[name] for name in entry.get("figures", [])]
    return {stage for stages in needed for stage in stages}
