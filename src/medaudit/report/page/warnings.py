"""Warnings of the first screen, each with a link to the place that it is about."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from medaudit.core.documents import CohortCard, LintFindings
from medaudit.report.answers.structure import CONTROL, Caution, RunAnswer, StudyAnswers
from medaudit.report.page.training_cautions import training_cautions
from medaudit.report.wording.names import Names
from medaudit.report.wording.phrases import plural

OF_MODELS = ("pretraining_overlap", "pretraining_images")
"""Checks of the lint that are about a model, named in ``where``."""

SHOWN_CHECKS = (*OF_MODELS, "near_duplicates", "no_patients", "test_touched")
"""Checks of the lint whose warnings are said in full; of the others the number."""

KINDS = {"auc_below_half": "AUC below 0.5"}
"""Kinds of warnings that do not read as words."""
COVERED = {"label_polarity": "auc_below_half"}
"""Checks of the lint, and the kind of the answers' own warnings that make them superfluous."""

NAMELESS = Names()

DRAWN = "drawn at random"
"""Words of the notes of cohorts whose tables, or an attribute of them, are invented."""

Warned = dict[str, str]


def collect_warnings(
    studies: list[dict[str, Any]],
    cards: list[CohortCard],
    lint: list[LintFindings],
    footers: Sequence[Mapping[str, Any]],
    models: list[str],
    shown: Names = NAMELESS,
) -> list[Warned]:
    """Return the warnings of a page without duplicates.

    Parameters
    ----------
    studies : list of dict
        Of `medaudit.report.page.content.read_studies`.
    cards : list of CohortCard
        Cards of the cohorts, in the order of the page.
    lint : list of LintFindings
        Findings of the lint.
    footers : list of mapping
        Footers of the predictions: how settings were chosen.
    models : list of str
        Models in the order of the page's cards.
    shown : Names
        Display names.

    Returns
    -------
    list of dict
        ``kind``, ``label`` (what it is about), ``text``, ``href``, and ``study``: its title, or ""
        for a warning about a cohort or model.
    """
    names = [card["name"] for card in cards]
    found = [
        _linked(caution, label, _Places(study, number, names, models))
        for number, study in enumerate(studies, 1)
        for label, caution in _of_study(
            study["answered"], footers, study.get("cautions", ()), shown
        )
    ]
    places = _Places(None, 1, names, models)
    kinds = {one["kind"] for one in found}
    found += [
        _linked(caution, label, places)
        for label, caution in _of_cohorts(cards, lint)
        if COVERED.get(caution.kind) not in kinds
    ]
    return list({(one["label"], one["text"]): one for one in found}.values())


def _of_study(
    answered: StudyAnswers,
    footers: Sequence[Mapping[str, Any]],
    more: Iterable[Caution],
    shown: Names,
) -> Iterator[tuple[str, Caution]]:
    others: dict[str, list[str]] = {}
    for run in answered.runs:
        if run.role == CONTROL and not run.first:
            continue
        for caution in (*run.cautions, *training_cautions(run, footers)):
            if run.first:
                yield _name(run, answered, shown), caution
            else:
                others.setdefault(caution.kind, []).append(_name(run, answered, shown))
    for kind, runs in others.items():
        listed = list(dict.fromkeys(runs))
        text = f"{KINDS.get(kind, kind.replace('_', ' '))} in {plural(len(listed), 'further run')}: {', '.join(listed)}."
        yield answered.title, Caution(kind, text[:1].upper() + text[1:], "")
    for caution in (*answered.cautions, *more):
        yield answered.title, caution


def _name(run: RunAnswer, answered: StudyAnswers, shown: Names) -> str:
    several = len({one.cohort for one in answered.runs}) > 1
    return f"{run.name} on {shown.cohort(run.cohort)}" if several else run.name


def _of_cohorts(cards: list[CohortCard], lint: list[LintFindings]) -> Iterator[tuple[str, Caution]]:
    for card in cards:
        for note in card.get("notes", []):
            if DRAWN in note:
                yield card["name"], Caution("drawn", note, f"cohort:{card['name']}")
    for part in lint:
        cohort, rest = part["cohort"], 0
        for finding in part["findings"]:
            if finding["severity"] == "info":
                continue
            if finding["check"] not in (*SHOWN_CHECKS, *COVERED):
                rest += 1
                continue
            model = finding["where"] if finding["check"] in OF_MODELS else ""
            place = f"model:{model}" if model else f"cohort:{cohort}"
            yield (model or cohort), Caution(finding["check"], finding["message"], place)
        if rest:
            text = f"The protocol lint has {plural(rest, 'further warning')}."
            yield cohort, Caution("lint", text, f"cohort:{cohort}")


def _linked(caution: Caution, label: str, places: "_Places") -> Warned:
    return {
        "kind": caution.kind,
        "label": label,
        "study": places.title,
        "text": caution.text,
        "href": places.href(caution.place),
    }


class _Places:
    """Finds the anchor of a place on the page."""

    def __init__(
        self, study: dict[str, Any] | None, number: int, cohorts: list[str], models: list[str]
    ) -> None:
        self.study, self.number, self.cohorts, self.models = study, number, cohorts, models
        self.title = study["answered"].title if study else ""

    def href(self, place: str) -> str:
        """Return the anchor of ``table:<name>``, ``cohort:<name>`` or ``model:<name>``."""
        kind, _, name = place.partition(":")
        tables = [table["name"] for table in self.study["tables"]] if self.study else []
        known = {
            "table": (tables, f"table-{self.number}-"),
            "cohort": (self.cohorts, "cohort-"),
            "model": (self.models, "model-"),
        }
        names, anchor = known.get(kind, ([], ""))
        if name in names:
            title = "-title" if kind == "table" else ""
            return f"#{anchor}{names.index(name) + 1}{title}"
        return f"#answers-{self.number}" if self.study else "#cohorts"
