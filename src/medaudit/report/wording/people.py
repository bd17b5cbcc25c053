"""People in sentences: groups, findings and shares of 100."""

import re
from collections.abc import Iterable

from medaudit.core.intersections import split_name
from medaudit.metrics.definitions import NO_FINDING
from medaudit.report.wording import terms

ADJECTIVES = ("sex", "gender", "race", "ethnicity", "race_ethnicity")
"""Attributes whose groups are written before the noun: ``black patients``."""

SEXES = {"f": "female", "m": "male", "w": "female"}
"""Short codes of sexes, where the attribute is a sex."""

UNKNOWN = ("unknown", "u", "other", "missing")
"""Groups that no adjective describes."""

NAMELESS = ("label", "labels", "y", "target", "outcome", "class", "truth", "positive", "finding")
"""Names of a task that do not say what was found."""

OF_PATIENTS = ("images", "lesions")
"""What patients have, where it is not patients that are counted."""

RARE = 0.02
"""Where all shares are below this, they are written per 1,000."""

_AGES = re.compile(r"^(<=|>=|<|>)\d|^\d+\s*[-–]\s*\d+$")


def people(attribute: str, group: str, noun: str = "patients") -> str:
    """Write a group in people.

    Parameters
    ----------
    attribute, group : str
        As in the tables; of intersections, as ``sex & age_group`` and ``female & >=60``.
    noun : str
        ``patients``, ``cases``, or what patients have (`OF_PATIENTS`): ``images of ... patients``.

    Examples
    --------
    >>> people("sex & age_group", "female & >=60")
    'female patients 60 and older'
    >>> people("race", "black", "images")
    'images of black patients'
    >>> people("skin_type", "4-6"), people("sex", "unknown")
    ('patients with skin type 4-6', 'patients of unknown sex')
    """
    before, after = [], []
    for name, level in zip(split_name(attribute), split_name(group), strict=True):
        shown = terms.group(level)
        if name in ("sex", "gender"):
            shown = SEXES.get(level.lower(), shown)
        if name in ADJECTIVES and level.lower() not in UNKNOWN:
            before.append(shown)
        elif level.lower() in UNKNOWN:
            after.append(f"of {shown} {terms.attribute(name)}")
        elif "age" in name.split("_") and _AGES.match(level):
            after.append(shown)
        else:
            after.append(f"with {_named(terms.attribute(name), shown)}")
    whom = "patients" if noun in OF_PATIENTS else noun
    text = " ".join([*before, whom, *after])
    return f"{noun} of {text}" if noun in OF_PATIENTS else text


def _named(attribute: str, level: str) -> str:
    """Write a level after its attribute, without a word that both have.

    Examples
    --------
    >>> _named("skin type", "types 4-6"), _named("view", "AP")
    ('skin types 4-6', 'view AP')
    """
    before, _, last = attribute.rpartition(" ")
    repeated = level.partition(" ")[0].removesuffix("s").lower() == last.lower()
    return f"{before} {level}".strip() if repeated else f"{attribute} {level}"


def finding(task: str) -> str:
    """Write a task as a finding in a sentence.

    Examples
    --------
    >>> finding("Pleural Effusion"), finding("label"), finding("COPD")
    ('pleural effusion', 'the finding', 'COPD')
    """
    if task.lower() in NAMELESS:
        return "the finding"
    words = task.replace("_", " ").split(" ")
    return " ".join(word.lower() if word[1:].islower() else word for word in words)


def whole(values: Iterable[float | None]) -> int:
    """Return the number that shares are written per: 100, or 1,000 where all are small."""
    known = [value for value in values if value is not None]
    return 1000 if known and max(known) < RARE else 100


def share(value: float, per: int) -> str:
    """Write a share as a whole number of `per` people.

    Examples
    --------
    >>> share(0.614, 100), share(0.004, 1000)
    ('61', '4')
    """
    return str(int(value * per + 0.5))


def ends(low: float | None, high: float | None, per: int) -> str:
    """Write an interval of a share in whole people; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{share(low, per)} to {share(high, per)}"


def tasks_in_words(tasks: Iterable[str], classes: bool) -> str:
    """Write what a mean over tasks is over.

    Examples
    --------
    >>> tasks_in_words(["Edema", "No Finding"], classes=False)
    '2 findings (No Finding is one of them)'
    """
    names = list(tasks)
    among = f" ({NO_FINDING} is one of them)" if NO_FINDING in names else ""
    return f"{len(names)} {'classes' if classes else 'findings'}{among}"
