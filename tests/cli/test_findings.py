"""`medaudit findings`: the worst answers about subjects, each study's first."""

import json

import pytest

from medaudit.cli import main
from medaudit.cli.findings import main_findings
from medaudit.report.answers.structure import AttributeAnswer, RunAnswer, StudyAnswers, as_json


def study(name: str, *kinds: str, role: str = "subject") -> StudyAnswers:
    run = RunAnswer(
        **{"cohort": "c", "model": "m", "method": "x", "name": f"{name} run"},
        **{"role": role, "first": True, "sentence": "", "overall": ()},
        attributes=tuple(
            AttributeAnswer(kind, kind.lower(), kind, kind, f"{name} {kind}.", ()) for kind in kinds
        ),
    )
    return StudyAnswers(name, name, 0.95, ("tpr",), "", "", ("m",), (), runs=(run,))


def test_the_worst_of_each_study_comes_first_and_controls_have_none():
    studies = [
        study("a", "NOT_SHOWN", "SHOWN"),
        study("b", "HINT", "SHOWN", "SHOWN"),
        study("c", "SHOWN", role="control"),
    ]
    found = main_findings(studies)
    assert [line.split(". ")[1] for line in found] == ["a SHOWN.", "b SHOWN.", "a NOT_SHOWN."]


def test_the_command_prints_them_and_the_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "tables" / "a"
    folder.mkdir(parents=True)
    (folder / "answers.json").write_text(json.dumps(as_json(study("a", "SHOWN"))))
    (tmp_path / "results" / "run.json").write_text(json.dumps({"config": {"run": ["a"]}}))
    (tmp_path / "results" / "report.html").write_text("x")
    main(["findings"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "- a run on c, by shown: SHOWN. a SHOWN."
    assert lines[1] == f"report: {tmp_path / 'results' / 'report.html'}"


def test_without_a_report_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run `snakemake`"):
        main(["findings"])
