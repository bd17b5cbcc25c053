"""How many images the long jobs see: exact, from the settings and the cohorts' sizes."""

from medaudit.config.entries import method_entry
from medaudit.config.jobs import OFFICIAL

LONG = ("images", "embed", "pretrain", "finetune", "search")
"""Rules whose time is that of the images they see."""

SMALL_SIZE = 64
"""Pixels a side up to which a model counts as small."""

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
"""Images a second by work and whether the model is small. Small: 2 processor cores, measured while
the default audit ran; images: phantoms drawn at 64 pixels by one of them; pretraining: CLIP.
Large: images decoded on one core, assumed; else a ViT-B (or a ResNet-152x2) on one GPU, by arithmetic, not measured."""


def images_seen(config: dict, rule: str, names: dict[str, str], sizes: dict[str, dict]) -> int:
    """Return how many images a job sees, each as often as it sees it.

    Parameters
    ----------
    config : dict
        The checked configuration.
    rule : str
        One of `LONG`.
    names : dict of str to str
        The job's wildcards.
    sizes : dict of str to dict
        For each cohort its images by split, and of ``all``.

    Returns
    -------
    int
        Passes over the training images alone; validation is a fraction of a pass. Of a search what
        its first worker would do by itself, without pruning; 0 for its helpers, who share that.
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
    return train * entry["epochs"] * len(entry.get("learning_rates", [0]))


def _pretraining(entry: dict, sizes: dict[str, dict]) -> int:
    entry = {**OFFICIAL, **entry}
    images = sum(sizes[cohort]["train"] for cohort in entry["cohorts"])
    images += (entry.get("procedural") or {}).get("images", 0)
    return round(images * entry["fraction"] * entry["epochs"])


def speed_of(config: dict, rule: str, names: dict[str, str]) -> int:
    """Return the images a second that are assumed for a job (`SPEED`)."""
    if rule == "images":
        return SPEED[rule, config["cohorts"][names["cohort"]]["image_size"] <= SMALL_SIZE]
    if rule == "pretrain":
        entry = config["pretrainings"][names["pretraining"]]
        small = _is_small(entry)
        kind = "pretrain" if small or entry["algorithm"] == "mae" else entry["algorithm"]
        return SPEED[kind, small]
    entry = config["models"][names["model"]]
    small = _is_small(entry)
    if rule == "embed":
        return SPEED[rule, small]
    resnet = "resnet" in str(entry.get("architecture") or entry.get("image_tower"))
    return SPEED["train_resnet" if resnet and not small else "train", small]


def _is_small(entry: dict) -> bool:
    return (entry.get("input") or {"size": SMALL_SIZE}).get("size", 224) <= SMALL_SIZE


def store_bytes(config: dict, cohort: str, images: int) -> int:
    """Return the bytes of the pixels of a cohort's image store: n x side^2 x channels."""
    entry = config["cohorts"][cohort]
    return images * entry["image_size"] ** 2 * entry.get("channels", 1)
