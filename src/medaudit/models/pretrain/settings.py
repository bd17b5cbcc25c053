"""Settings of a pretraining, checked, with the official values as defaults."""

import dataclasses
from dataclasses import dataclass, field

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from medaudit.training.augmentation import Augmentation


@dataclass(frozen=True)
class Procedural:
    """Non-medical images drawn by `medaudit.data.phantoms.procedural` instead of, or beside, stores."""

    images: int
    seed: int = 0


@dataclass(frozen=True)
class Mae:
    """Masked autoencoder, He et al. 2022, arXiv 2111.06377; values of ``PRETRAIN.md``."""

    mask_ratio: float = 0.75
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    normalise_pixels: bool = True


@dataclass(frozen=True)
class MocoV3:
    """MoCo v3, Chen et al. 2021, arXiv 2104.02057; values of its ``CONFIG.md`` for ViTs."""

    momentum: float = 0.99
    temperature: float = 0.2
    hidden: int = 4096
    dimension: int = 256


@dataclass(frozen=True)
class Clip:
    """CLIP, Radford et al. 2021, arXiv 2103.00020. `templates` are sentences with one ``{}``."""

    templates: tuple[str, ...] = (
        "{}",
        "a photo of {}",
        "a chest x-ray of {}",
        "chest radiograph showing {}",
        "there is {}",
        "findings consistent with {}",
    )


IMAGENET = {"size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
OPTIONS = {"mae": Mae, "moco_v3": MocoV3, "clip": Clip}
DEFAULTS = {
    "mae": {"base_lr": 1.5e-4, "weight_decay": 0.05, "betas": (0.9, 0.95)},
    "moco_v3": {"base_lr": 1.5e-4, "weight_decay": 0.1, "betas": (0.9, 0.999)},
    "clip": {"base_lr": 5e-4 * 256 / 32768, "weight_decay": 0.2, "betas": (0.9, 0.98)},
}


@dataclass(frozen=True)
class Settings:
    """One pretraining.

    Parameters
    ----------
    name : str
        The pretraining's name in the catalogue.
    algorithm : str
        ``mae``, ``moco_v3`` or ``clip``.
    architecture : str
        A ViT of timm, for ``moco_v3`` also a ResNet; for ``clip`` a model of open_clip, e.g.
        ``ViT-B-16``.
    arguments : dict
        Of timm's ``create_model``; for ``clip`` what changes in open_clip's configuration
        (``embed_dim``, ``vision_cfg``, ``text_cfg``), as in `medaudit.models.kinds.clip`.
    input : ImageInput
        Size, channels and normalisation, as in a model's entry; its ``interpolation`` is not
        used, views are cut out bicubically. By default ImageNet's at 224 pixels.
    epochs, warmup_epochs : int
        Length of the run and of the linear warm-up.
    batch_size : int
        Images of an optimizer step over all processes. An incomplete last batch is dropped.
    micro_batch : int or None
        Most images that one process takes through the encoder at once; changes memory, not the
        loss (rounding apart). None: all of its share.
    base_lr, min_lr : float
        Peak rate is ``base_lr * batch_size / 256``.
    schedule : str
        ``cosine`` or ``constant`` after the warm-up.
    weight_decay, betas
        Of AdamW.
    augmentation : Augmentation
        Ranges of the random views.
    seed : int
        Of initial weights, order, views and masks.
    fraction : float
        Share of the training patients that is used; smaller shares are subsets of larger ones.
    exclude_audited : bool
        Leave out every patient who is in ``val`` or ``test`` of any cohort given.
    snapshots : tuple of int
        Further epoch counts to keep weights of; needs ``schedule: constant``.
    procedural : Procedural or None
        Non-medical images as a source.
    options : Mae, MocoV3 or Clip
        What belongs to the algorithm.
    """

    name: str
    algorithm: str
    architecture: str
    arguments: dict = field(default_factory=dict)
    input: ImageInput = ImageInput(**IMAGENET)
    epochs: int = 800
    warmup_epochs: int = 40
    batch_size: int = 4096
    micro_batch: int | None = None
    base_lr: float = 1.5e-4
    min_lr: float = 0.0
    schedule: str = "cosine"
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    augmentation: Augmentation = Augmentation()
    seed: int = 0
    fraction: float = 1.0
    exclude_audited: bool = True
    snapshots: tuple[int, ...] = ()
    procedural: Procedural | None = None
    options: Mae | MocoV3 | Clip = Mae()

    @property
    def peak_lr(self) -> float:
        """Learning rate after the warm-up (linear scaling rule of both papers)."""
        return self.base_lr * self.batch_size / 256


def read_settings(settings: dict) -> Settings:
    """Check `settings` and fill in the algorithm's official values.

    Raises
    ------
    MedauditError
        A key is unknown or lacking, or values do not go together.
    """
    algorithm = settings.get("algorithm")
    if algorithm not in OPTIONS:
        raise MedauditError(f"pretraining: algorithm {algorithm!r} is none of {list(OPTIONS)}")
    values = {**DEFAULTS[algorithm], **settings}
    values["input"] = {**IMAGENET, **(settings.get("input") or {})}
    parts = {"input": ImageInput, "augmentation": Augmentation, "options": OPTIONS[algorithm]}
    for key, kind in parts.items():
        values[key] = _build(kind, values.get(key) or {}, f"{key} of pretraining")
    if values.get("procedural"):
        values["procedural"] = _build(Procedural, values["procedural"], "procedural")
    checked = _build(Settings, values, "pretraining")
    _check(checked)
    return checked


def _build(kind: type, values: dict, what: str) -> object:
    known = [part.name for part in dataclasses.fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise MedauditError(f"{what}: unknown settings {unknown}; known are {known}")
    tuples = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return kind(**tuples)
    except TypeError as error:
        raise MedauditError(f"{what}: {error}") from error


def _check(settings: Settings) -> None:
    where = f"pretraining {settings.name}"
    if not 0 < settings.fraction <= 1:
        raise MedauditError(f"{where}: fraction {settings.fraction} is not in (0, 1]")
    if settings.schedule not in ("cosine", "constant"):
        raise MedauditError(f"{where}: schedule {settings.schedule!r} is not cosine or constant")
    if not 0 <= settings.warmup_epochs < settings.epochs:
        raise MedauditError(
            f"{where}: warmup_epochs {settings.warmup_epochs} does not end before the "
            f"{settings.epochs} epochs; shorten it"
        )
    late = [count for count in settings.snapshots if not 0 < count < settings.epochs]
    if late:
        raise MedauditError(f"{where}: snapshots {late} are not between 0 and {settings.epochs}")
    if settings.snapshots and (settings.schedule == "cosine" or settings.algorithm == "moco_v3"):
        raise MedauditError(
            f"{where}: snapshots {list(settings.snapshots)} cannot come from this run, whose "
            "schedule (learning rate, or MoCo's momentum) runs to its end only at the last epoch; "
            "make each epoch count a pretraining of its own, or use mae with `schedule: constant`"
        )
