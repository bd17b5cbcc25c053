"""Randomly damaged files of predictions are read or refused with a message; nothing crashes."""

import warnings

import numpy as np
import pandas as pd
import pytest

from hostile_files import truncations
from medaudit.core.errors import MedauditError
from medaudit.data.readers import sheet as reading
from medaudit.data.readers.sheet import read_sheet
from medaudit.score.assemble import assemble

OPTIONS = dict.fromkeys(("attributes", "positive")) | {"age_threshold": 60}
OPTIONS |= {"scores": "auto", "task_type": "auto"}


def write(folder):
    rng, count = np.random.default_rng(0), 40
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(count)],
            "patient_id": [f"p{k // 2}" for k in range(count)],
            "label": rng.integers(0, 2, count),
            "score": rng.random(count).round(3),
            "sex": rng.choice(["F", "M"], count),
            "age": rng.integers(1, 90, count),
        }
    )
    frame.to_csv(folder / "s.csv", index=False)
    frame.to_csv(folder / "wide.csv", index=False, encoding="utf-16", sep="\t")
    frame.to_parquet(folder / "s.parquet")
    return frame


def spoil(folder, count: int) -> tuple[int, int]:
    write(folder)
    refused = read = 0
    for number, name in enumerate(("s.csv", "wide.csv", "s.parquet")):
        content, path = (folder / name).read_bytes(), folder / f"spoilt_{name}"
        for spoilt in truncations(content, count, number):
            path.write_bytes(spoilt)
            try:
                with warnings.catch_warnings(action="ignore"):
                    assemble(path, None, {}, OPTIONS)
                read += 1
            except MedauditError as error:
                assert len(str(error)) > 20
                refused += 1
    return refused, read


def test_damage_at_random(tmp_path):
    refused, read = spoil(tmp_path, 60)
    assert refused > read


@pytest.mark.slow
def test_much_damage_at_random(tmp_path):
    print(spoil(tmp_path, 3000), "tables of predictions refused and read")


def test_a_named_index_is_a_column_and_an_unnamed_none(tmp_path):
    frame = write(tmp_path)
    frame.set_index("image_id").to_parquet(tmp_path / "a.parquet")
    assert read_sheet(tmp_path / "a.parquet").frame["image_id"].tolist() == list(frame["image_id"])
    frame.iloc[::2].to_parquet(tmp_path / "b.parquet")
    assert set(read_sheet(tmp_path / "b.parquet").frame) == set(frame)


def test_a_parquet_file_that_claims_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_CELLS", 1000)
    pd.DataFrame({"a": [0] * 501, "b": [1] * 501}).to_parquet(tmp_path / "a.parquet", index=False)
    with pytest.raises(MedauditError, match=r"claims 501 rows of 2 columns"):
        read_sheet(tmp_path / "a.parquet")
