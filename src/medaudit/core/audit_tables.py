"""Schemas of the tables that are derived from predictions, metrics, gaps and embeddings.

They are not in `medaudit.core.table_io`, because every stage depends on that module's code: a new
table there would rerun all training.
"""

import pandas as pd

from medaudit.core.table_io import REAL, RUN_KEY, TEXT, WHOLE, Table

COMPARISON = Table(
    "comparison",
    {
        **dict.fromkeys(("study", "kind", "cohort", "model", "method"), TEXT),
        **dict.fromkeys(("against_model", "against_method", "attribute", "gap", "metric"), TEXT),
        **dict.fromkeys(("task", "dialect"), TEXT),
        **dict.fromkeys(("value", "low", "high", "upper", "margin"), REAL),
        **dict.fromkeys(("seed_sd", "null_mean", "null_q95"), REAL),
        **dict.fromkeys(("smallest_detectable", "p_value", "p_adjusted"), REAL),
        **dict.fromkeys(("role", "family", "null", "null_status", "equivalence"), TEXT),
        **dict.fromkeys(("worst", "best", "lowest", "highest"), TEXT),
        **dict.fromkeys(("lowest_value", "highest_value"), REAL),
        **dict.fromkeys(("family_size", "n", "n_patients", "n_movable"), WHOLE),
        **dict.fromkeys(("n_groups", "n_estimable"), WHOLE),
        "status": TEXT,
    },
    key=("study", "kind", "cohort", "model", "method", "against_model", "against_method")
    + ("attribute", "gap", "metric", "task", "dialect"),
    required=("status",),
)

PROBES = Table(
    "attribute probes",
    {
        **dict.fromkeys(("cohort", "model", "attribute", "group", "probe"), TEXT),
        **dict.fromkeys(("value", "low", "high", "null_mean", "null_q95", "p_value"), REAL),
        **dict.fromkeys(("n", "n_pos", "n_patients"), WHOLE),
        "status": TEXT,
    },
    key=("cohort", "model", "attribute", "group", "probe"),
    required=("n", "status"),
)
MARGINALS = Table(
    "marginals",
    {
        **dict.fromkeys(("cohort", "model", "attribute", "group", "projection"), TEXT),
        "component": WHOLE,
        **dict.fromkeys(("statistic", "p_value", "p_adjusted"), REAL),
        **dict.fromkeys(("n", "n_rest"), WHOLE),
        "status": TEXT,
    },
    key=("cohort", "model", "attribute", "group", "projection", "component"),
    required=("n", "status"),
)
PARTS = Table(
    "gap decomposition",
    {
        **dict.fromkeys((*RUN_KEY, "group", "metric", "part"), TEXT),
        **dict.fromkeys(("value", "low", "high"), REAL),
        **dict.fromkeys(("n", "n_pos", "n_rest", "n_rest_pos"), WHOLE),
        "status": TEXT,
    },
    key=(*RUN_KEY, "group", "metric", "part"),
    required=("n", "status"),
)

SHIFT = Table(
    "parts of the change elsewhere",
    {
        **dict.fromkeys((*RUN_KEY, "group", "metric", "part"), TEXT),
        **dict.fromkeys(("value", "low", "high", "gap", "gap_low", "gap_high"), REAL),
        **dict.fromkeys(("coverage",), REAL),
        **dict.fromkeys(("n_home", "n_away"), WHOLE),
        "status": TEXT,
    },
    key=(*RUN_KEY, "group", "metric", "part"),
    required=("status",),
)
"""Parts of a group's change from home to elsewhere (``value``), and of the change of its difference
from all others (``gap``). ``coverage``: share of the external images whose case mix home has."""
LOCAL = Table(
    "learning curve of local patients",
    {
        **dict.fromkeys((*RUN_KEY, "action"), TEXT),
        "patients": WHOLE,
        **dict.fromkeys(("gap", "gap_low", "gap_high", "target", "share_within"), REAL),
        **dict.fromkeys(("tpr", "fpr", "fpr_gap"), REAL),
        **dict.fromkeys(("draws",), WHOLE),
        "status": TEXT,
    },
    key=(*RUN_KEY, "action", "patients"),
    required=("patients", "status"),
)
"""The largest difference in sensitivity between groups elsewhere after an ``action`` that learns
from ``patients`` local ones: mean and 95 % range over ``draws`` of them."""

DIALECTS = Table(
    "dialects",
    {
        **dict.fromkeys(("cohort", "model", "method", "seed", "task", "attribute"), TEXT),
        **dict.fromkeys(("dialect", "measure", "better"), TEXT),
        **dict.fromkeys(("value", "se", "low", "high"), REAL),
        **dict.fromkeys(("null_mean", "null_q95", "p_value"), REAL),
        **dict.fromkeys(("n_groups", "n_estimable"), WHOLE),
        "status": TEXT,
    },
    key=(*RUN_KEY, "dialect", "measure"),
    required=("status",),
)
RANKINGS = Table(
    "rankings",
    {
        **dict.fromkeys(("cohort", "attribute", "first", "second"), TEXT),
        "tau": REAL,
        **dict.fromkeys(("n_runs", "n_swapped"), WHOLE),
        **dict.fromkeys(("swapped", "status"), TEXT),
    },
    key=("cohort", "attribute", "first", "second"),
    required=("n_runs", "status"),
)

