"""Each group against the average: its AUC minus the AUC of all patients, over the same draws."""

import numpy as np
import pandas as pd

from medaudit.core.intersections import SEPARATOR
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.differences import MINIMUM_DRAWS
from medaudit.report.studies.evidence import RUN, Evidence, overall
from medaudit.report.studies.extras import Extras

NUMBERS = ("value", "low", "high")
POINTS = 100


def groups_against_average(
    evidence: Evidence, extras: Extras, cohort: str, measure: str, by_task: bool
) -> pd.DataFrame:
    """Return each group's value minus that of all patients whose group is known, by model.

    Parameters
    ----------
    evidence, extras : Evidence, Extras
        The study's data. Only models of its main grid with the main method, and only single
        attributes, are compared.
    cohort, measure : str
        Names.
    by_task : bool
        True for every single task, False for the mean over tasks.

    Returns
    -------
    pandas.DataFrame
        `RUN`, ``task``, ``attribute``, ``group``, ``auc`` (the group's), ``value`` (the
        difference), ``low``, ``high`` (percentiles of its paired draws), ``n``, ``n_pos``,
        ``status``. Values are in percentage points; rows are sorted by attribute and model.
    """
    rows = _rows(evidence, extras, cohort, measure, by_task)
    key = [*RUN, "task", "attribute"]
    whole = rows[rows["group"] == "all"].reset_index(drop=True)
    parts = rows[rows["group"] != "all"].reset_index(drop=True)
    place = pd.MultiIndex.from_frame(whole[key]).get_indexer(pd.MultiIndex.from_frame(parts[key]))
    parts, place = parts[place >= 0].reset_index(drop=True), place[place >= 0]
    if parts.empty:
        return parts
    draws = evidence.replicates(parts) - evidence.replicates(whole)[place]
    value = parts["value"].to_numpy(float) - whole["value"].to_numpy(float)[place]
    low, high = _bounds(draws, evidence.level)
    own, average = parts["status"].to_numpy(object), whole["status"].to_numpy(object)[place]
    found = parts[[*key, "group", "n", "n_pos"]].assign(
        auc=parts["value"] * POINTS, value=value * POINTS, low=low * POINTS, high=high * POINTS
    )
    return found.assign(status=np.where(own == "ok", average, own))


def _rows(
    evidence: Evidence, extras: Extras, cohort: str, measure: str, by_task: bool
) -> pd.DataFrame:
    models = how_fair_models.own_models(evidence, extras, cohort)
    attributes = [name for name in evidence.attributes if SEPARATOR not in name]
    rows = evidence.metrics
    rows = rows[(rows["seed"] == "mean") & rows["cohort"].eq(cohort) & rows["measure"].eq(measure)]
    tasks = rows["task"].isin(["all", "mean", "mean_of_gaps"])
    rows = rows[~tasks] if by_task else overall(rows)
    rows = rows[rows["method"].eq(how_fair_models.main_method(evidence, extras))]
    rows = rows[rows["model"].isin(models) & rows["attribute"].isin(attributes)]
    rows = rows[rows["group"].ne("missing")]
    ranks = {"model": models, "attribute": attributes}
    order = {c: rows[c].map({v: k for k, v in enumerate(names)}) for c, names in ranks.items()}
    places = pd.DataFrame(order, index=rows.index)
    return rows.loc[places.sort_values(["attribute", "model"], kind="stable").index]


def _bounds(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    enough = np.isfinite(draws).sum(axis=1) >= MINIMUM_DRAWS
    ends = np.full((2, len(draws)), np.nan)
    if enough.any():
        tails = [(1 - level) / 2, (1 + level) / 2]
        ends[:, enough] = np.nanquantile(draws[enough], tails, axis=1)
    return ends[0], ends[1]
