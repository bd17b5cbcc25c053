"""The words of a column's name: what they say of its role, and the stem between them."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

TRUTH = {"true", "truth", "gt", "ground", "actual", "reference", "gold", "observed", "consensus"}
LABEL = {"label", "labels", "target", "targets", "y"}
WEAK_LABEL = {"outcome", "diagnosis", "diagnoses", "dx", "class", "classes", "disease", "finding"}
PREDICTED = {
    *("pred", "preds", "predict", "predicts", "predicted", "prediction", "predictions", "hat"),
    *("decision", "decisions", "inferred", "estimated", "forecast", "classified", "flagged"),
}
MODEL = {"model", "ai", "algo", "algorithm", "cad", "cnn", "dl", "output", "outputs", "network"}
SCORE = {
    *("prob", "probs", "proba", "probas", "probability", "probabilities", "score", "scores"),
    *("likelihood", "softmax", "sigmoid", "risk", "p"),
}
LOGIT = {"logit", "logits"}
CONFIDENCE = {"confidence", "confidences", "conf", "certainty", "maxprob"}
OUTCOME = {
    *("correct", "correctly", "incorrect", "wrong", "error", "errors", "tp", "fp", "tn", "fn"),
    *("hit", "miss", "misclassified", "match", "matches", "agreement", "loss", "residual"),
    *("entropy", "uncertainty", "mistake"),
}
QUALIFIERS = {
    *("numeric", "num", "id", "idx", "index", "int", "code", "encoded", "bin", "binary", "name"),
    *("value", "val", "values", "raw", "cal", "calibrated", "uncalibrated", "final", "mean", "avg"),
    *("average", "ensemble", "tta", "max", "the", "of", "is", "for", "text", "str", "test", "oof"),
}
GROUPING = {"group", "groups", "level", "category", "cat", "band", "bin", "bins", "tier", "range"}
_ROLE = (TRUTH | LABEL | WEAK_LABEL | PREDICTED | MODEL | SCORE | LOGIT | CONFIDENCE | OUTCOME) - {
    "disease",
    "finding",
    "diagnosis",
    "diagnoses",
    "outcome",
    "dx",
}
_MERGED = {
    f"{a}{b}": (a, b)
    for a in ("y", "pred", "predicted", "model", "ai", "ground", "gt", "true", "is")
    for b in ("true", "truth", "pred", "hat", "score", "prob", "proba", "label", "class", "correct")
}
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+|[-+](?=\d|$)")


class Kind(StrEnum):
    """What a name says about a column."""

    TRUTH = "truth"
    DECISION = "decision"
    PREDICTION = "prediction"
    SCORE = "score"
    LOGIT = "logit"
    CONFIDENCE = "confidence"
    OUTCOME = "outcome"
    NONE = "none"


@dataclass(frozen=True)
class Name:
    """A column's name, parsed.

    Parameters
    ----------
    text : str
        As the file has it.
    kind : Kind
        What its words say. ``PREDICTION`` can be a decision or a score: the content decides.
    stem : str
        The part without the words of the role, as the file spells it: ``Pleural Effusion`` of
        ``label_Pleural Effusion``; empty for ``y_true``.
    words : tuple of str
        All words in lower case.
    strength : int
        Of a truth: 3 for ``y_true``, 2 for ``label``, 1 for ``diagnosis``.
    """

    text: str
    kind: Kind
    stem: str
    words: tuple[str, ...]
    strength: int = 0

    @property
    def key(self) -> str:
        """Return the stem without case, spaces and punctuation, to compare it."""
        return key_of(self.stem)

    @property
    def plain(self) -> bool:
        """Return whether the name holds words of a role only, perhaps with a qualifier."""
        return set(words_of(self.stem)) <= QUALIFIERS

    @property
    def predicted(self) -> bool:
        """Return whether a word says that the column is the model's, not the patient's."""
        return self.kind in (Kind.OUTCOME, Kind.CONFIDENCE) or bool(set(self.words) & PREDICTED)


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case; capitals and punctuation separate them.

    Examples
    --------
    >>> words_of("PredLabel"), words_of("y_true"), words_of("prob Pleural-Effusion")
    (['pred', 'label'], ['y', 'true'], ['prob', 'pleural', 'effusion'])
    """
    return [word for word, _, _ in _words(name)]


