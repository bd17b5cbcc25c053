"""What the workflow does when a gate has failed: print its list and end with code 3.

Imports nothing heavy: it is read at every start of the workflow.
"""

import sys
from pathlib import Path

from medaudit.core.errors import GateFailure

HEAD = "medaudit gate: study"
"""How the list of a failed gate starts in the log of its job."""


def exit_if_failed(results: Path, started: float) -> None:
    """Print the lists of the gates that failed and end the process with code 3, if any did.

    The workflow calls it when a run has failed, because Snakemake itself ends with code 1.

    Parameters
    ----------
    results : Path
        The run's folder; ``log/gate`` has the logs, ``gate`` the outputs of gates that passed.
    started : float
        When the run started, in seconds since the epoch; older logs are of other runs.
    """
    failed = [
        log.read_text(encoding="utf-8")
        for log in sorted((results / "log" / "gate").glob("*.log"))
        if log.stat().st_mtime >= started and not (results / "gate" / f"{log.stem}.json").exists()
    ]
    lists = [text[text.index(HEAD) :] for text in failed if HEAD in text]
    if lists:
        print("".join(lists), file=sys.stderr, end="")
        sys.exit(GateFailure.exit_code)
