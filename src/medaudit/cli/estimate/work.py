"""How many images the long jobs process, from the settings and the cohorts' sizes, and how fast."""

from collections.abc import Mapping
from typing import Any

from medaudit.config.entries import method_entry
from medaudit.core.entry_types import Config, PretrainingEntry
from medaudit.core.seeds import seeds_of

LONG = ("images", "embed", "pretrain", "finetune", "search")
"""Rules whose time is proportional to the number of images they process."""

SMALL_SIZE = 64
"""Largest side in pixels of the input of a model that counts as small."""

START_SECONDS = 5.0
"""Seconds until a job has loaded its libraries and its model."""

SPEED = {
    ("images", True): 400,
    ("images", False): 150,
    ("embed", True): 1000,
    ("embed", False): 1000,
    ("pretrain", True): 120,
    ("pretrain", False): 1500,
    ("moco_v3", False): 400,
    ("clip", False): 400,
    ("train", True): 400,
    ("train", False): 500,
    ("train_resnet", False): 60,
}
"""Images per second, by kind of work and whether the model is small.

Small: measured on 2 processor cores while the default audit ran (images: phantoms drawn at 64
pixels on one core; pretraining: CLIP). Large: not measured; images are assumed to be decoded on one
core, all else is computed for a ViT-B (or a ResNet-152x2) on one GPU."""


def images_seen(
    config: Config, rule: str, names: dict[str, str], sizes: dict[str, dict[str, int]]
) -> int:
    """Return how many images a job processes, counting an image once per pass.

    Parameters
    ----------
    config : dict
        The checked configuration.
    rule : str
        One of `LONG`.
    names : dict of str to str
        The job's wildcards.
    sizes : dict of str to dict
        For each cohort its number of images by split, and of ``all``.

    Returns
    -------
    int
        Only passes over the training images count; validation is a fraction of a pass. A search's
        first worker counts as if it did all trials by itself, without pruning; the other workers,
        which share this work, count 0.
    """
    if rule in ("images", "embed"):
        return sizes[names["cohort"]]["all"]
    if rule == "pretrain":
        return _pretraining(config["pretrainings"][names["pretraining"]], sizes)
    entry = method_entry(config, names["method"], names["model"], names["cohort"])
    train = sizes[names["cohort"]]["train"]
    if rule == "search":
        whole = int(train * (entry.get("subset") or 1)) * entry["epochs"] * entry["trials"]
        return whole if names["worker"] == "0" else 0
    trainings = len(entry.get("learning_rates", [0])) * len(seeds_of(names["seed"]))
    return train * entry["epochs"] * trainings


def _pretraining(entry: PretrainingEntry, sizes: dict[str, dict[str, int]]) -> int:
    images = sum(sizes[cohort]["train"] for cohort in entry["cohorts"])
    procedural = entry.get("procedural")
    images += procedural["images"] if procedural else 0
    return round(images * entry["fraction"] * entry["epochs"])


def speed_of(config: Config, rule: str, names: dict[str, str]) -> int:
    """Return the assumed speed of a job in images per second (`SPEED`)."""
    if rule == "images":
        return SPEED[rule, config["cohorts"][names["cohort"]]["image_size"] <= SMALL_SIZE]
    if rule == "pretrain":
        pretraining = config["pretrainings"][names["pretraining"]]
        small, algorithm = _is_small(pretraining), pretraining["algorithm"]
        return SPEED["pretrain" if small or algorithm == "mae" else algorithm, small]
    entry = config["models"][names["model"]]
    small = _is_small(entry)
    if rule == "embed":
        return SPEED[rule, small]
    resnet = "resnet" in str(entry.get("architecture") or entry.get("image_tower"))
    return SPEED["train_resnet" if resnet and not small else "train", small]


def _is_small(entry: Mapping[str, Any]) -> bool:
    return (entry.get("input") or {"size": SMALL_SIZE}).get("size", 224) <= SMALL_SIZE


def store_bytes(config: Config, cohort: str, images: int) -> int:
    """Return the size in bytes of the pixels of a cohort's image store: n x side^2 x channels."""
    entry = config["cohorts"][cohort]
    return images * entry["image_size"] ** 2 * entry.get("channels", 1)
