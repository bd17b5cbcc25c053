"""Names that a user types, matched without case and separators; near ones are suggested."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR


def match_name(name: str, known: Iterable[str], what: str) -> str:
    """Return the one of `known` that is meant by `name`.

    Parameters
    ----------
    name : str
        As typed: case, spaces, hyphens and underscores do not matter. The parts of an
        intersection (``sex & race``) may come in any order.
    known : iterable of str
        Names to choose from.
    what : str
        What they are, for the message, e.g. ``attribute``.

    Raises
    ------
    MedauditError
        None of them is meant, or several are; near names are suggested.

    Examples
    --------
    >>> match_name("SEX", ["sex", "age_group"], "attribute")
    'sex'
    >>> match_name("age group&sex", ["sex & age_group"], "attribute")
    'sex & age_group'
    """
    names = list(known)
    if name in names:
        return name
    found = [one for one in names if _plain(one) == _plain(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise MedauditError(f"{name!r} could be the {what} {' or '.join(map(repr, found))}")
    by_plain = {_plain(one): one for one in names}
    close = [by_plain[key] for key in get_close_matches(_plain(name), by_plain, n=2)]
    meant = f"; did you mean {' or '.join(map(repr, close))}?" if close else ";"
    raise MedauditError(f"there is no {what} {name!r}{meant} known: {', '.join(names)}")


def match_names(names: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Return what several names mean, each once; see `match_name`."""
    choices = list(known)
    return list(dict.fromkeys(match_name(name, choices, what) for name in names))


def _plain(name: str) -> str:
    parts = [re.sub(r"[\s_\-]+", "", part) for part in str(name).split(SEPARATOR.strip())]
    return SEPARATOR.join(sorted(part.casefold() for part in parts))
