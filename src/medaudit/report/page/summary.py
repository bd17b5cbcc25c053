"""The summary: what a reader must know of a run, on two A4 pages that can be sent by themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from medaudit.report.answers.structure import (
    CONTROL,
    AttributeAnswer,
    RunAnswer,
    StudyAnswers,
)
from medaudit.report.page.warnings import Warned
from medaudit.report.wording import number_format
from medaudit.report.wording.disclaimers import PHANTOM, on_figures
from medaudit.report.wording.names import Names

LOUD = ("SHOWN", "UNFAIR", "HINT")
"""Verdicts whose sentence is in the summary; attributes with another verdict share a line."""
LINE = 118
"""Characters of a printed line."""
ROOM = 108
"""Lines of text that two pages hold, with their headings."""
HEADING = 2
"""Lines that a heading takes."""
FEW = 4
"""Warnings and caveats of a study at most; the report has the others."""


@dataclass
class Block:
    """What is said about one run.

    Parameters
    ----------
    cohort, run, sentence : str
        Display names, and how well the run does.
    control : bool
        Whether it is a control.
    loud : list of AttributeAnswer
        Attributes with a difference.
    quiet : list of str
        Lines on the other attributes, one per verdict.
    """

    cohort: str
    run: str
    sentence: str
    control: bool
    loud: list[AttributeAnswer]
    quiet: list[str] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines it takes."""
        said = [one.label + one.verdict + one.sentence for one in self.loud]
        return HEADING + sum(ceil(len(text) / LINE) for text in (self.sentence, *said, *self.quiet))


def summarise(
    studies: Iterable[dict[str, Any]],
    cards: Iterable[dict[str, Any]],
    names: Names,
    warnings: Sequence[Warned] = (),
) -> dict[str, Any]:
    """Return the content of the summary.

    Parameters
    ----------
    studies : iterable of dict
        ``answered`` (`StudyAnswers`), ``title``, ``question``, ``answers``, ``cohorts``.
    cards : iterable of dict
        Cohort cards: ``name``, ``notes``.
    names : Names
        Display names.
    warnings : sequence of dict
        The page's warnings (`medaudit.report.page.warnings.collect_warnings`).

    Returns
    -------
    dict
        ``studies``: each with ``title``, ``question``, ``said`` (what its own question comes to),
        ``blocks`` (`Block`), ``left`` (runs that
        are only in the report), ``warnings``, ``unsaid`` (how many more the report has),
        ``caveats``, ``limits`` and ``level``.
    """
    notes = {card["name"]: card.get("notes", []) for card in cards}
    found = [_study(study, notes, names, warnings) for study in studies]
    _fit(found)
    return {"studies": found}


def _study(
    study: dict[str, Any], notes: dict[str, list[str]], names: Names, warnings: Sequence[Warned]
) -> dict[str, Any]:
    answered: StudyAnswers = study["answered"]
    first = [run for run in answered.runs if run.first and run.role != CONTROL]
    shown = first or list(answered.runs[:1])
    said = [note for cohort in study["cohorts"] for note in notes.get(cohort, [])]
    warned = _warned(answered, study["cohorts"], warnings)
    return {
        "title": study["title"],
        "question": study["question"],
        "said": [text for part in study["answers"] for text in part["short"]],
        "blocks": [_block(run, names) for run in shown],
        "left": len(answered.runs) - len(shown),
        "warnings": warned[:FEW],
        "unsaid": len(warned[FEW:]),
        "caveats": [note for note in dict.fromkeys(map(_brief, said)) if note != PHANTOM][:FEW],
        "limits": _limits(shown),
        "decisions": answered.decisions,
        "level": f"{100 * answered.level:g}",
    }


def _brief(note: str) -> str:
    return on_figures([note])[0]


def _warned(
    answered: StudyAnswers, cohorts: Iterable[str], warnings: Sequence[Warned]
) -> list[Warned]:
    """Return the warnings about the study, its runs first, and about its cohorts and models."""
    about = {*cohorts, *(run.model for run in answered.runs)}
    own = [one for one in warnings if one["study"] == answered.title]
    others = [one for one in warnings if not one["study"] and one["label"] in about]
    return [one for one in (*own, *others) if one["kind"] != "drawn"]  # a caveat already


def _block(run: RunAnswer, names: Names) -> Block:
    loud = [one for kind in LOUD for one in run.attributes if one.kind == kind]
    quiet: dict[str, list[str]] = {}
    for one in run.attributes:
        if one.kind not in LOUD:
            quiet.setdefault(one.verdict, []).append(one.label)
    return Block(
        cohort=names.cohort(run.cohort),
        run=names.run({"model": run.model, "method": run.method}),
        sentence=run.sentence,
        control=run.role == CONTROL,
        loud=loud,
        quiet=[f"{verdict}: by {', by '.join(labels)}" for verdict, labels in quiet.items()],
    )


def _limits(shown: list[RunAnswer]) -> str:
    """Write which gaps could have been found."""
    least = [
        measure.smallest_detectable
        for run in shown
        for one in run.attributes
        for measure in one.measures
        if measure.smallest_detectable is not None
    ]
    if not least:
        return ""
    ends = dict.fromkeys(number_format.least(value) for value in (min(least), max(least)))
    return (
        f"The smallest gaps that these test sets find in 80 of 100 samples are {' to '.join(ends)}, "
        "depending on the measure and the groups. Smaller gaps may exist unseen."
    )


def _fit(studies: list[dict[str, Any]]) -> None:
    """Shorten the longest study that can be shortened until the text fits two pages."""
    while sum(map(_lines, studies)) > ROOM:
        if not any(map(_shorten, sorted(studies, key=_lines, reverse=True))):
            break


def _lines(study: dict[str, Any]) -> int:
    """Return the printed lines that a study takes."""
    warnings = "".join(one["label"] + one["text"] for one in study["warnings"])
    unknown = study["limits"] + "".join(study["caveats"]) + study["decisions"]
    texts = (warnings, unknown, *study["said"])
    said = sum(ceil(len(text) / LINE) for text in texts)
    return 2 * HEADING + said + sum(block.lines for block in study["blocks"])


def _shorten(study: dict[str, Any]) -> bool:
    """Leave out a study's last run, caveat, warning or suggestive answer; False: none is left."""
    hints = [(block, one) for block in study["blocks"] for one in block.loud if one.kind == "HINT"]
    if len(study["blocks"]) > 1:
        study["blocks"].pop()
        study["left"] += 1
    elif study["caveats"]:
        study["caveats"].pop()
    elif study["warnings"]:
        study["warnings"].pop()
        study["unsaid"] += 1
    elif hints:
        block, one = hints[-1]
        block.loud.remove(one)
        block.quiet.append(f"{one.verdict}: by {one.label}")
    else:
        return False
    return True
