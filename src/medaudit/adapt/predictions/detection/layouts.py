"""Which label belongs to which score: one task, several, classes of one label, or models."""

from collections.abc import Iterable

import pandas as pd

from medaudit.adapt.predictions.detection.candidates import (
    Candidate,
    candidates,
    same_order,
    same_partition,
)
from medaudit.adapt.predictions.detection.choices import Columns
from medaudit.adapt.predictions.detection.classes import find_classes
from medaudit.adapt.predictions.detection.lacking import lacking_roles
from medaudit.adapt.predictions.detection.names import Kind, key_of
from medaudit.adapt.predictions.label_words import ABSENCE, NEGATIVE, POSITIVE
from medaudit.core.errors import MedauditError

MISSING_CODES = {"-1", "-9", "9", "99", "u", "-"}


class Layouts:
    """The search for labels and scores among the columns that have no other role.

    Parameters
    ----------
    frame : pandas.DataFrame
        The predictions.
    found : Columns
        The roles so far.
    free : list of str
        Columns that may be labels or scores.
    where : str
        The file, for messages.
    needs_label : bool
        Whether a file without labels is an error.
    positive : str or None
        The level of the label that the user called positive.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        found: Columns,
        free: list[str],
        where: str,
        needs_label: bool,
        positive: str | None,
    ) -> None:
        self.frame, self.found, self.where = frame, found, where
        self.needs_label, self.positive = needs_label, positive
        self.names_of_codes: list[str] = []
        names = [n for n in free if n not in found.taken and n not in found.not_groups]
        self.all = candidates(frame, names)
        self.truths = [c for c in self.all if c.role == "truth"]
        self.scores = [c for c in self.all if c.role == "score"]

    def find(self) -> None:
        """Find labels and scores; raise a `MedauditError` where they do not belong together."""
        label, score = self.label(), self.found.roles.get("score")
        if score is None and label is not None and find_classes(self, label):
            return
        plain = None if score else self.plain_score()
        label = self.lone_label() if label is None and (score or plain) else label
        score = score or plain
        if label is not None and score is not None:
            self.take_plain(label, score)
        elif not self.pairs() and not self.models(label):
            self.without_label_or_score(label, score)

    def label(self) -> str | None:
        """Return the column of the truth that has no stem, or None."""
        if "label" in self.found.roles:
            return self.found.roles["label"]
        plain = [c for c in self.truths if c.name.plain]
        usable = sorted(plain, key=_truth_rank)
        if not usable:
            return None
        best = usable[0]
        self._check_truths(best, usable[1:])
        return best.column

    def lone_label(self) -> str | None:
        """Return the only column of labels that is named for a task, beside a plain score."""
        named = [c for c in self.truths if c.name.strength > 1 and c.content.is_binary]
        stems = [c for c in self.scores if c.name.stem and not c.name.plain and c.looks_like_score]
        return named[0].column if len(named) == 1 and not stems else None

    def _check_truths(self, best: Candidate, others: list[Candidate]) -> None:
        differ = [c for c in others if not same_partition(best.content, c.content)]
        # y_true is clearer than label; label and diagnosis are not told apart by their names
        doubt = [c for c in differ if c.name.strength >= best.name.strength]
        if best.name.strength == 2:
            doubt += [c for c in differ if c.name.strength == 1 and _labels_alike(c, best)]
        if doubt and best.name.strength > 1:
            names = [best.column, *(c.column for c in doubt)]
            raise MedauditError(
                f"{self.where}: {' and '.join(map(repr, names))} could both be the truth, and they "
                f"differ; name one: --label {best.column!r}"
            )

    def plain_score(self) -> str | None:
        """Return the score column that has no stem, or None."""
        plain = sorted((c for c in self.scores if c.name.plain), key=lambda c: c.rank)
        if not plain:
            return self._decisions() or self._texts()
        self.check_rivals(plain)
        return plain[0].column

    def _decisions(self) -> str | None:
        """Return the column of decisions where nothing else could be the score."""
        stems = [c for c in self.scores if c.looks_like_score or c.content.is_continuous]
        decisions = [c for c in self.all if c.role == "decision" and c.name.plain]
        usable = [c for c in decisions if c.content.is_numeric]
        return usable[0].column if usable and not stems else None

    def _texts(self) -> str | None:
        """Return a column that is named like a score and holds texts, which shaping reports."""
        kinds = (Kind.SCORE, Kind.LOGIT, Kind.CONFIDENCE)
        named = [c for c in self.all if c.name.kind in kinds and c.name.plain]
        others = any(c.looks_like_score for c in self.scores)
        return named[0].column if named and not others else None

    def check_rivals(self, ranked: list[Candidate]) -> None:
        """Raise an error if two columns of probabilities rank the rows differently."""
        best = ranked[0]
        for other in ranked[1:]:
            rival = other.looks_like_score and best.looks_like_score
            # the softmax of several logits ranks the rows differently than one of them
            rival &= other.content.is_unit == best.content.is_unit
            rival &= other.name.kind != Kind.CONFIDENCE or best.name.kind == Kind.CONFIDENCE
            if rival and not same_order(best.content, other.content):
                raise MedauditError(
                    f"{self.where}: {best.column!r} and {other.column!r} could both be the score, "
                    f"and they rank the rows differently; name one: --score {best.column!r}, or "
                    "both to compare them as two models"
                )

    def take_plain(self, label: str, score: str) -> None:
        """Take one label and one score column."""
        self.found.roles |= {"label": label, "score": score}
        self.record_label(label)
        self.record_score(score, [c for c in self.scores if c.name.plain])

    def record_label(self, label: str) -> None:
        """Record why a column is the label, and which others could have been."""
        if "label" in self.found.named:
            return
        others = [c.column for c in self.truths if c.column != label and c.name.plain]
        levels = ", ".join(next(c for c in self.truths if c.column == label).content.levels[:4])
        self.found.add("label", label, f"named like the truth; holds {levels}", others)

    def record_score(self, score: str, rivals: Iterable[Candidate]) -> None:
        """Record why a column is the score, and which others could have been."""
        if "score" in self.found.named:
            return
        others = [c.column for c in rivals if c.column != score]
        chosen = next(c for c in self.all if c.column == score)
        reason = f"named like a score; {_range(chosen)}"
        if chosen.role == "decision":
            reason = "the model's decisions; there is no column of scores"
            if chosen.content.folded <= POSITIVE | NEGATIVE:
                self.found.decision = score
        self.found.add("score", score, reason, others)

    def stems(self, chosen: Iterable[Candidate]) -> dict[str, list[Candidate]]:
        """Return candidates by the key of their stem, the best first."""
        found: dict[str, list[Candidate]] = {}
        for candidate in chosen:
            if candidate.name.stem:
                found.setdefault(candidate.name.key, []).append(candidate)
        return {key: sorted(same, key=lambda c: c.rank) for key, same in found.items()}

    def pairs(self) -> bool:
        """Take a label and a score for each stem, and return whether there are any."""
        scores = self.stems(self.scores)
        labels = self.stems(c for c in self.truths if not c.name.plain or c.name.stem)
        for candidate in self.all:
            key = key_of(candidate.column)
            if key in scores and key not in labels and _could_be_label(candidate):
                labels[key] = [candidate]
        both = [key for key in labels if key in scores]
        if not both or "label" in self.found.named or "score" in self.found.named:
            return False
        self._check_unpaired(labels, scores)
        for key in both:
            self.check_rivals(scores[key])
            label, score = labels[key][0], scores[key][0]
            name = label.name.stem if label.role == "truth" else label.column
            self.found.tasks[name] = (label.column, score.column)
            others = [c.column for c in (*labels[key][1:], *scores[key][1:])]
            self.found.add(f"task {name}", f"{label.column} / {score.column}", "the same name without the words for label and score", others)  # fmt: skip
        self.found.roles.pop("task", None)
        return True

    def _check_unpaired(
        self, labels: dict[str, list[Candidate]], scores: dict[str, list[Candidate]]
    ) -> None:
        lost = [c[0] for key, c in labels.items() if key not in scores]
        no_score = [c.column for c in lost if c.content.is_binary and c.name.strength > 1]
        no_label = [c[0].column for key, c in scores.items() if key not in labels]
        no_label = [n for n in no_label if self._is_score(n)]
        if no_score or no_label:
            problems = [f"labels without a score: {', '.join(no_score)}"] if no_score else []
            problems += [f"scores without a label: {', '.join(no_label)}"] if no_label else []
            ignore = " ".join(map(repr, [*no_score, *no_label]))
            raise MedauditError(
                f"{self.where}: {'; '.join(problems)}; give both the same name, or leave them out "
                f"with --ignore {ignore}"
            )

    def _is_score(self, column: str) -> bool:
        return next(c for c in self.all if c.column == column).looks_like_score

    def models(self, label: str | None) -> bool:
        """Take one label and a score for each model, and return whether there are any."""
        if "score" in self.found.named:
            return False
        stems = {
            key: [c for c in same if c.looks_like_score]
            for key, same in self.stems(self.scores).items()
        }
        stems = {key: same for key, same in stems.items() if same}
        for same in stems.values():
            self.check_rivals(same)
        best = [same[0] for same in stems.values()]
        if not best or (label is None and self.needs_label):
            return False
        if label is None:
            self.found.tasks = {c.name.stem: (None, c.column) for c in best}
            return True
        if len(best) == 1:
            self.take_plain(label, best[0].column)
            return True
        self.found.roles.pop("label", None)
        self.found.label, self.found.scores = label, {c.name.stem: c.column for c in best}
        self.record_label(label)
        for c in best:
            self.found.add(
                f"score of {c.name.stem}", c.column, "named like a score; one model per column"
            )
        return True

    def without_label_or_score(self, label: str | None, score: str | None) -> None:
        """Take scores without labels where that is allowed, otherwise raise an error."""
        if score and not self.needs_label:
            self.found.roles["score"] = score
            self.record_score(score, self.scores)
            return
        seen = [score, *(c[0].column for c in self.stems(self.scores).values())]
        raise MedauditError(
            f"{self.where}: {lacking_roles(self.frame.columns, self.all, label, score, seen)}"
        )


def _labels_alike(candidate: Candidate, best: Candidate) -> bool:
    """Return whether a column holds labels, and no attribute that is named like one."""
    levels = candidate.content.folded
    same = levels == best.content.folded
    return len(levels) == 2 and (same or candidate.content.is_binary or bool(levels & ABSENCE))


def _range(candidate: Candidate) -> str:
    values = candidate.content.filled
    if not len(values):
        return "no numbers"
    kind = "probabilities" if candidate.content.is_unit else "numbers"
    return f"{kind} from {values.min():.3g} to {values.max():.3g}"


def _truth_rank(candidate: Candidate) -> tuple[bool, int, bool]:
    content = candidate.content
    two = len(content.folded) == 2
    return (candidate.name.strength == 1 and not two, -candidate.name.strength, not content.is_binary)  # fmt: skip


def _could_be_label(candidate: Candidate) -> bool:
    codes = candidate.content.folded - MISSING_CODES
    return candidate.role in ("none", "truth") and 0 < len(codes) <= 2 and len(candidate.content.folded) <= 4  # fmt: skip
