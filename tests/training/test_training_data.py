"""Data path: views, order, schedules."""

import math

import numpy as np
import pytest
import timm
import torch
from torchvision.transforms import RandomResizedCrop

from medaudit.training.augmentation import Augmentation, apply_views, draw_views
from medaudit.training.batches import ImageRows, epoch_order, read_ahead
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
