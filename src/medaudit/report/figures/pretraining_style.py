"""How figures of foundation models mark pretraining: colour by images, shape by objective."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from medaudit.report.figures import fitting
from medaudit.report.figures.style import COLOURS
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.extras import Extras

MEASURE = "auc"
TONES = {
    "none": "#6E6E6E",
    "natural": COLOURS[0],
    "procedural": COLOURS[5],
    "medical": COLOURS[1],
    how_fair_models.UNKNOWN: "#000000",
}
"""Colour by the images of the pretraining (`image_source`)."""

SHAPES = {
    "none": "X",
    "masked": "o",
    "contrastive": "s",
    "supervised": "^",
    "image_text": "D",
    how_fair_models.UNKNOWN: "v",
}
"""Marker by the objective of the pretraining."""


def image_source(extras: Extras, model: str) -> str:
    """Return the images that a model was pretrained on: a domain, or ``procedural``."""
    procedural = how_fair_models.is_procedural(extras, model)
    return "procedural" if procedural else how_fair_models.domain(extras, model)


def pretraining_legend(
    part: SubFigure, panel: Axes, rows: pd.DataFrame, more: Sequence[Artist] = ()
) -> None:
    """Add a legend of the colours and shapes in `rows`, followed by the handles in `more`."""
    handles: list[Artist] = [
        panel.plot([], [], "s", color=tone, ms=8, label=_domain_text(name))[0]
        for name, tone in TONES.items()
        if name in set(rows["images"])
    ]
    handles += [
        panel.plot([], [], shape, mfc="white", mec="black", ms=6, label=name.replace("_", "-"))[0]
        for name, shape in SHAPES.items()
        if name in set(rows["objective"]) and name != "none"
    ]
    fitting.legend(part, [*handles, *more])


def _domain_text(name: str) -> str:
    return {"none": "from scratch"}.get(name, f"{name} images")
