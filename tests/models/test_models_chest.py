"""Traps of GLoRIA and MedCLIP: preprocessing, report cleaning, batch-dependent text."""

import cv2
import numpy as np
import pytest
import torch

from medaudit.core.errors import MedauditError
from medaudit.models.kinds import build
from medaudit.models.kinds.gloria import clean_report
from official_chest import gloria, medclip
from official_layouts import TEXTS, padded


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    with torch.no_grad():
        yield tmp_path


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (100, 100), (512, 512)])
def test_gloria_prepares_images_as_its_owner_does(root, shape):
    official = gloria(root)
    official.save(official.state)
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    height, width = (int(length * (256 / max(shape))) for length in shape)
    canvas = np.zeros((256, 256), np.uint8)
    top, left = (256 - height) // 2, (256 - width) // 2
    area = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    canvas[top : top + height, left : left + width] = area
    expected = torch.from_numpy(canvas[16:240, 16:240] / 255.0).float().sub(0.5).div(0.5)
    found = build(official.entry).prepare(image[None])
    assert found.shape == (1, 3, 224, 224)
    assert torch.allclose(found, expected.expand(1, 3, -1, -1).to(found.device), atol=1e-6)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("No Pleural-Effusion.", "no pleural effusion"),
        ("1. Heart is large. 2. Clear. 3. Lungs are clear", "heart is large lungs are clear"),
        ("minimal\natelectasis, left", "minimal atelectasis left"),
        ("Edema.", "edema"),
        ("mild oedème here", "mild oedme here"),
    ],
)
def test_gloria_cleans_reports_as_its_owner_does(text, cleaned):
    assert clean_report(text) == cleaned


def test_gloria_refuses_a_prompt_without_words():
    with pytest.raises(MedauditError, match="contains no word"):
        clean_report(" .. ")


@pytest.mark.parametrize("tower", ["vit", "resnet50"])
def test_medclip_text_does_not_depend_on_its_neighbours_unless_asked(root, tower):
    official = medclip(root, tower)
    official.save(official.state)
    alone = build(official.entry)
    together = alone.encode_texts(TEXTS)
    apart = np.concatenate([alone.encode_texts([text]) for text in TEXTS])
    assert np.array_equal(together, apart)
    batch = build(official.entry | {"text_pooling": "batch"})
    scale = np.abs(together).max()
    assert np.abs(batch.encode_texts(TEXTS) - together).max() > 0.01 * scale
    assert np.abs(batch.encode_texts(TEXTS[:1]) - together[:1]).max() < 1e-5 * scale


def test_medclips_own_pooling_averages_over_padding(root):
    official = medclip(root, "vit")
    official.save(official.state)
    encoder = build(official.entry | {"text_pooling": "batch"})
    ids, mask = padded(TEXTS)
    bert, head = encoder.text.bert, encoder.text.projection
    out = bert(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    expected = head((out[1].mean(1) + out[2].mean(1) + out[4].mean(1)) / 3).numpy()
    assert np.abs(encoder.encode_texts(TEXTS) - expected).max() < 1e-5 * np.abs(expected).max()


def test_medclip_pads_images_that_are_not_square(root):
    official = medclip(root, "vit")
    official.save(official.state)
    encoder = build(official.entry)
    tall = np.random.default_rng(2).integers(0, 256, (1, 56, 36), dtype=np.uint8)
    padded_image = np.zeros((1, 56, 56), np.uint8)
    padded_image[:, :, 10:46] = tall
    assert np.array_equal(encoder.encode_images(tall), encoder.encode_images(padded_image))


def test_unknown_choices_are_refused(root):
    official = medclip(root, "vit")
    official.save(official.state)
    with pytest.raises(MedauditError, match="text_pooling is 'mean'; use one of"):
        build(official.entry | {"text_pooling": "mean"})
    with pytest.raises(MedauditError, match="image_tower is 'vgg'; use one of"):
        build(official.entry | {"image_tower": "vgg"})
