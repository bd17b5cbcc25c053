"""RandAugment against timm's own, whose draws are replaced by ours."""

import random

import numpy as np
import pytest
import torch
from timm.data import auto_augment

from medaudit.adapt.finetune.inputs import load_training_images
from medaudit.training.randaugment import (
    ARGUMENTS,
    Operations,
    RandAugment,
    apply_operations,
    draw_operations,
)

POLICY = RandAugment()
PICTURE = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), dtype=np.uint8)


def test_operations_are_those_of_timms_increasing_set():
    assert list(ARGUMENTS) == auto_augment._RAND_INCREASING_TRANSFORMS


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("magnitude", [0.0, 5.83, 6.0, 9.99])
def test_an_operation_is_timms(monkeypatch, name, sign, magnitude):
    hparams = {"img_mean": (9, 8, 7), "interpolation": auto_augment._DEFAULT_INTERPOLATION}
    theirs = auto_augment.AugmentOp(name, prob=1.0, magnitude=magnitude, hparams=hparams)
    monkeypatch.setattr(random, "random", lambda: 0.9 if sign < 0 else 0.1)
    expected = np.asarray(theirs(auto_augment.Image.fromarray(PICTURE[0])))
    drawn = Operations(
        np.array([[list(ARGUMENTS).index(name)]]), np.array([[magnitude / 10]]), np.array([[sign]])
    )
    assert (apply_operations(PICTURE, drawn, [9, 8, 7])[0] == expected).all()


def test_draws_are_of_the_policy():
    drawn = draw_operations(np.random.default_rng(1), 20_000, POLICY)
    assert drawn.names.shape == (20_000, 2)
    assert (drawn.names == -1).mean() == pytest.approx(0.5, abs=0.01)
    counts = np.bincount(drawn.names[drawn.names >= 0], minlength=15) / (drawn.names >= 0).sum()
    np.testing.assert_allclose(counts, 1 / 15, atol=0.006)
    assert drawn.levels.mean() == pytest.approx(0.6, abs=0.001)
    assert drawn.levels.std() == pytest.approx(0.05, abs=0.001)
    assert drawn.signs.mean() == pytest.approx(0, abs=0.02)
    strong = draw_operations(np.random.default_rng(1), 50, RandAugment(10.0, 3.0))
    assert strong.levels.max() == 1.0
    apply_operations(PICTURE.repeat(50, axis=0), strong, [0, 0, 0])


def test_grey_images_get_what_their_colour_copies_get():
    grey = PICTURE[..., 0].repeat(60, axis=0)
    drawn = draw_operations(np.random.default_rng(2), 60, POLICY)
    colour = apply_operations(grey[..., None].repeat(3, axis=3), drawn, [5, 5, 5])
    alone = apply_operations(grey, drawn, [5])
    # Enhancers blend channels by luminance weights that sum to 1 only to within rounding.
    assert np.abs(colour[..., 0].astype(int) - alone).max() <= 1
    assert (alone != grey).any(axis=(1, 2)).mean() > 0.4


class Plain:
    """An encoder that shows what it is given."""

    device = torch.device("cpu")

    class input:
        mean = (0.5,)
        size = 32
        square = "crop"

    def prepare_views(self, views):
        return views


def test_what_an_image_gets_does_not_depend_on_the_part_or_on_global_generators():
    pixels = PICTURE[..., 0].repeat(12, axis=0)
    entry = {"augmentation": {"scale": [0.5, 1.0], "randaugment": {"magnitude": 6}}}
    whole = load_training_images(pixels, np.arange(12), Plain(), entry, (1, 2))
    random.seed(5)
    parts = [
        load_training_images(pixels, np.arange(12), Plain(), entry, (1, 2), part)
        for part in np.array_split(np.arange(12), 5)
    ]
    assert (np.concatenate(parts) == whole).all()
    other = load_training_images(pixels, np.arange(12), Plain(), entry, (1, 3))
    assert (other != whole).any()
    without = {"augmentation": {"scale": [0.5, 1.0]}}
    assert (load_training_images(pixels, np.arange(12), Plain(), without, (1, 2)) != whole).any()
