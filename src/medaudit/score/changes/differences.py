"""Differences between two audits, with intervals and adjusted p-values."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from medaudit.report.studies.multiple_testing import step_down
from medaudit.score.changes.same_terms import Terms

ENOUGH = 0.9
"""Share of draws that must be defined."""


def group_changes(earlier: pd.DataFrame, now: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Return the change of each metric of each group that both audits estimate.

    Parameters
    ----------
    earlier, now : pandas.DataFrame
        `METRICS` with a column ``draws``: replicates over common draws of patients.
    terms : Terms
        What can be compared.

    Returns
    -------
    pandas.DataFrame
        Columns of `medaudit.score.changes.CHANGES`, and ``draws`` and ``size`` of the change.
    """
    key = ["task", "metric", "attribute", "group"]
    both = earlier.merge(now, on=key, suffixes=("_then", "_now"))
    repeated = both["attribute"].ne("all") & both["group"].eq("all")
    kept = both["task"].isin(terms.tasks) & both["attribute"].isin(terms.attributes) & ~repeated
    left = [
        m in terms.left_out.get(t, ()) for t, m in zip(both["task"], both["metric"], strict=True)
    ]
    both = both[kept & ~np.array(left, bool)]
    rows = []
    for row in both.to_dict("records"):
        drawn = row["draws_now"].astype(float) - row["draws_then"]
        rho = _correlation(row["draws_then"], row["draws_now"])
        low, high = mover(_limits(row, "now"), _limits(row, "then"), rho)
        rows.append(
            {
                **{name: row[name] for name in key},
                "kind": "value",
                "before": row["value_then"],
                "now": row["value_now"],
                "change": row["value_now"] - row["value_then"],
                "low": low,
                "high": high,
                "correlation": rho,
                "n_before": row["n_then"],
                "n_now": row["n_now"],
                "draws": drawn,
                "then": _limits(row, "then"),
                "present": _limits(row, "now"),
                "draws_then": row["draws_then"],
                "draws_now": row["draws_now"],
            }
        )
    columns = [*key, "kind", "before", "now", "change", "low", "high", "correlation"]
    columns += ["n_before", "n_now", "draws", "then", "present", "draws_then", "draws_now"]
    return pd.DataFrame(rows, columns=columns)


def pair_changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how the difference between each two groups changed; same columns as `rows`."""
    found = []
    inside = rows[rows["attribute"] != "all"]
    for _, part in inside.groupby(["task", "metric", "attribute"], sort=False):
        for first, second in combinations(part.to_dict("records"), 2):
            limits = {
                when: (
                    first[when][0] - second[when][0],
                    *mover(first[when], second[when], 0.0),
                )
                for when in ("then", "present")
            }
            drawn = {
                when: first[f"draws_{when}"].astype(float) - second[f"draws_{when}"]
                for when in ("then", "now")
            }
            rho = _correlation(drawn["then"], drawn["now"])
            low, high = mover(limits["present"], limits["then"], rho)
            found.append(
                {
                    **first,
                    "group": f"{first['group']} minus {second['group']}",
                    "kind": "difference",
                    "before": limits["then"][0],
                    "now": limits["present"][0],
                    "change": limits["present"][0] - limits["then"][0],
                    "low": low,
                    "high": high,
                    "correlation": rho,
                    "n_before": first["n_before"] + second["n_before"],
                    "n_now": first["n_now"] + second["n_now"],
                    "draws": drawn["now"] - drawn["then"],
                }
            )
    return pd.DataFrame(found, columns=list(rows.columns))


def with_p_values(rows: pd.DataFrame, pairs: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return both tables with p-values, adjusted within each metric, and verdicts."""
    parts = [part for part in (rows, pairs) if len(part)]
    both = pd.concat(parts, ignore_index=True) if parts else rows.copy()
    statistic = _statistics(both, level)
    both["p_value"] = 2 * ndtr(-statistic)
    both["p_adjusted"] = np.nan
    for _, family in both.groupby("metric", sort=False):
        places = family.index[np.isfinite(statistic[family.index])]
        if len(places):
            draws = np.stack(both.loc[places, "draws"].to_list()).astype(float)
            spread = np.nanstd(draws, axis=1)
            spread[spread == 0] = np.inf  # a value that no draw changes cannot be the largest
            moved = np.abs(draws - np.nanmean(draws, axis=1, keepdims=True)) / spread[:, None]
            adjusted = step_down(statistic[places], moved)
            both.loc[places, "p_adjusted"] = np.maximum(adjusted, both.loc[places, "p_value"])
    shown = both["p_adjusted"] <= 1 - level + 1e-12
    both["verdict"] = np.where(
        both["p_value"].isna(), "not estimable", np.where(shown, "changed", "no change shown")
    )
    both["p_value"] = both["p_value"].where(np.isfinite(statistic))
    return both


def mover(
    first: tuple[float, float, float], second: tuple[float, float, float], correlation: float
) -> tuple[float, float]:
    """Return the limits of a difference from those of its parts (Zou 2007, equations 9 and 10).

    Parameters
    ----------
    first, second : (float, float, float)
        Value, lower and upper limit.
    correlation : float
        Of the two values, in [-1, 1].

    Examples
    --------
    >>> low, high = mover((0.8, 0.7, 0.9), (0.6, 0.5, 0.7), 0.0)
    >>> round(low, 4), round(high, 4)
    (0.0586, 0.3414)
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    below = (a - a_low) ** 2 + (b_high - b) ** 2 - 2 * correlation * (a - a_low) * (b_high - b)
    above = (a_high - a) ** 2 + (b - b_low) ** 2 - 2 * correlation * (a_high - a) * (b - b_low)
    return a - b - np.sqrt(max(below, 0.0)), a - b + np.sqrt(max(above, 0.0))


def _limits(row: dict, when: str) -> tuple[float, float, float]:
    value, low, high = (float(row[f"{name}_{when}"]) for name in ("value", "low", "high"))
    return value, low, high


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of two values from draw to draw; 0 where one does not vary."""
    known = np.isfinite(first) & np.isfinite(second)
    if known.mean() < ENOUGH or np.ptp(first[known]) == 0 or np.ptp(second[known]) == 0:
        return 0.0
    return float(np.corrcoef(first[known], second[known])[0, 1])


def _statistics(rows: pd.DataFrame, level: float) -> np.ndarray:
    """Return |change| over its error, from the limit that faces 0: above the quantile if it excludes 0."""
    change = rows["change"].to_numpy(float)
    facing = np.where(change >= 0, change - rows["low"], rows["high"] - change)
    error = facing / ndtri((1 + level) / 2)
    known = np.isfinite(change) & (error > 0)
    found = np.divide(np.abs(change), error, out=np.full(len(rows), np.nan), where=known)
    return np.where((change == 0) & np.isfinite(error), 0.0, found)
