"""SigLIP, SigLIP 2, MedSigLIP and XraySigLIP, in Hugging Face's layout.

Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023; Tschannen et al., "SigLIP 2",
2025.
"""

from functools import cached_property, partial
from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import SiglipTextConfig, SiglipTextModel

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.vision_language import (
    ImageTower,
    Towers,
    VisionLanguageEncoder,
    join_layers,
    load_towers,
    open_weights,
    rename_keys,
    with_golden_check,
)
from medaudit.models.weights.files import resolve_weights
from medaudit.models.weights.positions import Resampling, resample_positions

EPSILON = 1e-6
_RULES = [
    (r"vision_model\.", "image.trunk."),
    (r"text_model\.", "text.model."),
    (r"image\.trunk\.encoder\.layers\.", "image.trunk.blocks."),
    (r"image\.trunk\.embeddings\.patch_embedding\.", "image.trunk.patch_embed.proj."),
    (r"image\.trunk\.embeddings\.position_embedding\.weight", "image.trunk.pos_embed"),
    (r"image\.trunk\.post_layernorm", "image.trunk.norm"),
    (r"(image\.trunk\.blocks\.\d+\.)self_attn\.out_proj", r"\1attn.proj"),
    (r"(image\.trunk\.blocks\.\d+\.)self_attn", r"\1attn"),
    (r"(image\.trunk\.blocks\.\d+\.)layer_norm", r"\1norm"),
    (r"image\.trunk\.head\.probe", "image.trunk.attn_pool.latent"),
    (r"image\.trunk\.head\.attention\.out_proj", "image.trunk.attn_pool.proj"),
    (r"image\.trunk\.head\.attention\.in_proj_", "image.trunk.attn_pool.in_proj."),
    (r"image\.trunk\.head\.layernorm", "image.trunk.attn_pool.norm"),
    (r"image\.trunk\.head\.mlp", "image.trunk.attn_pool.mlp"),
]


class SiglipText(nn.Module):
    """Text tower: the last position of a text of fixed length, projected by the head.

    Parameters
    ----------
    arguments : dict
        Changes to `transformers.SiglipTextConfig`.
    """

    def __init__(self, arguments: dict) -> None:
        super().__init__()
        self.model = SiglipTextModel(SiglipTextConfig(**arguments))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return embeddings ``[m, d]`` for ids ``[m, length]``."""
        # Without a mask: SigLIP was trained to attend to its padding.
        return self.model(input_ids=ids).pooler_output


class SentencePieces:
    """SigLIP's tokenizer; reads ``tokenizer.json`` when it is first called.

    Parameters
    ----------
    settings : dict
        The catalogue entry; ``tokenizer`` names the folder.
    length : int
        Number of tokens to which every text is cut or padded, as SigLIP was trained.
    size : int
        Number of tokens that the text tower knows.
    """

    def __init__(self, settings: ModelSettings, length: int, size: int) -> None:
        self.settings, self.length, self.size = settings, length, size

    def __call__(self, texts: list[str]) -> tuple[torch.Tensor]:
        """Return ids, int64 ``[m, length]``."""
        from open_clip.tokenizer import canonicalize_text

        # As its owners do before tokenizing: lower case, no punctuation.
        clean = [canonicalize_text(text) for text in texts]
        return (torch.tensor([item.ids for item in self._tokenizer.encode_batch(clean)]),)

    @cached_property
    def _tokenizer(self):
        from tokenizers import Tokenizer

        path = resolve_weights(self.settings, "tokenizer") / "tokenizer.json"
        if not path.is_file():
            raise MedauditError(f"there is no {path}: put SigLIP's own tokenizer file there")
        tokenizer = Tokenizer.from_file(str(path))
        # SigLIP 2 has Gemma's tokenizer.
        padding = "</s>" if tokenizer.token_to_id("<eos>") is None else "<pad>"
        if tokenizer.token_to_id(padding) is None:
            raise MedauditError(
                f"{path} has no token {padding}: it is not SigLIP's tokenizer; get the owner's file"
            )
        self._check_size(tokenizer.get_vocab_size(), path)
        tokenizer.enable_truncation(self.length)
        identity = tokenizer.token_to_id(padding)
        tokenizer.enable_padding(length=self.length, pad_id=identity, pad_token=padding)
        return tokenizer

    def _check_size(self, found: int, path: Path) -> None:
        if found > self.size:
            raise MedauditError(
                f"{path} has {found} entries, the text tower {self.size}: it is the tokenizer of "
                "another model (SigLIP has 32,000 entries, SigLIP 2 256,000)"
            )


def build(settings: ModelSettings) -> VisionLanguageEncoder:
    """Build a SigLIP from its ``model.safetensors``.

    Parameters
    ----------
    settings : dict
        ``weights``; ``tokenizer`` (folder with ``tokenizer.json``); ``arguments``: changes to the
        sizes of base/16 with 224 pixels, ``image`` (timm's `VisionTransformer`) and ``text``
        (`transformers.SiglipTextConfig`).
    """
    state, path, description = open_weights(settings)
    towers = network(settings)
    load_towers(towers, _fitted(_to_towers(state), towers.image.trunk), settings, path)
    sizes = towers.text.model.config
    encoder = VisionLanguageEncoder(
        towers,
        SentencePieces(settings, sizes.max_position_embeddings, sizes.vocab_size),
        ImageInput.from_settings(settings),
        description,
        logit_scale=towers.logit_scale.exp().item(),
        logit_bias=towers.logit_bias.item(),
        link="sigmoid",
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    arguments = settings.get("arguments", {})
    trunk = VisionTransformer(
        num_classes=0,
        class_token=False,
        global_pool="map",
        norm_layer=partial(nn.LayerNorm, eps=EPSILON),
        act_layer="gelu_tanh",
        **arguments.get("image", {}),
    )
    text = SiglipText(arguments.get("text", {}))
    return Towers(ImageTower(trunk, nn.Identity()), text, ("logit_scale", "logit_bias"))


def _to_towers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename Hugging Face's keys to those of `Towers`, and reshape where the two differ."""
    kept = {key: value for key, value in state.items() if not key.endswith(".position_ids")}
    vision = {key: value for key, value in kept.items() if key.startswith("vision_model.")}
    fused = join_layers(vision, ("q_proj", "k_proj", "v_proj"), "qkv")
    renamed = rename_keys(
        {**{key: kept[key] for key in kept.keys() - vision.keys()}, **fused}, _RULES
    )
    for name in ("logit_scale", "logit_bias"):
        if name in renamed:
            renamed[name] = renamed[name].reshape(())  # the file has shape [1]
    position = "image.trunk.pos_embed"
    if position in renamed:
        renamed[position] = renamed[position][None]
    return _split_pool(renamed)


def _fitted(state: dict[str, torch.Tensor], trunk: VisionTransformer) -> dict[str, torch.Tensor]:
    """Fit the position embeddings to the image size of the model, as Hugging Face's code does."""
    key = "image.trunk.pos_embed"
    if key not in state:
        return state
    length = trunk.pos_embed.shape[1]
    return state | {key: resample_positions(state[key], length, 0, Resampling())}


def _split_pool(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Split the joint projection of the pooling attention into timm's query and key-value parts."""
    split = {}
    for key, value in state.items():
        if ".attn_pool.in_proj." in key:
            third = len(value) // 3
            split[key.replace("in_proj", "q")] = value[:third]
            split[key.replace("in_proj", "kv")] = value[third:]
        else:
            split[key] = value
    return split
