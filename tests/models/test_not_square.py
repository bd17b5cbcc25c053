"""Pictures that are not square, from the file through the store to what each model sees.

The pictures are photographs that scikit-learn ships, cut to the shape of CheXpert-small's files.
The oracle is torchvision's transforms on Pillow images, as the owners write them.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision import transforms as T
from torchvision.transforms import functional as F

from image_files import write_cohort
from medaudit.adapt.finetune.inputs import cut_views, frame_sizes, load_training_images
from medaudit.core.table_io import read_json
from medaudit.data.image_store import MixedImages, open_store, sizes_of
from medaudit.data.images import images
from medaudit.models.encode_batches import fits
from medaudit.models.interface import ImageInput
from medaudit.models.kinds.pixels import Pixels
from medaudit.models.pretrain.settings import read_settings
from medaudit.models.pretrain.view_loader import ViewLoader
from medaudit.models.torch_encoder import TorchEncoder, prepare_images
from medaudit.training.augmentation import Augmentation, draw_views
from medaudit.training.batches import ImageRows
from medaudit.training.distributed import Processes
from tiny_pretraining import tiny_settings

SIZE, STORED = 224, 256
LEVELS = ImageInput(SIZE, (0.0,) * 3, (1 / 255,) * 3)  # values are grey levels
BICUBIC = T.InterpolationMode.BICUBIC
SHAPES = {"wide.jpg": (390, 320), "tall.jpg": (320, 390), "square.jpg": (400, 400)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of one wide, one tall and one square file; and the files' pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    pictures = []
    for (name, size), source in zip(
        SHAPES.items(), ("china.jpg", "flower.jpg", "china.jpg"), strict=True
    ):
        picture = Image.fromarray(load_sample_image(source)).convert("L").crop((60, 0, 460, 400))
        picture.resize(size, Image.Resampling.LANCZOS).save(folder / name, quality=95)
        pictures.append(Image.open(folder / name).convert("L"))
    cohort = write_cohort(folder / "cohort.parquet", list(SHAPES))
    dataset = {"loader": "nih", "folder": str(folder)}
    settings = {"cohort": "zoo", "dataset": dataset, "image_size": STORED}
    images(settings, cohort=cohort, output=folder / "store")
    return open_store(folder / "store"), pictures


def owner(square: str, resize: int) -> T.Compose:
    """The transforms as the owners write them."""
    steps = {
        "crop": [T.Resize(resize, BICUBIC)],
        "stretch": [T.Resize((resize, resize), BICUBIC)],
        "pad": [T.Lambda(pad_square), T.Resize((resize, resize), BICUBIC)],
    }
    return T.Compose([*steps[square], T.CenterCrop(SIZE), T.PILToTensor()])


def pad_square(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    square = Image.new("L", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def test_the_store_keeps_the_whole_picture_and_says_so(store):
    opened, pictures = store
    assert isinstance(opened.images, MixedImages)
    sizes = sizes_of(opened.images, np.arange(3)).tolist()
    assert sizes == [[256, 312], [312, 256], [256, 256]]
    card = read_json(opened.folder / "card.json")
    assert "aspect ratio kept" in card["resize"]
    assert card["sizes"] == {
        "number": 3,
        "images": {"256 x 256": 1, "256 x 312": 1, "312 x 256": 1},
        "square": 1,
    }
    for stored, picture in zip(opened.read(opened.ids), pictures, strict=True):
        small = picture.resize(stored.shape[::-1], Image.Resampling.BOX)
        assert np.abs(stored.astype(int) - np.asarray(small)).mean() < 6


@pytest.mark.parametrize("resize", [224, 256])
@pytest.mark.parametrize("square", ["crop", "stretch", "pad"])
def test_each_model_sees_its_owners_frame(store, square, resize):
    """Of the stored picture to rounding; of the file to what resizing twice costs."""
    opened, pictures = store
    given = replace(LEVELS, square=square, resize=resize)
    stored = opened.read(opened.ids)
    found = prepare_images(stored, given)[:, 0]
    assert found.shape == (3, SIZE, SIZE)
    transform = owner(square, resize)
    for values, small, picture in zip(found, stored, pictures, strict=True):
        near = transform(Image.fromarray(small))[0].float()
        assert (values - near).abs().max() <= 4  # Pillow rounds between the two directions
        assert (values - near).abs().mean() < 0.4
        file = transform(picture)[0].float()
        assert (values - file).abs().mean() < 4
        if min(picture.size) < max(picture.size):
            other = owner({"crop": "pad", "pad": "stretch", "stretch": "crop"}[square], resize)
            assert (values - other(picture)[0].float()).abs().mean() > 10


def test_the_frame_of_a_picture_does_not_depend_on_the_others(store):
    opened, _ = store
    stored = opened.read(opened.ids)
    together = prepare_images(stored[::-1], LEVELS).flip(0)
    alone = torch.cat([prepare_images([image], LEVELS) for image in stored])
    assert torch.equal(together, alone)
    pixels = Pixels(5)
    vectors = np.concatenate([pixels.encode_images(image[None]) for image in stored])
    np.testing.assert_allclose(pixels.encode_images(stored), vectors, atol=1e-6)


@pytest.mark.parametrize("square", ["crop", "stretch", "pad"])
def test_training_views_are_cut_from_the_owners_frame(store, square):
    opened, _ = store
    stored, rows = opened.read(opened.ids), np.arange(3)
    sizes = frame_sizes(sizes_of(opened.images, rows), square)
    ranges = Augmentation(scale=(0.3, 0.6), flip=1.0, rotation=0.0)
    matrices = draw_views(np.random.default_rng(1), 3, sizes, ranges)
    views = cut_views(stored, matrices, SIZE, square)
    for view, image, size, matrix in zip(views, stored, sizes, matrices, strict=True):
        picture = Image.fromarray(image)
        picture = pad_square(picture) if square == "pad" else picture
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        width, height = np.abs(matrix[0, 0]) * size[1], matrix[1, 1] * size[0]
        left = (matrix[0, 2] + 1) / 2 * size[1] - width / 2
        top = (matrix[1, 2] + 1) / 2 * size[0] - height / 2
        box = [round(value) for value in (top, left, height, width)]
        expected = F.hflip(F.resized_crop(picture, *box, [SIZE, SIZE], BICUBIC))
        difference = np.abs(view.astype(int) - np.asarray(expected))
        assert difference.mean() < 0.5
        assert difference.max() <= 4


class Mean(torch.nn.Module):
    """The mean of each channel."""

    def forward(self, pixels):
        return pixels.mean(dim=(2, 3))


@pytest.mark.parametrize("square", ["crop", "stretch", "pad"])
def test_the_views_of_a_share_are_those_of_the_batch(store, square):
    """The wide, tall and square picture; one size alone takes the path of an array."""
    opened, _ = store
    encoder = TorchEncoder(Mean(), replace(LEVELS, square=square), {})
    entry = {
        "augmentation": {"scale": [0.3, 0.6], "rotation": 5.0, "randaugment": {"magnitude": 2}}
    }

    def load(part, images=opened.images, rows=(0, 1, 2)):
        return load_training_images(images, np.array(rows), encoder, entry, (1, 2), part)

    whole = load(slice(None))
    parts = [load(np.array(part)) for part in ([0], [1, 2])]
    assert torch.equal(whole, torch.cat(parts))
    array = np.stack([opened.images[0]] * 2)
    views = load(slice(None), array, (0, 1))
    copies = load(slice(None), opened.images, (0, 0))
    torch.testing.assert_close(views, copies)


def test_the_batches_of_a_pretraining_do_not_depend_on_processes(store):
    opened, _ = store
    images = ImageRows([opened.images], [np.tile(np.arange(3), 4)])
    settings = read_settings(tiny_settings(batch_size=4, micro_batch=1))
    views = SimpleNamespace(views=2, draws=3)

    def load(rank, world):
        cpu = torch.device("cpu")
        loader = ViewLoader(settings, images, Processes(rank, world, cpu), views)
        return [[loader.augment(raw) for raw in parts] for parts in loader.steps(1, 4)]

    one, first, second = load(0, 1), load(0, 2), load(1, 2)
    assert len(one) == 3
    for whole, *shares in zip(one, first, second, strict=True):
        assert len(whole) == 4
        for batch, other in zip(whole, [*shares[0], *shares[1]], strict=True):
            assert torch.equal(batch.views, other.views)
            assert torch.equal(batch.positions, other.positions)
            assert torch.equal(batch.draws, other.draws)


def test_the_choice_of_a_batch_tries_copies_of_one_picture(store, monkeypatch):
    opened, _ = store
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    encoder, tried = TorchEncoder(Mean(), LEVELS, {}), []

    def features(pixels):
        tried.append(len(pixels))
        if len(pixels) > 4:
            raise torch.OutOfMemoryError
        return encoder.module(pixels)

    monkeypatch.setattr(encoder, "features", features)
    assert [fits(encoder, opened.images[1], count) for count in (8, 4)] == [False, True]
    assert tried == [8, 4]


def test_a_view_is_not_cropped_again():
    """Owners train on RandomResizedCrop(224) and test on Resize(256) and CenterCrop(224)."""
    encoder = TorchEncoder(Mean(), replace(LEVELS, resize=STORED), {})
    view = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE), dtype=np.uint8)
    shown = encoder.prepare_views(view).cpu()
    assert torch.equal(shown[0, 0].round().to(torch.uint8), torch.from_numpy(view[0]))
    assert not torch.allclose(shown, encoder.prepare(view).cpu())