def key_of(name: str) -> str:
    """Return the letters and digits of a name in lower case, to compare names.

    Examples
    --------
    >>> key_of("Pleural_Effusion") == key_of("pleural effusion")
    True
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\W_]+", "", folded) or folded.strip()


@cache
def parse(name: str) -> Name:
    """Return what the words of a column's name say.

    Examples
    --------
    >>> parse("predicted_label").kind, parse("prob_Pleural_Effusion").stem
    (<Kind.DECISION: 'decision'>, 'Pleural_Effusion')
    """
    spans = _words(name)
    words = [word for word, _, _ in spans]
    first, last = _bounds(words)
    stem = name[spans[first][1] : spans[last - 1][2]] if first < last else ""
    role = set(words[:first]) | set(words[last:])
    stem = "" if len(words) == 1 and words[0] in WEAK_LABEL else stem
    kind = _kind(role, words, stem)
    if kind == Kind.NONE:
        return Name(name, kind, name, tuple(words))
    return Name(name, kind, stem, tuple(words), _strength(set(words)) if kind == "truth" else 0)


def _words(name: str) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for match in _WORD.finditer(name):
        word = match[0].casefold()
        parts = _MERGED.get(word, (word,))
        start = match.start()
        for k, part in enumerate(parts):
            end = match.end() if k == len(parts) - 1 else start + len(part)
            found.append((part, start, end))
            start = end
    return found


def _bounds(words: list[str]) -> tuple[int, int]:
    """Return where the stem begins and ends: the words of a role are before and after it."""
    first, last = 0, len(words)
    while first < last and words[first] in _ROLE and not (words[first] == "p" and first):
        first += 1
    if first == len(words):
        return _true_as_class(words)
    # `sex_y` and `score_p` end with the suffix of a merge or a name, not with a word of a role
    while last > first and words[last - 1] in _ROLE - {"y", "p", "risk"}:
        last -= 1
    return first, last


def _true_as_class(words: list[str]) -> tuple[int, int]:
    """Return the bounds of ``true`` in ``prob_true``, which names a class; else no stem."""
    before = set(words[:-1])
    if words[-1:] == ["true"] and before & SCORE and not before & (TRUTH | LABEL):
        return len(words) - 1, len(words)
    return 0, 0


def _kind(role: set[str], words: list[str], stem: str) -> Kind:
    text = " ".join(words)
    if re.search(r"\b(true|false) (positive|negative)\b", text):
        return Kind.OUTCOME
    if set(words) & GROUPING and not role & (PREDICTED | TRUTH | LABEL):
        return Kind.NONE
    if role & OUTCOME and not role & (TRUTH | SCORE | LOGIT):
        return Kind.OUTCOME
    if role & TRUTH and not role & (PREDICTED | LOGIT):
        return Kind.TRUTH
    if role & LOGIT:
        return Kind.LOGIT
    if role & CONFIDENCE:
        return Kind.CONFIDENCE
    if role & SCORE:
        return Kind.SCORE
    if role & PREDICTED or (role & MODEL and not stem):
        return Kind.DECISION if role & ((LABEL | WEAK_LABEL) - {"y"}) else Kind.PREDICTION
    if role & LABEL or (not stem and set(words) & WEAK_LABEL) or text in WEAK_LABEL:
        return Kind.TRUTH
    if role & MODEL:
        return Kind.PREDICTION
    return Kind.TRUTH if role & WEAK_LABEL else Kind.NONE


def _strength(words: set[str]) -> int:
    if words & TRUTH:
        return 3
    return 2 if words & LABEL else 1
