"""Figures of an audit in a notebook: curves, values and gaps of groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.metrics.aliases import KNOWN, plain
from medaudit.metrics.attributes import read_attributes
from medaudit.report.wording import number_format
from medaudit.score.audit_text import label
from medaudit.score.names import match_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from medaudit.score.audit_result import Audit

FEWEST = 10
"""Images of a bin of a calibration curve at least."""
BINS = 10


class Plots:
    """Figures of one audit; each method returns a figure of matplotlib.

    Parameters
    ----------
    audit : Audit
        The audit.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def roc(
        self, attribute: str | None = None, finding: str | None = None, model: str | None = None
    ) -> Figure:
        """Draw the ROC curve of each group, with its AUC and interval in the legend."""
        from sklearn.metrics import roc_curve

        def draw(axes: Axes, part: pd.DataFrame, **look: Any) -> None:
            fpr, tpr, _ = roc_curve(part["y"], part["score"], sample_weight=part["weight"])
            axes.plot(fpr, tpr, **look)

        figure, axes = _canvas(5.0, 4.6)
        axes.plot([0, 1], [0, 1], color="#8C8C8C", lw=0.8, ls=":")
        self._curves(axes, draw, attribute, finding, model, "auc")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        return _done(figure)

    def calibration(
        self, attribute: str | None = None, finding: str | None = None, model: str | None = None
    ) -> Figure:
        """Draw the observed frequency against the mean score of ten bins of each group."""

        def draw(axes: Axes, part: pd.DataFrame, **look: Any) -> None:
            edges = np.unique(np.quantile(part["score"], np.linspace(0, 1, BINS + 1)))
            place = np.searchsorted(edges[1:-1], part["score"], side="right")
            by = part.groupby(place)
            kept = by.size() >= FEWEST
            weight = by["weight"].sum()
            score = (part["score"] * part["weight"]).groupby(place).sum() / weight
            found = (part["y"] * part["weight"]).groupby(place).sum() / weight
            axes.plot(score[kept], found[kept], marker="o", ms=3.5, **look)

        figure, axes = _canvas(5.0, 4.6)
        axes.plot([0, 1], [0, 1], color="#8C8C8C", lw=0.8, ls=":")
        self._curves(axes, draw, attribute, finding, model, "ece")
        axes.set(xlabel="mean score", ylabel="observed frequency")
        return _done(figure)

    def groups(self, metric: str | None = None, attribute: str | None = None) -> Figure:
        """Draw each group's value of a metric with its interval, next to that of all patients."""
        audit = self._audit
        name = self._metric(metric)
        rows = audit._summary(audit.estimates)
        rows = rows[(rows["metric"] == name) & ~rows["group"].isin(["missing"])]
        rows = rows[(rows["group"] != "all") | (rows["attribute"] == "all")]
        if attribute is not None:
            names = [n for n in rows["attribute"].unique() if n != "all"]
            rows = rows[rows["attribute"].isin(["all", match_name(attribute, names, "attribute")])]
        return self._bars(rows, rows["attribute"] + ": " + rows["group"], label(name))

    def gaps(self, metric: str | None = None) -> Figure:
        """Draw the largest difference between groups of each attribute, with intervals."""
        audit = self._audit
        name = self._metric(metric)
        rows = audit.gaps.reset_index()
        rows = rows[(rows["metric"] == name) & (rows["gap"] == "max_min")]
        counts = rows["n_estimable"].astype(str) + " of " + rows["n_groups"].astype(str)
        names = rows["attribute"] + " (" + counts + " groups)"
        return self._bars(rows, names, f"largest difference in {label(name)}", zero=True)

    def _metric(self, name: str | None) -> str:
        """Return the metric that is meant, by any of its names; default: the first."""
        known = self._audit.metrics
        if name is None:
            return known[0]
        meant = KNOWN.get(plain(name), name)
        return meant if meant in known else match_name(name, known, "metric")

    def _bars(self, rows: pd.DataFrame, names: pd.Series, title: str, zero: bool = False) -> Figure:
        levels = [c for c in ("model", "finding") if c in rows and rows[c].nunique() > 1]
        for level in levels:
            names = rows[level].astype(str) + ", " + names
        figure, axes = _canvas(6.4, 0.9 + 0.3 * len(rows))
        place = np.arange(len(rows))[::-1]
        known = rows["status"].eq("ok").to_numpy() & rows["low"].notna().to_numpy()
        value, low, high = (rows[c].to_numpy(float) for c in ("value", "low", "high"))
        ends = np.abs(np.stack([value - low, high - value]))[:, known]
        axes.errorbar(
            value[known], place[known], xerr=ends, fmt="o", ms=4, capsize=2, color="#0072B2"
        )
        for y, status in zip(place[~known], rows["status"][~known], strict=True):
            reason = number_format.reason(status)
            axes.annotate(f"not estimable: {reason}", (0.02, y), ("axes fraction", "data"))
        if zero:
            axes.axvline(0, color="#8C8C8C", lw=0.8)
        axes.set_yticks(place, list(names))
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(title)
        return _done(figure)

    def _curves(
        self,
        axes: Axes,
        draw: Any,
        attribute: str | None,
        finding: str | None,
        model: str | None,
        metric: str,
    ) -> None:
        found, task, parts = self._parts(attribute, finding, model)
        for k, (group, part) in enumerate(parts):
            own = part[part["y"].notna() & (part["weight"] > 0)]
            if own["y"].nunique() < 2:
                axes.plot([], [], " ", label=f"{group} (n {len(own):,}): one class")
                continue
            shown = self._value(metric, found, group, task, model)
            draw(axes, own, color=_colour(k), lw=1.6, label=f"{group} (n {len(own):,}){shown}")
        axes.legend(title=found if task == "label" else f"{found}, {task}", fontsize=8)

    def _value(self, metric: str, attribute: str, group: str, task: str, model: str | None) -> str:
        rows = self._audit.estimates
        own = rows["attribute"].eq(attribute) & rows["group"].eq(group) & rows["metric"].eq(metric)
        rows = rows[own & rows["task"].eq(task) & rows["model"].eq(self._run(model)[0])]
        if len(rows) != 1 or rows["status"].iloc[0] != "ok":
            return ""
        value, low, high = (number_format.number(rows[c].iloc[0]) for c in ("value", "low", "high"))
        return f": {label(metric)} {value} ({low}–{high})"

    def _run(self, model: str | None) -> tuple[str, str]:
        runs = list(self._audit.result.study.predictions)
        names = self._audit.models
        if model is None and len(runs) > 1:
            raise MedauditError(f"name one of the models: {', '.join(names)}")
        return runs[0] if model is None else runs[names.index(match_name(model, names, "model"))]

    def _parts(
        self, attribute: str | None, finding: str | None, model: str | None
    ) -> tuple[str, str, Iterator[tuple[str, pd.DataFrame]]]:
        """Return attribute, finding and the test images of each group: y, score and weight."""
        study = self._audit.result.study
        by_name = {join_names(entry): entry for entry in study.attributes}
        name = match_name(attribute, by_name, "attribute") if attribute else next(iter(by_name))
        if finding is None and len(study.tasks) > 1:
            raise MedauditError(f"name one of the findings: {', '.join(study.tasks)}")
        task = match_name(finding, study.tasks, "finding") if finding else study.tasks[0]
        cohort = study.cohort[study.cohort["split"] == "test"].reset_index(drop=True)
        rows = study.predictions[self._run(model)]
        rows = rows[(rows["split"] == "test") & (rows["task"] == task)]
        score = rows.groupby("image_id")["score"].mean().reindex(cohort["image_id"]).to_numpy()
        weight = cohort.get(f"w_all_{task}", pd.Series(1.0, cohort.index))
        frame = pd.DataFrame({"y": cohort[f"y_{task}"], "score": score, "weight": weight})
        coded = read_attributes(cohort, np.ones(len(cohort), bool), [by_name[name]])[-1]
        parts = ((level, frame[coded.codes == k]) for k, level in enumerate(coded.levels))
        return name, task, parts


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    import matplotlib.pyplot as plt

    from medaudit.report.figures.style import style

    with style():
        return plt.subplots(figsize=(width, height), layout="constrained")


def _done(figure: Figure) -> Figure:
    """Return the figure, which a notebook then shows once: as the value of its cell."""
    import matplotlib.pyplot as plt

    plt.close(figure)
    return figure


def _colour(k: int) -> str:
    from medaudit.report.figures.style import colour

    return colour(k)
