"""`GroupMetrics` as rows of a metrics table, and back."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.metrics.definitions import applies
from medaudit.metrics.group_metrics import MISSING, GroupMetrics


def tabulate(metrics: GroupMetrics) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of a metrics table, and for each its place in the flattened values.

    Rows of the group ``missing`` have place -1.
    """
    used = np.flatnonzero(metrics.status.reshape(-1) != "")
    g, s, t, m = np.unravel_index(used, metrics.status.shape)
    lost = np.flatnonzero((metrics.status[0] != "").reshape(-1))
    lost = lost if metrics.missing[:, 0].any() else lost[:0]
    lost_s, lost_t, lost_m = np.unravel_index(lost, metrics.status.shape[1:])
    counts = np.concatenate([metrics.counts[g, t], metrics.missing[lost_t]])
    frame = pd.DataFrame(
        {
            "seed": np.array(metrics.seeds, object)[np.append(s, lost_s)],
            "task": np.array(metrics.tasks, object)[np.append(t, lost_t)],
            "attribute": metrics.attribute,
            "group": np.append(np.array(metrics.groups, object)[g], [MISSING] * len(lost)),
            "metric": np.array(metrics.metrics, object)[np.append(m, lost_m)],
            "value": np.append(metrics.value.reshape(-1)[used], np.full(len(lost), np.nan)),
            "n": counts[:, 0],
            "n_pos": pd.array(counts[:, 1], "Int64"),
            "n_patients": counts[:, 2],
            "status": np.append(metrics.status.reshape(-1)[used], [MISSING] * len(lost)),
        }
    )
    frame.loc[frame["n_pos"] < 0, "n_pos"] = pd.NA
    return frame, np.append(used, np.full(len(lost), -1))


def rows_of(place: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Return the rows of a table from an array like the values with a further axis.

    Parameters
    ----------
    place : ndarray of int, shape (rows,)
        As `tabulate` returns it.
    array : ndarray, shape (groups, seeds, tasks, metrics, k)
        E.g. replicates or permutations.

    Returns
    -------
    ndarray, shape (rows, k)
        NaN for the group ``missing``.
    """
    flat = array.reshape(-1, array.shape[-1])
    return np.where((place >= 0)[:, None], flat[place], flat.dtype.type(np.nan))


def read_values(metrics: GroupMetrics, table: pd.DataFrame, replicates: np.ndarray) -> None:
    """Take values, statuses and replicates from a metrics table, by key.

    Parameters
    ----------
    metrics : GroupMetrics
        Gives the axes; its values, statuses and replicates are overwritten.
    table : pandas.DataFrame
        Columns of `medaudit.core.table_io.METRICS`, of one run, values at full precision.
    replicates : ndarray, shape (rows, draws)
        Row by row those of `table`.

    Raises
    ------
    MedauditError
        The table lacks a row, has one of a group or task that is unknown here, or has another
        number of rows than `replicates`.
    """
    own = (table["attribute"] == metrics.attribute) & (table["group"] != MISSING)
    rows = np.flatnonzero((own & table["metric"].isin(metrics.metrics)).to_numpy())
    part = table.iloc[rows]
    axes = (metrics.groups, metrics.seeds, metrics.tasks, metrics.metrics)
    columns = ("group", "seed", "task", "metric")
    g, e, t, m = (pd.Index(a).get_indexer(part[c]) for a, c in zip(axes, columns, strict=True))
    at = (g, e, t, m)
    found = np.zeros(metrics.status.shape, bool)
    found[at] = True
    wanted = np.array([[applies(m, t) for m in metrics.metrics] for t in metrics.tasks])
    expected = len(metrics.groups) * len(metrics.seeds) * int(wanted.sum())
    unknown = any((place < 0).any() for place in at)
    if unknown or len(table) != len(replicates) or (found != wanted).any():
        raise MedauditError(
            f"the metrics of the attribute {metrics.attribute} do not fit these predictions and "
            f"settings ({len(rows)} rows, {expected} expected; "
            f"{len(table)} rows in all, {len(replicates)} replicates); "
            "run evaluate again"
        )
    metrics.value[at] = part["value"]
    metrics.status[at] = part["status"]
    metrics.replicates = np.full((*found.shape, replicates.shape[1]), np.nan, np.float32)
    metrics.replicates[at] = replicates[rows]
