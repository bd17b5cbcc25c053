"""Any timm architecture, with seeded random weights or a local checkpoint; nothing is downloaded."""

import json
import re

import timm
import torch

from medaudit.errors import MedauditError
from medaudit.models import ImageInput
from medaudit.models.gate import file_sha256
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights import load_strict, read_state, resolve_weights, strip_prefix
from medaudit.seeds import derive_seed


def build(settings: dict) -> TorchEncoder:
    """Build a frozen timm model without its classifier.

    Parameters
    ----------
    settings : dict
        ``architecture`` and ``arguments`` of `timm.create_model`; ``pooling`` (``global_pool``,
        e.g. ``token`` or ``avg``); ``input``, see `medaudit.models.ImageInput`; ``weights`` (a
        file in timm's own names; null for seeded random weights) and ``sha256`` (may be null).

    Raises
    ------
    MedauditError
        There is no such architecture or file, arguments or input size do not fit it, or keys,
        shapes or the hash of the weights differ.
    """
    image_input = ImageInput.from_settings(settings)
    module = create_module(settings, image_input)
    description = {
        "kind": "timm",
        **{key: settings[key] for key in ("architecture", "weights", "pooling")},
        "arguments": settings.get("arguments", {}),
        "dimension": module.num_features,
        "versions": {"timm": timm.__version__},
    }
    if settings["weights"] is None:
        description["seed"] = weights_seed(settings)
    else:
        description |= load_weights(module, settings)
    return TorchEncoder(module, image_input, description)


def create_module(settings: dict, image_input: ImageInput) -> torch.nn.Module:
    """Create the architecture without classifier, with weights drawn from `weights_seed`."""
    name = settings["architecture"]
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:10]
        raise MedauditError(f"timm {timm.__version__} has no architecture {name!r}; near: {near}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed(settings))
        try:
            module = timm.create_model(
                name,
                pretrained=False,
                num_classes=0,
                in_chans=image_input.channels,
                global_pool=settings["pooling"],
                **settings.get("arguments", {}),
            )
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise MedauditError(
                f"timm cannot create {name!r} with arguments {settings.get('arguments', {})} and "
                f"pooling {settings['pooling']!r}: {error}"
            ) from error
    _check_size(module, name, image_input.size)
    return module


def weights_seed(settings: dict) -> int:
    """Return the seed of random weights; it depends on architecture and arguments alone."""
    arguments = json.dumps(settings.get("arguments", {}), sort_keys=True)
    return derive_seed("timm", settings["architecture"], arguments)


def load_weights(module: torch.nn.Module, settings: dict) -> dict:
    """Load the checkpoint strictly and return what the spec says of it.

    The classifier's keys (``head`` or ``fc``, as timm names them for the architecture) are left
    out; a ``module.`` before every key, as data-parallel training writes it, is taken off.
    """
    path = resolve_weights(settings)
    state = read_state(path, settings.get("sha256"))
    if all(key.startswith("module.") for key in state):
        state = strip_prefix(state, "module.")
    classifier = module.pretrained_cfg.get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else classifier
    heads = [rf"{re.escape(name)}\.(weight|bias)" for name in names]
    left_out = sorted(key for key in state if any(re.fullmatch(head, key) for head in heads))
    state = {key: value for key, value in state.items() if key not in left_out}
    load_strict(module, state, f"timm {settings['architecture']} ({path})")
    return {"sha256": file_sha256(path), "left_out": left_out}


def _check_size(module: torch.nn.Module, name: str, size: int) -> None:
    wanted = getattr(getattr(module, "patch_embed", None), "img_size", None)
    if wanted is not None and tuple(wanted) != (size, size):
        raise MedauditError(
            f"{name} was created for images of {tuple(wanted)} pixels and `input.size` is {size}; "
            f"set `arguments: {{img_size: {size}}}` or `input.size: {wanted[0]}`"
        )
