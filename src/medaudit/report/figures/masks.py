"""Figures: which parts the searches tune, over datasets, and how sure one search is of each bit."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from statsmodels.stats.proportion import proportion_confint

from medaudit.report.figures.style import Figure, canvas, colour, marker, shorten
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.fairtune_comparisons import main_model

NAMES = {"norms": "normalisation", "mlp": "MLP"}
FREE = "blocks36"
"""The space in which every bit is proposed as often tuned as not."""


def mask_frequencies(
    evidence: Evidence, facts: pd.DataFrame, extras: Extras, cohort: str, notes: list, suffix: str
) -> Figure | None:
    """Draw how often the best masks tune each component of each block (figure 4 of the paper)."""
    rows = frequency_rows(evidence, extras)
    if rows.empty:
        return None
    methods = list(rows["method"].unique())
    components = list(rows["component"].unique())
    title = "How often the best masks tune each part"
    height = 1.1 + 1.75 * len(components)
    figure, part = canvas(max(7.5, 0.9 + 0.55 * rows["unit"].nunique()), height, title, notes)
    panels = part.subplots(len(components), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, component in zip(panels, components, strict=True):
        _frequencies(panel, rows[rows["component"] == component], methods)
        panel.set_title(NAMES.get(component, component), loc="left")
        panel.set_ylabel("frequency")
    panels[-1].set_xlabel("block")
    handles = [
        panels[0].plot([], [], marker(k), color=colour(k), label=f"{shorten(name)} (n = {n})")[0]
        for k, (name, n) in enumerate(rows.drop_duplicates("method")[["method", "n"]].to_numpy())
    ]
    half = panels[0].plot([], [], color="#777777", ls="--", lw=1, label="one half")[0]
    part.legend(handles=[*handles, half], loc="outside lower center", ncols=3, fontsize=8)
    return Figure(
        "mask_frequencies",
        title,
        "Share of the searches whose best mask tunes a part, a search a dataset and attribute; "
        f"whiskers: Wilson's {evidence.level * 100:g} % interval, as if the n searches were "
        "independent, which attributes of one dataset are not. A part that makes no difference is "
        "tuned in about half of the searches, so an interval that holds one half shows nothing.",
        f"Dot plots of the frequency with which {len(methods)} methods tune {', '.join(components)} "
        "by block, with intervals.",
        rows,
        figure,
    )


def frequency_rows(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return by method and bit the share of the main model's best masks that tune it.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``unit``, ``component``, ``frequency``, ``low``, ``high``, ``n`` (searches).
        Methods whose space is `FREE`, with at least two searches of the same layout.
    """
    columns = ["method", "unit", "component", "frequency", "low", "high", "n"]
    rows = []
    for method in dict.fromkeys(found["method"] for found in extras.searches):
        searches = _of_bits(extras, main_model(evidence, extras), method)
        searches = [one for one in searches if one["layout"] == searches[0]["layout"]]
        if extras.methods.get(method, {}).get("space") != FREE or len(searches) < 2:
            continue
        bits = np.array([[int(bit) for bit in one["point"]["mask"]] for one in searches])
        ends = proportion_confint(bits.sum(axis=0), len(bits), 1 - evidence.level, "wilson")
        parts = [(part["unit"], part["component"]) for part in searches[0]["bits"]]
        for k, (unit, component) in enumerate(parts):
            rows.append((method, unit, component, bits[:, k].mean(), ends[0][k], ends[1][k]))
            rows[-1] += (len(bits),)
    return pd.DataFrame(rows, columns=columns)


def bit_stability(
    evidence: Evidence, facts: pd.DataFrame, extras: Extras, cohort: str, notes: list, suffix: str
) -> Figure | None:
    """Draw how often the best quarter of a search's trials tune each part."""
    rows = stability_rows(extras, cohort)
    if rows.empty:
        return None
    searches = list(rows["search"].unique())
    components = list(rows["component"].unique())
    title = f"How sure the searches are of each part on {cohort}"
    height = 1.2 + 1.35 * len(searches)
    figure, part = canvas(max(7.0, 1.3 + 3.0 * len(components)), height, title, notes)
    shape = (len(searches), len(components))
    panels = part.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for k, (line, name) in enumerate(zip(panels, searches, strict=True)):
        own = rows[rows["search"] == name]
        for panel, component in zip(line, components, strict=True):
            _stability(panel, own[own["component"] == component], k)
        line[0].set_ylabel("\n".join(shorten(text, 22) for text in name.split(", ")), fontsize=8)
    for panel, component in zip(panels[0], components, strict=True):
        panel.set_title(NAMES.get(component, component))
    for panel in panels[-1]:
        panel.set_xlabel("block")
    dots = panels[0, 0].plot([], [], "o", color="black", ms=4, label="best quarter of the trials")
    line = panels[0, 0].plot([], [], "_", color="#777777", ms=9, mew=2, label="all trials")
    part.legend(handles=[*dots, *line], loc="outside lower center", ncols=2, fontsize=8)
    level = evidence.level * 100
    return Figure(
        f"bit_stability{suffix}",
        title,
        "Frequency with which a part is tuned among the best quarter of a search's trials, with its "
        f"{level:g} % bootstrap interval over trials, and among all trials (bar). Where the "
        "interval holds the bar, the search does not know whether to tune the part.",
        f"Dot plots of the frequency by block and component for {len(searches)} searches.",
        rows,
        figure,
    )


def stability_rows(extras: Extras, cohort: str) -> pd.DataFrame:
    """Return ``bits`` of each search of bits on a cohort, with ``search`` to name it."""
    found = [one for one in extras.searches if one["cohort"] == cohort and one["bits"]]
    models = {one["model"] for one in found}
    rows = []
    for one in found:
        space = extras.methods.get(one["method"], {}).get("space")
        only = {"attention12": "attention", "layernorm12": "norms"}.get(space)
        name = one["method"] if len(models) < 2 else f"{one['method']}, {one['model']}"
        head = {"search": name, "model": one["model"], "method": one["method"]}
        rows += [head | bit for bit in one["bits"] if only in (None, bit["component"])]
    columns = ["search", "model", "method", "unit", "component", "frequency", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "share", "importance"])


def _of_bits(extras: Extras, model: str | None, method: str) -> list[dict]:
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
