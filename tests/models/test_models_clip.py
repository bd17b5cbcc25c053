"""CLIP's own traps: the activation, and layouts that disagree with the catalogue."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from medaudit.core.errors import MedauditError
from medaudit.models.kinds import build
from medaudit.models.kinds.siglip import SentencePieces
from medaudit.models.weights import load
from official_clips import biomedclip, openai_clip, plip


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    with torch.no_grad():
        yield tmp_path


def test_openais_archive_with_exact_gelu_is_refused(root):
    official = openai_clip(root, "archive")
    official.save(official.state)
    with pytest.raises(MedauditError, match="uses QuickGELU, but .* exact GELU"):
        build(official.entry | {"architecture": "ViT-B-16"})


def test_the_owners_config_next_to_the_weights_is_believed(root):
    official = plip(root)
    official.save(official.state)
    with pytest.raises(MedauditError, match=r"config\.json uses QuickGELU"):
        build(official.entry | {"architecture": "ViT-B-16"})
    (root / "config.json").unlink()
    config = {"model_cfg": {"quick_gelu": False}}
    (root / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(MedauditError, match=r"open_clip_config\.json uses exact GELU"):
        build(official.entry)


def test_the_golden_image_finds_a_wrong_activation_where_nothing_else_can(root):
    official = openai_clip(root, "open_clip")
    official.save(official.state)
    entry = official.entry
    golden = load.golden(build(entry).encode_images(load.golden_image()))
    build(entry | {"golden": golden})
    with pytest.raises(MedauditError, match="golden image"):
        build(entry | {"golden": golden, "architecture": "ViT-B-16"})
    half = entry["input"] | {"mean": [0.5] * 3, "std": [0.5] * 3}
    with pytest.raises(MedauditError, match="golden image"):
        build(entry | {"golden": golden, "input": half})


def test_an_architecture_that_is_no_plain_clip_is_refused(root):
    official = openai_clip(root, "open_clip")
    official.save(official.state)
    for name in ("ViT-B-17", "ViT-B-16-SigLIP"):
        with pytest.raises(MedauditError, match="not a plain CLIP of open_clip"):
            build(official.entry | {"architecture": name})


def test_half_precision_files_give_single_precision_embeddings(root):
    official = openai_clip(root, "archive")
    official.save(official.state)
    encoder = build(official.entry)
    assert {value.dtype for value in encoder.module.parameters()} == {torch.float32}


def test_images_that_are_not_square_are_cropped_to_the_middle(root):
    official = openai_clip(root, "open_clip")
    official.save(official.state)
    encoder = build(official.entry)
    wide = np.random.default_rng(0).integers(0, 256, (2, 32, 48), dtype=np.uint8)
    found = encoder.encode_images(wide)
    assert np.array_equal(found, encoder.encode_images(wide[:, :, 8:40]))


def test_biomedclips_config_must_be_its_own(root):
    official = biomedclip(root)
    official.save(official.state)
    path = root / "biomedclip" / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"]["hf_pooler_type"] = "mean_pooler"
    path.write_text(json.dumps(config))
    with pytest.raises(MedauditError, match="pooler: 'mean_pooler'"):
        build(official.entry)


def test_an_absent_vocabulary_stops_texts_but_not_images(root):
    official = biomedclip(root)
    official.save(official.state)
    vocabulary = root / "biomedclip" / "vocab.txt"
    words = vocabulary.read_text()
    vocabulary.unlink()
    encoder = build(official.entry)
    encoder.encode_images(load.golden_image(32))
    with pytest.raises(MedauditError, match=r"there is no .*biomedclip/vocab\.txt"):
        encoder.encode_texts(["a photo"])
    vocabulary.write_text(words + "extra\n")
    with pytest.raises(MedauditError, match="has 23 entries, the text tower 22"):
        build(official.entry).encode_texts(["a photo"])


def test_siglip_2_is_padded_as_gemma(root):
    words = ["<pad>", "<eos>", "<unk>", "a", "clear", "heart"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    (root / "siglip2").mkdir()
    tokenizer.save(str(root / "siglip2" / "tokenizer.json"))
    settings = {"kind": "siglip", "tokenizer": "siglip2"}
    (ids,) = SentencePieces(settings, 6, 6)(["A clear, clear heart!", "heart"])
    assert ids.tolist() == [[3, 4, 4, 5, 1, 0], [5, 1, 0, 0, 0, 0]]
    with pytest.raises(MedauditError, match="has 6 entries, the text tower 5"):
        SentencePieces(settings, 6, 5)(["heart"])
