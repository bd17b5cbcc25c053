"""Data path: views, order, schedules."""

import math

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import hflip, resized_crop

from medaudit.data.image_store import MixedImages
from medaudit.training.augmentation import Augmentation, apply_views, draw_views
from medaudit.training.batches import CPU, ImageRows, epoch_order, read_ahead, to_device
from medaudit.training.schedule import learning_rate, parameter_groups, set_learning_rate

WHOLE = Augmentation(scale=(1, 1), ratio=(1, 1), flip=0, rotation=0)


def draw(count=1, side=64, seed=0, **changes):
    augmentation = Augmentation(**{**vars(WHOLE), **changes})
    return draw_views(np.random.default_rng(seed), count, side, augmentation)


def view(image, matrix, side):
    tensor = torch.from_numpy(image)[None, None]
    return (255 * apply_views(tensor, torch.from_numpy(matrix), side)[0, 0]).numpy()


def test_whole_image_comes_back_unchanged_and_flipped():
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    np.testing.assert_allclose(view(image, draw(), 64), image, atol=1e-2)
    np.testing.assert_allclose(view(image, draw(flip=1), 64), image[:, ::-1], atol=1e-2)


def test_crop_is_a_whole_box_of_pixels():
    image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    matrix = draw(scale=(0.25, 0.25), seed=3)
    found = view(image, matrix, 32)
    boxes = {(y, x): image[y : y + 32, x : x + 32] for y in range(33) for x in range(33)}
    hits = [place for place, box in boxes.items() if np.abs(box - found).max() < 0.02]
    assert len(hits) == 1


def test_rotation_turns_about_the_centre_by_at_most_its_range():
    image = np.zeros((64, 64), np.uint8)
    image[:, 31:33] = 255
    angles = []
    for seed in range(40):
        matrix = draw(rotation=7, seed=seed)
        angles.append(math.degrees(math.atan2(matrix[0, 1, 0], matrix[0, 0, 0])))
        turned = view(image, matrix, 64)
        columns = (turned * np.arange(64)).sum(1) / turned.sum(1)
        slope = np.polyfit(np.arange(8, 56), columns[8:56], 1)[0]
        assert abs(math.degrees(math.atan(slope))) == pytest.approx(abs(angles[-1]), abs=0.3)
        assert columns[28:36].mean() == pytest.approx(31.5, abs=0.2)
    assert 5 < max(np.abs(angles)) <= 7
    assert min(angles) < 0 < max(angles)


def test_crops_cover_the_areas_and_ratios_asked_for():
    matrix = draw(4000, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5)
    width, height = np.abs(matrix[:, 0, 0]), matrix[:, 1, 1]
    area, ratio = width * height, width / height
    assert area.min() == pytest.approx(0.2, abs=0.02)
    assert area.max() == pytest.approx(1.0, abs=0.03)
    torch.manual_seed(0)
    oracle = [
        RandomResizedCrop.get_params(torch.empty(1, 64, 64), (0.2, 1.0), (3 / 4, 4 / 3))
        for _ in range(4000)
    ]
    top, left, tall, wide = np.array(oracle).T / 64
    assert area.mean() == pytest.approx((tall * wide).mean(), abs=0.01)
    assert area.std() == pytest.approx((tall * wide).std(), abs=0.01)
    assert np.log(ratio).std() == pytest.approx(np.log(wide / tall).std(), abs=0.01)
    assert matrix[:, 0, 2].std() == pytest.approx((2 * left + wide - 1).std(), abs=0.01)
    assert matrix[:, 1, 2].std() == pytest.approx((2 * top + tall - 1).std(), abs=0.01)
    assert ratio.min() > 0.72
    assert ratio.max() < 1.39
    assert (matrix[:, 0, 0] < 0).mean() == pytest.approx(0.5, abs=0.03)
    for centre, size in ((matrix[:, 0, 2], width), (matrix[:, 1, 2], height)):
        assert (np.abs(centre) + size <= 1 + 1e-6).all()


def test_rows_of_several_stores_read_as_one_sequence():
    first = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    images = ImageRows([first, first + 100], [np.array([3, 1]), np.array([0, 2])])
    assert len(images) == 4
    taken = images.take(np.array([3, 0, 2, 1]))
    assert taken.shape == (4, 1, 2, 2)
    assert taken[:, 0, 0, 0].tolist() == [102, 3, 100, 1]
    colour = ImageRows([np.zeros((2, 4, 4, 3), np.uint8)], [np.arange(2)])
    assert colour.take(np.array([1])).shape == (1, 3, 4, 4)


