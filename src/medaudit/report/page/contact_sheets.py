"""A few drawn pictures of each group of a cohort; pictures of patients are never shown."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_json, read_table
from medaudit.data.cohort_hash import hash_ids
from medaudit.report.page.packing import data_uri
from medaudit.report.wording import terms

SHOWN = 6
"""Pictures of a group."""
SIDE = 64
"""Width and height of each in pixels."""
QUALITY = 70


def contact_sheets(cards: list[dict], tables: list[Path], stores: list[Path]) -> dict[str, list]:
    """Return strips of pictures by cohort, of cohorts whose pixels are drawn alone.

    Parameters
    ----------
    cards : list of dict
        Cohort cards; both a cohort's own and its image store's must say ``phantom``.
    tables : list of Path
        Cohort tables (`COHORT`), told apart by what is in them (``ids_sha256``).
    stores : list of Path
        Folders of image stores.

    Returns
    -------
    dict
        By name of cohort: a list of ``attribute``, ``group``, ``count`` (pictures shown) and
        ``source`` (a ``data:`` address of a JPEG). Which are shown is drawn with the cohort's
        name as seed. Intersections are left out.
    """
    drawn = {card["cohort"]: folder for folder in stores if (card := _card(folder))["phantom"]}
    shown = {
        card["ids_sha256"]: card
        for card in cards
        if card.get("phantom") is True and card["name"] in drawn
    }
    if not shown:
        return {}
    sheets = {}
    for frame in (read_table(path, COHORT) for path in tables):
        card = shown.get(hash_ids(frame))
        if card is not None:
            sheets[card["name"]] = _strips(card, frame, drawn[card["name"]])
    return sheets


def _card(folder: Path) -> dict:
    card = read_json(folder / "card.json")
    return {**card, "phantom": card.get("phantom") is True}


def _strips(card: dict, frame: pd.DataFrame, folder: Path) -> list[dict]:
    from medaudit.data.image_store import open_store

    store = open_store(folder)
    there = frame[frame["image_id"].isin(store.ids)]
    strips = []
    for name in dict.fromkeys(name for name in card["attributes"] if isinstance(name, str)):
        for group, part in there.groupby(f"a_{name}", observed=True):
            rng = generator("contact sheet", card["name"], name, group)
            ids = rng.permutation(part["image_id"].to_numpy())[:SHOWN]
            found = {"attribute": terms.attribute(name), "group": group, "count": len(ids)}
            strips.append({**found, "source": _jpeg(store.read(ids))})
    return strips


def _jpeg(pictures: np.ndarray) -> str:
    """Return pictures side by side as a ``data:`` address."""
    from PIL import Image

    small = [Image.fromarray(picture).resize((SIDE, SIDE), Image.LANCZOS) for picture in pictures]
    strip = Image.new(small[0].mode, (SIDE * len(small), SIDE))
    for k, picture in enumerate(small):
        strip.paste(picture, (SIDE * k, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=QUALITY, optimize=True)
    return data_uri(file.getvalue(), "image/jpeg")
