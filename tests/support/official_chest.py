"""GLoRIA, MedCLIP and CXR-CLIP in their owners' layouts."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import interpolate
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import SwinConfig, SwinModel

from official_layouts import (
    HALF,
    TINY_BERT,
    Foreign,
    Official,
    image_input,
    normalised,
    padded,
    prefixed,
    shaken,
    tiny_bert,
    word_pieces,
    write_vocabulary,
)

MEDCLIP_MEAN, MEDCLIP_STD = 0.5862785803043838, 0.27950088968644304
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SWIN = {"embed_dim": 24, "depths": [1, 2], "num_heads": [2, 4]}


def tiny_resnet() -> nn.Module:
    """Return torchvision's ResNet-50 with one block a stage."""
    torch.manual_seed(21)
    return shaken(ResNet(Bottleneck, [1, 1, 1, 1]), 22)


def tiny_swin(folder: Path) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Return a small Swin for 56 pixels and its weights under the names HF writes to files."""
    torch.manual_seed(23)
    model = shaken(SwinModel(SwinConfig(image_size=56, patch_size=4, window_size=7, **SWIN)), 24)
    model.save_pretrained(folder / "swin", safe_serialization=True)
    from safetensors.torch import load_file

    return model, load_file(folder / "swin" / "model.safetensors")


def gloria(root: Path) -> Official:
    """GLoRIA: a Lightning checkpoint with OmegaConf and callbacks inside."""
    resnet, bert = tiny_resnet(), tiny_bert(pooler=True)
    resnet.fc = nn.Identity()
    overall, local = nn.Linear(2048, 32), nn.Conv2d(1024, 32, 1, bias=False)
    state = {
        **prefixed("gloria.img_encoder.model.", resnet),
        **prefixed("gloria.img_encoder.global_embedder.", overall),
        **prefixed("gloria.img_encoder.local_embedder.", local),
        **prefixed("gloria.text_encoder.model.", bert),
    }
    write_vocabulary(root / "clinicalbert")
    entry = {
        "kind": "gloria",
        "weights": "chexpert_resnet50.ckpt",
        "tokenizer": "clinicalbert",
        "arguments": {"image": {"layers": [1, 1, 1, 1]}, "text": TINY_BERT},
        "input": image_input(224, HALF, HALF),
    }

    def images(images):
        """Squares of 256 pixels, of which the middle is taken."""
        pixels = normalised(images[:, 16:240, 16:240], HALF, HALF)
        return overall(resnet(interpolate(pixels, (299, 299), mode="bilinear", align_corners=True)))

    return Official(
        entry,
        state,
        lambda state: lightning(state, root / entry["weights"]),
        images,
        lambda texts: torch.stack([_gloria_sentence(bert, text) for text in texts]),
        "gloria.img_encoder.global_embedder.weight",
        10.0,
    )


def _gloria_sentence(bert: nn.Module, text: str) -> torch.Tensor:
    """Words of summed pieces, then zeros up to 97, averaged: as the owner's loop does it."""
    clean = text.replace(",", "").replace(".", "")
    pieces = word_pieces(clean)
    ids, mask = padded([clean], 97)
    hidden = bert(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    layers = sum(hidden[-4:])[0]
    words: list[torch.Tensor] = []
    for position, piece in enumerate(pieces):
        if piece.startswith("##"):
            words[-1] = words[-1] + layers[position]
        else:
            words.append(layers[position])
    words += [torch.zeros(32)] * (97 - len(words))
    return torch.stack(words).mean(dim=0)


def lightning(state: dict[str, torch.Tensor], path: Path) -> None:
    """Save `state` as Lightning 1.1 does, with classes of packages that are not installed."""
    names = (
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
        "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
        "omegaconf.dictconfig.DictConfig",
        "omegaconf.base.ContainerMetadata",
        "omegaconf.nodes.AnyNode",
    )
    with Foreign(*names) as kinds:
        config, node = kinds["DictConfig"](), kinds["AnyNode"]()
        node.__dict__.update({"_val": 0.5, "_key": "lr"})
        config.__dict__.update(
            {"_content": {"lr": node}, "_metadata": kinds["ContainerMetadata"]()}
        )
        content = {
            "epoch": 7,
            "callbacks": {kinds["ModelCheckpoint"]: {"best": 1.0}, kinds["EarlyStopping"]: {}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
            "state_dict": state,
            "hyper_parameters": config,
        }
        torch.save(content, path)


def _medclip_text(bert: nn.Module, head: nn.Module, texts: list[str]) -> torch.Tensor:
    rows = []
    for text in texts:
        ids, mask = padded([text])
        out = bert(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        three = torch.stack([out[1], out[2], out[-1]]).permute(1, 0, 2, 3)
        rows.append(head(three.mean(2).mean(1))[0])
    return torch.stack(rows)


def medclip(root: Path, tower: str) -> Official:
    """MedCLIP: a plain state dict; Swin below ``vision_model.model``, or torchvision's ResNet."""
    bert = tiny_bert(pooler=True)
    head, text_head = nn.Linear(48, 40, bias=False), nn.Linear(32, 40, bias=False)
    if tower == "vit":
        swin, swin_state = tiny_swin(root)
        size, arguments = 56, {"img_size": 56, **SWIN}
        vision = {f"vision_model.model.{key}": value for key, value in swin_state.items()}
        vision |= prefixed("vision_model.projection_head.", head)
        projection = "vision_model.projection_head.weight"

        def image(pixels):
            return head(swin(pixels).pooler_output)
    else:
        image = tiny_resnet()
        image.fc = nn.Linear(2048, 40, bias=False)
        size, arguments = 64, {"layers": [1, 1, 1, 1]}
        vision, projection = prefixed("vision_model.model.", image), "vision_model.model.fc.weight"
    state = {
        **vision,
        **prefixed("text_model.model.", bert),
        **prefixed("text_model.projection_head.", text_head),
        "logit_scale": torch.tensor(5.0),
    }
    write_vocabulary(root / "clinicalbert")
    entry = {
        "kind": "medclip",
        "image_tower": tower,
        "weights": "pytorch_model.bin",
        "tokenizer": "clinicalbert",
        "arguments": {"embed_dim": 40, "image": arguments, "text": TINY_BERT},
        "input": image_input(size, (MEDCLIP_MEAN,) * 3, (MEDCLIP_STD,) * 3),
    }

    def save(state):
        positions = {"text_model.model.embeddings.position_ids": torch.arange(128)[None]}
        torch.save(state | positions, root / "pytorch_model.bin")

    def images(images):
        one = (torch.from_numpy(images).float() / 255 - MEDCLIP_MEAN) / MEDCLIP_STD
        return image(one[:, None].repeat(1, 3, 1, 1))

    scale = float(torch.tensor(4.6052).exp())
    texts = lambda texts: _medclip_text(bert, text_head, texts)  # noqa: E731
    return Official(entry, state, save, images, texts, projection, scale)


def cxrclip(root: Path, tower: str) -> Official:
    """CXR-CLIP: ``{model, optimizer, ...}`` with projections that have a bias."""
    bert = tiny_bert(pooler=True)
    mean, std = IMAGENET if tower == "resnet50" else (HALF, HALF)
    if tower == "swin":
        swin, swin_state = tiny_swin(root)
        head, size, arguments = nn.Linear(48, 40), 56, {"img_size": 56, **SWIN}
        vision = {f"image_encoder.image_encoder.{key}": v for key, v in swin_state.items()}
    else:
        resnet = tiny_resnet()
        resnet.fc = nn.Identity()
        head, size, arguments = nn.Linear(2048, 40), 64, {"layers": [1, 1, 1, 1]}
        vision = prefixed("image_encoder.resnet.", resnet)
    text_head = nn.Linear(32, 40)
    state = {
        **vision,
        **prefixed("image_projection.projection.", head),
        **prefixed("text_encoder.text_encoder.", bert),
        **prefixed("text_projection.projection.", text_head),
        "logit_scale": torch.tensor(2.6593),
    }
    write_vocabulary(root / "clinicalbert")
    entry = {
        "kind": "cxrclip",
        "image_tower": tower,
        "weights": "cxr.tar",
        "tokenizer": "clinicalbert",
        "arguments": {"embed_dim": 40, "image": arguments, "text": TINY_BERT},
        "input": image_input(size, mean, std),
    }

    def images(images):
        pixels = normalised(images, mean, std)
        if tower == "swin":
            return head(swin(pixels).last_hidden_state[:, 0])
        return head(resnet(pixels))

    def texts(texts):
        ids, mask = padded(texts)
        last = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        ends = [len(word_pieces(text)) - 1 for text in texts]
        return text_head(torch.stack([last[row, end] for row, end in enumerate(ends)]))

    def save(state):
        config = {"base": {"text_max_length": 256}}
        torch.save(
            {"model": state, "optimizer": {}, "config": config, "epoch": 3}, root / "cxr.tar"
        )

    scale = float(torch.tensor(2.6593).exp())
    return Official(entry, state, save, images, texts, "image_projection.projection.weight", scale)
