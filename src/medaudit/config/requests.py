"""Registry of the report's tables and figures: the function that makes each, and what it needs.

To add one, write a function ``(Context) -> Table | None`` or ``(Context) -> Figure | None`` in
`medaudit.report.tables` or `medaudit.report.figures` (None: nothing to show), and add a line here.
The schema of studies takes the names that a study may request from here, and
`medaudit.report.outputs` calls the functions.

Imports nothing heavy: it is read at every start of the workflow.
"""

from typing import NamedTuple

from medaudit.core.entry_types import StudyEntry


class Output(NamedTuple):
    """One table or figure.

    Parameters
    ----------
    function : str
        ``module:function`` below ``medaudit.report``. Imported only when the output is made.
    needs : tuple of str
        Optional stages whose results it shows; ``footers`` means those of the predictions.
    standard : bool
        Made for every study; others are made on request (``tables``, ``figures`` of the study).
    pooled : bool
        A figure of all cohorts together; others are drawn once per cohort.
    """

    function: str
    needs: tuple[str, ...] = ()
    standard: bool = False
    pooled: bool = False

    @property
    def module(self) -> str:
        """The module of the function, below ``medaudit``."""
        return f"report.{self.function.partition(':')[0]}"


TABLES = {
    "performance": Output("tables.standard:performance", standard=True),
    "fairness": Output("tables.standard:fairness", standard=True),
    "equivalence": Output("tables.equivalence:equivalence", standard=True),
    "groups": Output("tables.standard:groups", standard=True),
    "shrunken": Output("tables.estimates:shrunken", standard=True),
    "tasks": Output("tables.standard:tasks", standard=True),
    "thresholds": Output("tables.estimates:thresholds", standard=True),
    "differences": Output("tables.standard:differences", standard=True),
    "gaps": Output("tables.standard:gaps", standard=True),
    "conditional_gaps": Output(
        "tables.conditional_gaps:conditional_gaps", ("conditional_gaps",), standard=True
    ),
    "balance": Output("tables.balance:balance", standard=True),
    "zero_shot": Output("tables.adaptation:zero_shot", ("dialects",)),
    "fine_tuning": Output("tables.adaptation:fine_tuning", ("dialects",)),
    "class_f1": Output("tables.adaptation:class_f1"),
    "group_f1": Output("tables.adaptation:group_f1"),
    "changes": Output("tables.changes:changes", ("dialects",)),
    "dialects": Output("tables.dialects:dialects", ("dialects",)),
    "rankings": Output("tables.dialects:rankings", ("dialects",)),
    "published": Output("tables.adaptation:published", ("dialects",)),
    "attribute_probes": Output("tables.attribute_probes:attribute_probes", ("attribute_probes",)),
    "parts": Output("tables.attribute_probes:parts", ("gap_decomposition",)),
    "sensitivity": Output("tables.sensitivity:sensitivity", ("sensitivity",)),
    "target_population": Output("tables.sensitivity:target_population", ("sensitivity",)),
    "remedies": Output("tables.mitigation:remedies", ("remedies",)),
    "remedy_groups": Output("tables.mitigation:remedy_groups", ("remedies",)),
    "remedy_rules": Output("tables.mitigation:remedy_rules", ("remedies",)),
    "remedy_ranks": Output("tables.mitigation:remedy_ranks", ("remedies",)),
    "models": Output("tables.pretraining:models"),
    "claims": Output("tables.claims:claims"),
    "pretraining_data": Output("tables.pretraining:pretraining_data"),
    "pretraining_epochs": Output("tables.pretraining:pretraining_epochs"),
    "pretraining_fraction": Output("tables.pretraining:pretraining_fraction"),
    "ensembles": Output("tables.ensembles:ensembles"),
    "linear_against_full": Output("tables.ensembles:linear_against_full"),
    "external_gaps": Output("tables.external:external_gaps"),
    "external_groups": Output("tables.external:external_groups"),
    "external_parts": Output("tables.external:external_parts", ("shift",)),
    "external_order": Output("tables.external_order:external_order"),
    "external_selection": Output("tables.external_order:external_selection"),
    "external_encoding": Output("tables.external_order:external_encoding", ("attribute_probes",)),
    "external_local": Output("tables.external:external_local", ("shift",)),
    "search_claims": Output("tables.search:search_claims"),
    "results": Output("tables.fairtune:results", ("dialects",)),
    "averages": Output("tables.fairtune:averages", ("dialects",)),
    "rank_tests": Output("tables.fairtune:rank_tests", ("dialects",)),
    "masked_pretraining": Output("tables.fairtune:masked_pretraining", ("dialects",)),
    "overlapping": Output("tables.fairtune:overlapping", ("dialects",)),
    "ablation": Output("tables.fairtune:ablation", ("dialects",)),
    "search": Output("tables.search:search", ("dialects", "best_trial", "footers")),
    "search_costs": Output("tables.search:search_costs", ("dialects", "best_trial")),
}
"""Tables by name, in the order in which the standard ones are shown."""

