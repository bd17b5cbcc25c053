"""Small random checkpoints of encoders under their owners' names, in their owners' containers.

Each case starts from the shipped catalogue's entry and changes only sizes, so that an activation, a
norm or a pooling of the entry that is wrong shows. The answers come from transformers, torchvision
and torchxrayvision themselves, or from `owner_networks`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    SwinConfig,
    SwinModel,
)

import official_vision
import owner_networks
from official_layouts import shaken

State = dict[str, torch.Tensor]
WIDTH, HEADS, SIDE, PATCH = 32, 2, 32, 8
GRID = SIDE // PATCH
VIT = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": 2, "num_heads": HEADS}
HF = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "image_size": SIDE,
    "patch_size": PATCH,
}
Answer = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Case:
    """A checkpoint of a catalogue entry at small size.

    Parameters
    ----------
    arguments : dict
        Changes to the entry's ``arguments``.
    state : dict of str to torch.Tensor
        Weights under the owner's names.
    save : callable
        Writes a state to a path in the owner's container.
    answer : callable
        The owner's features for prepared pixels.
    size : int
        Side of the images.
    suffix : str
        Of the file.
    needed : str
        A weight without which the model is not complete.
    """

    arguments: dict
    state: State
    save: Callable[[State, Path], None]
    answer: Answer
    needed: str
    size: int = SIDE
    suffix: str = ".pth"


def in_pickle(**containers: str) -> Callable[[State, Path], None]:
    """Return a writer of a torch file, e.g. ``in_pickle(model="encoder.")``: below a key, with a prefix."""

    def save(state: State, path: Path) -> None:
        content: dict = state
        for name, prefix in containers.items():
            content = {name: {prefix + key: value for key, value in state.items()}}
        torch.save(content, path)

    return save


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> State:
    """Return random tensors, those of norms around 1."""
    generator = torch.Generator().manual_seed(seed)
    draw = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {k: 1 + 0.2 * v if "norm" in k and k.endswith("t") else 0.3 * v for k, v in draw.items()}


def layer(name: str, into: int, out: int, bias: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a linear layer."""
    return {f"{name}.weight": (out, into)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name: str, width: int = WIDTH) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a norm."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def vit_shapes(grid: int, block: Callable[[str], dict]) -> dict[str, tuple[int, ...]]:
    """Return a ViT's shapes by the names that most owners share."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + grid**2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
        **norm("norm"),
    }
    for i in range(2):
        shapes |= block(f"blocks.{i}.")
    return shapes


def dinov2_block(name: str) -> dict[str, tuple[int, ...]]:
    """Return DINOv2's block."""
    return {
        **norm(f"{name}norm1"),
        **layer(f"{name}attn.qkv", WIDTH, 3 * WIDTH),
        **layer(f"{name}attn.proj", WIDTH, WIDTH),
        f"{name}ls1.gamma": (WIDTH,),
        **norm(f"{name}norm2"),
        **layer(f"{name}mlp.fc1", WIDTH, 4 * WIDTH),
        **layer(f"{name}mlp.fc2", 4 * WIDTH, WIDTH),
        f"{name}ls2.gamma": (WIDTH,),
    }


def _dinov2(save, grid: int = GRID, registers: int = 0, more: State | None = None, suffix=".pth"):
    shapes = vit_shapes(grid, dinov2_block) | {"mask_token": (1, WIDTH)}
    shapes |= {"register_tokens": (1, registers, WIDTH)} if registers else {}
    state = drawn(shapes, 1)
    answer = lambda x: owner_networks.dinov2(state, x, HEADS)  # noqa: E731
    return Case(VIT, state | (more or {}), save, answer, "blocks.1.ls2.gamma", suffix=suffix)


def rad_dino() -> Case:
    """``backbone_compatible.safetensors``: facebookresearch's names."""
    return _dinov2(save_file, suffix=".safetensors")


def dinov2_resampled() -> Case:
    """The same at an image size that its position embeddings are resampled to."""
    return _dinov2(in_pickle(), grid=7)


def dinov2_registers() -> Case:
    """With register tokens, resampled."""
    return _dinov2(in_pickle(), grid=7, registers=4)


