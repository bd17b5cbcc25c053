"""The style of all figures, and how they are written: the same numbers give the same bytes."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure

from medaudit.core.table_io import FLOAT_FORMAT, atomic
from medaudit.report.figures import fitting
from medaudit.report.figures.fitting import wrap
from medaudit.report.wording.number_format import neutralise

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
"""Palette of Okabe and Ito (2008), with its yellow (too pale on white) replaced by grey."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", ":", "-.")
BAND = "#D9D9D9"
WARNING = "#A00000"
SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.hashsalt": "medaudit",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "figure.dpi": 100,
}
METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
    "png": {},
}
NOTE = 8
"""Size of the notes in points."""
TRIES, MORE = 8, 0.5
"""How often a figure is made larger, and by how many inches."""
LINE = 0.17
"""Height of one line of notes in inches."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure with its texts and data.

    Parameters
    ----------
    name : str
        File name without suffix.
    title, caption : str
        Plain text.
    alt : str
        Description for readers who cannot see the figure.
    data : pandas.DataFrame
        The numbers in it.
    canvas : matplotlib.figure.Figure
        The drawing.
    """

    name: str
    title: str
    caption: str
    alt: str
    data: pd.DataFrame
    canvas: Canvas

    def describe(self) -> dict[str, str]:
        """Return name, title, caption and alternative text."""
        return {key: getattr(self, key) for key in ("name", "title", "caption", "alt")}


@contextmanager
def style() -> Iterator[None]:
    """Apply the project's settings of matplotlib, whatever the user's own are."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)  # type: ignore[arg-type]  # the stubs want literal keys
        yield


def canvas(width: float, height: float, title: str, notes: list[str]) -> tuple[Canvas, SubFigure]:
    """Return a figure of `width` x `height` inches plus the notes, and the part to draw in."""
    lines = [line for note in notes for line in wrap(note, width - 0.3, NOTE)]
    below = LINE * len(lines) + 0.1
    figure = Canvas(figsize=(width, height + below))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 1, height_ratios=[height, below])
    above, foot = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    figure.set_layout_engine("constrained", h_pad=0.06, w_pad=0.06)
    foot.text(
        0.015, 0.98, "\n".join(lines), fontsize=NOTE, color=WARNING, va="top", linespacing=1.25
    )
    fitting.title(above, title)
    return figure, above


def lay_out(canvas: Canvas) -> None:
    """Compute a figure's layout; one whose labels leave no room for its panels is made larger."""
    for _ in range(TRIES):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            canvas.draw_without_rendering()
        if not any("constrained_layout not applied" in str(one.message) for one in said):
            return
        fitting.grow(canvas.subfigs[0], MORE)
        canvas.set_figwidth(canvas.get_figwidth() + MORE)


def write_files(figure: Figure, folder: Path) -> dict[str, str]:
    """Write a figure as PDF, PNG and SVG and its data as CSV; return file names by format."""
    lay_out(figure.canvas)
    # The layout is computed once: each format would otherwise get its own by its own font metrics.
    figure.canvas.set_layout_engine("none")
    for suffix, metadata in METADATA.items():
        with atomic(folder / f"{figure.name}.{suffix}") as temporary:
            figure.canvas.savefig(temporary, format=suffix, dpi=150, metadata=metadata)
    with atomic(folder / f"{figure.name}.csv") as temporary:
        neutralise(figure.data).to_csv(
            temporary, index=False, float_format=FLOAT_FORMAT, lineterminator="\n"
        )
    return {suffix: f"{figure.name}.{suffix}" for suffix in (*METADATA, "csv")}


def colour(index: int) -> str:
    """Return the colour of the item at `index`; colours repeat after eight."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """Return the marker of the item at `index`; with `colour`, 64 items differ."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def dash(index: int) -> str:
    """Return the line style of the item at `index`; it changes after eight, as colours repeat."""
    return DASHES[index // len(COLOURS) % len(DASHES)]
