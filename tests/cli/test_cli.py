"""The command: quick help, no torch, one message and exit code 1 on garbage."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from medaudit.cli import main
from medaudit.core.errors import MedauditError

QUICK = ["--draws", "20", "--threads", "1"]


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    n = 200
    y = (rng.random(n) < 0.5).astype(int)
    predictions = pd.DataFrame(
        {"id": range(n), "label": y, "score": np.round(0.1 + 0.3 * y + 0.5 * rng.random(n), 3)}
    )
    groups = pd.DataFrame({"id": range(n), "sex": rng.choice(["F", "M"], n)})
    predictions.to_csv(tmp_path / "p.csv", index=False)
    groups.to_csv(tmp_path / "g.csv", index=False)
    return tmp_path


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib\n"
        "from medaudit.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "heavy = {'pandas', 'numpy', 'numba', 'torch', 'sklearn', 'scipy', 'rich'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout


def test_help_answers_within_a_second():
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "medaudit", "--help"], capture_output=True)
        assert done.returncode == 0
        best = min(best, time.perf_counter() - start)
    assert best < 1


def test_score_prints_and_writes_without_torch(files):
    code = (
        "import sys\n"
        "from medaudit.cli import main\n"
        "main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules"
    )
    arguments = ["score", files / "p.csv", "--groups", files / "g.csv", "--output", files / "out"]
    done = python(code, *map(str, arguments), *QUICK)
    assert done.returncode == 0, done.stderr
    for text in ("image id", "sex (", "AUC", "of 2", "fixed at 0.5", "report.html"):
        assert text in done.stdout
    assert (files / "out" / "report.html").stat().st_size > 10_000


def test_options_reach_the_audit(files, capsys):
    frame = pd.read_csv(files / "p.csv").rename(
        columns={"id": "who", "label": "truth_of_it", "score": "their_output"}
    )
    frame["arm"] = np.where(frame["who"] % 2 == 0, "left", "right")
    frame.to_csv(files / "q.csv", index=False)
    named = ["--id", "who", "--label", "truth_of_it", "--score", "their_output"]
    more = ["--attributes", "arm", "--threshold", "0.7", "--minimum", "30"]
    main(["score", str(files / "q.csv"), *named, *more, *QUICK, "--output", str(files / "o")])
    out = capsys.readouterr().out
    assert "fixed at 0.7" in out and "left 100, right 100" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.unlink(), "cannot read"),
        (lambda path: path.write_text("id,label,score\n1,0,x\n2,1,.4\n"), "are not numbers"),
        (lambda path: path.write_text("id,label,score\n1,0,.1\n1,1,.4\n"), "rows share"),
    ],
)
def test_garbage_ends_with_one_message(files, change, message):
    change(files / "p.csv")
    command = ["score", str(files / "p.csv"), "--groups", str(files / "g.csv"), *QUICK]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert str(stopped.value.code).startswith("medaudit: ") and message in str(stopped.value.code)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--threshold", "7"], "--threshold 7 is not between 0 and 1"),
        (["--threshold", "Edema=high"], "TASK=NUMBER"),
        (["--threshold-rule", "fpr"], "fpr needs the rate to reach: fpr=0.05"),
        (["--threshold-rule", "sensitivity"], "sensitivity needs the rate to reach: sensitivity="),
        (["--threshold-rule", "youden", "--threshold", "0.5"], "youden has no value"),
        (["--threshold", "0.2", "--threshold", "a=0.3"], "give one number for all tasks"),
        (["--threshold", "a=0.2", "--threshold", "a=0.3"], "give one number for all tasks"),
        (["--threshold", "Edema=0.3"], "there is no task 'Edema'; name some of ['label']"),
        (["--draws", "1"], "no interval"),
    ],
)
def test_a_threshold_that_cannot_be(files, options, said):
    with pytest.raises(SystemExit) as stopped:
        main(["score", str(files / "p.csv"), "--groups", str(files / "g.csv"), *options])
    assert str(stopped.value.code).startswith("medaudit: ") and said in str(stopped.value.code)


def test_thresholds_by_task(tmp_path, capsys):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(80), "sex": ["f", "m"] * 40})
    for task in ("edema", "mass"):
        frame[f"label_{task}"] = [0, 0, 1, 1] * 20
        frame[f"score_{task}"] = rng.random(80)
    frame.to_csv(tmp_path / "p.csv", index=False)
    given = ["--threshold", "edema=0.3", "--threshold", "mass=0.6"]
    main(["score", str(tmp_path / "p.csv"), *given, *QUICK, "--output", str(tmp_path / "o")])
    assert "fixed at 0.3 for edema, 0.6 for mass" in " ".join(capsys.readouterr().out.split())


def test_a_folder_that_cannot_be_written(files):
    (files / "taken").write_text("a file")
    with pytest.raises(SystemExit) as stopped:
        main(
            ["score", str(files / "p.csv"), "--groups", str(files / "g.csv"), *QUICK]
            + ["--output", str(files / "taken")]
        )
    assert "taken" in str(stopped.value.code)


def test_a_file_that_cannot_be_audited_loads_no_statistics(files):
    (files / "wrong.csv").write_text("image,width,height\na,1,2\nb,3,4\n")
    code = (
        "import sys\n"
        "from medaudit.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end)\n"
        "print({'numba', 'scipy', 'sklearn', 'matplotlib', 'torch', 'snakemake'} & set(sys.modules))"
    )
    done = python(code, "score", str(files / "wrong.csv"))
    assert "found no label and no score column" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("set()")


def test_what_was_detected_is_printed_before_anything_fails(files, capsys):
    with pytest.raises(SystemExit, match="no groups|no column gives groups"):
        main(["score", str(files / "p.csv"), *QUICK])
    shown = " ".join(capsys.readouterr().out.split())
    assert "could also be" in shown and "label label named like the truth; holds 0, 1" in shown
    assert "score score named like a score; probabilities from" in shown


def test_every_choice_can_be_said(files, monkeypatch):
    import medaudit.score

    said = {}

    def score(*tables, **options):
        said.update(options, tables=tables)
        raise MedauditError("stop")

    monkeypatch.setattr(medaudit.score, "score", score)
    (files / "columns.yaml").write_text("label: y\nscore: p\nage: old\n")
    options = ["--columns", str(files / "columns.yaml"), "--not-a-role", "finding", "run"]
    options += ["--ignore", "x", "--groups-columns", "sex", "--decision", "d", "--yes"]
    options += ["--labels", "truth.csv", "--score", "q", "--missing=-9", "--horizon", "365"]
    with pytest.raises(SystemExit, match="stop"):
        main(["score", "a.csv", "b.csv", *options])
    assert [path.name for path in said["tables"][0]] == ["a.csv", "b.csv"]
    assert said["labels"].name == "truth.csv" and said["yes"]
    assert said["columns"] == {
        "label": "y",
        "score": ["q"],
        "age": "old",
        "not_a_role": ["finding", "run"],
        "ignore": ["x"],
        "groups": ["sex"],
        "decision": "d",
        "missing": ["-9"],
        "horizon": 365.0,
    }
