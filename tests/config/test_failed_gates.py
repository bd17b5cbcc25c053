"""A run whose gate failed ends with 3 and the list; one that failed otherwise does not."""

import os
import time

import pytest

from medaudit.config.failed_gates import exit_if_failed

LIST = "medaudit gate: study demo: 1 of 2 gaps with a margin fail the gate:\n- unfair: x\n"


def write(folder, log: str, output: bool = False, age: float = 0) -> None:
    for place, name, text in (("log/gate", "demo.log", log), ("gate", "demo.json", "{}")):
        if place == "gate" and not output:
            continue
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / name).write_text(text)
        then = time.time() - age
        os.utime(folder / place / name, (then, then))


def test_a_failed_gate_ends_the_run_with_3_and_its_list(tmp_path, capsys):
    write(tmp_path, f"2026 medaudit: reads\n{LIST}")
    with pytest.raises(SystemExit) as caught:
        exit_if_failed(tmp_path, time.time() - 60)
    assert caught.value.code == 3 and capsys.readouterr().err == LIST


@pytest.mark.parametrize(
    "files",
    [
        {"log": LIST, "age": 3600},  # an earlier run
        {"log": LIST, "output": True},  # it passed in the end
        {"log": "Traceback: no space left on device\n"},  # it failed without a verdict
    ],
)
def test_nothing_else_does(tmp_path, files):
    write(tmp_path, **files)
    exit_if_failed(tmp_path, time.time() - 60)


def test_a_run_without_gates_is_left_alone(tmp_path):
    exit_if_failed(tmp_path, 0)
