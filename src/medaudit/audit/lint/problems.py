"""Findings: what a check found, how bad it is, and where."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from medaudit.core.errors import MedauditError

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One problem, or one fact that a reader of the audit must know.

    Parameters
    ----------
    check : str
        Name of the check.
    severity : str
        ``error`` (the audit would be wrong), ``warning`` (it may mislead) or ``info``.
    message : str
        What was found and what to do.
    count : int
        How many patients, rows or groups are affected.
    where : str
        Table, column, group or examples.
    """

    check: str
    severity: str
    message: str
    count: int
    where: str


def as_json(findings: list[Finding]) -> dict:
    """Return the findings as JSON, worst first, with their number by severity."""
    ordered = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.check, f.where))
    numbers = {kind: sum(f.severity == kind for f in findings) for kind in SEVERITIES}
    return {"findings": [asdict(f) for f in ordered], "counts": numbers}


def fail_on_errors(findings: list[Finding], subject: str) -> None:
    """Raise a `MedauditError` that lists every finding of severity ``error``."""
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        lines = "\n".join(f"  - {f.check}: {f.message} [{f.where}]" for f in errors)
        raise MedauditError(f"the protocol lint of {subject} found {len(errors)} errors:\n{lines}")


def examples(values: Iterable[object], most: int = 5) -> str:
    """Return the first `most` values as text, for the ``where`` of a finding."""
    listed = [str(value) for value in values]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
