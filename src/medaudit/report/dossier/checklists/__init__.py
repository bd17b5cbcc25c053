"""Reporting checklists, filled from a run and an audit card.

Each ``<name>.yaml`` here holds the official numbers of one checklist, questions in our own words, and
which facts of the run and which fields of the card answer them.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.config.audit_card import NOT_GIVEN, Card, text_of, title_of
from medaudit.config.yaml_file import read_settings
from medaudit.report.dossier.run_facts import Fact
from medaudit.report.wording.number_format import neutralise

NAMES = ("tripod_ai", "stard_ai", "claim_2024")


class Status(StrEnum):
    """How far an item is answered."""

    RUN = "from the run"
    CARD = "from the card"
    BOTH = "from run and card"
    PARTLY = "in part"
    """Some fields of the card that belong to the item are not given."""

    NOTHING = NOT_GIVEN


@dataclass(frozen=True)
class Item:
    """One item of a checklist with its answer.

    Parameters
    ----------
    number, part, applies, asks : str
        Official number, section, ``D`` (development), ``E`` (evaluation) or both, and the question
        in our own words.
    status : Status
        How far it is answered.
    facts : list of Fact
        What the run says.
    texts : list of (str, str)
        Field and text of the card.
    missing : list of str
        Fields of the card that are not given.
    """

    number: str
    part: str
    applies: str
    asks: str
    status: Status
    facts: list[Fact]
    texts: list[tuple[str, str]]
    missing: list[str]


@dataclass(frozen=True)
class Checklist:
    """A filled checklist.

    Parameters
    ----------
    name, title, version, about, source, checked : str
        File name, official title, version, what it is for, publication, and how far its numbers
        could be checked.
    items : list of Item
        All items, in the official order.
    """

    name: str
    title: str
    version: str
    about: str
    source: str
    checked: str
    items: list[Item]

    def counts(self) -> dict[str, int]:
        """Return the number of items by status."""
        return {str(s): sum(item.status == s for item in self.items) for s in Status}


@cache
def read_definition(name: str) -> dict[str, Any]:
    """Return a checklist as it is defined in its file."""
    return read_settings(Path(__file__).with_name(f"{name}.yaml"))


def fill(name: str, facts: dict[str, Fact], card: Card) -> Checklist:
    """Return a checklist with what the run and the card say on each item.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    facts : dict of str to Fact
        See `medaudit.report.dossier.run_facts.facts_of`.
    card : Card
        See `medaudit.config.audit_card.read_card`.
    """
    defined = read_definition(name)
    head = {key: defined[key] for key in ("title", "version", "about", "source", "checked")}
    return Checklist(name, **head, items=[_fill(entry, facts, card) for entry in defined["items"]])


def _fill(entry: dict[str, Any], facts: dict[str, Fact], card: Card) -> Item:
    said = [facts[name] for name in entry["run"] if name in facts]
    texts = [(title_of(place), text_of(card, place)) for place in entry["card"]]
    given = [(title, text) for title, text in texts if text is not None]
    missing = [title for title, text in texts if text is None]
    return Item(
        number=entry["item"],
        part=entry["part"],
        applies=entry.get("applies", "").replace(";", ", "),
        asks=entry["asks"],
        status=_status(said, given, missing),
        facts=said,
        texts=given,
        missing=missing,
    )


def _status(said: list, given: list, missing: list) -> Status:
    if not said and not given:
        return Status.NOTHING
    if missing:
        return Status.PARTLY
    return Status.BOTH if said and given else Status.RUN if said else Status.CARD


def as_table(checklist: Checklist) -> pd.DataFrame:
    """Return one row per item, safe to open in a spreadsheet."""
    rows = [
        {
            "item": item.number,
            "section": item.part,
            "applies_to": item.applies,
            "question": item.asks,
            "status": str(item.status),
            "answer": "\n".join(
                [line for fact in item.facts for line in fact.lines]
                + [f"{title}: {text}" for title, text in item.texts]
            )
            or NOT_GIVEN,
            "source": "; ".join(
                dict.fromkeys(
                    [fact.source for fact in item.facts] + ["audit card"] * bool(item.texts)
                )
            ),
            "not_given": "; ".join(item.missing),
        }
        for item in checklist.items
    ]
    return neutralise(pd.DataFrame(rows))
