"""Any timm architecture, with seeded random weights or a local checkpoint."""

import json

import timm
import torch

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.models.architectures import create_architecture
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.checkpoint_layouts import to_timm
from medaudit.models.weights.files import file_sha256
from medaudit.models.weights.load import check_golden, load_strict, read_state, resolve_weights


def build(settings: ModelSettings) -> TorchEncoder:
    """Build a frozen timm model without its classifier.

    Parameters
    ----------
    settings : dict
        ``architecture`` and ``arguments`` of `timm.create_model`; ``pooling`` (``global_pool``,
        e.g. ``token`` or ``avg``); ``input``, see `medaudit.models.interface.ImageInput`;
        ``weights`` (a file; null for seeded random weights) and ``sha256`` (may be null);
        ``layout``, the naming of the file's keys
        (`medaudit.models.weights.checkpoint_layouts.LAYOUTS`; timm's own by default); ``golden``,
        see `medaudit.models.weights.load.check_golden`; ``drop_path``, the rate of stochastic depth
        in training (0 by default; it does not change initial weights).

    Raises
    ------
    MedauditError
        The architecture or file does not exist, arguments or input size do not fit the
        architecture, or keys, shapes or the hash of the weights differ.
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


def network(settings: ModelSettings) -> torch.nn.Module:
    """Return the architecture with random weights."""
    return create_module(settings, ImageInput.from_settings(settings))


def create_module(settings: ModelSettings, image_input: ImageInput) -> torch.nn.Module:
    """Create the architecture without its classifier, with random weights from `weights_seed`."""
    name = settings["architecture"]
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:10]
        raise MedauditError(
            f"timm {timm.__version__} has no architecture {name!r}; similar names: {near}"
        )
    depth = {"drop_path_rate": settings["drop_path"]} if settings.get("drop_path") else {}
    arguments = {**settings.get("arguments", {}), **depth}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed(settings))
        try:
            module = create_architecture(
                name,
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


def weights_seed(settings: ModelSettings) -> int:
    """Return the seed of random weights; it depends only on architecture and arguments."""
    arguments = json.dumps(settings.get("arguments", {}), sort_keys=True)
    return derive_seed("timm", settings["architecture"], arguments)


def load_weights(module: torch.nn.Module, settings: ModelSettings) -> dict:
    """Load the checkpoint strictly; return its hash and which keys were not loaded.

    ``prefix`` stood before the names of the encoder's weights. ``left_out`` are keys of the file
    that are not loaded: classifiers and heads of pretraining
    (`medaudit.models.weights.prefixes.HEADS`), and the parts that the layout declares
    (`medaudit.models.weights.checkpoint_layouts.LAYOUTS`). ``fresh`` are layers of the model that
    the file lacks, because its owner trains them from scratch: here they have scale 1 and shift 0.
    """
    path, layout = resolve_weights(settings), settings.get("layout", "timm")
    what = f"{layout} {settings['architecture']} ({path})"
    state = read_state(path, settings.get("sha256"))
    renamed = to_timm(state, layout, module, what, settings.get("prefix"))
    # A counter of training batches, which old files lack; it changes no output.
    allowed = (*renamed.fresh, r".*\.num_batches_tracked")
    load_strict(module, renamed.state, what, allow_missing=allowed)
    return {
        "sha256": file_sha256(path),
        "prefix": renamed.prefix,
        "left_out": renamed.left_out,
        "fresh": list(renamed.fresh),
    }


def _check_size(module: torch.nn.Module, name: str, size: int) -> None:
    wanted = getattr(getattr(module, "patch_embed", None), "img_size", None)
    if wanted is not None and tuple(wanted) != (size, size):
        raise MedauditError(
            f"{name} was created for images of {tuple(wanted)} pixels and `input.size` is {size}; "
            f"set `arguments: {{img_size: {size}}}` or `input.size: {wanted[0]}`"
        )
