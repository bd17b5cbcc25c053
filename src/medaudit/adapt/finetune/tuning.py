"""Select what is tuned in an image tower: parts of it, or low-rank adapters (LoRA)."""

import re

from torch import nn

from medaudit.adapt.finetune.masks import tuned_parameters
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.core.entry_types.methods import MethodEntryLora
from medaudit.core.errors import MedauditError


def apply_tuning(tower: nn.Module, entry: TrainingEntry) -> nn.Module:
    """Set which parameters of an image tower are tuned; return the tower.

    Parameters
    ----------
    tower : torch.nn.Module
        Changed in place.
    entry : dict
        ``tune``: ``lora`` (adapters of rank ``lora.rank``, scaled by ``lora.alpha`` / rank, at
        ``lora.targets``; Hu et al. 2022, equation 3), or one of the masks of
        `medaudit.adapt.finetune.masks.tuned_parameters`; ``mask`` if ``tune`` is ``mask``.

    Returns
    -------
    torch.nn.Module
        The tower; parameters that are not tuned require no gradient.
    """
    if entry["tune"] == "lora":
        tower.requires_grad_(False)
        return add_lora(tower, entry["lora"])
    tuned = tuned_parameters(tower, entry["tune"], entry.get("mask"))
    for name, parameter in tower.named_parameters():
        parameter.requires_grad_(name in tuned)
    return tower


def train_tuned(module: nn.Module, mode: bool) -> None:
    """Set training mode where parameters are tuned, and evaluation mode elsewhere.

    A frozen batch norm then keeps its statistics, and a frozen block drops nothing; otherwise the
    output of frozen blocks would change from step to step and could not be stored. Modules without
    parameters (dropout, drop path) get the mode of the module around them. In a layer with an
    adapter, only the adapter is in training mode.
    """
    if any("lora_" in name for name, _ in module.named_parameters()):
        module.eval()
        for name, part in module.named_modules():
            if "lora_" in name:
                part.train(mode)
    else:
        _train_parts(module, mode)


def _train_parts(module: nn.Module, mode: bool) -> tuple[bool, bool]:
    """Set the mode of a module and its children; return if it has parameters, and tuned ones."""
    own = [parameter.requires_grad for parameter in module.parameters(recurse=False)]
    parts = [(part, *_train_parts(part, mode)) for part in module.children()]
    tuned = any(own) or any(inside for _, _, inside in parts)
    module.training = mode and tuned
    for part, holds, _ in parts:
        if not holds:
            part.train(module.training)
    return bool(own) or any(holds for _, holds, _ in parts), tuned


def add_lora(tower: nn.Module, settings: MethodEntryLora) -> nn.Module:
    """Return a frozen tower with peft's LoRA adapters.

    Parameters
    ----------
    tower : torch.nn.Module
        Changed in place.
    settings : dict
        ``rank``, ``alpha``, ``dropout``, and ``targets``: ``auto`` or a regular expression for
        the full names of modules.

    Raises
    ------
    MedauditError
        No module matches ``targets``.
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

    ``auto`` selects the attention projections (linear layers inside a module named ``attn``, or
    whole ``MultiheadAttention`` modules). If there are none, as in a ResNet, it selects every
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
        raise MedauditError(
            f"lora.targets {targets!r} matches no module name; the tower has modules of the types {known}"
        )
    return names
