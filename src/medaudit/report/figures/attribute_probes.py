"""Figure: how well a patient's group can be predicted from a model's frozen embedding."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medaudit.report.figures import fitting
from medaudit.report.figures.style import BAND, Figure, canvas, colour, marker
from medaudit.report.studies.context import Context
from medaudit.report.tables.attribute_probes import PROBES
from medaudit.report.wording import number_format, terms

ACROSS = 4


def attribute_probes(context: Context) -> Figure | None:
    """Draw the AUC of the attribute probes, one panel per group and one row per model."""
    rows = context.extras.probes[context.extras.probes["cohort"] == context.cohort]
    if rows.empty:
        return None
    models = list(rows["model"].unique())
    groups = rows[["attribute", "group"]].drop_duplicates()
    across = min(ACROSS, len(groups))
    down = -(-len(groups) // across)
    title = f"Groups in the embeddings on {context.place}"
    height = down * (0.95 + 0.36 * len(models)) + 0.4
    figure, part = canvas(max(6.5, 2.3 + 2.4 * across), height, title, context.face)
    panels = part.subplots(down, across, sharey=True, sharex=True, squeeze=False).ravel()
    for panel, group in zip(panels, groups.itertuples(), strict=False):
        own = rows[rows["attribute"].eq(group.attribute) & rows["group"].eq(group.group)]
        _panel(panel, own, models)
        name = f"{terms.attribute(group.attribute)}: {terms.group(group.group)}"
        panel.set_title(fitting.label(f"{name} against the rest", 2.2), fontsize=9)
    for panel in panels[len(groups) :]:
        panel.remove()
    for panel in panels[max(0, len(groups) - across) : len(groups)]:
        panel.set_xlabel(f"AUC, {context.level} CI")
        panel.tick_params(labelbottom=True)
    panels[0].set_yticks(range(len(models)), fitting.labels(map(context.names.model, models), 2.1))
    panels[0].set_ylim(len(models) - 0.5, -0.5)
    fitting.legend(part, _handles(panels[0]))
    return Figure(
        f"attribute_probes{context.suffix}",
        title,
        "AUC of predicting a patient's group from the frozen embedding, before any head is "
        "trained. Grey: range of 95 of 100 shuffles of the group labels between patients. An "
        "embedding that encodes the group does not show that a decision uses it.",
        f"Dot plot of the AUC of attribute probes with intervals for {len(models)} models and "
        f"{len(groups)} groups. The numbers are in the table 'Origin of the gap: groups in the "
        "embedding'.",
        rows,
        figure,
    )


def _panel(panel: Axes, rows: pd.DataFrame, models: list[str]) -> None:
    step = 0.36
    for k, probe in enumerate(PROBES):
        own = rows[rows["probe"] == probe]
        y = np.array([models.index(model) for model in own["model"]], float) + (k - 0.5) * step
        value, low, high, top = (
            own[name].to_numpy(float) for name in ("value", "low", "high", "null_q95")
        )
        panel.barh(y, top - 0.5, left=0.5, height=step, color=BAND, zorder=1)
        panel.hlines(y, low, high, color=colour(k), lw=1.3, zorder=2)
        panel.plot(value, y, marker(k), color=colour(k), ms=5, zorder=3)
        lost = np.isnan(value)
        for place, status in zip(y[lost], own["status"][lost], strict=True):
            text = f"not estimable: {number_format.reason(status)}"
            panel.annotate(
                text, (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=7
            )
    panel.axvline(0.5, color="#777777", lw=0.8, zorder=1)
    panel.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    panel.grid(axis="y", visible=False)


def _handles(panel: Axes) -> list:
    probes = [
        panel.plot([], [], marker(k), color=colour(k), ls="-", label=f"probe: {name}")[0]
        for k, name in enumerate(PROBES.values())
    ]
    return [*probes, panel.plot([], [], "s", color=BAND, ms=9, label="chance, 95 of 100")[0]]
