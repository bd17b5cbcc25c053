"""Names of intersections of attributes and of their groups: ``sex & age_group``, ``female & <60``."""

from collections.abc import Iterable

SEPARATOR = " & "


def join_names(names: str | Iterable[str]) -> str:
    """Return the name of an attribute, or of an intersection given by its parts.

    Examples
    --------
    >>> join_names(["sex", "age_group"])
    'sex & age_group'
    >>> join_names("sex")
    'sex'
    """
    return names if isinstance(names, str) else SEPARATOR.join(names)


def split_name(name: str) -> list[str]:
    """Return the parts of an attribute's or group's name; one part if it is no intersection."""
    return name.split(SEPARATOR)