def retfound_dinov2() -> Case:
    """The teacher of a training checkpoint, with DINOv2's head and blocks in chunks."""
    case = _dinov2(in_pickle())
    chunks = {
        key.replace("blocks.0.", "blocks.0.0.").replace("blocks.1.", "blocks.0.1."): value
        for key, value in case.state.items()
    }
    case.state = {f"backbone.{key}": value for key, value in chunks.items()}
    case.state |= drawn(layer("dino_head.mlp.0", WIDTH, 8) | layer("dino_head.last", 8, 4), 3)
    case.save = in_pickle(teacher="")
    case.needed = "backbone.blocks.0.1.ls2.gamma"
    return case


def rad_dino_maira2() -> Case:
    """Hugging Face's names, as transformers itself writes them; resampled by its own code."""
    model = shaken(Dinov2Model(Dinov2Config(**HF | {"image_size": 56})), 4)
    return _written_by_transformers(model, "encoder.layer.1.layer_scale2.lambda1")


def dinov2_hf_registers() -> Case:
    """Hugging Face's names with registers."""
    config = Dinov2WithRegistersConfig(**HF, num_register_tokens=4)
    model = shaken(Dinov2WithRegistersModel(config), 5)
    return _written_by_transformers(model, "encoder.layer.1.layer_scale2.lambda1")


def _written_by_transformers(model: nn.Module, needed: str) -> Case:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        state = load_file(Path(folder) / "model.safetensors")
    answer = lambda x: model(pixel_values=x).last_hidden_state[:, 0]  # noqa: E731
    return Case(VIT, state, save_file, answer, needed, suffix=".safetensors")


def dinov3() -> Case:
    """timm's names, against transformers' network."""
    sizes = HF | {"intermediate_size": 4 * WIDTH, "num_register_tokens": 4}
    biases = {"query_bias": False, "key_bias": False, "value_bias": False}
    model = shaken(DINOv3ViTModel(DINOv3ViTConfig(**sizes, **biases)), 6)
    found = model.state_dict()
    state = {
        "cls_token": found["embeddings.cls_token"],
        "reg_token": found["embeddings.register_tokens"],
        "patch_embed.proj.weight": found["embeddings.patch_embeddings.weight"],
        "patch_embed.proj.bias": found["embeddings.patch_embeddings.bias"],
        "norm.weight": found["norm.weight"],
        "norm.bias": found["norm.bias"],
    }
    names = {
        **{f"{n}.{part}": f"{n}.{part}" for n in ("norm1", "norm2") for part in ("weight", "bias")},
        **{f"attn.proj.{part}": f"attention.o_proj.{part}" for part in ("weight", "bias")},
        **{f"mlp.fc1.{part}": f"mlp.up_proj.{part}" for part in ("weight", "bias")},
        **{f"mlp.fc2.{part}": f"mlp.down_proj.{part}" for part in ("weight", "bias")},
        "gamma_1": "layer_scale1.lambda1",
        "gamma_2": "layer_scale2.lambda1",
    }
    for i in range(2):
        block = f"model.layer.{i}."
        state |= {f"blocks.{i}.{ours}": found[block + name] for ours, name in names.items()}
        parts = [found[f"{block}attention.{name}_proj.weight"] for name in "qkv"]
        state[f"blocks.{i}.attn.qkv.weight"] = torch.cat(parts)
    answer = lambda x: model(pixel_values=x).last_hidden_state[:, 0]  # noqa: E731
    return Case(VIT, state, save_file, answer, "reg_token", suffix=".safetensors")


def retfound_mae() -> Case:
    """MAE's container: weights, decoder, optimiser and the arguments of its script."""
    sizes = official_vision.VIT | {"num_heads": 3}
    shapes = official_vision.vit_shapes() | official_vision.decoder_shapes()
    state = official_vision.drawn(shapes, 7)

    def save(state: State, path: Path) -> None:
        rest = {"optimizer": {"state": {}}, "epoch": 799, "args": argparse.Namespace(lr=1e-3)}
        torch.save({"model": state, **rest}, path)

    answer = lambda x: official_vision.class_token(state, x, 3)  # noqa: E731
    return Case(sizes, state, save, answer, "blocks.1.mlp.fc2.weight")


