"""Golden values of the shipped models: ``python tests/support/golden_values.py`` writes them.

With names of models it writes only theirs.

Every entry is built as the catalogue says, with fewer layers and small images, and with weights that
follow from their names. The first numbers of what it answers to fixed pictures and words are stored in
``tests/models/golden_values.json``. Widths, numbers of heads, activations, norms, pooling and
preprocessing are the entry's, so that a change of any of them shows.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path[:0] = [str(Path(__file__).parent)]

from medaudit.config.validation import check  # noqa: E402
from medaudit.models.interface import ImageInput  # noqa: E402
from medaudit.models.kinds import network  # noqa: E402
from medaudit.models.torch_encoder import TorchEncoder  # noqa: E402
from medaudit.models.vision_language import Towers  # noqa: E402
from medaudit.models.weights.load import golden_image  # noqa: E402
from shipped_config import SCHEMAS, shipped  # noqa: E402

VALUES = Path(__file__).parents[1] / "models" / "golden_values.json"
COUNT = 4
IDS = torch.tensor([[2, 5, 7, 11, 13, 3, 1, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0]])
STAGES = {
    "resnet": {"layers": [1, 1, 1, 1]},
    "densenet": {"block_config": [1, 1, 1, 1]},
    "convnext": {"depths": [1, 1, 1, 1]},
    "swin": {"depths": [1, 2], "num_heads": [6, 12]},
    "davit": {"depths": [1, 1], "embed_dims": [256, 512], "num_heads": [8, 16]},
}
"""Sizes of architectures that have stages, by the start of their names; widths and heads stay."""


def entries() -> dict[str, dict]:
    """Return the catalogue's entries that are networks, resolved."""
    models = check(shipped(), SCHEMAS)["models"]
    return {
        name: dict(entry)
        for name, entry in models.items()
        if entry["kind"] not in ("ensemble", "pixels")
    }


def reduced(entry: dict) -> dict:
    """Return the entry at reduced depth and image size."""
    kind, arguments = entry["kind"], dict(entry.get("arguments", {}))
    small = {**entry, "input": {**entry["input"], "resize": None}}
    if kind == "timm":
        return small | _reduced_timm(entry["architecture"], arguments, small["input"])
    if kind in ("clip", "unimedclip"):
        arguments |= _reduced_clip(entry["architecture"], arguments, own_text=kind == "clip")
        size = arguments["vision_cfg"]["image_size"]
        return small | {"arguments": arguments, "input": small["input"] | {"size": size}}
    text = {"num_hidden_layers": 2, "vocab_size": 64}
    if kind == "siglip":
        patch = arguments.get("image", {}).get("patch_size", 16)
        image = {**arguments.get("image", {}), "img_size": 3 * patch, "depth": 1}
        text = {**arguments.get("text", {}), **text}
        size = {"size": 3 * patch}
    else:
        tower = entry.get("image_tower", "vit_b" if kind == "biomedclip" else "resnet50")
        image = {"layers": [1, 1, 1, 1]} if tower == "resnet50" else {"img_size": 32}
        image |= {"depth": 1} if tower == "vit_b" else {}
        swin = tower in ("vit", "swin")
        image |= {"img_size": 56, "depths": [1, 1], "num_heads": [3, 6]} if swin else {}
        size = {"size": image.get("img_size", 64)}
        text["num_hidden_layers"] = 4 if kind == "gloria" else 2
    return small | {
        "arguments": {**arguments, "image": image, "text": text},
        "input": small["input"] | size,
    }


