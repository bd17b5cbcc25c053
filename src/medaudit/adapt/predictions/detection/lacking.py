"""What to say where no column is the label or the score."""

from collections.abc import Iterable, Sequence

from medaudit.adapt.predictions.detection.candidates import Candidate


def lacking_roles(
    columns: Iterable[object],
    every: Sequence[Candidate],
    label: str | None,
    score: str | None,
    seen: Iterable[str | None],
) -> str:
    """Return what was found, what was not, and the options that name it.

    Parameters
    ----------
    columns : iterable of str
        All columns of the file.
    every : sequence of Candidate
        Those that nobody gave a role.
    label, score : str or None
        What was found of the two.
    seen : iterable of str or None
        Columns that look like scores.
    """
    lacking = [r for r, column in (("label", label), ("score", score)) if column is None]
    texts = [f"found no {' and no '.join(lacking)} column among {shown(columns)}"]
    texts += [f"the label is {label}"] if label else []
    names = [name for name in seen if name]
    if names:
        texts.append(f"scores: {', '.join(names[:11])}")
    guess = [c.column for c in every if _guess(c, lacking)]
    texts += [f"by content it could be {', '.join(guess[:5])}"] if guess else []
    return (
        f"{'; '.join(texts)}; name {'them' if len(lacking) > 1 else 'it'} with "
        + " and ".join(f"--{role}" for role in lacking)
        + " (for several tasks, several of each)"
        + (", or give a second file of labels with --labels" if "label" in lacking else "")
        + _answers(every, label, lacking)
    )


def _answers(every: Sequence[Candidate], label: str | None, lacking: list[str]) -> str:
    """Return what to do if a column holds the label's two values: answers, and no scores."""
    if lacking != ["score"]:
        return ""
    levels = next(c for c in every if c.column == label).content.folded
    same = [c for c in every if c.column != label and c.content.folded == levels]
    if not same:
        return ""
    first = max(same, key=lambda c: c.name.predicted).column
    return f"; if {first} is the model's yes or no, say --answers {first}"


def shown(names: Iterable[object]) -> str:
    """Return the first names, to be listed in a message."""
    texts = [repr(str(name)) for name in names]
    return ", ".join(texts[:25]) + (f" and {len(texts) - 25} more" if len(texts) > 25 else "")


def _guess(candidate: Candidate, lacking: list[str]) -> bool:
    content = candidate.content
    label = "label" in lacking and content.is_binary and len(content.folded) == 2
    return (label and not candidate.name.predicted) or ("score" in lacking and candidate.looks_like_score and content.is_unit)  # fmt: skip