CONDITIONAL = Table(
    "conditional gaps",
    {
        **dict.fromkeys((*RUN_KEY, "control", "stratum", "kind", "group", "metric"), TEXT),
        **dict.fromkeys(("value", "low", "high", "p_value", "share", "coverage"), REAL),
        **dict.fromkeys(("worst", "best", "null", "null_status"), TEXT),
        **dict.fromkeys(("n_groups", "n_estimable", "n_strata", "n_compared"), WHOLE),
        **dict.fromkeys(("n", "n_pos", "n_patients", "n_movable"), WHOLE),
        "status": TEXT,
    },
    key=(*RUN_KEY, "stratum", "kind", "group", "metric"),
    required=("n", "status"),
)
"""Rows of ``kind`` ``value`` (a group's) and ``gap`` (``group`` is then ``max_min``). ``stratum`` is
a level of what is controlled for, `STANDARDISED`, or `CRUDE`: the same images without strata.
``share``: of the stratum among all images; ``coverage``: of the images in strata that are compared,
``n_compared`` of ``n_strata``."""

STANDARDISED, CRUDE = "standardised", "crude"

SENSITIVITY = Table(
    "sensitivity",
    {
        **dict.fromkeys((*RUN_KEY, "question", "group", "metric", "worst", "best"), TEXT),
        **dict.fromkeys(("value", "adjusted", "low", "high"), REAL),
        **dict.fromkeys(("assumed", "present", "tipping", "share"), REAL),
        **dict.fromkeys(("range_low", "range_high"), REAL),
        **dict.fromkeys(("threshold_low", "threshold_high", "threshold_tipping"), REAL),
        **dict.fromkeys(("n_unknown", "n"), WHOLE),
        **dict.fromkeys(("vanishes", "status"), TEXT),
    },
    key=(*RUN_KEY, "question", "group", "metric"),
    required=("n", "status"),
)
"""What would have to be true for the difference between two groups to vanish.

``docs/robustness.md`` says what the columns mean for each ``question``. ``group`` is ``max_min``
(the difference, of ``best`` and ``worst`` group) or, for ``prevalence``, a group."""

MITIGATED = Table(
    "remedies' predictions",
    {
        **dict.fromkeys(("attribute", "task", "rule", "remedy", "image_id"), TEXT),
        "seed": WHOLE,
        **dict.fromkeys(("score", "decision"), REAL),
    },
    key=("attribute", "task", "rule", "remedy", "seed", "image_id"),
    required=("score",),
)
"""Scores and decisions of the test images by every remedy, selected by every rule."""

REMEDIES = Table(
    "remedies",
    {
        **dict.fromkeys(("cohort", "model", "task", "attribute", "rule"), TEXT),
        **dict.fromkeys(("remedy", "kind", "needs_group", "group", "metric"), TEXT),
        **dict.fromkeys(("plain", "value", "change", "low", "high", "p_adjusted"), REAL),
        **dict.fromkeys(("front", "processor_seconds"), REAL),
        **dict.fromkeys(("family_size", "n", "n_pos", "n_patients"), WHOLE),
        "status": TEXT,
    },
    key=("cohort", "model", "task", "attribute", "rule", "remedy", "group", "metric"),
    required=("status",),
)
"""Each remedy's change of each group's metrics against plain training, over the same patients.

``group`` is a group, ``all`` (everybody) or, of the groups with a value, `WORST` and `SPREAD`.
``low`` and ``high`` hold for all remedies and groups of a family together. ``front``: the share of
draws in which no other remedy is better both overall and in the worst group."""

WORST, SPREAD = "worst group", "largest difference"

SEARCH = Table(
    "trials of a search",
    {
        "number": WHOLE,
        "state": TEXT,
        "value": REAL,
        "learning_rate": REAL,
        "mask": TEXT,
        "pruning_ratio": REAL,
        "beta": REAL,
        "epochs": WHOLE,
        "seconds": REAL,
        "processor_seconds": REAL,
        "worker": TEXT,
    },
    key=("number",),
    required=("state", "learning_rate", "mask", "epochs"),
)
"""One row per trial: its ``state`` (``complete``, ``pruned`` or ``undefined``), point and cost.

``pruning_ratio`` and ``beta`` are settings of fairprune, missing for other trainings."""


def has_permutations(gaps: pd.DataFrame) -> pd.Series:
    """Return a mask of the gaps whose permutations are kept.

    These are gaps of the mean over seeds; of several tasks, those of all tasks together (``all``,
    ``mean``, ``mean_of_gaps``), and the largest difference (``max_min``) in each single task. The
    file ``<x>.null.npy`` next to a table of gaps has the permutations of these rows, in their order.
    """
    sums = gaps["task"].isin(["all", "mean"]).groupby(gaps["metric"]).transform("any")
    together = gaps["task"].isin(["all", "mean", "mean_of_gaps"]) | ~sums
    return gaps["seed"].eq("mean") & (together | gaps["gap"].eq("max_min"))
