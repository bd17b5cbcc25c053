"""Stages on a store whose images differ in size, as CheXpert-small's: 390 x 320 and 320 x 390."""

import cv2
import numpy as np
import pandas as pd
import pytest

from finetune_case import settings
from medaudit.adapt.finetune import finetune
from medaudit.core.embeddings import read_embeddings
from medaudit.core.table_io import COHORT, PREDICTIONS, read_table, write_table
from medaudit.data.image_store import MixedImages, open_store
from medaudit.data.images import images
from medaudit.models.embed import embed
from medaudit.models.pretrain import pretrain
from tiny_pretraining import read_card, tiny_settings
from tiny_vit import vit_entry

COUNT = 96


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files of 96 noisy pictures, half of them upright; `left` brightens the left half."""
    folder = tmp_path_factory.mktemp("mixed")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (COUNT, 2)).astype(float)
    ids = [f"i{k:02d}.png" for k in range(COUNT)]
    for k, name in enumerate(ids):
        height, width = (390, 320) if k % 2 else (320, 390)
        picture = rng.normal(90, 15, (height // 10, width // 10))
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
        picture[:, : width // 2] += 60 * y[k, 0]
        picture[:, width // 2 :] += 60 * y[k, 1]
        cv2.imwrite(str(folder / name), picture.clip(0, 255).astype(np.uint8))
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "age": 50.0})
    frame = frame.assign(view="PA", split=["train"] * 56 + ["val"] * 20 + ["test"] * 20)
    frame["y_left"], frame["y_right"] = y.T
    write_table(frame, folder / "cohort.parquet", COHORT)
    given = {
        "cohort": "c",
        "dataset": {"loader": "nih", "folder": str(folder)},
        "image_size": 40,
    }
    images(given, cohort=folder / "cohort.parquet", output=folder / "images")
    return {"cohort": folder / "cohort.parquet", "images": folder / "images"}


def model(**changes) -> dict:
    entry = vit_entry()
    return {**entry, "input": {**entry["input"], **changes}}


@pytest.mark.parametrize("square", ["crop", "pad", "stretch"])
def test_embeddings_are_those_of_each_image_alone(data, tmp_path, square):
    from medaudit.models.kinds import build

    entry = model(square=square, resize=20)
    output = tmp_path / "e.parquet"
    embed({"cohort": "c", "model": "m", "entry": entry}, **data, output=output)
    store = open_store(data["images"])
    assert isinstance(store.images, MixedImages)
    assert {image.shape for image in store.images} == {(40, 49), (49, 40)}
    encoder = build({**entry, "name": "m"})
    ids, vectors = read_embeddings(output)[:2]
    alone = np.concatenate([encoder.encode_images(store.read([one])[0][None]) for one in ids])
    np.testing.assert_allclose(vectors, alone, atol=2e-5)
    assert encoder.spec()["preprocessing"]["square"] == square


@pytest.mark.parametrize("square", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("views", [None, 2])
def test_a_planted_difference_is_learnt_from_views(data, tmp_path, square, views):
    from sklearn.metrics import roc_auc_score

    augmentation = {
        "scale": [0.5, 1.0],
        "flip": 0.0,
        "rotation": 5.0 if views else 0.0,
        "randaugment": None if views else {"magnitude": 2},
    }
    entry = {"epochs": 10, "learning_rates": [1e-2], "augmentation": augmentation, "views": views}
    output = tmp_path / "p.parquet"
    finetune(settings(entry, model(square=square, resize=18)), **data, output=output)
    table = read_table(output, PREDICTIONS)
    test = table[table["split"] == "test"]
    assert len(test) == 20 * 2
    aucs = [roc_auc_score(part["y"], part["score"]) for _, part in test.groupby("task")]
    assert np.mean(aucs) > 0.9


@pytest.mark.parametrize("algorithm", ["mae", "moco_v3"])
def test_a_pretraining_reads_every_size(data, tmp_path, algorithm):
    chosen = tiny_settings(algorithm, epochs=2)
    pretrain(
        chosen,
        output=tmp_path / "w.safetensors",
        card=tmp_path / "card.json",
        images=[data["images"]],
        cohorts=[data["cohort"]],
    )
    card = read_card(tmp_path / "card.json")
    assert card["images"] == 56
    assert all(np.isfinite(point["loss"]) for point in card["curve"])
