"""The four how-to-add pages, followed word for word in a copy of the checkout."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from checkout import ROOT, Checkout

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
END = " (add to the end)"

pytestmark = pytest.mark.workflow


def follow(page: str, checkout: Checkout) -> str:
    """Do what the page says, block by block; return what its commands printed."""
    printed = []
    for language, title, text in BLOCK.findall((ROOT / "docs" / page).read_text()):
        if language == "sh":
            printed += [run(checkout, line) for line in text.splitlines()]
        elif language == "diff":
            checkout.edit(title, one_side(text, "-"), one_side(text, "+"))
        elif title.endswith(END):
            path = checkout.folder / title.removesuffix(END)
            path.write_text(path.read_text() + text)
        else:
            path = checkout.folder / title
            assert not path.exists(), path
            path.write_text(text)
    return "\n".join(printed)


def one_side(diff: str, sign: str) -> str:
    lines = diff.splitlines(keepends=True)
    return "".join(line[1:] for line in lines if line[0] in (" ", sign) or line == "\n")


def run(checkout: Checkout, line: str) -> str:
    words = shlex.split(line)
    if words[0] == "medaudit":
        words = ["python", "-m", *words]
    done = subprocess.run(
        words,
        cwd=checkout.folder,
        env=checkout.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}"
    return done.stdout


def configuration(checkout: Checkout) -> str:
    return (checkout.folder / "config" / "README.md").read_text()


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout.copy(tmp_path / "a copy")


def results(checkout: Checkout, name: str) -> Path:
    return checkout.folder / "results" / name


def test_add_a_dataset(checkout):
    printed = follow("add-dataset.md", checkout)
    assert "Everything that the run needs is there." in printed
    card = json.loads(results(checkout, "manifest/clinic.json").read_text())
    assert (card["n_images"], card["n_patients"], card["phantom"]) == (240, 120, False)
    assert card["labels"]["Effusion"] == {"positive": 120, "negative": 120, "missing": 0}
    cohort = pd.read_parquet(results(checkout, "cohort/clinic.parquet"))
    assert cohort.groupby("patient_id")["split"].nunique().max() == 1
    assert cohort.groupby("split")["patient_id"].nunique().to_dict() == {
        "test": 36,
        "train": 60,
        "val": 24,
    }
    assert set(cohort["a_age_group"]) == {"<=50", ">50"}
    stored = json.loads(results(checkout, "images/clinic/card.json").read_text())
    assert stored["phantom"] is False
    assert "### `loader: clinic`" in configuration(checkout)


@pytest.mark.slow
def test_the_audit_of_the_added_dataset_finds_nothing(checkout):
    follow("add-dataset.md", checkout)
    run(checkout, "snakemake --configfile clinic.yaml --cores 2")
    gaps = pd.read_csv(results(checkout, "disparity/clinic/pixels/linear.csv"))
    found = gaps[(gaps["seed"] == "mean") & (gaps["metric"] == "auc")]
    assert set(found["attribute"]) == {"sex", "age_group"}
    assert (found["p_value"] > 0.05).all() and (found["low"] == 0).all()
    assert results(checkout, "report.html").is_file()


def test_add_a_model(checkout):
    printed = follow("add-model.md", checkout)
    path = results(checkout, "embed/nih_6x200_small/resnet18.parquet")
    table = pq.read_table(path)
    assert table.num_rows == 480 and len(table["embedding"][0]) == 512
    spec = json.loads(table.schema.metadata[b"spec"])
    assert spec["kind"] == "torchvision_resnet" and len(spec["sha256"]) == 64
    assert len(yaml.safe_load(printed.splitlines()[-1])) == 8
    assert "### `kind: torchvision_resnet`" in configuration(checkout)


def test_add_a_method(checkout):
    printed = follow("add-method.md", checkout)
    assert "1 passed" in printed
    path = results(checkout, "predictions/nih_6x200_small/pixels/bottleneck.parquet")
    frame = pd.read_parquet(path)
    assert frame["seed"].nunique() == 3 and frame["score"].between(0, 1).all()
    best = frame.loc[frame.groupby(["seed", "image_id"])["score"].idxmax()]
    assert best["y"].mean() > 1.5 / 6
    assert "`linear`, `mlp`, `bottleneck`" in configuration(checkout)


def test_add_a_metric(checkout):
    printed = follow("add-metric.md", checkout)
    assert "2 passed" in printed
    rows = pd.read_csv(results(checkout, "evaluate/nih_6x200_small/pixels/linear.csv"))
    found = rows[(rows["metric"] == "mcc") & (rows["status"] == "ok")]
    assert {"sex", "age_group", "all"} <= set(found["attribute"])
    known = found.dropna(subset=["low", "high"])
    assert len(known) > len(found) / 2
    assert known["value"].between(known["low"], known["high"]).mean() > 0.99
    assert "`mcc`" in configuration(checkout)
