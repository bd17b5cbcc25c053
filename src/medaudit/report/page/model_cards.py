"""Cards of models: weights, licence, what they were pretrained on, how images reach them."""

import pandas as pd

from medaudit.config.selection import with_members
from medaudit.report.page.packing import packed

WIDTH, HEIGHT = 600, 200
"""Size of the drawing of a curve, in its own units."""


def model_cards(config: dict, names: list[str], cards: list[dict]) -> list[dict]:
    """Return what the page shows of each model, and of the members of ensembles.

    Parameters
    ----------
    config : dict
        The merged configuration.
    names : list of str
        Models of the studies, in order.
    cards : list of dict
        All cards; those of pretrainings and of the lint are used.

    Returns
    -------
    list of dict
        ``name``, ``entry``, ``sha256`` (given, or of weights made here; None), ``overlap``
        (sentences of the lint), ``pretraining`` (card or None), ``curve`` (`draw` or None).
    """
    made = {file: card for card in cards for file in card.get("weights_sha256", {})}
    found = [item for card in cards for item in card.get("findings", [])]
    models = config.get("models", {})
    return [_card(name, models.get(name, {}), made, found) for name in with_members(names, models)]


def _card(name: str, entry: dict, made: dict[str, dict], findings: list[dict]) -> dict:
    file = f"{entry.get('pretrained')}.safetensors"
    card = made.get(file)
    own = card["weights_sha256"].get(_weights_file(entry, card)) if card else None
    seen = [
        item["message"]
        for item in findings
        if item["check"] == "pretraining_overlap" and item["where"] == name
    ]
    return {
        "name": name,
        "entry": entry,
        "sha256": entry.get("sha256") or own,
        "overlap": list(dict.fromkeys(seen)),
        "pretraining": card,
        "curve": draw(card.get("curve", [])) if card else None,
    }


def _weights_file(entry: dict, card: dict) -> str:
    """Return the name of the file with a model's weights: a snapshot's, or the last epoch's."""
    epochs = entry.get("pretrained_epochs")
    snapshot = epochs and epochs != card.get("epochs")
    return f"epoch_{epochs}.safetensors" if snapshot else f"{entry['pretrained']}.safetensors"


def draw(curve: list[dict]) -> dict | None:
    """Return a loss curve as points of a line; None where there are fewer than two epochs.

    Returns
    -------
    dict
        ``points`` (of an SVG polyline, `WIDTH` x `HEIGHT`), ``first``, ``last`` (rows of the
        curve), ``low``, ``high`` (loss), ``csv`` (packed).
    """
    table = pd.DataFrame(curve)
    if len(table) < 2 or table["loss"].isna().any():
        return None
    loss, epoch = table["loss"], table["epoch"]
    low, high = loss.min(), loss.max()
    x = (epoch - epoch.iloc[0]) / (epoch.iloc[-1] - epoch.iloc[0]) * WIDTH
    y = HEIGHT - (loss - low) / ((high - low) or 1.0) * HEIGHT
    text = table.to_csv(index=False, lineterminator="\n")
    return {
        "points": " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)),
        "first": curve[0],
        "last": curve[-1],
        "low": float(low),
        "high": float(high),
        "csv": packed(text),
    }
