"""Model cards: weights, licence, pretraining data and preprocessing of each model."""

from typing import Any

import pandas as pd

from medaudit.config.selection import with_members
from medaudit.core.documents import LintFinding, LintFindings, PretrainingCard
from medaudit.core.entry_types import Config, ModelEntry
from medaudit.report.page.known import is_external
from medaudit.report.page.packing import packed
from medaudit.report.page.warnings import OF_MODELS

WIDTH, HEIGHT = 600, 200
"""Size of the drawing of a loss curve, in units of its ``viewBox``."""


def model_cards(
    config: Config,
    names: list[str],
    lint: list[LintFindings],
    pretrainings: list[PretrainingCard],
) -> list[dict[str, Any]]:
    """Return the card of each model, and of each member of an ensemble.

    Parameters
    ----------
    config : Config
        The merged configuration.
    names : list of str
        Models of the studies, in order.
    lint : list of LintFindings
        Findings of the lint: overlap of pretraining and audited data.
    pretrainings : list of PretrainingCard
        Cards of the pretrainings of this run.

    Returns
    -------
    list of dict
        ``name``, ``entry``, ``external`` (whether only its scores are known), ``sha256`` (from the configuration, or of weights made by this run;
        else None), ``overlap`` (sentences of the lint), ``pretraining`` (card or None), ``curve``
        (`draw_curve` or None).
    """
    by_file = {file: card for card in pretrainings for file in card.get("weights_sha256", {})}
    findings = [item for part in lint for item in part.get("findings", [])]
    models = config.get("models", {})
    return [
        _card(name, models.get(name, {}), by_file, findings) for name in with_members(names, models)
    ]


def _card(
    name: str,
    entry: ModelEntry,
    by_file: dict[str, PretrainingCard],
    findings: list[LintFinding],
) -> dict[str, Any]:
    card = by_file.get(f"{entry.get('pretrained')}.safetensors")
    own = card["weights_sha256"].get(_weights_file(entry, card)) if card else None
    overlap = [
        item["message"] for item in findings if item["check"] in OF_MODELS and item["where"] == name
    ]
    return {
        "name": name,
        "entry": entry,
        "sha256": entry.get("sha256") or own,
        "external": is_external(entry),
        "overlap": list(dict.fromkeys(overlap)),
        "pretraining": card,
        "curve": draw_curve(card.get("curve", [])) if card else None,
    }


def _weights_file(entry: ModelEntry, card: PretrainingCard) -> str:
    """Return the name of the file with a model's weights: of a snapshot, or of the last epoch."""
    epochs = entry.get("pretrained_epochs")
    snapshot = epochs and epochs != card.get("epochs")
    return f"epoch_{epochs}.safetensors" if snapshot else f"{entry['pretrained']}.safetensors"


def draw_curve(curve: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return a loss curve as points of a line; None with fewer than two epochs.

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
