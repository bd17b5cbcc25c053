"""Any timm architecture, with seeded random weights or a local checkpoint; nothing is downloaded."""

import json

import timm
import torch

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.models.interface import ImageInput
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.files import file_sha256
from medaudit.models.weights.layouts import to_timm
from medaudit.models.weights.load import check_golden, load_strict, read_state, resolve_weights


def build(settings: dict) -> TorchEncoder:
    """Build a frozen timm model without its classifier.

    Parameters
    ----------
    settings : dict
        ``architecture`` and ``arguments`` of `timm.create_model`; ``pooling`` (``global_pool``,
        e.g. ``token`` or ``avg``); ``input``, see `medaudit.models.interface.ImageInput`; ``weights`` (a
        file; null for seeded random weights) and ``sha256`` (may be null); ``layout``, whose names
        the file has (`medaudit.models.weights.layouts.LAYOUTS`; timm's own by default); ``golden``, see
        `medaudit.models.weights.load.check_golden`; ``drop_path``, the rate of stochastic depth while
        it is trained (0 by default; it changes no initial weights).

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
        "layout": settings.get("layout", "timm"),
        "dimension": module.num_features,
        "versions": {"timm": timm.__version__},
    }
    if settings["weights"] is None:
        description["seed"] = weights_seed(settings)
    else:
        description |= load_weights(module, settings)
    encoder = TorchEncoder(module, image_input, description)
    check_golden(encoder, settings)
    return encoder


def create_module(settings: dict, image_input: ImageInput) -> torch.nn.Module:
    """Create the architecture without classifier, with weights drawn from `weights_seed`."""
    name = settings["architecture"]
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:10]
        raise MedauditError(f"timm {timm.__version__} has no architecture {name!r}; near: {near}")
    depth = {"drop_path_rate": settings["drop_path"]} if settings.get("drop_path") else {}
    arguments = {**settings.get("arguments", {}), **depth}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed(settings))
        try:
            module = timm.create_model(
                name,
                pretrained=False,
                num_classes=0,
                in_chans=image_input.channels,
                global_pool=settings["pooling"],
                **arguments,
            )
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            raise MedauditError(
                f"timm cannot create {name!r} with arguments {arguments} and pooling "
                f"{settings['pooling']!r}: {error}"
            ) from error
    _check_size(module, name, image_input.size)
    return module


def weights_seed(settings: dict) -> int:
    """Return the seed of random weights; it depends on architecture and arguments alone."""
    arguments = json.dumps(settings.get("arguments", {}), sort_keys=True)
    return derive_seed("timm", settings["architecture"], arguments)


def load_weights(module: torch.nn.Module, settings: dict) -> dict:
    """Load the checkpoint strictly and return what the spec says of it.

    The classifier's keys (``head`` or ``fc``, as timm names them for the architecture) and what
    `medaudit.models.weights.layouts.LAYOUTS` names are left out. ``fresh`` are layers that the file's
    owner trains anew: here they have scale 1 and shift 0.
    """
    path, layout = resolve_weights(settings), settings.get("layout", "timm")
    what = f"{layout} {settings['architecture']} ({path})"
    state = read_state(path, settings.get("sha256"))
    state, left_out, fresh = to_timm(state, layout, module, what)
    load_strict(module, state, what, allow_missing=fresh)
    return {"sha256": file_sha256(path), "left_out": left_out, "fresh": list(fresh)}


def _check_size(module: torch.nn.Module, name: str, size: int) -> None:
    wanted = getattr(getattr(module, "patch_embed", None), "img_size", None)
    if wanted is not None and tuple(wanted) != (size, size):
        raise MedauditError(
            f"{name} was created for images of {tuple(wanted)} pixels and `input.size` is {size}; "
            f"set `arguments: {{img_size: {size}}}` or `input.size: {wanted[0]}`"
        )
