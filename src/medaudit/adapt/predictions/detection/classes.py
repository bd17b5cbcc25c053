"""Score columns that are named for the levels of one label: two classes, or several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from medaudit.adapt.predictions.detection.candidates import Candidate, sum_to_one
from medaudit.adapt.predictions.detection.content import Content
from medaudit.adapt.predictions.detection.names import Kind, key_of, parse
from medaudit.adapt.predictions.label_words import ABSENCE, NEGATIVE, POSITIVE
from medaudit.core.errors import MedauditError
from medaudit.metrics.rank_auc import rank_auc

if TYPE_CHECKING:
    from medaudit.adapt.predictions.detection.layouts import Layouts

_ABSENT = {key_of(word) for word in ABSENCE | NEGATIVE}


def find_classes(search: Layouts, label: str) -> bool:
    """Take score columns as the classes of a label, and return whether they are.

    Raises
    ------
    MedauditError
        They are the classes, but which of two is positive, or which code is which, is unknown.
    """
    content = Content(search.frame[label])
    stems = search.stems(c for c in search.scores if c.name.kind != Kind.CONFIDENCE)
    levels = content.levels
    if not 2 <= len(levels) <= 50 or not stems:
        return False
    best = {key: same[0] for key, same in stems.items()}
    names = _named_codes(levels, search.names_of_codes)
    matched = {x: key for x in levels if (key := _match(names.get(x, x), best)) is not None}
    if len(matched) == len(levels):
        return _take(search, label, matched, best)
    one = _set_of(best)
    if len(one) < 2:
        return _lone(search, label, matched, best)
    if len(one) == 2 and len(levels) == 2:
        return _two_by_order(search, label, one, best)
    codes = sorted(content.folded)
    if content.is_whole and codes == [str(k) for k in range(len(one))][: len(codes)] and len(one) > 2:  # fmt: skip
        shown = " ".join(repr(best[key].name.stem) for key in one)
        raise MedauditError(
            f"{search.where}: {label} holds the codes {', '.join(codes)} and the scores are named "
            f"for {shown}: which code is which is not in the file; give the names in the order of "
            f"the codes: --classes {shown}"
        )
    return False


def _named_codes(levels: list[str], names: list[str]) -> dict[str, str]:
    """Return the user's name of each code 0, 1, 2 ..."""
    codes = {str(k): name for k, name in enumerate(names)}
    return {x: codes[x.removesuffix(".0")] for x in levels if x.removesuffix(".0") in codes}


def _match(level: str, best: dict[str, Candidate]) -> str | None:
    """Return the key of the score column that is named for a level of the label."""
    plain = re.sub(r"^([-+]?\d+)\.0+$", r"\1", level)
    keys = (key_of(plain), key_of(parse(plain).stem or plain))
    return next((key for key in keys if key in best), None)


def _set_of(best: dict[str, Candidate]) -> list[str]:
    """Return the keys of the columns that together are one softmax, in the file's order."""
    for kinds in ((Kind.SCORE, Kind.PREDICTION), (Kind.LOGIT,)):
        keys = [k for k, c in best.items() if c.name.kind in kinds and c.looks_like_score]
        if len(keys) > 1 and (kinds == (Kind.LOGIT,) or sum_to_one([best[k].content for k in keys])):  # fmt: skip
            return keys
    return []


def _take(search: Layouts, label: str, matched: dict[str, str], best: dict[str, Candidate]) -> bool:
    contents = [best[key].content for key in matched.values()]
    if len(matched) == 2:
        if not sum_to_one(contents) and all(c.is_unit for c in contents):
            names = " and ".join(repr(best[key].column) for key in matched.values())
            raise MedauditError(
                f"{search.where}: {names} are named for the values of {label}, but do not sum to 1; "
                f"name the score of the positive class: --score {best[list(matched.values())[-1]].column!r}"
            )
        positive = _positive(search, list(matched), label)
        return _as_binary(search, label, positive, best[matched[positive]], contents, best, [*matched.values()])  # fmt: skip
    absent = {k: c for k, c in best.items() if k not in matched.values() and k in _set_of(best)}
    search.found.classes = {level: best[key].column for level, key in matched.items()}
    search.found.classes |= {c.name.stem: c.column for c in absent.values()}
    search.found.roles.pop("label", None)
    search.found.label = label
    search.record_label(label)
    names = ", ".join(search.found.classes.values())
    others = [c.column for same in search.stems(search.scores).values() for c in same[1:]]
    search.found.add("scores of classes", names, f"named for the values of {label}", others)
    return True