def test_order_is_a_permutation_that_changes_with_epoch_and_seed():
    orders = [epoch_order(50, *key) for key in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert (orders[0] == orders[3]).all()
    assert (orders[0] != orders[1]).any()
    assert (orders[0] != orders[2]).any()


def test_read_ahead_keeps_order_and_passes_errors_on():
    assert list(read_ahead((lambda i=i: i * i for i in range(20)), workers=3)) == [
        i * i for i in range(20)
    ]
    with pytest.raises(ZeroDivisionError):
        list(read_ahead([lambda: 1, lambda: 1 // 0]))


def test_learning_rate_warms_up_and_follows_a_cosine():
    kind = {"peak": 0.4, "epochs": 100, "warmup": 10, "minimum": 0.1}
    assert learning_rate(0, **kind) == 0
    assert learning_rate(2.5, **kind) == pytest.approx(0.1)
    assert learning_rate(10, **kind) == pytest.approx(0.4)
    assert learning_rate(55, **kind) == pytest.approx(0.25)
    assert learning_rate(100, **kind) == pytest.approx(0.1)
    assert learning_rate(70, **kind, schedule="constant") == 0.4


def test_layer_decay_is_a_power_of_the_layers_above():
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=12, depth=3, num_heads=2, num_classes=0
    )
    groups = parameter_groups(model, 0.05, layer_decay=0.5)
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    expected = {"cls_token": 4, "patch_embed": 4, "pos_embed": 4, "norm": 0}
    expected |= {f"blocks.{i}.": 3 - i for i in range(3)}
    exempt = ("cls_token", "pos_embed")
    for name, parameter in model.named_parameters():
        for start, power in expected.items():
            if name.startswith(start):
                assert scale[id(parameter)] == pytest.approx(0.5**power), name
        plain = parameter.ndim == 1 or name in exempt
        assert decay[id(parameter)] == (0 if plain else 0.05), name
    optimizer = torch.optim.SGD(groups, lr=1)
    set_learning_rate(optimizer, 0.2)
    assert {round(group["lr"] / group["lr_scale"], 6) for group in optimizer.param_groups} == {0.2}


PICTURE = Image.fromarray(load_sample_image("china.jpg")).convert("L").resize((390, 320))


def as_tensor(picture):
    return torch.from_numpy(np.array(picture))[None]


@pytest.mark.parametrize("side", [64, 224])
@pytest.mark.parametrize("size", [(512, 512), (384, 256), (256, 256), (390, 320)])
def test_an_upright_view_is_torchvisions_antialiased_crop(size, side):
    picture = PICTURE.resize(size)
    sizes = np.array([picture.size[::-1]] * 6)
    kind = Augmentation(scale=(0.3, 1.0), rotation=0.0)
    matrices = draw_views(np.random.default_rng(2), 6, sizes, kind)
    views = 255 * apply_views([as_tensor(picture)] * 6, torch.from_numpy(matrices), side)
    for view, matrix in zip(views[:, 0].numpy(), matrices, strict=True):
        width, height = abs(matrix[0, 0]) * size[0], matrix[1, 1] * size[1]
        left = (matrix[0, 2] + 1) / 2 * size[0] - width / 2
        top = (matrix[1, 2] + 1) / 2 * size[1] - height / 2
        box = [round(float(value)) for value in (top, left, height, width)]
        assert np.allclose(box, (top, left, height, width), atol=1e-3)
        crop = resized_crop(picture, *box, [side, side], InterpolationMode.BICUBIC)
        expected = np.asarray(hflip(crop) if matrix[0, 0] < 0 else crop).astype(float)
        assert np.abs(view - expected).max() <= 3  # Pillow rounds between the two directions
        assert np.abs(view - expected).mean() < 0.35


def test_a_rotated_view_has_no_aliases():
    """Stripes of one pixel, shrunk by four, are an even grey whatever the angle."""
    stripes = torch.from_numpy(np.tile(np.array([0, 255], np.uint8), (256, 128)))[None]
    matrices = draw(8, side=256, rotation=10, seed=1)
    assert (matrices[:, 0, 1] != 0).all()
    views = 255 * apply_views([stripes] * 8, torch.from_numpy(matrices), 64)
    assert (views[..., 16:48, 16:48] - 127.5).abs().max() < 8


def test_the_crops_of_pictures_that_are_not_square_are_torchvisions():
    wide = np.array([[320, 390]] * 4000)
    kind = Augmentation(scale=(0.6, 1.0), ratio=(0.9, 1.1), flip=0.0, rotation=0.0)
    matrix = draw_views(np.random.default_rng(0), 4000, wide, kind).astype(float)
    ours = np.stack([matrix[:, 1, 1] * 320, matrix[:, 0, 0] * 390], axis=1)
    torch.manual_seed(0)
    oracle = [
        RandomResizedCrop.get_params(torch.empty(1, 320, 390), (0.6, 1.0), (0.9, 1.1))
        for _ in range(4000)
    ]
    theirs = np.array(oracle, float)[:, 2:]
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.1)


@pytest.mark.parametrize("size, expected", [((100, 400), (100, 133)), ((400, 100), (133, 100))])
def test_if_no_crop_fits_the_largest_central_one_is_taken(size, expected):
    kind = Augmentation(scale=(1.0, 1.0), flip=0.0, rotation=0.0)
    matrix = draw_views(np.random.default_rng(0), 1, np.array([size]), kind)[0]
    found = (round(float(matrix[1, 1]) * size[0]), round(float(matrix[0, 0]) * size[1]))
    oracle = RandomResizedCrop.get_params(torch.empty(1, *size), (1.0, 1.0), kind.ratio)
    assert found == expected == tuple(oracle[2:])
    assert np.abs(matrix[:, 2]).max() < 0.01


def test_rows_of_several_sizes_come_one_by_one():
    flat = np.arange(2 * 3 + 4 * 2, dtype=np.uint8)
    mixed = MixedImages(flat, np.array([[2, 3], [4, 2]]), 1)
    square = np.full((2, 4, 4), 9, np.uint8)
    images = ImageRows([mixed, square], [np.array([1, 0]), np.array([1])])
    taken = images.take(np.array([2, 0, 1]))
    assert [tuple(image.shape) for image in taken] == [(1, 4, 4), (1, 4, 2), (1, 2, 3)]
    assert images.sizes(np.array([2, 0, 1])).tolist() == [[4, 4], [4, 2], [2, 3]]
    assert taken[1].flatten().tolist() == list(range(6, 14))
    assert [id(image) for image in to_device(taken, CPU)] == [id(image) for image in taken]
