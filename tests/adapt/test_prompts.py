"""The prompt formats: complete for the six classes of NIH 6x200, counts as published."""

import numpy as np
import pytest

from medaudit.adapt.zero_shot.prompts import FORMATS, make_prompts
from medaudit.adapt.zero_shot.prompts.templates import SETS
from medaudit.adapt.zero_shot.scoring import Scoring, class_logits
from medaudit.core.errors import MedauditError

SIX = ["Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation"]


@pytest.mark.parametrize("format_", [name for name in FORMATS if name != "templates"])
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


@pytest.mark.parametrize("name, task", [("skin", "malignant"), ("fundus", "Glaucoma"), ("oct", "glaucoma"), ("brain", "Dementia")])  # fmt: skip
def test_a_set_of_templates_says_presence_and_absence_and_whose_words_they_are(name, task):
    (made,) = make_prompts({"format": "templates", "templates": name}, [task])
    whose = SETS[name]
    assert len(made.positive) == len(made.negative) == len(whose.templates)
    assert not {*made.positive} & {*made.negative}
    assert whose.source in made.source and whose.words_source in made.source
    assert (name == "brain") == made.source.startswith("templates: no published source")
    for template, text in zip(whose.templates, made.positive, strict=True):
        start, end = template.split("{label}")
        assert text.startswith(start) and text.endswith(end)


def test_own_templates_and_words_are_the_configurations():
    entry = {"format": "templates", "templates": ["{label} on skin", "a {label}"]}
    entry |= {"labels": {"malignant": "melanoma"}, "absent": {"malignant": "naevus"}}
    (made,) = make_prompts(entry, ["malignant"])
    assert made.positive == ("melanoma on skin", "a melanoma")
    assert made.negative == ("naevus on skin", "a naevus")
    assert made.source == "templates: configuration; words: configuration"
    (other,) = make_prompts({**entry, "labels": {}, "absent": {}}, ["Psoriasis"])
    assert other.negative[1] == "a no psoriasis" and "ours" in other.source


def test_an_ensemble_is_the_normalised_mean_of_normalised_prompts():
    rng = np.random.default_rng(0)
    (made,) = make_prompts({"format": "templates", "templates": "skin"}, ["malignant"])
    texts = {
        t: rng.standard_normal(8) * rng.uniform(0.1, 9) for t in (*made.positive, *made.negative)
    }
    images = rng.standard_normal((5, 8))
    found = class_logits(images, [made], texts, Scoring(10.0, 0.0, "softmax", "vector"), False)

    def cosine(image, words):
        mean = sum(texts[w] / np.sqrt(texts[w] @ texts[w]) for w in words)
        return image @ mean / np.sqrt(image @ image) / np.sqrt(mean @ mean)

    expected = [10 * (cosine(i, made.positive) - cosine(i, made.negative)) for i in images]
    np.testing.assert_allclose(found[:, 0], expected)


def test_an_unknown_set_lists_the_known_ones():
    with pytest.raises(MedauditError, match=r"no prompt templates 'retina'; there are \['brain', 'fund"):  # fmt: skip
        make_prompts({"format": "templates", "templates": "retina"}, ["glaucoma"])
    with pytest.raises(MedauditError, match="'a photo' does not contain {label}"):
        make_prompts({"format": "templates", "templates": ["a photo"]}, ["glaucoma"])
