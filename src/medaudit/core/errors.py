"""The one error that is shown to a user without a traceback."""

LONGEST = 20_000
"""Characters of a message that are shown."""


class MedauditError(Exception):
    """Something the user can mend: says what is wrong, the value, where, and what to do."""

    def __str__(self) -> str:
        """Return the message; what a file holds cannot command the terminal or forge log lines."""
        text = super().__str__()[:LONGEST]
        return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
