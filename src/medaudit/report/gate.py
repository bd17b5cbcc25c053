"""Stage `gate`: fail a run whose gaps are not shown to keep the margins declared for them."""

import logging
from pathlib import Path
from typing import TypedDict

import pandas as pd

from medaudit.core.errors import GateFailure
from medaudit.core.margins import Margins
from medaudit.core.stage import run
from medaudit.core.table_io import GAPS, read_table, write_json
from medaudit.report.equivalence import Equivalence, judged_rows, upper_limit
from medaudit.report.wording import number_format, terms

LOG = logging.getLogger(__name__)

STRICT = True
"""Level of a gate that passes only what is shown fair within its margin."""
FAILING: dict[bool | str, tuple[Equivalence, ...]] = {
    STRICT: (Equivalence.UNFAIR, Equivalence.UNDECIDED, Equivalence.NOT_ESTIMABLE),
    "undecided": (Equivalence.UNFAIR, Equivalence.UNDECIDED),
    "unfair": (Equivalence.UNFAIR,),
}
"""Level of a gate to the verdicts that fail it."""


class GateSettings(TypedDict):
    """Settings of `gate`: the study, its gate's level, and the margins."""

    study: str
    level: bool | str
    margins: Margins


def gate(settings: GateSettings, *, gaps: list[Path], page: Path, output: Path) -> None:
    """Check every gap of a study that has a margin, and write the verdicts if the gate passes.

    Parameters
    ----------
    settings : dict
        ``study``, ``level`` (a key of `FAILING`) and ``margins`` (``evaluation.margins``).
    gaps : list of Path
        Tables `medaudit.core.table_io.GAPS`, one per run.
    page : Path
        The report; it is not read, but written before a gate fails.
    output : Path
        JSON: ``study``, ``level`` and the number of gaps with each verdict.

    Raises
    ------
    GateFailure
        Lists every gap that fails; the process exits with code 3.
    """
    found = pd.concat([read_table(path, GAPS) for path in gaps], ignore_index=True)
    judged = judged_rows(found, settings["margins"])
    check_gate(judged, settings["level"], f"study {settings['study']}")
    counts = {str(v): int((judged["equivalence"] == v).sum()) for v in Equivalence}
    write_json({"study": settings["study"], "level": settings["level"], "verdicts": counts}, output)
    LOG.info("%s: the gate passes (%s; report: %s)", settings["study"], counts, page)


def check_gate(judged: pd.DataFrame, level: bool | str, what: str) -> None:
    """Raise unless every gap passes a gate.

    Parameters
    ----------
    judged : pandas.DataFrame
        Of `medaudit.report.equivalence.judged_rows`.
    level : bool or str
        A key of `FAILING`.
    what : str
        What was audited, for the message.

    Raises
    ------
    GateFailure
        A gap has a verdict that fails this level, or there is no gap with a margin at all.
    """
    failing = judged[judged["equivalence"].isin(FAILING[level])]
    if judged.empty:
        raise GateFailure(f"{what}: no gap has a margin, so nothing is shown to be fair")
    if len(failing):
        order = {str(verdict): k for k, verdict in enumerate(FAILING[level])}
        failing = failing.sort_values("equivalence", key=lambda v: v.map(order), kind="stable")
        raise GateFailure(
            f"{what}: {len(failing)} of {len(judged)} gaps with a margin fail the gate:",
            [describe(row) for row in failing.to_dict("records")],
        )


def describe(row: dict) -> str:
    """Write one judged gap in a line of a list."""
    what = f"{terms.measure(row['metric'])} by {row['attribute']}, {terms.gap(row['gap'])}"
    task = "" if row["task"] == "all" else f", task {row['task']}"
    margin = f"margin {number_format.number(row['margin'])}"
    head = (
        f"{row['equivalence']}: {row['model']} / {row['method']} on {row['cohort']}, {what}{task}"
    )
    if row["equivalence"] == Equivalence.NOT_ESTIMABLE:
        status = row["status"] if row["status"] != "ok" else None
        return f"{head} ({number_format.reason(status) if status else 'no interval'}; {margin})"
    low, upper = number_format.number(row["low"]), number_format.number(upper_limit(row))
    value = number_format.number(row["value"])
    left_out = row["n_groups"] - row["n_estimable"]
    some = f"; {left_out} of {row['n_groups']} groups not estimable" if left_out else ""
    return f"{head}: {value} (lower limit {low}, upper limit {upper}; {margin}{some})"


if __name__ == "__main__":
    run(gate)