def _positive(search: Layouts, levels: list[str], label: str) -> str:
    """Return which of two levels is positive: the user's, or by the words."""
    if search.positive is not None:
        if search.positive not in levels:
            raise MedauditError(
                f"{search.where}: {label} holds {levels}; --positive {search.positive} must be one "
                "of them"
            )
        return search.positive
    folded = [level.casefold().removesuffix(".0") for level in levels]
    if set(folded) <= POSITIVE | NEGATIVE:
        words = [level for level, word in zip(levels, folded, strict=True) if word in POSITIVE]
    else:
        words = [level for level in levels if key_of(level) not in _ABSENT]
    if len(words) != 1:
        raise MedauditError(
            f"{search.where}: {label} holds {levels[0]!r} and {levels[1]!r}; name the positive one: "
            f"--positive {levels[1]!r}"
        )
    return words[0]


def _as_binary(
    search: Layouts,
    label: str,
    positive: str | None,
    score: Candidate,
    contents: list[Content],
    best: dict[str, Candidate],
    keys: list[str],
) -> bool:
    """Take the column of the positive class as the score."""
    if all(c.is_unit for c in contents):
        reason = f"probability of {positive}: the two columns sum to 1"
    else:
        raise MedauditError(
            f"{search.where}: {' and '.join(best[key].column for key in keys)} are logits of two "
            "classes; write the probability of the positive class (softmax), or name its logit: "
            f"--score {score.column!r} --scores logits"
        )
    search.found.roles |= {"label": label, "score": score.column}
    search.found.positive = positive
    search.record_label(label)
    others = [best[key].column for key in keys if best[key] is not score]
    search.found.add("score", score.column, reason, others)
    for other in others:
        search.found.not_groups[other] = "the probability of the other class"
    return True


def _two_by_order(search: Layouts, label: str, keys: list[str], best: dict[str, Candidate]) -> bool:
    """Take two columns that sum to 1 and are not named like the label's values.

    ``prob_normal`` says by its word which class it is; of ``prob_0`` and ``prob_1`` beside labels
    in words, the column that ranks the positive ones higher is theirs.
    """
    levels = Content(search.frame[label]).levels
    contents = [best[key].content for key in keys]
    if not sum_to_one(contents):
        return False
    positive = _positive(search, levels, label)
    named = [key for key in keys if key not in _ABSENT]
    if len(named) == 1 and not {"0", "1"} & set(keys):
        present = key_of(positive.removesuffix(".0")) not in _ABSENT
        score = best[named[0] if present else next(key for key in keys if key != named[0])]
    else:
        truth = (search.frame[label].astype("str").str.strip() == positive).to_numpy()
        numbers = contents[1].numbers
        auc = float(rank_auc(np.asarray(numbers, float), truth)) if numbers is not None else 0.5
        if abs(auc - 0.5) < 0.15:
            names = " or ".join(repr(best[key].column) for key in keys)
            raise MedauditError(
                f"{search.where}: {names}: which is the probability of {positive!r} cannot be told; "
                f"name it: --score {best[keys[1]].column!r}"
            )
        score = best[keys[1] if auc > 0.5 else keys[0]]
    return _as_binary(search, label, positive, score, contents, best, keys)


def _lone(search: Layouts, label: str, matched: dict[str, str], best: dict[str, Candidate]) -> bool:
    """Take one score column that is named for one of the label's two values."""
    levels = Content(search.frame[label]).levels
    scores = [c for c in best.values() if c.looks_like_score]
    if len(scores) != 1 or len(levels) != 2:
        return False
    key = scores[0].name.key
    level = next((level for level, k in matched.items() if k == key), None)
    if key in _ABSENT and search.positive is None:
        named = level or next((x for x in levels if x.casefold() in NEGATIVE | ABSENCE), levels[0])
        raise MedauditError(
            f"{search.where}: {scores[0].column!r} is named for the negative class; to audit it as "
            f"the score of {named!r}: --positive {named!r}; or add the score of the other class"
        )
    if level is not None and search.positive is None:
        search.found.positive = level
    search.take_plain(label, scores[0].column)
    return True
