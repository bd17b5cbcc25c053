"""What workflow/rules/recovery.smk relies on inside Snakemake: an upgrade that changes it fails here.

That results are recovered is tested in test_survival.py, locks and records in tests/core.
"""

import inspect
import shutil
import subprocess
import sys

import pytest
import snakemake.api  # noqa: F401 -- first, as its modules import each other in a circle
from snakemake.dag import DAG
from snakemake.persistence import PersistenceBase
from snakemake.rules import Rule
from snakemake.workflow import Workflow

from checkout import ROOT

RECOVERY = ROOT / "workflow" / "rules" / "recovery.smk"
PROBE = """
from pathlib import Path
from snakemake.rules import Rule

def force(wildcards):
    if workflow.is_main_process:
        records, outputs = workflow.persistence, [p.apply_wildcards(wildcards) for p in rule_a.output]
        assert isinstance(rule_a, Rule) and all(isinstance(path, str) for path in outputs)
        assert isinstance(records.path, Path) and records.path.name == ".snakemake"
        assert isinstance(workflow.dag.forcefiles, set)
        known = [bool(records.metadata(path)) for path in outputs]
        print("hook", outputs, known, bool(workflow.executor_plugin), workflow.dryrun)
        if Path(outputs[0]).exists() and not all(known):
            workflow.dag.forcefiles.update(outputs)
    return []

rule a:
    output: "{name}.txt"
    shell: "echo made >> {output}.log; touch {output}"

rule_a = rules.a.rule
rule_a.set_input(force)

rule all:
    default_target: True
    input: "x.txt"
"""


def test_the_names_that_the_hook_uses_exist():
    for name in ("is_main_process", "executor_plugin", "dryrun", "persistence", "dag"):
        assert isinstance(getattr(Workflow, name), property), name
    assert "forcefiles" in inspect.signature(DAG.__init__).parameters
    assert list(inspect.signature(PersistenceBase.metadata).parameters) == ["self", "target"]
    assert isinstance(PersistenceBase.path, property)
    assert (
        inspect.signature(Rule.set_input).parameters["input"].kind
        is inspect.Parameter.VAR_POSITIONAL
    )


def test_all_of_snakemakes_internals_are_used_in_one_file():
    internals = ("persistence", "forcefiles", "workflow.dag", ".set_input(", "is_main_process")
    for path in (ROOT / "workflow").rglob("*"):
        if path.is_file() and path != RECOVERY:
            assert not [name for name in internals if name in path.read_text()], path
    assert all(name in RECOVERY.read_text() for name in internals)


@pytest.fixture
def run(tmp_path):
    """Run Snakemake on a tiny workflow with such a hook; return what it printed."""
    (tmp_path / "Snakefile").write_text(PROBE)

    def snakemake(*arguments: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return snakemake


@pytest.mark.workflow
def test_the_hook_sees_each_job_before_it_is_decided_and_can_force_it(run, tmp_path):
    assert "hook ['x.txt'] [False] True True" in run("--dry-run")
    assert "hook ['x.txt'] [False] True False" in run()
    assert "Nothing to be done" in run()
    assert "hook ['x.txt'] [True] True False" in run()
    shutil.rmtree(tmp_path / ".snakemake" / "metadata")
    assert "Forced execution" in run("--dry-run")
    run()
    assert (tmp_path / "x.txt.log").read_text().split() == ["made", "made"]
    assert "Nothing to be done" in run()
