"""timm models: seeded random weights, strict local checkpoints, preprocessing."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from hostile_files import FileGadget  # noqa: E402
from medaudit.core.errors import MedauditError  # noqa: E402
from medaudit.core.files import sha256  # noqa: E402
from medaudit.models.interface import ImageInput  # noqa: E402
from medaudit.models.kinds import build  # noqa: E402
from medaudit.models.torch_encoder import prepare_images  # noqa: E402

VIT = "vit_tiny_patch16_224"
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
ENTRY = {
    "kind": "timm",
    "architecture": VIT,
    "arguments": TINY,
    "weights": None,
    "sha256": None,
    "pooling": "token",
    "input": {
        "size": 32,
        "channels": 3,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.3],
        "interpolation": "bicubic",
    },
}


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 32, 32), dtype=np.uint8)


@pytest.fixture
def owner():
    """A model as its owner would have it: with a classifier, weights unlike any default."""
    torch.manual_seed(5)
    model = timm.create_model(VIT, num_classes=4, **TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def owner_features(model, images):
    """Preprocess and pool by hand, as timm itself does without a classifier."""
    pixels = torch.from_numpy(images).float()[:, None].repeat(1, 3, 1, 1) / 255
    mean, std = (torch.tensor(ENTRY["input"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        return model.forward_features((pixels - mean) / std)[:, 0].numpy()


def write_state(state, path):
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    elif path.suffix == ".npz":
        np.savez(path, **{key: value.numpy() for key, value in state.items()})
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.bin", "w.npz"])
def test_an_owners_checkpoint_gives_the_owners_features(owner, images, tmp_path, monkeypatch, name):
    write_state(owner.state_dict(), tmp_path / name)
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    encoder = build({**ENTRY, "weights": name, "sha256": sha256(tmp_path / name)})
    np.testing.assert_allclose(
        encoder.encode_images(images), owner_features(owner, images), rtol=1e-5, atol=1e-5
    )
    spec = encoder.spec()
    assert spec["sha256"] == sha256(tmp_path / name)
    assert spec["left_out"] == ["head.bias", "head.weight"]
    assert spec["weights"] == name


def test_a_convolutional_network_with_its_own_classifier_name(tmp_path):
    torch.manual_seed(0)
    owner = timm.create_model("test_resnet", num_classes=3).eval()
    write_state(owner.state_dict(), tmp_path / "w.pth")
    entry = {**ENTRY, "architecture": "test_resnet", "arguments": {}, "pooling": "avg"}
    encoder = build({**entry, "weights": str(tmp_path / "w.pth")})
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    with torch.no_grad():
        expected = owner.forward_head(
            owner.forward_features(encoder.prepare(images)), pre_logits=True
        )
    np.testing.assert_allclose(encoder.encode_images(images), expected, rtol=1e-5, atol=1e-5)
    assert encoder.spec()["left_out"] == ["fc.bias", "fc.weight"]


def test_random_weights_are_the_same_every_time(images):
    torch.manual_seed(1)
    first = build(ENTRY)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = build(ENTRY)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(first.encode_images(images), second.encode_images(images))
    other = build({**ENTRY, "arguments": {**TINY, "depth": 3}})
    assert not np.array_equal(first.encode_images(images), other.encode_images(images))
    assert first.spec()["dimension"] == first.encode_images(images).shape[1] == 24


def test_the_model_is_frozen(images):
    encoder = build({**ENTRY, "architecture": "test_resnet", "arguments": {}, "pooling": "avg"})
    before = {key: value.clone() for key, value in encoder.module.state_dict().items()}
    first = encoder.encode_images(images)
    assert not encoder.module.training
    assert all(torch.equal(before[k], v) for k, v in encoder.module.state_dict().items())
    assert np.array_equal(first, encoder.encode_images(images))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("norm.weight"), r"lacks.*norm\.weight"),
        (
            lambda state: state.update({"extra.weight": torch.zeros(2)}),
            r"unexpected.*extra\.weight",
        ),
        (lambda state: state.update({"cls_token": torch.zeros(1, 1, 5)}), r"shapes.*cls_token"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(owner, tmp_path, damage, message):
    state = owner.state_dict()
    damage(state)
    write_state(state, tmp_path / "w.safetensors")
    with pytest.raises(MedauditError, match=message):
        build({**ENTRY, "weights": str(tmp_path / "w.safetensors")})


def test_another_file_than_the_catalogue_says_is_refused(owner, tmp_path):
    write_state(owner.state_dict(), tmp_path / "w.pth")
    with pytest.raises(MedauditError, match="has SHA-256"):
        build({**ENTRY, "weights": str(tmp_path / "w.pth"), "sha256": "0" * 64})


@pytest.mark.parametrize(
    "writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))]
)
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, writer):
    target = tmp_path / "ran"
    writer(
        {"state_dict": {"cls_token": torch.zeros(1)}, "x": FileGadget(target)}, tmp_path / "w.pth"
    )
    with pytest.raises(MedauditError, match="w.pth"):
        build({**ENTRY, "weights": str(tmp_path / "w.pth")})
    assert not target.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architecture": "vit_unheard_of"},
            "has no architecture 'vit_unheard_of'; similar names: .*vit",
        ),
        ({"arguments": {**TINY, "num_heads": 5}}, "cannot create"),
        ({"arguments": {**TINY, "colour": 1}}, "cannot create .*colour"),
        ({"arguments": {**TINY, "img_size": 64}}, r"img_size: 32"),
        ({"weights": "nowhere.pth"}, "nowhere.pth"),
    ],
)
def test_wrong_settings_say_what_is_wrong(change, message):
    with pytest.raises(MedauditError, match=message):
        build({**ENTRY, **change})


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [20, 48])
def test_resizing_is_antialiased_as_in_pil(interpolation, size):
    yy, xx = np.mgrid[0:32, 0:32]
    image = (127 + 80 * np.sin(xx / 3) * np.cos(yy / 5)).astype(np.uint8)
    given = ImageInput(size, (0.0,), (1.0,), channels=1, interpolation=interpolation)
    found = prepare_images(image[None], given)[0, 0].numpy() * 255
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    expected = np.asarray(
        Image.fromarray(image.astype(np.float32)).resize((size, size), filters[interpolation])
    )
    assert np.abs(found - expected).max() < 0.5


def test_colour_stays_colour_and_normalisation_is_per_channel():
    given = ImageInput.from_settings(ENTRY)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = (images / 255 - np.array(given.mean)) / np.array(given.std)
    found = prepare_images(images, given).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    grey = ImageInput(32, (0.1,), (0.5,), channels=1)
    mean = images.mean(axis=-1)
    np.testing.assert_allclose(
        prepare_images(images, grey)[:, 0], (mean / 255 - 0.1) / 0.5, atol=1e-5
    )
