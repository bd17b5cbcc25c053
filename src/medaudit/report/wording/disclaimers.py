"""What every table and figure must say on its face about the data behind it."""

from collections.abc import Iterable

PHANTOM = (
    "PHANTOM PIXELS: drawn pictures, not patients' images. These numbers say nothing of patients."
)


def notes_of(cards: Iterable[dict]) -> list[str]:
    """Return the sentences that the cards ask to be repeated, the phantom one first."""
    cards = list(cards)
    phantom = [PHANTOM] if any(card.get("phantom") for card in cards) else []
    return phantom + list(dict.fromkeys(note for card in cards for note in card.get("notes", [])))
