"""Every vision-language model against its owner's layout and forward pass."""

import numpy as np
import pytest
import torch

import official_chest
import official_clips
from medaudit.core.errors import MedauditError
from medaudit.models.capabilities import KINDS
from medaudit.models.kinds import build
from official_layouts import TEXTS

CASES = {
    "clip (OpenAI archive)": lambda root: official_clips.openai_clip(root, "archive"),
    "clip (open_clip)": lambda root: official_clips.openai_clip(root, "open_clip"),
    "clip (PubMedCLIP)": lambda root: official_clips.openai_clip(root, "pubmedclip"),
    "clip (CheXzero)": lambda root: official_clips.openai_clip(root, "chexzero"),
    "clip (PLIP)": official_clips.plip,
    "clip (XrayCLIP)": lambda root: official_clips.plip(root, "gelu"),
    "biomedclip": official_clips.biomedclip,
    "siglip": official_clips.siglip,
    "unimedclip": official_clips.unimedclip,
    "gloria": official_chest.gloria,
    "medclip vit": lambda root: official_chest.medclip(root, "vit"),
    "medclip resnet50": lambda root: official_chest.medclip(root, "resnet50"),
    "cxrclip swin": lambda root: official_chest.cxrclip(root, "swin"),
    "cxrclip resnet50": lambda root: official_chest.cxrclip(root, "resnet50"),
}


@pytest.fixture(params=CASES, scope="module")
def official(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setenv("MEDAUDIT_DATA", str(root))
        made = CASES[request.param](root)
        yield made


def images_for(official, count=3):
    size = 256 if official.entry["kind"] == "gloria" else official.entry["input"]["size"]
    shape = (count, size, size)
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def assert_close(found, expected):
    expected = expected.numpy()
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_embeddings_are_the_owners(official):
    official.save(official.state)
    encoder = build(official.entry)
    images = images_for(official)
    assert_close(encoder.encode_images(images), official.images(images))
    assert_close(encoder.encode_texts(TEXTS), official.texts(TEXTS))
    assert encoder.logit_scale == pytest.approx(official.scale, rel=1e-3)


def test_colour_of_one_grey_gives_the_grey_embedding(official):
    official.save(official.state)
    encoder = build(official.entry)
    grey = images_for(official, 1)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    found = encoder.encode_images(colour)
    assert np.abs(found - encoder.encode_images(grey)).max() <= 1e-5 * np.abs(found).max()


def test_a_missing_key_is_named(official):
    state = dict(official.state)
    del state[official.projection]
    official.save(state)
    with pytest.raises(MedauditError, match="lacks 1: image"):
        build(official.entry)


def test_an_extra_key_is_named(official):
    official.save(official.state | {"surprise.weight": torch.ones(2)})
    with pytest.raises(MedauditError, match=r"unexpected 1: surprise\.weight"):
        build(official.entry)


def test_a_transposed_projection_is_named(official):
    turned = official.state[official.projection].T.contiguous()
    official.save(official.state | {official.projection: turned})
    with pytest.raises(MedauditError, match=r"other shapes 1: image.*\(transposed\)"):
        build(official.entry)


def test_the_file_of_another_model_is_refused(official):
    official.save({"encoder.layer.0.weight": torch.ones(3, 2), "head.bias": torch.ones(3)})
    with pytest.raises(MedauditError, match="another model"):
        build(official.entry)


def test_weights_that_are_not_finite_are_refused(official):
    broken = official.state[official.projection].clone()
    broken[0, 0] = float("nan")
    official.save(official.state | {official.projection: broken})
    with pytest.raises(MedauditError, match="not finite 1: image"):
        build(official.entry)


def test_spec_says_what_made_the_embedding(official):
    official.save(official.state)
    spec = build(official.entry).spec()
    assert len(spec["sha256"]) == 64
    assert spec["preprocessing"]["size"] == official.entry["input"]["size"]
    assert spec["scoring"]["scale"] == pytest.approx(official.scale, rel=1e-3)


def test_the_workflow_knows_which_kinds_have_a_text_tower():
    kinds = {name.split(" ")[0] for name in CASES}
    assert kinds == {name for name, can in KINDS.items() if can.text}
