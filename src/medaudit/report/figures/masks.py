"""Figures: the parts that searches tune, over datasets, and how certain each search is of them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from statsmodels.stats.proportion import proportion_confint

from medaudit.report.figures import fitting
from medaudit.report.figures.style import Figure, canvas, colour, marker
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.fairtune_comparisons import main_model

NAMES = {"norms": "normalisation", "mlp": "MLP"}
LEAST = 4
"""With fewer searches a frequency says nothing."""
FREE = "blocks36"
"""The search space in which each bit is proposed as tuned with probability one half."""


def mask_frequencies(context: Context) -> Figure | None:
    """Draw how often the best masks tune each component of each block (figure 4 of the paper)."""
    rows = frequency_rows(context.evidence, context.extras)
    if rows.empty:
        return None
    methods = list(rows["method"].unique())
    components = list(rows["component"].unique())
    title = "How often the best masks tune each part"
    height = 1.1 + 1.75 * len(components)
    width = max(7.5, 0.9 + 0.55 * rows["unit"].nunique())
    figure, part = canvas(width, height, title, context.face)
    panels = part.subplots(len(components), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, component in zip(panels, components, strict=True):
        _frequencies(panel, rows[rows["component"] == component], methods)
        panel.set_title(NAMES.get(component, component), loc="left")
        panel.set_ylabel("frequency")
    panels[-1].set_xlabel("block")
    handles = [
        panels[0].plot(
            [], [], marker(k), color=colour(k), label=f"{context.names.method(m)} (n = {n})"
        )[0]
        for k, (m, n) in enumerate(rows.drop_duplicates("method")[["method", "n"]].to_numpy())
    ]
    half = panels[0].plot([], [], color="#777777", ls="--", lw=1, label="one half")[0]
    fitting.legend(part, [*handles, half])
    return Figure(
        "mask_frequencies",
        title,
        "Share of the searches whose best mask tunes a part, one search per dataset and attribute. "
        f"Whiskers: Wilson's {context.level} confidence intervals for n independent searches; "
        "searches on attributes of one dataset are not independent. A part without effect is tuned "
        "in about half of the searches, so an interval that includes one half shows nothing.",
        f"Dot plots of how often {len(methods)} methods tune {', '.join(components)} "
        "by block, with intervals.",
        rows,
        figure,
    )


def frequency_rows(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return the share of the main model's best masks that tune each bit, by method.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``unit``, ``component``, ``frequency``, ``low``, ``high``, ``n`` (searches).
        Only methods whose space is `FREE`, with at least `LEAST` searches of the same layout.
    """
    columns = ["method", "unit", "component", "frequency", "low", "high", "n"]
    rows: list[tuple[str, str, str, float, float, float, int]] = []
    for method in dict.fromkeys(found["method"] for found in extras.searches):
        searches = _of_bits(extras, main_model(evidence, extras), method)
        searches = [one for one in searches if one["layout"] == searches[0]["layout"]]
        if extras.methods.get(method, {}).get("space") != FREE or len(searches) < LEAST:
            continue
        bits = np.array([[int(bit) for bit in one["point"]["mask"]] for one in searches])
        ends = proportion_confint(bits.sum(axis=0), len(bits), 1 - evidence.level, "wilson")
        parts = [(part["unit"], part["component"]) for part in searches[0]["bits"]]
        for k, (unit, component) in enumerate(parts):
            numbers = (bits[:, k].mean(), ends[0][k], ends[1][k], len(bits))
            rows.append((method, unit, component, *numbers))
    return pd.DataFrame(rows, columns=columns)