FIGURES = {
    "plane": Output("figures.plane:plane", standard=True),
    "gaps": Output("figures.gaps:gaps", standard=True),
    "groups": Output("figures.groups:groups", standard=True),
    "tasks": Output("figures.tasks:tasks", standard=True),
    "adaptation": Output("figures.adaptation:adaptation"),
    "class_f1": Output("figures.class_f1:class_f1"),
    "group_f1": Output("figures.groups:group_f1"),
    "learning_rates": Output("figures.sensitivity:learning_rates", ("footers",)),
    "lora_rank": Output("figures.sensitivity:lora_rank"),
    "attribute_probes": Output("figures.attribute_probes:attribute_probes", ("attribute_probes",)),
    "performance_fairness": Output("figures.performance_fairness:performance_fairness"),
    "balanced": Output("figures.balanced:balanced"),
    "relative_to_average": Output("figures.group_vs_average:relative_to_average"),
    "disease_by_group": Output("figures.group_vs_average:disease_by_group"),
    "external_gaps": Output("figures.external:external_gaps", pooled=True),
    "external_parts": Output("figures.external:external_parts", ("shift",), pooled=True),
    "external_local": Output("figures.external:external_local", ("shift",), pooled=True),
    "critical_difference": Output(
        "figures.critical_difference:critical_difference", ("dialects",), pooled=True
    ),
    "mask_frequencies": Output("figures.masks:mask_frequencies", ("best_trial",), pooled=True),
    "group_curves": Output("figures.curves:group_curves", ("footers",)),
    "search_trajectories": Output("figures.curves:search_trajectories", ("best_trial",)),
    "remedy_changes": Output("figures.remedies:remedy_changes", ("remedies",)),
    "remedy_front": Output("figures.remedies:remedy_front", ("remedies",)),
    "bit_stability": Output("figures.masks:bit_stability", ("best_trial",)),
}
"""Figures by name, in the order in which the standard ones are shown."""

REGISTRIES = {"tables": TABLES, "figures": FIGURES}
"""Registry by the key of a study's entry that requests from it."""


def requestable(kind: str) -> list[str]:
    """Return the names of ``tables`` or ``figures`` that a study may request."""
    return [name for name, output in REGISTRIES[kind].items() if not output.standard]


def outputs_of(entry: StudyEntry, kind: str) -> list[Output]:
    """Return what a study gets: the standard ``tables`` or ``figures``, then the requested ones."""
    known = REGISTRIES[kind]
    requested = entry.get("tables", []) if kind == "tables" else entry.get("figures", [])
    standard = [name for name, output in known.items() if output.standard]
    return [known[name] for name in (*standard, *requested)]


def stages_of(entry: StudyEntry) -> set[str]:
    """Return the optional stages that the tables and figures of a study need."""
    return {stage for output in _all_of(entry) for stage in output.needs}


def modules_of(entry: StudyEntry) -> list[str]:
    """Return the modules, below ``medaudit``, that make the tables and figures of a study."""
    return sorted({output.module for output in _all_of(entry)})


def all_modules() -> list[str]:
    """Return the modules, below ``medaudit``, that make any table or figure."""
    return sorted({output.module for known in REGISTRIES.values() for output in known.values()})


def _all_of(entry: StudyEntry) -> list[Output]:
    return [output for kind in REGISTRIES for output in outputs_of(entry, kind)]
