"""Time left: the rest of the typical work at the speed so far."""

import io
import time
from types import SimpleNamespace

import pytest

from medaudit.config import time_left
from medaudit.config.jobs import JOBS
from medaudit.config.time_left import (
    TYPICAL_SECONDS,
    describe,
    jobs_of_run,
    seconds_left,
    show_time_left,
)


def test_the_rest_is_done_at_the_speed_so_far():
    jobs = [("pretrain", True), ("finetune", True), ("finetune", False), ("unheard", False)]
    pretrain, finetune = TYPICAL_SECONDS["pretrain"], TYPICAL_SECONDS["finetune"]
    expected = 600 * (finetune + 1) / (pretrain + finetune)
    assert seconds_left(jobs, 600) == pytest.approx(expected)
    assert describe(jobs, 600) == f"2 of 4 jobs done, about {expected / 60:.0f} min left"


def test_nothing_is_said_before_anything_is_known():
    assert seconds_left([("finetune", False)], 60) is None
    assert describe([("manifest", True), ("finetune", False)], 60) == ""


def test_every_rule_has_its_typical_time():
    assert TYPICAL_SECONDS.keys() == JOBS.keys()


def test_snakemakes_graph_gives_rules_and_what_is_finished():
    class Dag:
        def needrun_jobs(self, exclude_finished):
            assert not exclude_finished
            names = ("images", "embed")
            return [SimpleNamespace(rule=SimpleNamespace(name=name)) for name in names]

        def finished(self, job):
            return job.rule.name == "images"

    assert jobs_of_run(SimpleNamespace(dag=Dag())) == [("images", True), ("embed", False)]


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_are_for_terminals_only(terminal, monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(time_left, "EVERY", 0.01)
    ended = show_time_left(lambda: [("pretrain", True), ("pretrain", False)])
    time.sleep(0.2)
    ended.set()
    assert ("1 of 2 jobs done, about " in stream.getvalue()) == terminal
