"""Words that label columns use for the positive and the negative class."""

import re
from collections.abc import Sequence

from medaudit.core.errors import MedauditError

PAIRS = (
    ("1", "0"),
    ("yes", "no"),
    ("true", "false"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("present", "absent"),
    ("y", "n"),
    ("t", "f"),
    ("+", "-"),
)
POSITIVE = {positive for positive, _ in PAIRS}
NEGATIVE = {negative for _, negative in PAIRS}
ABSENCE = {
    *("normal", "negative", "neg", "healthy", "control", "controls", "benign", "absent", "none"),
    *("no finding", "no findings", "nofinding", "no disease", "non malignant", "nonmalignant"),
    *("clear", "unremarkable", "disease free"),
}
"""Names of classes that mean that nothing was found."""


def positive_levels(levels: Sequence[str], wanted: str | None, column: str, where: str) -> set[str]:
    """Return the values of a label column that count as 1.

    Parameters
    ----------
    levels : sequence of str
        The values of the column, without blanks.
    wanted : str, optional
        The value that the user called positive.
    column, where : str
        For messages.

    Raises
    ------
    MedauditError
        A value is neither positive nor negative, or the words are of two vocabularies: a ``-``
        between 1 and 0 may well be a missing value.
    """
    if wanted is not None:
        return _named(levels, wanted, column, where)
    words = {level: _plain(level) for level in levels}
    positive = {level for level, word in words.items() if word in POSITIVE}
    unknown = [x for x, word in words.items() if word not in POSITIVE | NEGATIVE]
    if unknown and len(levels) == 2:
        absent = [level for level, word in words.items() if word in ABSENCE | NEGATIVE]
        if len(absent) == 1 and words[absent[0]] in ABSENCE:
            return set(levels) - set(absent)
    if len(unknown) > 2 and not positive:
        raise MedauditError(
            f"{where}: labels in {column} must be 0 and 1 (or yes and no); found {len(levels)} values "
            f"such as {unknown[:5]}. For classes, give one score column for each, named for it; "
            "or name another column with --label"
        )
    if unknown:
        raise MedauditError(
            f"{where}: labels in {column} must be 0 and 1 (or yes and no); found {unknown[:5]}. "
            + (
                f"Name the positive value with --positive {unknown[-1]!r}"
                if len(levels) == 2
                else f"If they mean that there is no label: --missing {' '.join(map(repr, unknown[:5]))}"
            )
            + "; or name another column with --label"
        )
    _check_one_vocabulary(words, column, where)
    return positive


def _named(levels: Sequence[str], wanted: str, column: str, where: str) -> set[str]:
    same = [level for level in levels if _plain(level) == _plain(wanted)]
    if not same or len(levels) > 2:
        raise MedauditError(
            f"{where}: {column} holds {list(levels[:5])}; --positive {wanted} must be one of two "
            "values"
        )
    return set(same)


def _plain(level: str) -> str:
    return re.sub(r"^([-+]?\d+)\.0+$", r"\1", level.strip().casefold())


def _check_one_vocabulary(words: dict[str, str], column: str, where: str) -> None:
    used = [pair for pair in PAIRS if set(pair) & set(words.values())]
    if len(used) > 1:
        odd = [level for level, word in words.items() if word not in used[0]]
        raise MedauditError(
            f"{where}: {column} mixes {sorted(words)}: values of two vocabularies. If "
            f"{' and '.join(map(repr, odd))} means that there is no label: "
            f"--missing {' '.join(map(repr, odd))}; else write one word for each class"
        )
