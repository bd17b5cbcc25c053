"""The errors that are shown to a user without a traceback."""

import sys
from collections.abc import Iterable

LONGEST = 20_000
"""Characters of a message that are shown."""


class MedauditError(Exception):
    """An error that the user can fix: what is wrong, the value, where, and what to do.

    Parameters
    ----------
    message : str
        One sentence; with `problems` it introduces them and ends with a colon.
    problems : iterable of str
        Separate problems, one sentence each. They are listed below the message, and kept as
        ``problems`` for whoever handles them one by one.
    """

    exit_code = 1
    """Exit code of a process that ends with this error."""

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *(f"- {problem}" for problem in self.problems)]))

    def __str__(self) -> str:
        """Return the message, cut to `LONGEST` characters."""
        text = super().__str__()[:LONGEST]
        # Messages quote file contents: escaped, those cannot control a terminal or forge log lines.
        return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def exit_with(text: str, error: MedauditError) -> SystemExit:
    """Return the exit that shows `text` and ends the process with the error's code."""
    if error.exit_code == 1:
        return SystemExit(text)
    print(text, file=sys.stderr)
    return SystemExit(error.exit_code)


class GateFailure(MedauditError):
    """The audit ran, and its gaps do not keep the margins that a gate demands."""

    exit_code = 3
