"""Disclaimers about the data that every table and figure must show."""

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
