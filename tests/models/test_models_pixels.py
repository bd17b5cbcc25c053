"""The untrained control and the registry of models."""

import subprocess
import sys

import numpy as np
import pytest

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from medaudit.models.kinds import build
from medaudit.models.kinds.pixels import Pixels, area_weights

ENTRY = {"kind": "pixels", "dimension": 12}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)


def test_projection_is_what_it_says(images):
    encoder = build(ENTRY)
    small = images.reshape(5, 32, 2, 32, 2).mean(axis=(2, 4), dtype=np.float64).reshape(5, -1)
    small = (small - small.mean(axis=1, keepdims=True)) / small.std(axis=1, keepdims=True)
    expected = small @ encoder.weights.astype(np.float64)
    found = encoder.encode_images(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_same_weights_every_time_and_other_for_another_dimension(images):
    assert np.array_equal(Pixels(12).weights, Pixels(12).weights)
    assert not np.array_equal(Pixels(12).weights, Pixels(13).weights[:, :12])


def test_an_embedding_does_not_depend_on_the_batch(images):
    encoder = build(ENTRY)
    alone = np.concatenate([encoder.encode_images(images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, encoder.encode_images(images), atol=1e-5)


def test_grey_in_three_channels_is_the_same(images):
    encoder = build(ENTRY)
    colour = np.repeat(images[..., None], 3, axis=-1)
    np.testing.assert_allclose(
        encoder.encode_images(colour), encoder.encode_images(images), atol=1e-5
    )


def test_brightness_and_contrast_do_not_matter_but_a_flat_image_is_zero(images):
    encoder = build(ENTRY)
    half = (images // 2 * 2) // 2
    np.testing.assert_allclose(
        encoder.encode_images(half + 20), encoder.encode_images(images // 2 * 2), atol=1e-4
    )
    assert not encoder.encode_images(np.full((1, 40, 50), 77, np.uint8)).any()


@pytest.mark.parametrize("length", [20, 32, 50, 224])
def test_area_weights_average_what_each_cell_covers(length):
    weights = area_weights(length)
    fine = np.repeat(np.arange(length), 32).reshape(32, length)
    expected = np.stack([np.bincount(row, minlength=length) / length for row in fine])
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_pixels_import_no_torch():
    code = (
        "import sys; from medaudit.models.kinds import build; import medaudit.models.embed; "
        "build({'kind': 'pixels', 'dimension': 3}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.5]}, "3, with 1 means"),
        ({"channels": 2}, "channels is 2"),
        ({"interpolation": "nearest"}, "is 'nearest'; use one of"),
    ],
)
def test_impossible_preprocessing_is_refused(change, message):
    given = {"size": 8, "mean": [0.5] * 3, "std": [0.2] * 3, **change}
    with pytest.raises(MedauditError, match=message):
        ImageInput.from_settings({"input": given})
