"""Stage zero_shot: scores recomputed from the owner's forward pass, and no image encoded."""

import numpy as np
import pandas as pd
import pytest
import torch

from medaudit.adapt.zero_shot import encode_prompts, zero_shot
from medaudit.adapt.zero_shot.prompts import ClassPrompts, make_prompts
from medaudit.adapt.zero_shot.scoring import Scoring, class_logits
from medaudit.core.embeddings import write_embeddings
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table
from medaudit.models.kinds import build
from medaudit.models.vision_language import VisionLanguageEncoder
from official_chest import medclip
from official_clips import openai_clip, siglip

TASKS = ["Edema", "Effusion", "Pneumothorax"]


def write_cohort(folder, encoder, multiclass=True, spec=None):
    """Write a cohort with random embeddings as long as the model's."""
    rng = np.random.default_rng(4)
    size = encoder.encode_texts(["a photo"]).shape[1]
    ids = [f"i{row}" for row in range(40)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "age": 50.0})
    frame = frame.assign(view="PA", split=np.repeat(["train", "val", "test", "test"], 10))
    frame[[f"y_{task}" for task in TASKS]] = np.eye(3)[rng.integers(0, 3, 40)]
    write_table(frame, folder / "cohort.parquet", COHORT)
    vectors = rng.standard_normal((40, size)).astype(np.float32)
    spec = spec or encoder.spec()
    write_embeddings(frame["image_id"].to_numpy(), vectors, folder / "e.parquet", spec=spec)
    return frame, vectors


def settings(official, multiclass=True, **entry):
    return {
        "cohort": "c",
        "model": "m",
        "method": "zero_shot",
        "entry": {"kind": "zero_shot", **entry},
        "model_entry": official.entry,
        "tasks": TASKS,
        "task_type": "multiclass" if multiclass else "multilabel",
    }


def run(folder, chosen):
    paths = {"cohort": folder / "cohort.parquet", "embeddings": folder / "e.parquet"}
    zero_shot(chosen, **paths, output=folder / "p.parquet")
    table = read_table(folder / "p.parquet", PREDICTIONS)
    return table.pivot(index="image_id", columns="task", values="score"), table


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    with torch.no_grad():
        yield tmp_path


@pytest.fixture
def clip(root):
    official = openai_clip(root, "open_clip")
    official.save(official.state)
    frame, vectors = write_cohort(root, build(official.entry))
    return official, frame, vectors


def cosine(a, b):
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


@pytest.mark.parametrize("pooling", ["max", "mean", "vector"])
def test_scores_are_those_of_a_plain_loop(root, clip, pooling):
    official, frame, vectors = clip
    entry = {"format": "gloria", "prompts_per_class": 4, "pooling": pooling}
    wide, table = run(root, settings(official, **entry))
    assert set(table["split"]) == {"val", "test"}
    texts = [
        official.texts(list(part.positive)).numpy().astype(float)
        for part in make_prompts(entry, TASKS)
    ]
    for row in (10, 25, 39):
        image, logits = vectors[row].astype(float), []
        for group in texts:
            if pooling == "vector":
                mean = np.mean([text / np.linalg.norm(text) for text in group], axis=0)
                logits.append(official.scale * cosine(image, mean))
            else:
                pool = {"max": max, "mean": np.mean}[pooling]
                logits.append(official.scale * pool([cosine(image, text) for text in group]))
        expected = np.exp(logits) / np.exp(logits).sum()
        found = wide.loc[f"i{row}", TASKS].to_numpy(dtype=float)
        assert np.allclose(found, expected, rtol=2e-3, atol=1e-6)


def test_labels_are_found_where_images_are_close_to_their_prompts(root, clip):
    official, frame, _ = clip
    encoder = build(official.entry)
    prompts = make_prompts({"format": "clip"}, TASKS)
    texts = encode_prompts(encoder, prompts)
    truth = frame[[f"y_{task}" for task in TASKS]].to_numpy().argmax(axis=1)
    vectors = 7 * np.stack([texts[prompts[label].positive[0]] for label in truth])
    write_embeddings(frame["image_id"].to_numpy(), vectors, root / "e.parquet", spec=encoder.spec())
    wide, _ = run(root, settings(official, format="clip"))
    rows = wide.index.str[1:].astype(int)
    assert (wide[TASKS].to_numpy().argmax(axis=1) == truth[rows]).all()


def test_a_change_of_prompts_encodes_no_image(root, clip, monkeypatch):
    official, _, _ = clip
    encoded = []
    monkeypatch.setattr(
        VisionLanguageEncoder, "encode_images", lambda self, images: encoded.append(len(images))
    )
    first, _ = run(root, settings(official, format="clip"))
    second, _ = run(root, settings(official, format="clip", template="no {label} here"))
    assert encoded == []
    assert not np.allclose(first.to_numpy(), second.to_numpy())


