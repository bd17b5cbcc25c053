"""A few phantom pictures of each group of a cohort; patients' images are never shown."""

import io
from pathlib import Path
from typing import TypedDict

import pandas as pd

from medaudit.core.documents import CohortCard
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_json, read_table
from medaudit.data.cohort_hash import hash_ids
from medaudit.data.image_store import Images
from medaudit.report.page.packing import data_uri
from medaudit.report.wording import terms

SHOWN = 6
"""Pictures per group."""
SIDE = 64
"""Width and height of each picture in pixels."""
QUALITY = 70


class Strip(TypedDict):
    """The pictures of one group, side by side."""

    attribute: str
    group: str
    count: int
    source: str


def contact_sheets(
    cards: list[CohortCard], tables: list[Path], stores: list[Path]
) -> dict[str, list[Strip]]:
    """Return strips of pictures by cohort, for cohorts with phantom pixels only.

    Parameters
    ----------
    cards : list of CohortCard
        Both the card of the cohort and that of its image store must state ``phantom``.
    tables : list of Path
        Cohort tables (`COHORT`); each belongs to the card with its ``ids_sha256``.
    stores : list of Path
        Folders of image stores.

    Returns
    -------
    dict
        By cohort, one `Strip` per group; ``source`` is a ``data:`` address of a JPEG. The pictures
        are a random sample, seeded with the cohort's name. Intersections are left out.
    """
    drawn = {}
    for folder in stores:
        card = read_json(folder / "card.json")
        if card.get("phantom") is True:
            drawn[card["cohort"]] = folder
    shown = {
        card["ids_sha256"]: card
        for card in cards
        if card.get("phantom") is True and card["name"] in drawn
    }
    if not shown:
        return {}
    sheets = {}
    for frame in (read_table(path, COHORT) for path in tables):
        found = shown.get(hash_ids(frame))
        if found is not None:
            sheets[found["name"]] = _strips(found, frame, drawn[found["name"]])
    return sheets


def _strips(card: CohortCard, frame: pd.DataFrame, folder: Path) -> list[Strip]:
    from medaudit.data.image_store import open_store

    store = open_store(folder)
    stored = frame[frame["image_id"].isin(store.ids)]
    strips: list[Strip] = []
    for name in dict.fromkeys(name for name in card["attributes"] if isinstance(name, str)):
        for group, part in stored.groupby(f"a_{name}", observed=True):
            rng = generator("contact sheet", card["name"], name, group)
            ids = rng.permutation(part["image_id"].to_numpy())[:SHOWN]
            strips.append(strip_of(terms.attribute(name), str(group), store.read(ids)))
    return strips


def strip_of(attribute: str, group: str, pictures: Images) -> Strip:
    """Return pictures of a group side by side."""
    source = _jpeg(pictures)
    return {"attribute": attribute, "group": group, "count": len(pictures), "source": source}


def _jpeg(pictures: Images) -> str:
    """Return pictures side by side as a ``data:`` address."""
    from PIL import Image

    filter_ = Image.Resampling.LANCZOS
    small = [Image.fromarray(picture).resize((SIDE, SIDE), filter_) for picture in pictures]
    strip = Image.new(small[0].mode, (SIDE * len(small), SIDE))
    for k, picture in enumerate(small):
        strip.paste(picture, (SIDE * k, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=QUALITY, optimize=True)
    return data_uri(file.getvalue(), "image/jpeg")
