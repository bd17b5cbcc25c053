"""Settings that would run code, fill the memory or mislead: refused with the file's name."""

import subprocess
import sys
from copy import deepcopy

import pytest
import yaml

from checkout import ROOT, Checkout
from medaudit.config.validation import check, load
from medaudit.config.yaml_file import read_settings
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, shipped

LAUGHS = "a: &a [lol, lol]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join(['*' + chr(97 + k)] * 9)}]\n" for k in range(12)
)
RUNS = "!!python/object/apply:os.mkdir [mark]"


def refused(path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MedauditError) as caught:
        load(ROOT.joinpath, [path], {})
    assert str(path) in str(caught.value) and len(str(caught.value)) < 3000
    return str(caught.value)


@pytest.mark.parametrize(
    "tag",
    [
        RUNS,
        "!!python/object/new:os.mkdir [mark]",
        "!!python/object:os.system {}",
        "!!python/name:os.system ''",
        "!!python/module:this ''",
        "!!python/tuple [1]",
        "!!binary aGFsbG8=",
        "!!set {a, b}",
        "!!timestamp 2026-01-01",
        "!own x",
    ],
)
def test_a_tag_makes_no_object(tmp_path, monkeypatch, tag):
    monkeypatch.chdir(tmp_path)
    for text in (f"run: {tag}\n", f"run: [{{a: {tag}}}]\n", f"? {tag}\n: 1\n"):
        refused(tmp_path / "a.yaml", text)
    assert not (tmp_path / "mark").exists()


def test_the_tag_would_have_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yaml.unsafe_load(f"run: {RUNS}")
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LAUGHS, "expands without end"),
        ("a: &a [*a]", "expands without end"),
        ("a: &a {b: *a}", "expands without end"),
        ("a: " + "[" * 200_000 + "]" * 200_000, "levels deep"),
        ("a: " + "{b: " * 5000 + "}" * 5000, "levels deep"),
        ("run: [a]\nrun: [b]", "duplicate key 'run' in line 1 and line 2"),
        ("models:\n  a: {kind: pixels}\n  b: {}\n  a: {kind: timm}", "duplicate key 'a' in line 2"),
        ("2020: x", "key 2020 is not text"),
        ("on: x", "key True is not text"),
        ("null: x", "key None is not text"),
        ('a: "\\x1b[2J"', "control characters"),
        ('a: "\\0"', "control characters"),
        ("a: 2026-01-01", "is a date"),
        (b"a: \xff\xfe\x00", "utf-8"),
        (b"a: \x00", "cannot read"),
        ("a:\n\t- 1", "cannot read"),
        ("a: [", "cannot read"),
        ("", "no keys and values"),
        ("- a", "no keys and values"),
        ("just text", "no keys and values"),
        (b" " * (1 << 25), "bytes; the limit is"),
    ],
)
def test_what_cannot_be_settings(tmp_path, content, says):
    assert says in refused(tmp_path / "a.yaml", content)


def test_what_is_allowed(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: &x {b: 1}\nc: {<<: *x, d: 2}\ne: [*x, *x]\n")
    assert read_settings(path) == {"a": {"b": 1}, "c": {"b": 1, "d": 2}, "e": [{"b": 1}] * 2}


def test_a_structure_that_holds_itself_is_refused_whoever_gives_it():
    config = deepcopy(shipped())
    config["studies"]["clip_nih"]["also"] = [config]
    with pytest.raises(MedauditError, match="expands without end"):
        check(config, SCHEMAS)


def test_no_code_of_the_project_reads_without_care():
    """Names that run code, or read what does, stand where they are known to be safe alone."""
    known = {
        "src/medaudit/data/readers/npz_arrays.py": "pickle.Unpickler",
        "src/medaudit/models/weights/pickles.py": "pickle.Unpickler",
        "src/medaudit/config/yaml_file.py": "yaml.load(",
        "src/medaudit/training/checkpoints.py": "torch.load(",
    }
    words = r"pickle\.\(load\|Unpickler\)\|yaml\.\(unsafe_\|full_\)\?load(\|torch\.load(\|joblib"
    words += (
        r"\|allow_pickle=True\|extractall\|shell=True\|os\.system(\|[^.a-z_]eval(\|[^.a-z_]exec("
    )
    listed = ["git", "grep", "-n", words, "--", "src", "workflow", "slurm", "profiles"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    strange = [line for line in found if known.get(line.split(":")[0], "\0") not in line]
    assert strange == []
    loads = [line for line in found if "torch.load(" in line]
    assert all("weights_only=True" in line for line in loads)


# ------------------------------------------------------------------ the workflow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout.copy(tmp_path_factory.mktemp("hostile") / "check out")


@pytest.mark.workflow
def test_names_and_texts_do_not_reach_the_shell(checkout):
    text = "$(touch mark) `touch mark` '; touch mark; ' \" && touch mark #{params.code} {x}"
    entry = {"folder": None, "table": text, "attributes": ["sex", "age_group", text]}
    path = checkout.folder / "config" / "hostile.yaml"
    path.write_text(yaml.safe_dump({"datasets": {"nih": entry}}))
    target = "results/manifest/nih.json"
    done = checkout.snakemake("--cores", "1", "--configfile", str(path), "--", target)
    assert done.returncode == 0, done.stdout
    assert (checkout.folder / target).exists() and not list(checkout.folder.rglob("mark"))
    path.write_text(yaml.safe_dump({"datasets": {"x;touch mark": {"extends": "nih"}}}))
    done = checkout.snakemake("-n", "--configfile", str(path))
    assert done.returncode and "Traceback" not in done.stdout
    assert "config.datasets: 'x;touch mark' does not match" in done.stdout
    path.write_text(f"run: {RUNS}\n")
    done = checkout.snakemake("-n", "--configfile", str(path))
    assert done.returncode and not list(checkout.folder.rglob("mark"))


def test_a_template_that_snakemake_would_run_is_refused_by_the_check(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text('__use_yte__: true\n__definitions__:\n  - open("mark", "w")\n')
    command = [sys.executable, "-m", "medaudit", "check", "--configfile", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "key '__use_yte__' is unknown" in done.stderr
    assert not (ROOT / "mark").exists()