def _eva_x(gate: Callable[[str], dict], attention: Callable[[str], dict]) -> Case:
    def block(name: str) -> dict[str, tuple[int, ...]]:
        biases = {f"{name}attn.{letter}_bias": (WIDTH,) for letter in "qv"}
        proj = layer(f"{name}attn.proj", WIDTH, WIDTH)
        norms = norm(f"{name}norm1") | norm(f"{name}norm2")
        return norms | attention(name) | biases | proj | gate(name)

    state = drawn(vit_shapes(GRID, block), 8)
    rest = {"mask_token": (1, 1, WIDTH), "rope.freqs_cos": (GRID**2, 8)}
    rest |= layer("lm_head", WIDTH, 8) | {"blocks.0.attn.rope.freqs_sin": (GRID**2, 8)}
    sizes = VIT | {"ref_feat_shape": (GRID, GRID)}
    answer = lambda x: owner_networks.eva02(state, x, HEADS)  # noqa: E731
    save = in_pickle(module="")
    return Case(sizes, state | drawn(rest, 9), save, answer, "blocks.0.attn.v_bias", suffix=".pt")


HIDDEN = int(WIDTH * 4 * 2 / 3)


def eva_x_tiny() -> Case:
    """One layer for query, key and value, one for gate and value."""

    def gate(name: str):
        wide = layer(f"{name}mlp.w12", WIDTH, 2 * HIDDEN)
        return wide | layer(f"{name}mlp.w3", HIDDEN, WIDTH)

    return _eva_x(gate, lambda name: layer(f"{name}attn.qkv", WIDTH, 3 * WIDTH, bias=False))


def eva_x_base() -> Case:
    """Separate layers, and a norm inside the gated layer."""

    def gate(name: str):
        wide = layer(f"{name}mlp.w1", WIDTH, HIDDEN) | layer(f"{name}mlp.w2", WIDTH, HIDDEN)
        return wide | norm(f"{name}mlp.ffn_ln", HIDDEN) | layer(f"{name}mlp.w3", HIDDEN, WIDTH)

    def attention(name: str):
        names = [f"{name}attn.{letter}_proj" for letter in "qkv"]
        return {k: v for n in names for k, v in layer(n, WIDTH, WIDTH, bias=False).items()}

    return _eva_x(gate, attention)


def panderm() -> Case:
    """CAE's encoder below ``encoder.``, with its teacher and decoder."""

    def block(name: str) -> dict[str, tuple[int, ...]]:
        shapes = dinov2_block(name)
        for gone in ("ls1.gamma", "ls2.gamma", "attn.qkv.bias"):
            del shapes[name + gone]
        own = ("attn.q_bias", "attn.v_bias", "gamma_1", "gamma_2")
        return shapes | {name + key: (WIDTH,) for key in own}

    inside = drawn(vit_shapes(GRID, block), 10)
    state = {f"encoder.{key}": value for key, value in inside.items()}
    outside = layer("teacher.blocks.0.attn.proj", WIDTH, WIDTH) | {"mask_token": (1, 1, WIDTH)}
    state |= drawn(outside | norm("regressor_and_decoder.norm"), 11)
    answer = lambda x: owner_networks.panderm(inside, x, HEADS)  # noqa: E731
    return Case(VIT, state, in_pickle(model=""), answer, "encoder.blocks.1.gamma_2")


def ark_plus() -> Case:
    """timm 0.5's Swin, saved from data-parallel training with projector and heads."""
    sizes = {"depths": [2, 2], "num_heads": [2, 4], "window_size": 4, "embed_dim": 16}
    config = SwinConfig(image_size=64, patch_size=4, hidden_act="gelu", **sizes)
    config.layer_norm_eps = 1e-5
    model = shaken(SwinModel(config), 12)
    hf = _written_by_transformers(model, "").state
    state = {key: value for name, tensor in hf.items() for key, value in _ark(name, tensor, hf)}
    buffers = {"layers.0.blocks.1.attn_mask": (4, 16, 16)}
    state |= drawn(buffers | layer("projector", 32, 8) | layer("omni_heads.0", 8, 14), 13)
    state |= drawn(layer("omni_heads.1", 8, 3) | layer("head", 32, 5), 14)
    sizes |= {"img_size": 64, "depths": (2, 2), "num_heads": (2, 4)}

    def save(state: State, path: Path) -> None:
        student = {f"module.{key}": torch.zeros_like(value) for key, value in state.items()}
        teacher = {f"module.{key}": value for key, value in state.items()}
        torch.save({"epoch": 50, "student": student, "teacher": teacher, "optimizer": {}}, path)

    answer = lambda x: model(pixel_values=x).pooler_output  # noqa: E731
    needed = "layers.0.downsample.reduction.weight"
    return Case(sizes, state, save, answer, needed, size=64, suffix=".pth.tar")