def _reduced_timm(name: str, arguments: dict, given: dict) -> dict:
    if name.endswith("_bit"):  # whose layers cannot be set: the smallest of the family
        return {"architecture": "resnetv2_50x1_bit", "input": {**given, "size": 64}}
    stages = next((v for start, v in STAGES.items() if name.startswith(start)), None)
    if name.startswith(("resnet18", "tf_efficientnet", "efficientnet")) or stages:
        side = {"swin": 96, "davit": 96}.get(name[:4] if name[:4] == "swin" else name[:5], 64)
        more = {**(stages or {}), **({"img_size": side} if name.startswith("swin") else {})}
        more = {} if "stem_chs" in arguments else more
        return {"arguments": {**arguments, **more}, "input": {**given, "size": side}}
    patch = arguments.get("patch_size") or (14 if "patch14" in name else 16)
    more = {"depth": 1, "img_size": 3 * patch}
    more |= {"ref_feat_shape": [3, 3]} if "ref_feat_shape" in arguments else {}
    return {"arguments": {**arguments, **more}, "input": {**given, "size": 3 * patch}}


def _reduced_clip(architecture: str, arguments: dict, own_text: bool) -> dict:
    resnet = architecture.startswith("RN")
    patch = 32 if "32" in architecture else 16
    vision = {**arguments.get("vision_cfg", {}), "image_size": 64 if resnet else 3 * patch}
    vision["layers"] = [1, 1, 1, 1] if resnet else 1
    if not own_text:
        return {"vision_cfg": vision, "text": {"num_hidden_layers": 2, "vocab_size": 64}}
    text = {**arguments.get("text_cfg", {}), "layers": 1, "vocab_size": 64}
    return {"vision_cfg": vision, "text_cfg": text}


def fill(module: nn.Module) -> None:
    """Give every weight a value that follows from its name and shape."""
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            continue
        draw = np.random.default_rng(zlib.crc32(name.encode()))
        uniform = torch.from_numpy(np.asarray(draw.random(value.shape, np.float32) - 0.5))
        last = name.rpartition(".")[2]
        if value.ndim > 1:
            fan = value[0].numel() if last == "weight" else value.shape[-1]
            value.copy_(3 * uniform / fan**0.5)
        elif last in ("weight", "gamma", "running_var", "gamma_1", "gamma_2"):
            value.copy_(1 + 0.5 * uniform)
        else:
            value.copy_(0.5 * uniform)


@torch.no_grad()
def values_of(entry: dict, towers: nn.Module | None = None) -> dict[str, list[float]]:
    """Return the first numbers of the image embedding, and of the text embedding if there is one."""
    made = network(entry) if towers is None else towers
    fill(made)
    image = made.image if isinstance(made, Towers) else made
    encoder = TorchEncoder(image, ImageInput.from_settings(entry), {})
    found = {"image": encoder.encode_images(golden_image(128))[0]}
    if isinstance(made, Towers):
        needs_mask = hasattr(made.text, "bert")
        ids = IDS if needs_mask else torch.nn.functional.pad(IDS, (0, _length(made.text) - 8))
        text = made.text.eval()
        found["text"] = text(ids, MASK)[0].numpy() if needs_mask else text(ids)[0].numpy()
    return {key: [float(f"{x:.5g}") for x in value[:COUNT]] for key, value in found.items()}


def _length(text: nn.Module) -> int:
    if hasattr(text, "model"):
        return text.model.config.max_position_embeddings
    return text.positional_embedding.shape[0]


def groups() -> dict[str, list[str]]:
    """Return names of entries that are the same network with the same preprocessing, by content."""
    found: dict[str, list[str]] = {}
    for name, entry in entries().items():
        keys = ("kind", "architecture", "arguments", "pooling", "image_tower", "text_pooling")
        small = reduced(entry)
        content = {key: small[key] for key in (*keys, "input") if key in small}
        found.setdefault(json.dumps(content, sort_keys=True, default=list), []).append(name)
    return found


def main() -> None:
    """Write the values of every entry, or of those named; the others keep theirs."""
    models, chosen = entries(), set(sys.argv[1:])
    written = json.loads(VALUES.read_text(encoding="utf-8")) if chosen else {}
    for names in groups().values():
        if chosen and not chosen & set(names):
            continue
        values = values_of(reduced(models[names[0]] | {"name": names[0]}))
        written |= dict.fromkeys(names, values)
        print(names, values, flush=True)
    text = ",\n".join(f'  "{name}": {json.dumps(written[name])}' for name in sorted(written))
    VALUES.write_text("{\n" + text + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
