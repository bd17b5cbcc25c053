"""What is tuned of an image tower: parts of it, or low-rank adapters beside frozen parts."""

import re

from torch import nn

from medaudit.adapt.finetune.masks import tuned_parameters
from medaudit.core.errors import MedauditError


def apply_tuning(tower: nn.Module, entry: dict) -> nn.Module:
    """Choose what of an image tower is tuned.

    Parameters
    ----------
    tower : torch.nn.Module
        Changed in place.
    entry : dict
        ``tune``: ``lora`` (adapters of rank ``lora.rank``, scaled by ``lora.alpha`` / rank, at
        ``lora.targets``; Hu et al. 2022, equation 3), or one of the masks of
        `medaudit.adapt.finetune.masks.tuned_parameters`, with ``mask`` where it is ``mask``.

    Returns
    -------
    torch.nn.Module
        The tower; what is not tuned has no gradient.
    """
    if entry["tune"] == "lora":
        tower.requires_grad_(False)
        return add_lora(tower, entry["lora"])
    tuned = tuned_parameters(tower, entry["tune"], entry.get("mask"))
    for name, parameter in tower.named_parameters():
        parameter.requires_grad_(name in tuned)
    return tower


def train_tuned(module: nn.Module, mode: bool) -> None:
    """Set training mode where something is tuned, evaluation mode where nothing is.

    So a frozen batch norm keeps its statistics, and a frozen block drops nothing. Modules without
    parameters (dropout, drop path) follow the module around them; of an adapted layer only the
    adapter trains.
    """
    if any("lora_" in name for name, _ in module.named_parameters()):
        module.eval()
        for name, part in module.named_modules():
            if "lora_" in name:
                part.train(mode)
    else:
        _train_parts(module, mode)


def _train_parts(module: nn.Module, mode: bool) -> tuple[bool, bool]:
    """Set the modes of a module and below; return whether it has parameters, and tuned ones."""
    own = [parameter.requires_grad for parameter in module.parameters(recurse=False)]
    parts = [(part, *_train_parts(part, mode)) for part in module.children()]
    tuned = any(own) or any(inside for _, _, inside in parts)
    module.training = mode and tuned
    for part, holds, _ in parts:
        if not holds:
            part.train(module.training)
    return bool(own) or any(holds for _, holds, _ in parts), tuned


def add_lora(tower: nn.Module, settings: dict) -> nn.Module:
    """Put peft's LoRA adapters into a frozen tower.

    Parameters
    ----------
    tower : torch.nn.Module
        Changed in place.
    settings : dict
        ``rank``, ``alpha``, ``dropout``, and ``targets``: ``auto`` or a regular expression that a
        module's whole name must match.

    Raises
    ------
    MedauditError
        No module matches.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = find_targets(tower, settings["targets"])
    config = LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings.get("dropout", 0.0),
        target_modules=names,
        bias="none",
    )
    tower = inject_adapter_in_model(config, tower)
    for name, parameter in tower.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return tower


def find_targets(tower: nn.Module, targets: str) -> list[str]:
    """Return the names of the modules that get an adapter.

    ``auto`` takes the attention projections (linear layers below a module named ``attn``, or
    whole ``MultiheadAttention`` modules), and where there are none, as in a ResNet, every
    convolution.
    """
    modules = dict(tower.named_modules())
    if targets != "auto":
        names = [n for n in modules if re.fullmatch(targets, n)]
    else:
        whole = [n for n, m in modules.items() if isinstance(m, nn.MultiheadAttention)]
        parts = [
            n
            for n, m in modules.items()
            if isinstance(m, nn.Linear)
            and re.search(r"(^|\.)(self_)?attn\.", n)
            and not any(n.startswith(f"{name}.") for name in whole)
        ]
        names = whole + parts or [n for n, m in modules.items() if isinstance(m, nn.Conv2d)]
    if not names:
        known = sorted({type(m).__name__ for m in modules.values()})
        raise MedauditError(f"lora.targets {targets!r} matches no module; the tower has {known}")
    return names