def bit_stability(context: Context) -> Figure | None:
    """Draw how often the best quarter of a search's trials tunes each part."""
    rows = stability_rows(context.extras, context.cohort)
    if rows.empty:
        return None
    searches = list(rows["search"].unique())
    components = list(rows["component"].unique())
    title = f"How certain the searches are of each part on {context.place}"
    height = 0.8 + 1.4 * len(searches)
    figure, part = canvas(max(7.0, 1.3 + 3.0 * len(components)), height, title, context.face)
    shape = (len(searches), len(components))
    panels = part.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for k, (line, name) in enumerate(zip(panels, searches, strict=True)):
        own = rows[rows["search"] == name]
        for panel, component in zip(line, components, strict=True):
            _stability(panel, own[own["component"] == component], k)
        shown = context.names.method(own["method"].iloc[0])
        if name != own["method"].iloc[0]:  # the models differ
            shown += ", " + context.names.model(own["model"].iloc[0])
        line[0].set_ylabel(fitting.label(shown, 1.15, 8) + "\nfrequency", fontsize=8)
    for panel, component in zip(panels[0], components, strict=True):
        panel.set_title(NAMES.get(component, component))
    for panel in panels[-1]:
        panel.set_xlabel("block")
    dots = panels[0, 0].plot([], [], "o", color="black", ms=4, label="best quarter of the trials")
    line = panels[0, 0].plot([], [], "_", color="#777777", ms=9, mew=2, label="all trials")
    fitting.legend(part, [*dots, *line])
    return Figure(
        f"bit_stability{context.suffix}",
        title,
        "Frequency with which a part is tuned in the best quarter of a search's trials (dot, with "
        f"its {context.level} bootstrap interval over trials) and in all trials (bar). If the "
        "interval includes the bar, the search does not show whether to tune the part.",
        f"Dot plots of the frequency by block and component for {len(searches)} searches.",
        rows,
        figure,
    )


def stability_rows(extras: Extras, cohort: str) -> pd.DataFrame:
    """Return the ``bits`` of each search for bits on a cohort, with its name in ``search``."""
    found = [one for one in extras.searches if one["cohort"] == cohort and one["bits"]]
    models = {one["model"] for one in found}
    rows = []
    for one in found:
        space = extras.methods.get(one["method"], {}).get("space", "")
        only = {"attention12": "attention", "layernorm12": "norms"}.get(space)
        name = one["method"] if len(models) < 2 else f"{one['method']}, {one['model']}"
        head = {"search": name, "model": one["model"], "method": one["method"]}
        rows += [head | bit for bit in one["bits"] if only in (None, bit["component"])]
    columns = ["search", "model", "method", "unit", "component", "frequency", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "share", "importance"])


def _of_bits(extras: Extras, model: str | None, method: str) -> list[dict]:
    """Return the searches for bits of one model and method."""
    return [
        one
        for one in extras.searches
        if (one["model"], one["method"]) == (model, method) and one["bits"]
    ]


def _frequencies(panel: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    units = list(rows["unit"].unique())
    panel.axhline(0.5, color="#777777", ls="--", lw=1, zorder=1)
    for k, method in enumerate(methods):
        own = rows[rows["method"] == method]
        x = np.array([units.index(unit) for unit in own["unit"]], float)
        x += (k - (len(methods) - 1) / 2) * 0.6 / max(len(methods), 1)
        panel.vlines(x, own["low"], own["high"], color=colour(k), lw=1.3, zorder=2)
        panel.plot(x, own["frequency"], marker(k), color=colour(k), ms=4.5, zorder=3)
    _blocks(panel, units)


def _stability(panel: Axes, rows: pd.DataFrame, k: int) -> None:
    if rows.empty:
        panel.text(0.5, 0.5, "not searched", ha="center", transform=panel.transAxes, fontsize=8)
        return
    units = list(rows["unit"])
    x = np.arange(len(units))
    panel.plot(x, rows["share"], "_", color="#777777", ms=9, mew=2, zorder=1)
    panel.vlines(x, rows["low"], rows["high"], color=colour(k), lw=1.3, zorder=2)
    panel.plot(x, rows["frequency"], "o", color=colour(k), ms=4, zorder=3)
    _blocks(panel, units)


def _blocks(panel: Axes, units: list[str]) -> None:
    numbers = [unit.rpartition(".")[2] or unit for unit in units]
    panel.set_xticks(range(len(units)), numbers, fontsize=8)
    panel.set_xlim(-0.6, len(units) - 0.4)
    panel.set_ylim(-0.06, 1.06)
    panel.set_yticks([0, 0.5, 1])
    panel.grid(visible=False, axis="x")
