"""Which runs a study names: its own cohorts x models x methods and those of ``also``.

Imports nothing: it is read at every start of the workflow.
"""

AXES = ("cohorts", "models", "methods")


def crosses(entry: dict) -> list[dict]:
    """Return the crosses of a study's entry, its own first.

    Parameters
    ----------
    entry : dict
        ``cohorts``, ``models``, ``methods``, and perhaps ``also``: a list of the same.
    """
    return [{axis: entry.get(axis, []) for axis in AXES}, *entry.get("also", [])]


def named(entry: dict, axis: str) -> list[str]:
    """Return the cohorts, models or methods of all crosses of an entry, each once, in order."""
    return list(dict.fromkeys(name for cross in crosses(entry) for name in cross[axis]))
