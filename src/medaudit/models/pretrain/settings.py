"""Checked settings of a pretraining, with the values of the official code as defaults."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from medaudit.training.augmentation import Augmentation

T = TypeVar("T")


@dataclass(frozen=True)
class Procedural:
    """Non-medical images (`medaudit.data.phantoms.procedural`) as a source."""

    images: int
    seed: int = 0


@dataclass(frozen=True)
class Mae:
    """Options of MAE (He et al. 2022, arXiv 2111.06377); defaults of its ``PRETRAIN.md``."""

    mask_ratio: float = 0.75
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    normalise_pixels: bool = True


@dataclass(frozen=True)
class MocoV3:
    """Options of MoCo v3 (Chen et al. 2021, arXiv 2104.02057); defaults of its ``CONFIG.md``."""

    momentum: float = 0.99
    temperature: float = 0.2
    hidden: int = 4096
    dimension: int = 256


@dataclass(frozen=True)
class Clip:
    """Options of CLIP (Radford et al. 2021, arXiv 2103.00020); `templates` have one ``{}`` each."""

    templates: tuple[str, ...] = (
        "{}",
        "a photo of {}",
        "a chest x-ray of {}",
        "chest radiograph showing {}",
        "there is {}",
        "findings consistent with {}",
    )


IMAGENET = ImageInput(224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
OPTIONS = {"mae": Mae, "moco_v3": MocoV3, "clip": Clip}
DEFAULTS = {
    "mae": {"base_lr": 1.5e-4, "weight_decay": 0.05, "betas": (0.9, 0.95)},
    "moco_v3": {"base_lr": 1.5e-4, "weight_decay": 0.1, "betas": (0.9, 0.999)},
    "clip": {"base_lr": 5e-4 * 256 / 32768, "weight_decay": 0.2, "betas": (0.9, 0.98)},
}
LARS = {"base_lr": 0.6, "weight_decay": 1e-6, "warmup_epochs": 10}
"""Defaults of ``main_moco.py`` for ResNets, which MoCo v3 trains with LARS (and `LARS_OPTIONS`)."""
LARS_OPTIONS = {"temperature": 1.0}


@dataclass(frozen=True)
class Settings:
    """Settings of one pretraining.

    Parameters
    ----------
    name : str
        The pretraining's name in the catalogue.
    algorithm : str
        ``mae``, ``moco_v3`` or ``clip``.
    architecture : str
        A timm ViT, or for ``moco_v3`` also a timm ResNet; for ``clip`` a model of open_clip, e.g.
        ``ViT-B-16``.
    arguments : dict
        Arguments of timm's ``create_model``; for ``clip`` changes to open_clip's configuration
        (``embed_dim``, ``vision_cfg``, ``text_cfg``), as in `medaudit.models.kinds.clip`.
    input : ImageInput
        Size, channels and normalisation, as in a model's entry; by default ImageNet's with 224
        pixels. Its ``interpolation`` is not used: views are always resampled bicubically.
    epochs, warmup_epochs : int
        Length of the run and of the linear warm-up.
    batch_size : int
        Images per optimizer step over all processes. An incomplete last batch is dropped.
    micro_batch : int or None
        Largest number of images that one process encodes at once; it changes the memory needed
        and, except for rounding, not the loss. None: all images of the process.
    compile : bool
        torch.compile for the blocks of the network.
    base_lr, min_lr : float
        The peak rate is ``base_lr * batch_size / 256``; the schedule ends at `min_lr`.
    schedule : str
        ``cosine`` or ``constant``, after the warm-up.
    optimizer : str
        ``adamw``, or ``lars`` as MoCo v3 trains ResNets (only for these): momentum .9, trust
        coefficient .001.
    weight_decay, betas
        Parameters of the optimizer; ``betas`` only of AdamW.
    augmentation : Augmentation
        Ranges of the random views.
    seed : int
        Seed of initial weights, order, views and masks.
    fraction : float
        Fraction of the training patients to use; smaller fractions are subsets of larger ones.
    exclude_audited : bool
        Exclude every patient who is in ``val`` or ``test`` of any given cohort.
    snapshots : tuple of int
        Further epoch counts whose weights are kept; needs ``schedule: constant``.
    procedural : Procedural or None
        Non-medical images as a source.
    options : Mae, MocoV3 or Clip
        Options of the algorithm.
    """

    name: str
    algorithm: str
    architecture: str
    arguments: dict = field(default_factory=dict)
    input: ImageInput = IMAGENET
    epochs: int = 800
    warmup_epochs: int = 40
    batch_size: int = 4096
    micro_batch: int | None = None
    compile: bool = False
    base_lr: float = 1.5e-4
    min_lr: float = 0.0
    schedule: str = "cosine"
    optimizer: str = "adamw"
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


def read_settings(settings: Mapping[str, Any]) -> Settings:
    """Check `settings` and fill in the defaults of the algorithm.

    Raises
    ------
    MedauditError
        A key is unknown or missing, or two values contradict each other.
    """
    algorithm = settings.get("algorithm")
    if algorithm not in OPTIONS:
        raise MedauditError(
            f"pretraining {settings.get('name', '?')}: algorithm is {algorithm!r}; use one of "
            f"{list(OPTIONS)}"
        )
    values = {**DEFAULTS[algorithm], **settings}
    if settings.get("optimizer") == "lars":
        if algorithm != "moco_v3":
            raise MedauditError(
                f"pretraining {settings.get('name', '?')}: optimizer lars is for the ResNets of "
                f"moco_v3, not for {algorithm}; use adamw"
            )
        values = {**values, **LARS, **settings}
        values["options"] = {**LARS_OPTIONS, **(settings.get("options") or {})}
    values["input"] = {**vars(IMAGENET), **(settings.get("input") or {})}
    parts: dict[str, type] = {
        "input": ImageInput,
        "augmentation": Augmentation,
        "options": OPTIONS[algorithm],
    }
    for key, kind in parts.items():
        values[key] = _build(kind, values.get(key) or {}, f"{key} of pretraining")
    if values.get("procedural"):
        values["procedural"] = _build(Procedural, values["procedural"], "procedural")
    checked = _build(Settings, values, "pretraining")
    _check(checked)
    return checked


def _build(kind: type[T], values: dict, what: str) -> T:
    known = [part.name for part in dataclasses.fields(kind)]  # type: ignore[arg-type]  # dataclasses
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise MedauditError(f"{what}: unknown settings {unknown}; known: {known}")
    tuples = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return kind(**tuples)
    except TypeError as error:
        raise MedauditError(f"{what}: {error}") from error


def _check(settings: Settings) -> None:
    where = f"pretraining {settings.name}"
    if not 0 < settings.fraction <= 1:
        raise MedauditError(f"{where}: fraction is {settings.fraction}; give a number in (0, 1]")
    if settings.schedule not in ("cosine", "constant"):
        raise MedauditError(f"{where}: schedule is {settings.schedule!r}; use cosine or constant")
    if settings.optimizer not in ("adamw", "lars"):
        raise MedauditError(f"{where}: optimizer is {settings.optimizer!r}; use adamw or lars")
    if not 0 <= settings.warmup_epochs < settings.epochs:
        raise MedauditError(
            f"{where}: warmup_epochs is {settings.warmup_epochs}; it must be less than the "
            f"{settings.epochs} epochs"
        )
    late = [count for count in settings.snapshots if not 0 < count < settings.epochs]
    if late:
        raise MedauditError(
            f"{where}: snapshots {late} must be between 0 and the {settings.epochs} epochs"
        )
    if settings.snapshots and (settings.schedule == "cosine" or settings.algorithm == "moco_v3"):
        raise MedauditError(
            f"{where}: snapshots {list(settings.snapshots)} cannot be taken from this run, because "
            "its schedule (of the learning rate, or of MoCo's momentum) ends at the last epoch; make "
            "each epoch count a pretraining of its own, or use mae with `schedule: constant`"
        )
