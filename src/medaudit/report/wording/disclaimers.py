"""Disclaimers about the data: in full in the cohort's card, in brief on every figure."""

from collections.abc import Iterable

from medaudit.core.documents import CohortCard

PHANTOM = (
    "PHANTOM PIXELS: synthetic images, not patients' images. "
    "These numbers say nothing about patients."
)


def notes_of(cards: Iterable[CohortCard]) -> list[str]:
    """Return the notes of cohort cards without duplicates, the phantom disclaimer first."""
    cards = list(cards)
    phantom = [PHANTOM] if any(card.get("phantom") for card in cards) else []
    return phantom + list(dict.fromkeys(note for card in cards for note in card.get("notes", [])))


def on_figures(notes: list[str]) -> list[str]:
    """Return notes in brief: of phantoms their disclaimer only, else the first sentence of each.

    Numbers of phantoms say nothing about patients, whatever else is to be said about them.

    Examples
    --------
    >>> on_figures(["Race is not real: it was drawn. It is seeded."])
    ['Race is not real: it was drawn.']
    """
    if PHANTOM in notes:
        return [PHANTOM]
    return [_first_sentence(note) for note in notes]


def _first_sentence(note: str) -> str:
    start, stop, rest = note.partition(". ")
    return f"{start}." if stop and rest[:1].isupper() else note
