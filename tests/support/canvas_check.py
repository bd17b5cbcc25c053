"""What leaves a drawn figure, and what in it cannot be told apart."""

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

SLACK = 1.5
"""Pixels."""


def leaves_the_canvas(canvas: Figure) -> list[str]:
    """Return the texts, legends and panels that are not wholly on the canvas."""
    renderer = canvas.canvas.get_renderer()
    page, found, unused = canvas.bbox, [], _unused_labels(canvas)
    for artist in canvas.findobj(lambda item: isinstance(item, Text | Legend | Axes)):
        if not artist.get_visible() or id(artist) in unused:
            continue
        if isinstance(artist, Text) and not artist.get_text().strip():
            continue
        box = artist.get_window_extent(renderer)
        if min(box.x0, box.y0) < -SLACK or box.x1 > page.x1 + SLACK or box.y1 > page.y1 + SLACK:
            what = artist.get_text() if isinstance(artist, Text) else type(artist).__name__
            found.append(f"{what!r} at {[round(float(v)) for v in box.extents]} of {page.extents}")
    return found


def _unused_labels(canvas: Figure) -> set[int]:
    """Return the tick labels that are not drawn: those outside the limits of their axis."""
    unused = set()
    for panel in canvas.findobj(Axes):
        for axis in (panel.xaxis, panel.yaxis):
            shown = set(map(id, axis._update_ticks()))
            ticks = [tick for tick in (*axis.majorTicks, *axis.minorTicks) if id(tick) not in shown]
            unused |= {id(text) for tick in ticks for text in (tick.label1, tick.label2)}
    return unused


def leaves_its_axes(canvas: Figure) -> list[str]:
    """Return the drawn data of panels that a limit of the axes cuts off."""
    found = []
    for panel in canvas.findobj(Axes):
        box = panel.get_window_extent()
        for artist in panel.get_children():
            if not isinstance(artist, Line2D | Collection | Rectangle) or artist is panel.patch:
                continue
            limits = artist.get_window_extent() if isinstance(artist, Rectangle) else _data(artist)
            if limits is None:
                continue
            x0, y0, x1, y1 = limits.extents
            if (
                x0 < box.x0 - SLACK
                or x1 > box.x1 + SLACK
                or y0 < box.y0 - SLACK
                or y1 > box.y1 + SLACK
            ):
                found.append(f"{type(artist).__name__} in {panel.get_title()!r}: {limits} of {box}")
    return found


def _data(artist):
    """Return the box of an artist's points in pixels, without the width of lines and markers."""
    import numpy as np
    from matplotlib.transforms import Bbox

    if isinstance(artist, Line2D):
        points = artist.get_transform().transform(np.column_stack(artist.get_data(orig=False)))
    else:
        paths = [path.vertices for path in artist.get_paths() if len(path.vertices)]
        if not paths:
            return None
        points = artist.get_transform().transform(np.concatenate(paths))
    points = points[np.isfinite(points).all(axis=1)]
    return Bbox([points.min(axis=0), points.max(axis=0)]) if len(points) else None


def looks_twice(canvas: Figure) -> list[str]:
    """Return legend entries that look alike or read alike, and repeated labels of an axis."""
    found = []
    for shown in canvas.findobj(Legend):
        texts = [text.get_text() for text in shown.get_texts()]
        found += [f"legend text {text!r}" for text in _repeated(texts)]
        looks = [_look(handle) for handle in shown.legend_handles]
        found += [f"legend look {look}" for look in _repeated(looks)]
    for panel in canvas.findobj(Axes):
        for axis in (panel.xaxis, panel.yaxis):
            texts = [tick.label1.get_text() for tick in axis._update_ticks()]
            found += [f"tick {text!r}" for text in _repeated([t for t in texts if t])]
    return found


def _look(handle) -> tuple:
    if not isinstance(handle, Line2D):
        return (type(handle).__name__, str(handle))
    names = ("color", "marker", "linestyle", "markerfacecolor", "markeredgecolor", "fillstyle")
    return tuple(str(getattr(handle, f"get_{name}")()) for name in names)


def _repeated(items: list) -> list:
    return sorted({item for item in items if items.count(item) > 1})


def nameless_axes(canvas: Figure) -> list[str]:
    """Return panels with numbers on an axis that neither they nor their row or column name."""
    panels = [panel for panel in canvas.findobj(Axes) if panel.axison]
    named = {
        axis: {
            key(panel)
            for panel in panels
            if getattr(panel, f"get_{axis}label")() or _colourbar(panel)
        }
        for axis, key in (("x", _column), ("y", _row))
    }
    found = []
    for panel in panels:
        for axis, key in (("x", _column), ("y", _row)):
            ticks = getattr(panel, f"{axis}axis")._update_ticks()
            texts = [tick.label1.get_text() for tick in ticks if tick.label1.get_visible()]
            numbers = [text for text in texts if _is_number(text)]
            if numbers and key(panel) not in named[axis]:
                found.append(f"{axis} axis of {panel.get_title()!r}")
    return found


def _colourbar(panel: Axes) -> bool:
    return panel.get_label() == "<colorbar>"


def _row(panel: Axes):
    place = panel.get_subplotspec()
    return (id(panel.figure), place.rowspan.start) if place else id(panel)


def _column(panel: Axes):
    place = panel.get_subplotspec()
    return (id(panel.figure), place.colspan.start) if place else id(panel)


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return False
    return True


def labels_overlap(canvas: Figure) -> list[str]:
    """Return the labels of an axis that lie over their neighbours, and panels squeezed to a strip."""
    renderer = canvas.canvas.get_renderer()
    found = []
    for panel in canvas.axes:
        for axis, side in ((panel.xaxis, "x"), (panel.yaxis, "y")):
            shown = [
                text for text in axis.get_ticklabels() if text.get_visible() and text.get_text()
            ]
            if any(text.get_rotation() % 90 for text in shown):
                continue  # boxes of slanted texts overlap where the texts do not
            boxes = [text.get_window_extent(renderer) for text in shown]
            ends = sorted((b.x0, b.x1) if side == "x" else (b.y0, b.y1) for b in boxes)
            over = [k for k, (a, b) in enumerate(pairwise(ends)) if b[0] < a[1] - 1]
            found += [f"{side}: {shown[0].get_text()!r} and others"] if over else []
    heights = [panel.get_window_extent(renderer).height for panel in canvas.axes if panel.axison]
    if heights and min(heights) < 0.04 * canvas.bbox.height:
        found.append(f"a panel has {min(heights):.0f} of {canvas.bbox.height:.0f} pixels")
    return found
