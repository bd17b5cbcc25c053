"""Predictions on phantoms keep their mark when they are scored from their file."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medaudit.core.table_io import read_json, read_metadata
from medaudit.score import score
from medaudit.score.synthetic import is_synthetic
from planted_predictions import planted


@pytest.mark.parametrize(
    ("footer", "marked"),
    [({"phantom": "true"}, True), ({"phantom": "false"}, False), ({"phantom": "no JSON"}, False)],
)
def test_the_mark_of_phantoms_is_passed_on(tmp_path, footer, marked):
    frame = planted("sex", {"f": (0.8, 0.2), "m": (0.8, 0.2)}, n=30)
    path = tmp_path / "p.parquet"
    pq.write_table(pa.Table.from_pandas(frame).replace_schema_metadata(footer), path)
    assert is_synthetic([path]) is marked
    result = score(path, draws=20, threads=1)
    page = result.write(tmp_path / "out").read_text()
    assert ("PHANTOM PIXELS" in page) is marked
    assert read_json(tmp_path / "out" / "cohort" / "p.json")["phantom"] is marked
    (written,) = (tmp_path / "out" / "predictions").rglob("*.parquet")
    assert read_metadata(written)["phantom"] is marked
