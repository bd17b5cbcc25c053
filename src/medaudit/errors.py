"""The one error that is shown to a user without a traceback."""


class MedauditError(Exception):
    """Something the user can mend: says what is wrong, the value, where, and what to do."""
