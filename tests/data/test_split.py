"""A split file: it holds no patient, and says of another's data what differs."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from medaudit.cli import main
from medaudit.cli.dry_run import read_config
from medaudit.cli.rebuild import rebuild
from medaudit.cli.shared_split import export, hash_names, read_split, verify
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.phantoms.tables import ham10000

COHORT = "ham10000_age"


@pytest.fixture(scope="module")
def owner(tmp_path_factory) -> Path:
    """HAM10000's table in its owner's layout, 600 drawn lesions, no pictures."""
    folder = tmp_path_factory.mktemp("owner") / "ham"
    folder.mkdir()
    ham10000.write_table(folder, 600, generator("test of splits"))
    return folder


def table_of(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.name.startswith("HAM10000_metadata"))


def config_of(folder: Path) -> dict:
    overlay = folder.parent / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"datasets": {"ham10000": {"folder": str(folder)}}}))
    return read_config([overlay])


@pytest.fixture(scope="module")
def shared(owner, tmp_path_factory) -> dict:
    return export(config_of(owner), COHORT, tmp_path_factory.mktemp("export"), Path("nowhere"))


def changed(owner: Path, tmp_path: Path, edit) -> dict:
    """Return a configuration with another table: `edit` takes its rows and returns others."""
    folder = tmp_path / "ham"
    folder.mkdir()
    path = table_of(owner)
    delimiter = "\t" if "\t" in path.read_text().splitlines()[0] else ","
    rows = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False)
    edit(rows).to_csv(folder / path.name, sep=delimiter, index=False)
    return config_of(folder)


def test_the_file_lists_the_cohort_and_nobody_in_it(owner, shared, tmp_path):
    table, _ = rebuild(config_of(owner), COHORT, tmp_path)
    frame = pd.read_parquet(table)
    for split, part in frame.groupby("split"):
        names = [
            hashlib.sha256(f"ham10000\t{n}".encode()).hexdigest()[:16] for n in part["image_id"]
        ]
        assert shared["splits"][split] == sorted(names)
        assert shared["n_images"][split] == len(part)
        assert shared["n_patients"][split] == part["patient_id"].nunique()
    text = json.dumps(shared)
    for column in ("image_id", "patient_id", "path"):
        assert not [name for name in frame[column] if name in text]
    assert str(owner) not in text
    sha256 = hashlib.sha256(table_of(owner).read_bytes()).hexdigest()
    assert shared["tables"]["metadata"] == {"file": table_of(owner).name, "sha256": sha256}


def test_hashes_are_of_the_dataset_and_the_name():
    names = pd.Series(["a", "b"])
    assert len(set(hash_names("one", names)) | set(hash_names("other", names))) == 4


def test_the_same_data_are_equal_whatever_the_own_catalogue_says(owner, shared, tmp_path):
    config = config_of(owner)
    config["cohorts"][COHORT] = {**config["cohorts"][COHORT], "age_threshold": 30, "seed": 9}
    config["datasets"]["ham10000"]["bcc"] = "malignant"
    assert verify(config, shared, tmp_path) == []


def test_a_lost_image_is_found(owner, shared, tmp_path):
    table, _ = rebuild(config_of(owner), COHORT, tmp_path / "own")
    lost = pd.read_parquet(table).query("split == 'test'")["image_id"].iloc[0]
    config = changed(owner, tmp_path, lambda rows: rows[rows["image_id"] != lost])
    said = verify(config, shared, tmp_path / "other")
    assert said[0].startswith("table metadata differs: ")
    hashed = hashlib.sha256(f"ham10000\t{lost}".encode()).hexdigest()[:16]
    assert f"(hash {hashed}): test in the file, no such image in your tables" in said
    assert not [line for line in said if line.startswith("the test split holds the same")]


def test_a_changed_label_in_the_test_split_is_found(owner, shared, tmp_path):
    table, _ = rebuild(config_of(owner), COHORT, tmp_path / "own")
    frame = pd.read_parquet(table)
    one = frame.query("split == 'test' and y_malignant == 0")["image_id"].iloc[0]

    def relabel(rows):
        return rows.assign(dx=rows["dx"].where(rows["image_id"] != one, "mel"))

    said = verify(changed(owner, tmp_path, relabel), shared, tmp_path / "other")
    assert any("labels, attributes or weights differ" in line for line in said)
    assert not [line for line in said if "images in the file" in line]


def test_moved_and_added_images_are_named(owner, shared, tmp_path):
    table, _ = rebuild(config_of(owner), COHORT, tmp_path / "own")
    frame = pd.read_parquet(table)
    first = {
        split: frame.loc[frame["split"] == split, "image_id"].iloc[0] for split in ("val", "test")
    }
    hashed = dict(zip(first, hash_names("ham10000", pd.Series(first.values())), strict=True))
    splits = {split: set(names) for split, names in shared["splits"].items()}
    splits["test"].remove(hashed["test"])
    splits["train"].add(hashed["test"])
    splits["val"].remove(hashed["val"])
    splits = {split: sorted(names) for split, names in splits.items()}
    counts = {split: len(names) for split, names in splits.items()}
    said = verify(config_of(owner), {**shared, "splits": splits, "n_images": counts}, tmp_path)
    assert f"{first['test']}: train in the file, test here" in said
    assert f"{first['val']}: not in the file, val here" in said
    assert f"val: {counts['val']} images in the file, {counts['val'] + 1} here" in said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda s: s.pop("splits"), "lacks"),
        (lambda s: s.update(format="other"), "was not written by"),
        (lambda s: s["splits"]["val"].pop(), "images, but lists"),
    ],
)
def test_a_broken_file_is_refused(shared, tmp_path, edit, said):
    content = json.loads(json.dumps(shared))
    edit(content)
    path = tmp_path / "s.json"
    path.write_text(json.dumps(content))
    with pytest.raises(MedauditError, match=said):
        read_split(path)


def test_settings_of_a_stranger_pass_the_schemas(owner, shared, tmp_path):
    content = json.loads(json.dumps(shared))
    content["settings"]["cohort"]["builder"] = "os"
    with pytest.raises(MedauditError, match=r"builder: 'os' is unknown"):
        verify(config_of(owner), content, tmp_path)


def test_what_a_run_audited_and_the_export_must_be_the_same(owner, tmp_path):
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / f"{COHORT}.json").write_text('{"ids_sha256": "other"}')
    with pytest.raises(MedauditError, match="built with other settings, tables or code"):
        export(config_of(owner), COHORT, tmp_path / "made", tmp_path)


def test_the_commands(owner, tmp_path, monkeypatch, capsys):
    overlay = tmp_path / "o.yaml"
    overlay.write_text(yaml.safe_dump({"datasets": {"ham10000": {"folder": str(owner)}}}))
    monkeypatch.chdir(tmp_path)
    main(["split", "export", COHORT, "--configfile", str(overlay)])
    main(["split", "verify", f"{COHORT}.split.json", "--configfile", str(overlay)])
    assert f"Equal: {COHORT}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["split", "export", "nobody", "--configfile", str(overlay)])
    assert "there is no cohort 'nobody'" in str(end.value)
