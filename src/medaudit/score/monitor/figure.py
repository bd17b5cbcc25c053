"""Figure of a monitor: each series by period, with its limits over all looks."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from medaudit.report.figures.style import (
    BAND,
    WARNING,
    Figure,
    canvas,
    colour,
    style,
    write_files,
)
from medaudit.report.wording import terms

if TYPE_CHECKING:
    from medaudit.score.monitor.table import Monitored

MOST = 24
"""Panels of a figure; series with an alarm come first."""


def draw(found: Monitored, folder: Path) -> dict[str, str]:
    """Draw all series and write ``monitor.pdf``, ``.png``, ``.svg`` and ``.csv`` data to `folder`."""
    groups = list(found.table.groupby(["task", "metric", "attribute", "group"], sort=False))
    groups.sort(key=lambda item: not item[1]["alarm"].any())
    shown, left = groups[:MOST], max(len(groups) - MOST, 0)
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    notes = [f"{left} more series are in monitor.csv"] if left else []
    title = f"{found.details['model']} by {found.plan.length}"
    with style():
        figure, part = canvas(max(6.5, 3.6 * across), 2.3 * down + 0.7, title, notes)
        panels = part.subplots(down, across, squeeze=False).ravel()
        for panel, (name, rows) in zip(panels, shown, strict=False):
            _panel(panel, [str(text) for text in name], rows, found.labels)
        for panel in panels[len(shown) :]:
            panel.remove()
        return write_files(
            Figure(
                "monitor_figure",
                title,
                "Dots and lines: value of each period with its own 95 % interval (for one look). Dashed: "
                "baseline. Band: a value outside it raises an alarm; it accounts for all planned looks "
                "and series. Red rings: alarms.",
                f"Line charts of {len(shown)} series over {len(found.labels)} periods.",
                pd.concat([rows for _, rows in shown], ignore_index=True),
                figure,
            ),
            folder,
        )


def _panel(axes: Axes, name: list[str], rows: pd.DataFrame, labels: list[str]) -> None:
    place = np.arange(len(labels))
    values = {key: rows[key].to_numpy(float) for key in ("value", "low", "high", "baseline")}
    lowest = -1 if rows["kind"].iloc[0] == "gap" else 0
    limits = [np.clip(rows[key].to_numpy(float), lowest, 1) for key in ("limit_low", "limit_high")]
    axes.fill_between(place, limits[0], limits[1], step="mid", color=BAND, zorder=0)
    axes.axhline(values["baseline"][0], color="#555555", linestyle="--", linewidth=0.9)
    axes.vlines(place, values["low"], values["high"], color=colour(0), linewidth=0.9)
    axes.plot(place, values["value"], "o", color=colour(0), markersize=3)
    alarm = rows["alarm"].to_numpy(bool)
    axes.plot(
        place[alarm], values["value"][alarm], "o", color=WARNING, fillstyle="none", markersize=8
    )
    first = int((rows["state"] != "baseline").to_numpy().argmax())
    axes.axvline(first - 0.5, color="#999999", linewidth=0.7)
    task, metric, attribute, group = name
    where = "all" if attribute == "all" else f"{terms.attribute(attribute)} {group}"
    axes.set_title(
        textwrap.shorten(f"{terms.measure(metric)}, {where} ({task})", 46, placeholder="…"),
        fontsize=8.5,
    )
    step = max(1, len(labels) // 6)
    axes.set_xticks(place[::step], labels[::step], rotation=35, ha="right", fontsize=7)
