"""CLIP, PLIP, BiomedCLIP and SigLIP in their owners' layouts."""

import json
from pathlib import Path

import open_clip
import timm
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from official_layouts import (
    CLIP_MEAN,
    CLIP_STD,
    HALF,
    TINY_BERT,
    Official,
    image_input,
    normalised,
    padded,
    prefixed,
    shaken,
    tiny_bert,
    torch_script,
    write_vocabulary,
)

SIZE = 32
TOKENIZER = open_clip.SimpleTokenizer(context_length=32)
VISION = {"image_size": SIZE, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}
TEXT = {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}


def _clip_entry(weights: str) -> dict:
    return {
        "kind": "clip",
        "architecture": "ViT-B-16-quickgelu",
        "arguments": {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT},
        "weights": weights,
        "input": image_input(SIZE, CLIP_MEAN, CLIP_STD),
    }


def openai_clip(root: Path, container: str = "archive") -> Official:
    """CLIP with OpenAI's names: its archive, open_clip's safetensors, PubMedCLIP's or CheXzero's dict."""
    torch.manual_seed(1)
    model = open_clip.model.CLIP(16, VISION, TEXT, quick_gelu=True)
    state = {key: value.half() for key, value in shaken(model, 2).state_dict().items()}
    model.load_state_dict(state)
    names = {"archive": "clip.pt", "open_clip": "clip.safetensors", "pubmedclip": "clip.pth"}
    names["chexzero"] = "best_64_5e-05.pt"
    path = root / names[container]

    def save(state):
        if container == "archive":
            sizes = {"input_resolution": SIZE, "context_length": 32, "vocab_size": 49408}
            torch_script(state | {k: torch.tensor(v) for k, v in sizes.items()}, path)
        elif container == "open_clip":
            save_file(state, path)
        elif container == "chexzero":
            torch.save({key: value.float() for key, value in state.items()}, path)
        else:
            torch.save({"best_epoch": 3, "state_dict": state, "best_loss": 0.5}, path)

    return Official(
        _clip_entry(path.name),
        state,
        save,
        lambda images: model.encode_image(normalised(images, CLIP_MEAN, CLIP_STD)),
        lambda texts: model.encode_text(TOKENIZER(texts)),
        "visual.proj",
        model.logit_scale.exp().item(),
    )


def plip(root: Path, activation: str = "quick_gelu") -> Official:
    """CLIP with Hugging Face's names; with ``gelu``, XrayCLIP."""
    torch.manual_seed(3)
    vision = {"image_size": SIZE, "patch_size": 16, "hidden_size": 64, "intermediate_size": 256}
    text = {"vocab_size": 49408, "hidden_size": 32, "intermediate_size": 128}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": activation}
    config = CLIPConfig(
        vision_config=vision | heads,
        text_config=text | heads | {"max_position_embeddings": 32, "eos_token_id": 49407},
        projection_dim=16,
    )
    model = shaken(CLIPModel(config), 4)
    path = root / "pytorch_model.bin"

    def save(state):
        positions = {"text_model.embeddings.position_ids": torch.arange(32)[None]}
        torch.save(state | positions, path)
        (root / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")

    def texts(texts):
        hidden = model.text_model(input_ids=TOKENIZER(texts)).pooler_output
        return model.text_projection(hidden)

    def images(images):
        pixels = normalised(images, CLIP_MEAN, CLIP_STD)
        return model.visual_projection(model.vision_model(pixels).pooler_output)

    scale = model.logit_scale.exp().item()
    entry = _clip_entry(path.name)
    entry["architecture"] = "ViT-B-16-quickgelu" if activation == "quick_gelu" else "ViT-B-16"
    state = prefixed("", model)
    return Official(entry, state, save, images, texts, "visual_projection.weight", scale)


def biomedclip(root: Path) -> Official:
    """BiomedCLIP: open_clip's names around a timm ViT and a BERT."""
    torch.manual_seed(5)
    vit = {"img_size": SIZE, "embed_dim": 48, "depth": 2, "num_heads": 2}
    trunk = shaken(timm.create_model("vit_base_patch16_224", num_classes=0, **vit), 6)
    head = nn.Linear(48, 24, bias=False)
    bert = tiny_bert(pooler=False)
    proj = nn.Sequential(nn.Linear(32, 28, bias=False), nn.GELU(), nn.Linear(28, 24, bias=False))
    state = {
        **prefixed("visual.trunk.", trunk),
        **prefixed("visual.head.proj.", head),
        **prefixed("text.transformer.", bert),
        **prefixed("text.proj.", proj),
        "logit_scale": torch.tensor(4.4454),
    }
    folder = write_vocabulary(root / "biomedclip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "vit_base_patch16_224", "timm_pool": ""},
        "text_cfg": {"hf_proj_type": "mlp", "hf_pooler_type": "cls_last_hidden_state_pooler"},
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))

    def save(state):
        positions = {"text.transformer.embeddings.position_ids": torch.arange(128)[None]}
        torch.save(state | positions, folder / "open_clip_pytorch_model.bin")

    def texts(texts):
        ids, mask = padded(texts, 100)
        return proj(bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0])

    entry = {
        "kind": "biomedclip",
        "weights": "biomedclip/open_clip_pytorch_model.bin",
        "arguments": {"embed_dim": 24, "image": vit, "text": TINY_BERT},
        "input": image_input(SIZE, CLIP_MEAN, CLIP_STD),
    }

    def images(images):
        return head(trunk(normalised(images, CLIP_MEAN, CLIP_STD)))

    scale = float(torch.tensor(4.4454).exp())
    return Official(entry, state, save, images, texts, "visual.head.proj.weight", scale)


