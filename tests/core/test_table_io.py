import re

import numpy as np
import pandas as pd
import pytest

from checkout import ROOT
from medaudit.core import table_io
from medaudit.core.errors import MedauditError
from medaudit.core.statuses import ImageStatus, Status
from medaudit.core.table_io import (
    IMAGES,
    METRICS,
    PREDICTIONS,
    read_metadata,
    read_table,
    write_table,
)


def predictions(**changes) -> pd.DataFrame:
    columns = {
        "image_id": ["a", "b"],
        "split": ["val", "test"],
        "task": ["Edema", "Edema"],
        "seed": [0, 0],
        "y": [1.0, None],
        "score": [0.25, 0.75],
    }
    return pd.DataFrame({**columns, **changes})


def metrics() -> pd.DataFrame:
    text = {column: "x" for column, kind in METRICS.columns.items() if kind == table_io.TEXT}
    text["status"] = "ok"
    rows = [
        {**text, "group": "NA", "value": 1 / 3, "n": 5, "n_pos": 2, "n_patients": 4},
        {**text, "group": "=1+1", "value": None, "n": 1, "n_pos": 0, "n_patients": 1},
    ]
    return pd.DataFrame(rows, columns=list(METRICS.columns))


def test_parquet_gives_back_what_was_written(tmp_path):
    path = tmp_path / "p.parquet"
    write_table(predictions(), path, PREDICTIONS, learning_rate=0.1, notes=["phantom"])
    back = read_table(path, PREDICTIONS)
    assert back["image_id"].tolist() == ["a", "b"]
    assert back["score"].tolist() == [0.25, 0.75]
    assert np.isnan(back["y"][1])
    assert read_metadata(path) == {"learning_rate": 0.1, "notes": ["phantom"]}


def test_csv_keeps_text_that_looks_like_a_missing_value(tmp_path):
    path = tmp_path / "m.csv"
    write_table(metrics(), path, METRICS)
    back = read_table(path, METRICS)
    assert back["group"].tolist() == ["NA", "=1+1"]
    assert back["value"][0] == pytest.approx(1 / 3, abs=1e-6)
    assert np.isnan(back["value"][1])
    assert back["low"].isna().all()
    assert path.read_text().splitlines()[1].count("0.333333") == 1


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (predictions().drop(columns="score"), "the columns ['score'] are missing"),
        (predictions(extra=1), "the columns ['extra'] are unknown"),
        (predictions(image_id=["a", "a"]), "2 rows have a duplicate key"),
        (predictions(split=[None, "test"]), "split is missing in 1 rows, first in row 0"),
        (predictions(score=["high", "low"]), "score"),
    ],
)
def test_a_broken_table_is_refused_and_what_was_there_stays(tmp_path, frame, said):
    path = tmp_path / "p.parquet"
    write_table(predictions(), path, PREDICTIONS)
    before = path.read_bytes()
    with pytest.raises(MedauditError) as caught:
        write_table(frame, path, PREDICTIONS)
    assert said in str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["p.parquet"]


def test_same_rows_give_the_same_bytes(tmp_path):
    for suffix in ("parquet", "csv"):
        paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        for path in paths:
            write_table(predictions(), path, PREDICTIONS, b=1, a=2)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    path = tmp_path / "card.json"
    table_io.write_json({"n": 1}, path)
    with pytest.raises(ValueError, match="Out of range"):
        table_io.write_json({"n": float("nan")}, path)
    with pytest.raises(RuntimeError), table_io.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert table_io.read_json(path) == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "p.parquet"
    path.write_bytes(b"")
    with pytest.raises(MedauditError, match="cannot read the predictions table .*p.parquet"):
        read_table(path, PREDICTIONS)


def test_object_arrays_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        table_io.write_array(np.array([{}]), tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []


def test_every_status_of_the_vocabulary_is_written_and_no_other(tmp_path):
    path = tmp_path / "m.csv"
    row = metrics().iloc[[0]]
    rows = [row.assign(group=str(number), status=s) for number, s in enumerate(Status)]
    write_table(pd.concat(rows), path, METRICS)
    assert read_table(path, METRICS)["status"].tolist() == [str(status) for status in Status]
    for status in ("undefined:no_idea", "undefined", "OK", "broken", ""):
        with pytest.raises(MedauditError, match="are unknown; known: ok, undefined:one_class"):
            write_table(row.assign(status=status), path, METRICS)
    image = {"image_id": ["a"], "row": [-1], "status": ["broken"], "error": ["cut off"]}
    write_table(pd.DataFrame(image), tmp_path / "i.parquet", IMAGES)
    image["status"] = ["too_few"]
    with pytest.raises(MedauditError, match="too_few.* known: ok, missing, broken"):
        write_table(pd.DataFrame(image), tmp_path / "i.parquet", IMAGES)


def test_the_code_uses_no_status_outside_the_vocabulary():
    known = {str(status) for status in (*Status, *ImageStatus)}
    for path in (ROOT / "src").rglob("*.py"):
        found = re.findall(r"""["'](undefined:\w+)["']""", path.read_text())
        assert set(found) <= known, path
