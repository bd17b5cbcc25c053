"""Texts that fit: wrapped and shortened by their measured width, legends in as many columns as fit."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

POINT = 1 / 72
"""Inches."""
ELLIPSIS = "…"
LEGEND_SIZE = 8
HANDLE = 0.5
"""Width in inches of what a legend's column has besides its text."""
LEGEND_LINE = 0.165
"""Height in inches of a line of a legend."""
PIECES = re.compile(r"\S*?[_/\-]+(?=\S)|\S+\s*|\s+")
"""Where a line of a label may end: after a space, an underscore, a slash or a hyphen."""


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = 9, bold: bool = False) -> float:
    """Return the width of a line of text in inches."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return width * POINT


def wrap(text: str, inches: float, size: float = 9, bold: bool = False) -> list[str]:
    """Return `text` in lines of at most `inches`; a piece that is too long is broken anywhere."""
    lines = [""]
    for piece in PIECES.findall(text):
        if text_width((lines[-1] + piece).rstrip(), size, bold) <= inches:
            lines[-1] += piece
            continue
        lines.append(piece)
        while text_width(lines[-1].rstrip(), size, bold) > inches and len(lines[-1]) > 1:
            kept = _longest_start(lines[-1], inches, size, bold)
            lines[-1:] = [lines[-1][:kept], lines[-1][kept:]]
    return [line.rstrip() for line in lines if line.strip()] or [""]


def _longest_start(text: str, inches: float, size: float, bold: bool) -> int:
    kept = len(text)
    while kept > 1 and text_width(text[:kept], size, bold) > inches:
        kept -= 1
    return kept


def fit(text: str, inches: float, size: float = 9) -> str:
    """Return a text shortened in the middle to `inches`, so that both its ends stay."""
    if text_width(text, size) <= inches:
        return text
    kept = len(text)
    while kept > 2:
        kept -= 1
        short = text[: (kept + 1) // 2] + ELLIPSIS + text[len(text) - kept // 2 :]
        if text_width(short, size) <= inches:
            return short
    return ELLIPSIS


def labels(names: Iterable[str], inches: float, size: float = 9, lines: int = 2) -> list[str]:
    """Return `names` in at most `lines` lines of `inches`, different where the names differ.

    Long names are wrapped, then shortened in the middle. Names that would look the same get a
    number in front.
    """
    names = list(names)
    shown = {name: _label(name, inches, size, lines) for name in dict.fromkeys(names)}
    by_text: dict[str, list[str]] = {}
    for name, text in shown.items():
        by_text.setdefault(text, []).append(name)
    for same in (found for found in by_text.values() if len(found) > 1):
        for number, name in enumerate(same, 1):
            shown[name] = _label(f"({number}) {name}", inches, size, lines)
    return [shown[name] for name in names]


def _label(name: str, inches: float, size: float, lines: int) -> str:
    found = wrap(name, inches, size)
    if len(found) <= lines:
        return "\n".join(found)
    room = inches * lines * 0.93
    short = wrap(fit(name, room, size), inches, size)
    while len(short) > lines:
        room *= 0.95
        short = wrap(fit(name, room, size), inches, size)
    return "\n".join(short)


def label(name: str, inches: float, size: float = 9, lines: int = 2) -> str:
    """Return one name as `labels` returns it."""
    return _label(name, inches, size, lines)


def grow(part: SubFigure, inches: float) -> None:
    """Make a figure and its upper part higher by `inches`."""
    figure = part.get_figure(root=True)
    grid = part._subplotspec.get_gridspec()  # type: ignore[attr-defined]  # it has no public name
    height, below = grid.get_height_ratios()
    figure.set_figheight(figure.get_figheight() + inches)
    grid.set_height_ratios([height + inches, below])


def legend(part: SubFigure, handles: Sequence[Artist], most: int = 6, **more: Any) -> None:
    """Add a legend below the panels, in as many columns as fit, and make room for its lines.

    Parameters
    ----------
    part : matplotlib.figure.SubFigure
        The part that is drawn in.
    handles : sequence of Artist
        Their labels may be long: they are wrapped to the width of the figure.
    most : int
        Number of columns at most.
    **more
        Arguments of ``legend``.
    """
    if not handles:
        return
    width = part.get_figure(root=True).get_figwidth() - 0.35
    texts = labels([str(handle.get_label()) for handle in handles], width - HANDLE, LEGEND_SIZE, 3)
    widest = max(text_width(line, LEGEND_SIZE) for text in texts for line in text.split("\n"))
    columns = max(1, min(most, len(handles), int(width / (widest + HANDLE))))
    for handle, text in zip(handles, texts, strict=True):
        handle.set_label(text)
    rows = -(-len(handles) // columns)
    grow(part, LEGEND_LINE * rows + 0.1)
    part.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        fontsize=LEGEND_SIZE,
        columnspacing=1.2,
        **more,
    )


def title(part: SubFigure, text: str) -> None:
    """Write a figure's title in as many lines as it needs, and make room for them."""
    width = part.get_figure(root=True).get_figwidth() - 0.4
    lines = wrap(text, width, 11, bold=True)
    grow(part, 0.2 * (len(lines) - 1))
    part.suptitle("\n".join(lines), fontsize=11, fontweight="bold")
