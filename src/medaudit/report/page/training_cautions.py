"""Warnings about training, from the footers of predictions: learning rates and epochs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medaudit.report.answers.structure import Caution, RunAnswer
from medaudit.report.wording.phrases import plural

LEAST_EPOCHS = 3
"""A curve with fewer epochs does not show whether it still falls."""


def training_cautions(run: RunAnswer, footers: Sequence[Mapping[str, Any]]) -> Iterator[Caution]:
    """Yield the warnings about how a run was trained; none where nothing is recorded.

    Parameters
    ----------
    run : RunAnswer
        The run.
    footers : list of mapping
        Footers of predictions, with ``runs`` (`medaudit.core.documents.PredictionsFooter`).
    """
    for footer in footers:
        own = all(footer.get(name) == getattr(run, name) for name in ("cohort", "model", "method"))
        found = footer.get("runs")
        if own and isinstance(found, Mapping):
            yield from _edge_of_grid(found)
            yield from _still_falling(found)


def _edge_of_grid(runs: Mapping[str, Any]) -> Iterator[Caution]:
    """Yield a warning where the best learning rate is the first or last of those tried."""
    tried = runs.get("learning_rates") or [
        trial["learning_rate"] for trial in runs.get("trials", []) if "learning_rate" in trial
    ]
    grid = sorted(set(tried))
    if len(grid) < 2 or runs.get("point"):  # a searched rate is not from a grid
        return
    chosen = [one["learning_rate"] for one in runs.get("chosen", []) if "learning_rate" in one]
    for end, word, more in ((grid[0], "smallest", "smaller"), (grid[-1], "largest", "larger")):
        count = chosen.count(end)
        if count:
            of = f" in {count} of {plural(len(chosen), 'seed')}" if len(chosen) > 1 else ""
            yield Caution(
                "learning_rate_at_edge",
                f"Validation chose the {word} learning rate of its grid, {end:g}{of}: a {more} one "
                "may be better.",
                "figure:learning_rates",
            )


def _still_falling(runs: Mapping[str, Any]) -> Iterator[Caution]:
    """Yield a warning where the validation loss was lowest in the last epoch."""
    curves = [
        curve
        for one in runs.get("chosen", [])
        if len(curve := one.get("val_loss_by_epoch") or one.get("curve") or []) >= LEAST_EPOCHS
    ]
    falling = [curve for curve in curves if curve[-1] < min(curve[:-1])]
    if falling:
        of = f" in {len(falling)} of {plural(len(curves), 'seed')}" if len(curves) > 1 else ""
        yield Caution(
            "loss_still_falling",
            f"The validation loss was still falling in the last of {len(falling[0])} epochs{of}: "
            "longer training may change the result.",
            "",
        )
