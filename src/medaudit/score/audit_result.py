"""The result of an audit as a notebook wants it: groups by rows, metrics by columns."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import GAPS, METRICS, write_table
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.sample import read_sample
from medaudit.score import Result
from medaudit.score.audit_difference import compare_audits
from medaudit.score.audit_plots import Plots
from medaudit.score.audit_runs import settings_of
from medaudit.score.audit_text import Text, as_html, in_full, in_short
from medaudit.score.custom_metrics import Custom, CustomMetric, measure_custom
from medaudit.score.gap_view import SUMS, adjusted_gaps
from medaudit.score.names import match_name
from medaudit.score.terminal_tables import measured


class Audit:
    """The result of an audit, for a notebook.

    Parameters
    ----------
    result : Result
        All tables in long form: ``audit.result.metrics``, ``audit.result.gaps`` ...
    custom : sequence of CustomMetric
        Functions to measure as well.

    Attributes
    ----------
    plot : Plots
        ``plot.roc()``, ``plot.calibration()``, ``plot.groups()``, ``plot.gaps()``.
    """

    def __init__(self, result: Result, custom: Iterable[CustomMetric] = ()) -> None:
        self.result, self.functions = result, list(custom)
        self.custom = self._measure()
        self.plot = Plots(self)

    def _measure(self) -> dict[tuple[str, str], Custom]:
        result = self.result
        if not self.functions:
            return {}
        found = {}
        for run, rows in result.study.predictions.items():
            settings: AuditSettings = settings_of(result.study, *run, result.evaluation)
            names = {name: str(settings[name]) for name in ("cohort", "model", "method")}
            sample = read_sample(rows, result.study.cohort, settings)
            found[run] = measure_custom(sample, self.functions, result.evaluation, names)
        return found

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """Every value with its interval, in long form: one row per group and metric."""
        rows = self.result.metrics
        rows = rows[(rows["seed"] == "mean") & rows["metric"].ne("threshold")]
        return pd.concat([rows, *(c.metrics for c in self.custom.values())], ignore_index=True)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics, in the order in which they were asked for."""
        return [*measured(self.result), *(one.name for one in self.functions)]

    @property
    def findings(self) -> list[str]:
        """Names of the findings (or classes)."""
        return list(self.result.study.tasks)

    @property
    def models(self) -> list[str]:
        """Names of the models, with their methods where these differ."""
        return [self._run_name(*run) for run in self.result.study.predictions]

    def _run_name(self, model: str, method: str) -> str:
        methods = {m for _, m in self.result.study.predictions}
        return model if len(methods) == 1 else f"{model} / {method}"

    def _summary(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of all findings together, or of each where no mean is given."""
        whole = rows["task"].isin(["all", "mean"]).groupby(rows["metric"]).transform("any")
        rank = rows["task"].eq("all").groupby(rows["metric"]).transform("any")
        kept = np.where(rank, rows["task"].eq("all"), rows["task"].eq("mean"))
        return rows[np.where(whole, kept, ~rows["task"].isin(SUMS))]

    def _levels(self, rows: pd.DataFrame, *index: str) -> pd.DataFrame:
        """Return rows by the levels that vary (model, finding), then `index`, and metric."""
        names = [self._run_name(*run) for run in zip(rows["model"], rows["method"], strict=True)]
        rows = rows.assign(model=names, finding=rows["task"])
        levels = [
            level
            for level, several in (
                ("model", len(self.models) > 1),
                ("finding", rows["finding"].nunique() > 1),
            )
            if several
        ]
        return rows.set_index([*levels, *index])

    def _wide(self, rows: pd.DataFrame, *index: str) -> pd.DataFrame:
        named = self._levels(rows, *index, "metric")["value"]
        order = list(dict.fromkeys(named.index.droplevel("metric"))) if index else None
        wide = named.unstack("metric")
        wide = wide if order is None or isinstance(wide, pd.Series) else wide.loc[order]
        return wide.reindex(columns=[m for m in self.metrics if m in wide.columns])

    @cached_property
    def by_group(self) -> pd.DataFrame:
        """Metrics of each group: rows (attribute, group), columns metrics; NaN: not estimable."""
        rows = self._summary(self.estimates)
        return self._wide(rows[~rows["group"].isin(["all", "missing"])], "attribute", "group")

    @cached_property
    def by_finding(self) -> pd.DataFrame:
        """As `by_group` for each finding (or class) of its own, a level of the index."""
        rows = self.estimates
        rows = rows[~rows["task"].isin(SUMS) & ~rows["group"].isin(["all", "missing"])]
        return self._wide(rows, "attribute", "group")

    @cached_property
    def overall(self) -> pd.Series | pd.DataFrame:
        """Metrics of all patients: a series, or a frame with one row per model."""
        rows = self._summary(self.estimates)
        rows = rows[(rows["attribute"] == "all") & rows["group"].eq("all")]
        named = self._levels(rows, "metric")["value"]
        if named.index.nlevels == 1:
            return named.reindex([m for m in self.metrics if m in named.index])
        wide = named.unstack("metric")
        return wide[[m for m in self.metrics if m in wide.columns]]

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Images, positives and patients of each group."""
        rows = self._summary(self.estimates)
        rows = rows[rows["metric"] == self.metrics[0]]
        named = self._levels(rows[rows["group"] != "all"], "attribute", "group")
        return named[["n", "n_pos", "n_patients"]]

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """Gaps between groups with interval and test: rows (attribute, gap, metric).

        Columns ``value``, ``low``, ``high``, ``p_value``, ``p_adjusted`` (over all gaps of one
        metric and kind), ``worst`` and ``best`` group, ``n_estimable`` of ``n_groups``,
        ``smallest_detectable``, ``null``, ``null_status`` and ``status``.
        """
        found = adjusted_gaps(self.result)
        found = found[found["task"] != "mean_of_gaps"]
        rows = pd.concat([found, *(c.gaps for c in self.custom.values())], ignore_index=True)
        columns = ["value", "low", "high", "p_value", "p_adjusted", "worst", "best"]
        columns += ["n_estimable", "n_groups", "smallest_detectable", "null", "null_status"]
        return self._levels(rows, "attribute", "gap", "metric")[[*columns, "status"]]

    def _values(self, attribute: str | None) -> pd.DataFrame:
        if attribute is None:
            return self.by_group
        names = list(dict.fromkeys(self.by_group.index.get_level_values("attribute")))
        kept = match_name(attribute, names, "attribute")
        return self.by_group[self.by_group.index.get_level_values("attribute") == kept]

    def difference(
        self, attribute: str | None = None, method: str = "between_groups"
    ) -> pd.DataFrame:
        """Return the largest difference of each metric, one row per attribute.

        Parameters
        ----------
        attribute : str, optional
            Default: every attribute.
        method : {"between_groups", "to_overall"}
            Between two groups, or of a group to all patients (as fairlearn's ``MetricFrame``).
            Groups that are not estimable do not count; `gaps` says how many.
        """
        values = self._values(attribute)
        by = values.groupby([n for n in values.index.names if n != "group"], sort=False)
        if method == "between_groups":
            return (by.max() - by.min()).where(by.count() > 1)
        if method != "to_overall":
            raise MedauditError(f"method {method!r}: use 'between_groups' or 'to_overall'")
        overall = self.overall
        if isinstance(overall, pd.DataFrame):
            levels = [name for name in overall.index.names if name in values.index.names]
            whole = overall.reindex(values.index.droplevel(["attribute", "group"]))
            apart = (values - whole.to_numpy()).abs()
            return apart.groupby([*levels, "attribute"], sort=False).max()
        return (values - overall).abs().groupby("attribute", sort=False).max()

    def ratio(self, attribute: str | None = None) -> pd.DataFrame:
        """Return the smallest over the largest value of each metric, one row per attribute."""
        values = self._values(attribute)
        by = values.groupby([n for n in values.index.names if n != "group"], sort=False)
        return (by.min() / by.max().where(by.max() > 0)).where((by.count() > 1) & (by.min() >= 0))

    def worst(self, attribute: str | None = None) -> pd.DataFrame:
        """Return the worst group of each attribute and metric, next to the gap and its test.

        Every set of groups has a worst one: look at ``p_adjusted``. Rows of metrics without a
        better end are left out.
        """
        rows = self.gaps
        kept = rows.index.get_level_values("gap") == "max_min"
        if attribute is not None:
            names = list(dict.fromkeys(rows.index.get_level_values("attribute")))
            name = match_name(attribute, names, "attribute")
            kept &= rows.index.get_level_values("attribute") == name
        rows = rows[kept].droplevel("gap")
        rows = rows[rows["worst"].notna()].rename(columns={"worst": "group", "value": "gap"})
        return rows[["group", "best", "gap", "low", "high", "p_value", "p_adjusted"]]

    def compare(self, other: "Audit") -> pd.DataFrame:
        """Return this audit minus another, metric by metric and gap by gap.

        See `medaudit.score.audit_difference.compare_audits`.
        """
        return compare_audits(self, other)

    def summary(self) -> Text:
        """Return the text that ``medaudit score`` prints."""
        return in_full(self)

    def write(self, folder: str | Path) -> Path:
        """Write tables, figures and the report into `folder`; return the report's path."""
        page = self.result.write(folder)
        for run, custom in self.custom.items():
            for name, table, schema in (
                ("metrics", custom.metrics, METRICS),
                ("gaps", custom.gaps, GAPS),
            ):
                path = Path(folder) / "custom" / f"{'_'.join(run)}.{name}.csv"
                write_table(table, path, schema)
        return page

    def __repr__(self) -> str:
        """Return what was audited and the largest gaps, in a few lines."""
        return in_short(self)

    def _repr_html_(self) -> str:
        return as_html(self)
