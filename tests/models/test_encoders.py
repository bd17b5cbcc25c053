"""Encoders from files in their owners' layouts, against their owners' networks."""

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from encoder_files import CASES, pictures  # noqa: E402
from medaudit.config.validation import check  # noqa: E402
from medaudit.core.errors import MedauditError  # noqa: E402
from medaudit.models.kinds import build  # noqa: E402
from shipped_config import SCHEMAS, shipped  # noqa: E402

CATALOGUE = check(shipped(), SCHEMAS)["models"]
TOLERANCE = 1e-4
ONE_PER_LAYOUT = ["rad_dino", "rad_dino_maira2", "dinov3", "retfound_mae", "eva_x_base"]
ONE_PER_LAYOUT += ["panderm", "ark_plus", "medimageinsight", "medgemma", "torchvision_vit_b16"]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    with torch.no_grad():
        yield tmp_path


@pytest.fixture(params=CASES)
def named(request):
    entry, make = CASES[request.param]
    return entry, make()


def small(name: str, case) -> dict:
    """Return the catalogue's entry, changed in nothing but its sizes."""
    entry = CATALOGUE[name]
    layout = "dinov2_hf" if "layer_scale" in case.needed else entry["layout"]
    return entry | {
        "name": name,
        "arguments": entry["arguments"] | case.arguments,
        "input": entry["input"] | {"size": case.size, "resize": None},
        "weights": f"w{case.suffix}",
        "layout": layout,
        "sha256": None,
    }


def prepared(images, entry: dict):
    """Return normalised pixels of images that have the model's size."""
    channels = entry["input"]["channels"]
    mean, std = (torch.tensor(entry["input"][key])[:, None, None] for key in ("mean", "std"))
    return (torch.from_numpy(images)[:, None].expand(-1, channels, -1, -1) / 255 - mean) / std


def test_it_agrees_with_its_owners_network(named, root):
    name, case = named
    entry, images = small(name, case), pictures(case.size)
    case.save(case.state, root / entry["weights"])
    found = torch.from_numpy(build(entry).encode_images(images))
    expected = case.answer(prepared(images, entry))
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
    # The answer depends on the images and on more than the last norm.
    assert (expected[0] - expected[1]).abs().max() > 100 * TOLERANCE * expected.abs().max()


def refusal(entry: dict) -> str:
    with pytest.raises(MedauditError) as caught:
        build(entry)
    return str(caught.value)


@pytest.mark.parametrize("case_name", ONE_PER_LAYOUT)
def test_a_file_with_a_missing_an_extra_or_a_larger_weight_is_refused(case_name, root):
    name, make = CASES[case_name]
    case = make()
    entry = small(name, case)
    path = root / entry["weights"]
    case.save({k: v for k, v in case.state.items() if k != case.needed}, path)
    assert "lacks" in refusal(entry)
    case.save(case.state | {f"{case.needed}.surplus": torch.ones(2)}, path)
    assert "unexpected 1" in (said := refusal(entry)) and "surplus" in said
    wide = {case.needed: torch.cat([case.state[case.needed]] * 2)}
    case.save(case.state | wide, path)
    assert "other shapes" in refusal(entry)


def test_a_file_of_another_family_is_refused(root):
    made = {name: (CASES[name][0], CASES[name][1]()) for name in ONE_PER_LAYOUT}
    names = list(made)
    for place, (name, (entry_name, case)) in enumerate(made.items()):
        for other in (names[place - 1], names[place - 3]):
            wrong = made[other][1]
            entry = small(entry_name, case) | {"weights": f"w{wrong.suffix}"}
            wrong.save(wrong.state, root / entry["weights"])
            said = refusal(entry)
            assert "is `layout: " in said or "does not fit" in said, (name, other)


def test_what_is_left_out_is_said(root):
    left = {"panderm": ["mask_token", "regressor_and_decoder.norm.bias"]}
    left["ark_plus"] = ["head.bias", "head.weight", "layers.0.blocks.1.attn_mask", "omni_heads.*"]
    for name, expected in left.items():
        entry_name, make = CASES[name]
        case = make()
        entry = small(entry_name, case)
        case.save(case.state, root / entry["weights"])
        said = build(entry).spec()["left_out"]
        assert set(expected) <= set(said), said


def test_another_image_size_needs_only_the_size(root):
    case = CASES["rad_dino"][1]()
    entry = small("rad_dino", case)
    case.save(case.state, root / entry["weights"])
    larger = entry | {"arguments": entry["arguments"] | {"img_size": 48}}
    larger["input"] = entry["input"] | {"size": 48}
    images = pictures(48)
    found = torch.from_numpy(build(larger).encode_images(images))
    expected = case.answer(prepared(images, larger))
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
