"""How figures draw the verdict on a gap: the same states, in the same words, as the text."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from medaudit.report.figures.style import COLOURS
from medaudit.report.verdicts import Verdict, judge_gap

SHOWN, PLAIN = COLOURS[1], COLOURS[0]
FACES: dict[Verdict, dict[str, Any]] = {
    Verdict.SHOWN: {"marker": "o", "mfc": SHOWN, "mec": SHOWN},
    Verdict.HINT: {
        "marker": "o",
        "mfc": SHOWN,
        "mec": SHOWN,
        "fillstyle": "left",
        "markerfacecoloralt": "white",
    },
    Verdict.NOT_SHOWN: {"marker": "o", "mfc": "white", "mec": PLAIN},
    Verdict.UNTESTED: {"marker": "d", "mfc": "white", "mec": "#6E6E6E"},
}
"""Filled, half filled, open, and an open diamond."""


def verdicts_of(gaps: pd.DataFrame, alpha: float) -> list[Verdict]:
    """Return the verdict on each gap (`medaudit.report.verdicts.judge_gap`)."""
    return [judge_gap(row, alpha) for row in gaps.to_dict("records")]


def verdict_handles(panel: Axes, verdicts: Iterable[Verdict]) -> list[Artist]:
    """Return legend handles of the verdicts that occur, in the order of `FACES`."""
    found = set(verdicts)
    return [
        panel.plot([], [], ls="", ms=5.5, mew=1.3, label=str(verdict), **face)[0]
        for verdict, face in FACES.items()
        if verdict in found
    ]
