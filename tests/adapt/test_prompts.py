"""The prompt formats: complete for the six classes of NIH 6x200, counts as published."""

import pytest

from medaudit.adapt.zero_shot.prompts import FORMATS, make_prompts
from medaudit.core.errors import MedauditError

SIX = ["Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation"]


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_knows_the_six_classes_and_keeps_them_apart(format_):
    prompts = make_prompts({"format": format_}, SIX)
    assert [part.task for part in prompts] == SIX
    words = [text for part in prompts for text in (*part.positive, *part.negative)]
    assert len(words) == len(set(words))
    assert all(text == " ".join(text.split()) for text in words)
    assert all(bool(part.negative) == (format_ == "cxrclip") for part in prompts)


def test_gloria_has_the_published_numbers_of_combinations():
    counts = {p.task: len(p.positive) for p in make_prompts({"format": "gloria"}, SIX)}
    assert counts == {
        "Cardiomegaly": 15,
        "Effusion": 36,
        "Atelectasis": 210,
        "Pneumothorax": 42,
        "Edema": 18,
        "Consolidation": 192,
    }


def test_gloria_names_the_source_of_its_text():
    whose = {p.task: p.source for p in make_prompts({"format": "gloria"}, SIX)}
    assert whose.pop("Pneumothorax").startswith("ours")
    assert set(whose.values()) == {"GLoRIA"}


def test_gloria_keeps_the_published_order_and_spelling():
    by_task = {p.task: p.positive for p in make_prompts({"format": "gloria"}, SIX)}
    assert "minimal residual atelectasis at the left lung zone" in by_task["Atelectasis"]
    assert "small left subpulmonic pleural effusion" in by_task["Effusion"]
    assert "apperance of patchy consolidation at the right uppper lobe" in by_task["Consolidation"]


def test_a_draw_is_the_same_each_time_and_a_part_of_all():
    entry = {"format": "gloria", "prompts_per_class": 5}
    drawn, every = make_prompts(entry, SIX), make_prompts({"format": "gloria"}, SIX)
    assert drawn == make_prompts(entry, SIX[::-1])[::-1]
    for some, whole in zip(drawn, every, strict=True):
        assert len(some.positive) == 5
        assert set(some.positive) < set(whole.positive)


def test_templates_and_labels_can_be_changed():
    entry = {
        "format": "clip",
        "template": "this is a photo of {label}",
        "labels": {"Edema": "wet lungs"},
    }
    edema, effusion = make_prompts(entry, ["Edema", "Effusion"])
    assert edema.positive == ("this is a photo of wet lungs",)
    assert effusion.positive == ("this is a photo of pleural effusion",)
    assert "configuration" in edema.source
    pair = make_prompts({"format": "cxrclip"}, ["Effusion"])[0]
    assert (pair.positive, pair.negative) == (("Pleural Effusion",), ("No Pleural Effusion",))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"format": "haiku"}, "'haiku' is unknown"),
        ({"format": "clip", "template": "a photo"}, "does not contain {label}"),
        ({"format": "gloria"}, "no phrases for 'Hernia'; it has"),
    ],
)
def test_impossible_prompts_are_an_error(entry, message):
    with pytest.raises(MedauditError, match=message):
        make_prompts(entry, ["Hernia"])