def _ark(name: str, tensor: torch.Tensor, hf: State):
    """Yield timm 0.5's name and tensor for one of Hugging Face's Swin."""
    for old, new in (
        *(("embeddings.patch_embeddings.projection", "patch_embed.proj"), ("encoder.", "")),
        *(("embeddings.norm", "patch_embed.norm"), ("layernorm_before", "norm1")),
        *(("layernorm_after", "norm2"), ("attention.output.dense", "attn.proj")),
        *(("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2")),
        *(("attention.self", "attn"), ("layernorm", "norm")),
    ):
        name = name.replace(old, new)
    if ".attn.query." in name:
        source = name.replace("attn.query", "attention.self.{}")
        parts = [hf[f"encoder.{source.format(part)}"] for part in ("query", "key", "value")]
        yield name.replace("query", "qkv"), torch.cat(parts)
    elif ".attn.key." not in name and ".attn.value." not in name:
        yield name, tensor


def medimageinsight() -> Case:
    """UniCL's names around DaViT; the file is safetensors, whatever its suffix."""
    widths, heads = (16, 32), (2, 4)
    shapes: dict[str, tuple[int, ...]] = {}
    for i, width in enumerate(widths):
        into, kernel = ((3, 7), (widths[0], 3))[i]
        shapes[f"convs.{i}.proj.weight"] = (width, into, kernel, kernel)
        shapes[f"convs.{i}.proj.bias"] = (width,)
        shapes |= norm(f"convs.{i}.norm", width if i == 0 else into)
        for block, attention in (
            ("spatial_block", "window_attn"),
            ("channel_block", "channel_attn"),
        ):
            name = f"blocks.{i}.0.{block}."
            for conv in ("conv1", "conv2"):
                shapes[f"{name}{conv}.fn.dw.weight"] = (width, 1, 3, 3)
                shapes[f"{name}{conv}.fn.dw.bias"] = (width,)
            shapes |= norm(f"{name}{attention}.norm", width) | norm(f"{name}ffn.norm", width)
            shapes |= layer(f"{name}{attention}.fn.qkv", width, 3 * width)
            shapes |= layer(f"{name}{attention}.fn.proj", width, width)
            shapes |= layer(f"{name}ffn.fn.net.fc1", width, 4 * width)
            shapes |= layer(f"{name}ffn.fn.net.fc2", 4 * width, width)
    inside = drawn(shapes | norm("norms", widths[-1]), 15)
    state = {f"image_encoder.{key}": value for key, value in inside.items()}
    rest = {"lang_encoder.token_embedding.weight": (9, 8), "image_projection": (widths[-1], 8)}
    state |= drawn(rest | {"lang_projection": (8, 8), "logit_scale": ()}, 16)
    sizes = {"embed_dims": widths, "num_heads": heads, "depths": (1, 1), "window_size": 3}
    answer = lambda x: owner_networks.davit(inside, x, heads, 3)  # noqa: E731
    needed = "image_encoder.blocks.1.0.channel_block.ffn.norm.bias"
    return Case(sizes, state, save_file, answer, needed, suffix=".pt")


def medgemma() -> Case:
    """The image tower of a shard, with parts of the language model and of the projector."""
    config = SiglipVisionConfig(**HF, intermediate_size=4 * WIDTH, vision_use_head=False)
    model = shaken(SiglipVisionModel(config), 17)
    inside = {k.removeprefix("vision_model."): v for k, v in model.state_dict().items()}
    state = {f"vision_tower.vision_model.{key}": value for key, value in inside.items()}
    rest = {"multi_modal_projector.mm_input_projection_weight": (WIDTH, 8)}
    rest |= layer("language_model.model.layers.0.mlp.up_proj", 8, 8, bias=False)
    state |= drawn(rest, 18)
    answer = lambda x: model(pixel_values=x).last_hidden_state.mean(dim=1)  # noqa: E731
    needed = "vision_tower.vision_model.post_layernorm.bias"
    return Case(VIT | {"mlp_ratio": 4.0}, state, save_file, answer, needed, suffix=".safetensors")


def _of_torchvision(model: nn.Module, arguments: dict, features: Answer, needed: str) -> Case:
    state = shaken(model, 19).state_dict()
    return Case(arguments, state, in_pickle(), features, needed, size=64)


def torchvision_resnet18() -> Case:
    """torchvision's ResNet."""
    model = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
    sizes = {"layers": [1, 1, 1, 1]}
    return _of_torchvision(model, sizes, _without(model, "fc"), "layer1.0.bn2.bias")