def siglip(root: Path) -> Official:
    """SigLIP with Hugging Face's names and a small tokenizer of words."""
    torch.manual_seed(7)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes["intermediate_size"] = 128
    text = sizes | {"vocab_size": 40, "max_position_embeddings": 12, "projection_size": 32}
    vision = sizes | {"image_size": SIZE, "patch_size": 16}
    config = SiglipConfig(vision_config=vision, text_config=text)
    model = shaken(SiglipModel(config), 8)
    path = root / "model.safetensors"
    folder = root / "siglip"
    folder.mkdir()
    words = [
        "<unk>",
        "</s>",
        *["a", "photo", "of", "no", "mild", "large", "heart", "clear", "lungs", "edema"],
    ]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))

    def ids(text):
        # Its owners remove punctuation.
        spaced = "".join(c for c in text.lower() if c.isalnum() or c == " ").split()
        known = [words.index(word) if word in words else 0 for word in spaced]
        return (known + [1] * 12)[:12]

    def texts(texts):
        ends = [ids(text) for text in texts]
        return model.text_model(input_ids=torch.tensor(ends)).pooler_output

    entry = {
        "kind": "siglip",
        "weights": path.name,
        "tokenizer": "siglip",
        "arguments": {
            "image": {"img_size": SIZE, "embed_dim": 32, "depth": 2, "num_heads": 2},
            "text": text,
        },
        "input": image_input(SIZE, HALF, HALF),
    }

    def images(images):
        return model.vision_model(normalised(images, HALF, HALF)).pooler_output

    state = prefixed("", model)
    scale = model.logit_scale.exp().item()
    save = lambda state: save_file(state, path)  # noqa: E731
    name = "vision_model.encoder.layers.0.mlp.fc1.weight"
    return Official(entry, state, save, images, texts, name, scale)


def unimedclip(root: Path) -> Official:
    """UniMed-CLIP: OpenAI's names of the image tower, and a BERT below ``text_encoder``."""
    torch.manual_seed(9)
    image = shaken(open_clip.model.CLIP(24, VISION, TEXT, quick_gelu=True), 10).visual
    bert = tiny_bert(pooler=False)
    proj = nn.Sequential(nn.Linear(32, 28, bias=False), nn.GELU(), nn.Linear(28, 24, bias=False))
    state = {
        **prefixed("visual.", image),
        **prefixed("text_encoder.transformer.", bert),
        **prefixed("text_encoder.proj.", proj),
        "logit_scale": torch.tensor(3.7),
    }
    write_vocabulary(root / "biomedclip")

    def save(state):
        parallel = {f"module.{key}": value for key, value in state.items()}
        torch.save({"epoch": 1, "name": "unimed", "state_dict": parallel}, root / "unimed.pt")

    def texts(texts):
        ids, mask = padded(texts, 100)
        return proj(bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0])

    entry = {
        "kind": "unimedclip",
        "architecture": "ViT-B-16-quickgelu",
        "weights": "unimed.pt",
        "tokenizer": "biomedclip",
        "arguments": {"embed_dim": 24, "vision_cfg": VISION, "text": TINY_BERT},
        "input": image_input(SIZE, CLIP_MEAN, CLIP_STD),
    }

    def images(images):
        return image(normalised(images, CLIP_MEAN, CLIP_STD))

    scale = float(torch.tensor(3.7).exp())
    return Official(entry, state, save, images, texts, "visual.proj", scale)
