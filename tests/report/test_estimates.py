"""Tables of shrunken estimates and of thresholds, from an audit of invented files."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.table_io import read_json
from medaudit.score import score


def files(tasks=("edema", "mass"), n=600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(n), "patient": [f"p{k // 2}" for k in range(n)]})
    frame["split"] = np.where(np.arange(n) // 2 % 3 == 0, "val", "test")
    frame["sex"] = np.repeat(rng.choice(["F", "M"], n // 2), 2)
    frame["site"] = np.repeat(rng.choice(["a", "b", "c"], n // 2), 2)
    for task in tasks:
        y = rng.random(n) < 0.3
        frame[f"label_{task}"] = y.astype(int)
        frame[f"score_{task}"] = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * y - 1)))
    return frame


def audit(folder, frame, **options):
    result = score(frame, attributes=["sex", "site", "sex & site"], draws=60, **options)
    result.write(folder)
    folder = folder / "tables" / "scored"
    index = {table["name"]: table for table in read_json(folder / "index.json")["tables"]}
    data = {name: pd.read_csv(folder / table["files"]["csv"]) for name, table in index.items()}
    return result.metrics[result.metrics["seed"] == "mean"], index, data


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    return audit(tmp_path_factory.mktemp("several"), files())


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return audit(tmp_path_factory.mktemp("single"), files(tasks=("edema",)))


def shown(table) -> list[str]:
    return [column["label"] for column in table["columns"]]


def test_the_threshold_has_a_value_wherever_there_is_a_column(several, single):
    for _, index, data in (several, single):
        for name in ("performance", "groups", "tasks"):
            if "Threshold" in shown(index[name]):
                assert data[name]["threshold"].notna().all(), name
    assert "Threshold" in shown(single[1]["performance"])
    assert "Threshold" not in shown(several[1]["performance"])
    assert "Threshold" in shown(several[1]["tasks"])
    assert "Threshold" not in shown(single[1]["groups"])


def test_both_intervals_of_decisions(several):
    metrics, index, data = several
    table = data["thresholds"].set_index("task")
    rows = metrics[(metrics["attribute"] == "all") & metrics["task"].isin(["edema", "mass"])]
    rows = rows.set_index(["task", "metric"])
    for task in ("edema", "mass"):
        for metric in ("tpr", "fpr"):
            row, suffix = rows.loc[(task, metric)], f"{metric} with choice"
            found = table.loc[task, [metric, f"{metric}_low", f"{metric}_high"]].tolist()
            assert found == pytest.approx(row[["value", "low", "high"]].tolist(), rel=1e-5)
            found = table.loc[task, [suffix, f"{suffix}_low", f"{suffix}_high"]].tolist()
            wanted = row[["value", "procedure_low", "procedure_high"]].tolist()
            assert found == pytest.approx(wanted, rel=1e-5)
        row = rows.loc[(task, "threshold")]
        assert table.loc[task, "threshold"] == pytest.approx(row["value"], rel=1e-5)
        assert table.loc[task, "threshold_low"] == pytest.approx(row["procedure_low"], rel=1e-5)
        assert table.loc[task, ["n", "n_pos"]].tolist() == [row["n"], row["n_pos"]]
    assert "As chosen" in index["thresholds"]["caption"]
    assert "thresholds as chosen" in index["performance"]["caption"]


def test_no_second_interval_where_no_threshold_is_chosen(tmp_path):
    frame = files(tasks=("edema",)).query("split == 'test'").drop(columns="split")
    _, index, _ = audit(tmp_path, frame)
    assert "thresholds" not in index
    assert "as chosen" not in index["performance"]["caption"]


def test_shrunken_estimates_of_every_group(several):
    metrics, index, data = several
    table = data["shrunken"].set_index(["attribute", "group"])
    rows = metrics[(metrics["task"] == "mean") & metrics["shrunk"].notna()]
    rows = rows[rows["attribute"] == "sex & site"]
    assert set(rows["group"]) == {f"{sex} & {site}" for sex in "FM" for site in "abc"}
    for row in rows.itertuples():
        found = table.loc[(row.attribute, row.group)]
        names = [row.metric, f"{row.metric}_low", f"{row.metric}_high"]
        wanted = [row.shrunk, row.shrunk_low, row.shrunk_high]
        assert found[names].tolist() == pytest.approx(wanted, rel=1e-5)
    assert ("sex", "F") not in table.index  # about 200 images: no group of it is small
    assert "ECE" not in " ".join(shown(index["shrunken"]))
    assert "borrows strength" in index["shrunken"]["caption"]