def xrv_resnet50() -> Case:
    """torchvision's ResNet of bottlenecks with one channel, as TorchXRayVision changes it."""
    model = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1])
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    sizes = {"layers": [1, 1, 1, 1]}
    return _of_torchvision(model, sizes, _without(model, "fc"), "layer4.0.bn3.bias")


DENSE = {"growth_rate": 4, "block_config": (1, 2, 1, 1), "num_init_features": 8}


def torchvision_densenet121() -> Case:
    """The names of the file of 2017, without counters: ``norm.1`` for ``norm1``."""
    model = torchvision.models.DenseNet(**DENSE, bn_size=4)
    sizes = {"growth_rate": 4, "block_config": DENSE["block_config"]}
    case = _of_torchvision(model, sizes, _without(model, "classifier"), "")
    old = {k: v for k, v in case.state.items() if not k.endswith("num_batches_tracked")}
    for number in "12":
        old = {k.replace(f".norm{number}.", f".norm.{number}."): v for k, v in old.items()}
        old = {k.replace(f".conv{number}.", f".conv.{number}."): v for k, v in old.items()}
    case.state, case.needed = old, "features.denseblock2.denselayer2.norm.2.weight"
    return case


def _without(model: nn.Module, classifier: str) -> Answer:
    kept = getattr(model, classifier)

    def features(x: torch.Tensor) -> torch.Tensor:
        setattr(model, classifier, nn.Identity())
        try:
            return model(x)
        finally:
            setattr(model, classifier, kept)

    return features


def torchvision_vit_b16() -> Case:
    """torchvision's ViT."""
    model = torchvision.models.VisionTransformer(
        SIDE, PATCH, num_layers=2, num_heads=HEADS, hidden_dim=WIDTH, mlp_dim=4 * WIDTH
    )
    needed = "encoder.layers.encoder_layer_1.mlp.3.bias"
    case = _of_torchvision(model, VIT, _without(model, "heads"), needed)
    case.size = SIDE
    return case


def xrv_densenet121(legacy: bool = False) -> Case:
    """TorchXRayVision's own network, pickled whole, as its files are."""
    from torchxrayvision.models import DenseNet

    model = shaken(DenseNet(num_classes=18, in_channels=1, **DENSE, bn_size=4), 20)
    sizes = {"growth_rate": 4, "block_config": DENSE["block_config"]}

    def save(_: State, path: Path) -> None:
        torch.save(model, path, _use_new_zipfile_serialization=not legacy)

    answer = lambda x: model.features2(x)  # noqa: E731
    needed = "features.norm5.bias"
    return Case(sizes, model.state_dict(), save, answer, needed, size=64, suffix=".pt")


CASES: dict[str, tuple[str, Callable[[], Case]]] = {
    "rad_dino": ("rad_dino", rad_dino),
    "rad_dino_maira2": ("rad_dino_maira2", rad_dino_maira2),
    "dinov2_hf_registers": ("dinov2_reg_vit_b14", dinov2_hf_registers),
    "dinov2": ("dinov2_vit_s14", dinov2_resampled),
    "dinov2_registers": ("dinov2_reg_vit_l14", dinov2_registers),
    "dinov3": ("dinov3_vit_b16", dinov3),
    "retfound_mae": ("retfound_mae_cfp", retfound_mae),
    "retfound_dinov2": ("retfound_dinov2_meh", retfound_dinov2),
    "eva_x_tiny": ("eva_x_tiny", eva_x_tiny),
    "eva_x_base": ("eva_x_base", eva_x_base),
    "panderm": ("panderm_l16", panderm),
    "ark_plus": ("ark_plus", ark_plus),
    "medimageinsight": ("medimageinsight", medimageinsight),
    "medgemma": ("medgemma_4b_tower", medgemma),
    "xrv_densenet121": ("xrv_densenet121_all", xrv_densenet121),
    "xrv_densenet121_legacy": ("xrv_densenet121_chexpert", lambda: xrv_densenet121(legacy=True)),
    "xrv_resnet50": ("xrv_resnet50", xrv_resnet50),
    "torchvision_resnet18": ("torchvision_resnet18", torchvision_resnet18),
    "torchvision_densenet121": ("torchvision_densenet121", torchvision_densenet121),
    "torchvision_vit_b16": ("torchvision_vit_b16", torchvision_vit_b16),
}
"""Catalogue entry and checkpoint by the name of a case."""


def pictures(size: int) -> np.ndarray:
    """Return two grey images."""
    return np.random.default_rng(3).integers(0, 256, (2, size, size), dtype=np.uint8)
