"""Stage embed: every image once, in the cohort's order, with what made it."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from medaudit.core.embeddings import read_embeddings, write_embeddings
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import (
    COHORT,
    EMBEDDINGS,
    IMAGES,
    read_metadata,
    read_table,
    write_array,
    write_json,
    write_table,
)
from medaudit.models import embed as module
from medaudit.models.embed import embed
from medaudit.models.kinds.pixels import Pixels

SETTINGS = {"cohort": "c", "model": "pixels", "entry": {"kind": "pixels", "dimension": 7}}
COUNT = 300


@pytest.fixture
def inputs(tmp_path):
    """A cohort of 300 images; the store lost two of them and keeps the others in its own order."""
    rng = np.random.default_rng(0)
    ids = [f"i{number:03d}" for number in range(COUNT)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "age": 50.0})
    frame = frame.assign(view="PA", split="train", y_x=1.0, a_sex="male")
    write_table(frame, tmp_path / "cohort.parquet", COHORT)
    kept = rng.permutation([one for one in ids if one not in ("i005", "i120")])
    pixels = rng.integers(0, 256, (len(kept), 16, 16), dtype=np.uint8)
    index = pd.DataFrame({"image_id": [*kept, "i005", "i120"], "error": None})
    index["row"] = [*range(len(kept)), -1, -1]
    index["status"] = ["ok"] * len(kept) + ["broken"] * 2
    write_array(pixels, tmp_path / "images" / "images.npy")
    write_table(index, tmp_path / "images" / "index.parquet", IMAGES)
    write_json({"phantom": True}, tmp_path / "images" / "card.json")
    by_id = dict(zip(kept, pixels, strict=True))
    return tmp_path, [(one, by_id[one]) for one in ids if one in by_id]


def run(folder, settings=SETTINGS, name="e.parquet"):
    embed(
        settings,
        cohort=folder / "cohort.parquet",
        images=folder / "images",
        output=folder / name,
    )
    return folder / name


class Counting(Pixels):
    """Counts the images it is given."""

    seen = 0

    def encode_images(self, images):
        type(self).seen += len(images)
        return super().encode_images(images)


def test_each_image_is_encoded_once_and_keeps_its_vector(inputs, monkeypatch, caplog):
    folder, images = inputs
    Counting.seen = 0
    monkeypatch.setattr(module, "build", lambda entry: Counting(entry["dimension"]))
    with caplog.at_level(logging.INFO):
        ids, vectors = read_embeddings(run(folder))
    assert Counting.seen == COUNT - 2
    assert ids.tolist() == [one for one, _ in images]
    expected = [Pixels(7).encode_images(picture[None])[0] for _, picture in images]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert "2 of 300 images were excluded" in caplog.text
    assert "images/s" in caplog.text


def test_the_footer_says_what_made_them(inputs):
    metadata = read_metadata(run(inputs[0]))
    assert metadata["phantom"] is True
    assert (metadata["cohort"], metadata["model"]) == ("c", "pixels")
    assert metadata["spec"]["dimension"] == 7
    assert metadata["spec"]["versions"]["numpy"] == np.__version__
    json.dumps(metadata, allow_nan=False)


def test_the_same_again_gives_the_same_bytes(inputs):
    folder, _ = inputs
    assert run(folder).read_bytes() == run(folder, name="again.parquet").read_bytes()


def test_vectors_that_are_not_finite_are_named(inputs, monkeypatch):
    folder, images = inputs

    class Broken(Pixels):
        def encode_images(self, given):
            vectors = super().encode_images(given)
            same = (given == images[3][1]).all(axis=(1, 2))
            return np.where(same[:, None], np.inf, vectors)

    monkeypatch.setattr(module, "build", lambda entry: Broken(entry["dimension"]))
    with pytest.raises(MedauditError, match=rf"pixels gives NaN .* 1 of 298 .*{images[3][0]}"):
        run(folder)
    assert not (folder / "e.parquet").exists()


def test_a_store_of_another_cohort_is_refused(inputs):
    folder, _ = inputs
    frame = read_table(folder / "cohort.parquet", COHORT)
    frame.loc[0, "image_id"] = "stranger"
    write_table(frame, folder / "cohort.parquet", COHORT)
    with pytest.raises(MedauditError, match="stranger"):
        run(folder)


@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (7, 1)])
def test_reading_gives_what_was_written(tmp_path, shape):
    vectors = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    ids = np.array([f"i{row}" for row in range(len(vectors))], dtype=object)
    write_embeddings(ids, vectors, tmp_path / "e.parquet", spec={})
    found_ids, found = read_embeddings(tmp_path / "e.parquet")
    assert found_ids.tolist() == ids.tolist()
    assert np.array_equal(found, vectors)
    table = read_table(tmp_path / "e.parquet", EMBEDDINGS)
    assert np.array_equal(np.stack(table["embedding"]), vectors)


def test_vectors_of_different_lengths_are_refused(tmp_path):
    frame = pd.DataFrame({"image_id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]})
    write_table(frame, tmp_path / "e.parquet", EMBEDDINGS)
    with pytest.raises(MedauditError, match="all of the same length"):
        read_embeddings(tmp_path / "e.parquet")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(MedauditError, match="cannot read the embeddings"):
        read_embeddings(tmp_path / "none.parquet")