def test_prompts_and_scoring_are_stored_with_the_results(root, clip):
    official, _, _ = clip
    run(root, settings(official, format="gloria"))
    footer = read_metadata(root / "p.parquet")
    stored = {part["task"]: part for part in footer["prompts"]}
    assert len(stored["Edema"]["positive"]) == 18
    assert stored["Pneumothorax"]["source"].startswith("ours")
    assert footer["scoring"]["scale"] == pytest.approx(official.scale, rel=1e-3)
    assert footer["scoring"]["pooling"] == "max"
    assert footer["rows"] == {"train": 10, "val": 10, "test": 20}


def test_pairs_give_the_two_class_softmax_for_tasks_that_do_not_exclude_each_other(root, clip):
    official, _, vectors = clip
    wide, _ = run(root, settings(official, multiclass=False, format="cxrclip"))
    yes, no = official.texts(["Pneumothorax", "No Pneumothorax"]).numpy().astype(float)
    image = vectors[12].astype(float)
    logits = official.scale * np.array([cosine(image, yes), cosine(image, no)])
    expected = np.exp(logits[0]) / np.exp(logits).sum()
    assert wide.loc["i12", "Pneumothorax"] == pytest.approx(expected, rel=2e-3)
    with pytest.raises(MedauditError, match="set `format: cxrclip`"):
        run(root, settings(official, multiclass=False, format="clip"))


def test_siglip_answers_with_its_own_sigmoid(root):
    official = siglip(root)
    official.save(official.state)
    _, vectors = write_cohort(root, build(official.entry))
    wide, _ = run(root, settings(official, multiclass=False, format="clip"))
    text = official.texts(["a photo of a pneumothorax"]).numpy().astype(float)[0]
    bias = official.state["logit_bias"].item()
    logit = official.scale * cosine(vectors[30].astype(float), text) + bias
    assert wide.loc["i30", "Pneumothorax"] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-4)


def test_exclusive_classes_share_the_odds_of_a_sigmoid():
    scoring = Scoring(scale=3.0, bias=-1.5, link="sigmoid", pooling="mean")
    rng = np.random.default_rng(0)
    texts = {name: rng.standard_normal(5) for name in "abc"}
    prompts = [ClassPrompts(name, (name,), (), "") for name in "abc"]
    logits = class_logits(rng.standard_normal((4, 5)), prompts, texts, scoring, multiclass=True)
    p = 1 / (1 + np.exp(-logits))
    one_true = np.stack(
        [p[:, k] * np.delete(1 - p, k, axis=1).prod(axis=1) for k in range(3)], axis=1
    )
    expected = one_true / one_true.sum(axis=1, keepdims=True)
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(found, expected)


def test_embeddings_of_other_weights_are_refused(root, clip):
    official, _, _ = clip
    write_cohort(root, build(official.entry), spec={"sha256": "0" * 64})
    with pytest.raises(MedauditError, match="were made with weights 0000"):
        run(root, settings(official, format="clip"))


def test_a_model_without_text_is_refused(root, clip):
    official, _, _ = clip
    chosen = settings(official, format="clip")
    chosen["model_entry"] = {"kind": "pixels", "dimension": 16}
    with pytest.raises(MedauditError, match="has no text tower"):
        run(root, chosen)


def test_a_vector_of_zeros_has_no_cosine():
    scoring = Scoring(1.0, 0.0, "softmax", "mean")
    prompts = [ClassPrompts("a", ("a",), (), "")]
    with pytest.raises(MedauditError, match="is all 0, so no cosine is defined"):
        class_logits(np.zeros((1, 3)), prompts, {"a": np.ones(3)}, scoring, True)
    with pytest.raises(MedauditError, match="come from different models"):
        class_logits(np.ones((1, 4)), prompts, {"a": np.ones(3)}, scoring, True)
    with pytest.raises(MedauditError, match="'median' is unknown; there are"):
        Scoring(1.0, 0.0, "softmax", "median")


def test_medclips_own_pooling_sees_one_class_at_a_time(root):
    official = medclip(root, "vit")
    official.save(official.state)
    encoder = build(official.entry | {"text_pooling": "batch"})
    prompts = make_prompts({"format": "gloria", "prompts_per_class": 3}, TASKS)
    texts = encode_prompts(encoder, prompts)
    for part in prompts:
        group = encoder.encode_texts(list(part.positive))
        for text, expected in zip(part.positive, group, strict=True):
            assert np.array_equal(texts[text], expected)
