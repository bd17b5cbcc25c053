"""The workers of a search: sequences, kills, counts, and a planted optimum."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest

import search_stub
from medaudit.core.audit_tables import SEARCH
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import read_json, read_table
from medaudit.search.best_trial import best_trial
from medaudit.search.bit_importance import describe_bits
from medaudit.search.journal import open_journal
from medaudit.search.search import fingerprint, search
from medaudit.search.space import suggest_point
from medaudit.search.trials import POSITION, is_lost, make_sampler, requeue_lost_trials
from medaudit.search.worker_leases import Leases
from search_stub import StubRunner, settings, value_of, write_inputs

MEASURED = ["seconds", "processor_seconds", "worker"]


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    """Train with the stub; journals need not survive a power cut here."""
    monkeypatch.setitem(sys.modules, "medaudit.search.trial_runner", search_stub.module())
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(folder: Path, given: dict, worker: int = 0) -> Path:
    """Run one worker to its end; return its output."""
    output = folder / "search" / f"{worker}.json"
    search(given, output=output, worker=worker, **write_inputs(folder))
    return output


def trials_of(output: Path) -> list[optuna.trial.FrozenTrial]:
    journal = output.with_name(read_json(output)["journal"])
    storage, _ = open_journal(journal)
    return optuna.load_study(study_name=journal.stem, storage=storage).get_trials()


def choose(output: Path, given: dict) -> tuple[dict, pd.DataFrame]:
    """Run the stage `best_trial`; return its JSON and its table."""
    parts = [output.parent / name for name in ("select.json", "select.csv")]
    best_trial(given, search=output, output=parts[0], trials=parts[1])
    return read_json(parts[0]), read_table(parts[1], SEARCH)


def sequence(folder: Path, given: dict) -> pd.DataFrame:
    return choose(run(folder, given), given)[1].drop(columns=MEASURED)


@pytest.mark.parametrize("space", ["blocks36", "depth_first36"])
def test_one_worker_goes_through_the_same_trials_each_time(tmp_path, space):
    given = settings(space=space)
    tables = [sequence(tmp_path / name, given) for name in ("one", "two")]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["number"].tolist() == list(range(12))
    assert set(tables[0]["state"]) == {"complete", "pruned"}


class Killed(BaseException):
    """Stands for SIGKILL."""


def kill_after(monkeypatch, writes: int) -> None:
    """Let the process die after `writes` writes to the journal, with its last line incomplete."""
    backend = optuna.storages.journal.JournalFileBackend
    write, left = backend.append_logs, [writes]

    def append(self, logs):
        left[0] -= 1
        if left[0] < 0:
            with Path(self._file_path).open("a") as stream:
                stream.write('{"op_code": 5, "worker_id"')
            raise Killed
        write(self, logs)

    monkeypatch.setattr(backend, "append_logs", append)


@pytest.mark.parametrize("space", ["blocks36", "depth_first36"])
def test_kills_between_any_two_writes_change_nothing(tmp_path, monkeypatch, space):
    given = settings(space=space)
    whole = sequence(tmp_path / "whole", given)
    monkeypatch.setattr(Leases, "alive", lambda self, token: token == self.token)
    done, kills, output = False, 0, None
    while not done:
        with monkeypatch.context() as patch:
            kill_after(patch, 23 + 4 * kills)
            try:
                output, done = run(tmp_path / "killed", given), True
            except Killed:
                kills += 1
    assert kills > 5
    chosen, table = choose(output, given)
    pd.testing.assert_frame_equal(table.drop(columns=MEASURED), whole)
    lost = [trial for trial in trials_of(output) if is_lost(trial)]
    assert chosen["trials"]["lost"] == len(lost) > 3
    assert (tmp_path / "killed/search").joinpath(read_json(output)["journal"]).read_bytes()[
        -1:
    ] == (b"\n")


def test_the_lock_of_a_killed_holder_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("medaudit.search.journal.GRACE_SECONDS", 3)
    storage, _ = open_journal(tmp_path / "x.journal")
    optuna.create_study(storage=storage, study_name="a")
    (tmp_path / "x.journal.lock").touch()
    start, (storage, lock) = time.monotonic(), open_journal(tmp_path / "x.journal")
    assert 2 < time.monotonic() - start < 20
    assert lock.depth == 0
    optuna.create_study(storage=storage, study_name="b")
    assert not (tmp_path / "x.journal.lock").exists()


def start(folder: Path, given: dict, worker: int) -> subprocess.Popen:
    paths = {**write_inputs(folder), "output": folder / "search" / f"{worker}.json"}
    payload = json.dumps({**given, "paths": {k: str(v) for k, v in paths.items()}})
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, search_stub.__file__, payload]
    return subprocess.Popen(command, env=environment, stderr=(folder / f"{worker}.log").open("w"))


def kill_in_a_trial(worker: subprocess.Popen, journal: Path) -> None:
    """Kill a worker while it trains a point."""
    patience = time.monotonic() + 60
    while time.monotonic() < patience:
        time.sleep(0.02)
        if not journal.exists() or not journal.stat().st_size:
            continue
        worker.send_signal(signal.SIGSTOP)
        leases = [(path.stem, path) for path in journal.with_suffix(".workers").glob("[!.]*.json")]
        own = [t for t, path in leases if read_json(path)["process"] == worker.pid]
        backend = optuna.storages.journal.JournalFileBackend(str(journal))
        storage = optuna.storages.JournalStorage(backend)
        trials = [t for study in storage.get_all_studies() for t in all_trials(storage, study)]
        running = [t.user_attrs for t in trials if t.state.name == "RUNNING"]
        if own and own[0] in [attrs["worker"] for attrs in running if "point" in attrs]:
            worker.kill()
            return
        worker.send_signal(signal.SIGCONT)
    pytest.fail("the worker never trained")


def all_trials(storage, study) -> list:
    return storage.get_all_trials(study._study_id)


def test_two_of_four_workers_killed_and_nothing_is_lost_or_counted_twice(tmp_path):
    given = {**settings(trials=12, pruning=None), "sleep": 0.1}
    workers = [start(tmp_path, given, worker) for worker in range(4)]
    output = tmp_path / "search" / "3.json"
    journal = output.with_name(f"{fingerprint(given, **write_inputs(tmp_path))}.journal")
    for worker in workers[:2]:
        kill_in_a_trial(worker, journal)
    assert [worker.wait(timeout=90) for worker in workers] == [-9, -9, 0, 0]
    trials = trials_of(output)
    counted = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert len(counted) == 12
    assert sorted(t.user_attrs[POSITION] for t in counted) == list(range(12))
    assert {t.state.name for t in trials} == {"COMPLETE", "FAIL"}
    lost = [t for t in trials if is_lost(t)]
    assert len(lost) == 2
    for trial in lost:
        requeued = [t for t in counted if t.user_attrs[POSITION] == trial.user_attrs[POSITION]]
        assert [t.params for t in requeued] == [trial.params]
    chosen, table = choose(output, given)
    assert chosen["trials"] == {"complete": 12, "pruned": 0, "undefined": 0, "lost": 2}
    assert chosen["value"] == table["value"].max() == value_of(chosen["point"])
    assert sum(read_json(tmp_path / f"search/{w}.json")["trials"] for w in (2, 3)) <= 12


def test_sigterm_ends_a_worker_with_75_and_its_point_is_given_back_at_once(tmp_path):
    given = {**settings(trials=3, pruning=None), "sleep": 0.2}
    worker = start(tmp_path, given, 0)
    journal = tmp_path / f"search/{fingerprint(given, **write_inputs(tmp_path))}.journal"
    waited = time.monotonic() + 60
    while time.monotonic() < waited:
        if journal.exists() and '"intermediate_value"' in journal.read_text():
            break
        time.sleep(0.05)
    worker.terminate()
    assert worker.wait(timeout=30) == 75
    assert list(journal.with_suffix(".workers").iterdir()) == []
    output = run(tmp_path, given)
    assert choose(output, given)[0]["trials"]["lost"] == 1


def test_a_worker_that_comes_too_late_builds_nothing(tmp_path, monkeypatch):
    run(tmp_path, settings())
    monkeypatch.setattr(StubRunner, "__init__", lambda *a, **k: pytest.fail("built"))
    assert read_json(run(tmp_path, settings(), worker=5))["trials"] == 0


def test_a_changed_setting_code_or_data_begins_another_search(tmp_path):
    paths = write_inputs(tmp_path)
    names = {fingerprint(settings(), **paths), fingerprint(settings(epochs=5), **paths)}
    paths["cohort"].write_bytes(b"other content")
    names.add(fingerprint(settings(), **paths))
    assert len(names) == 3


def test_a_trial_that_was_given_to_another_worker_is_not_counted(tmp_path, monkeypatch):
    train, stolen = StubRunner.run, []

    def run_late(self, point, report):
        if not stolen:
            journal = next((tmp_path / "search").glob("*.journal"))
            storage, lock = open_journal(journal)
            study = optuna.load_study(study_name=journal.stem, storage=storage)
            with lock:
                requeue_lost_trials(study, lambda token: False)
            stolen.append(point)
        train(self, point, report)

    monkeypatch.setattr(StubRunner, "run", run_late)
    output = run(tmp_path, settings())
    chosen, table = choose(output, settings())
    assert chosen["trials"]["lost"] == 1
    assert len(table) == 12
    assert table["mask"].iloc[0] == stolen[0]["mask"]


def test_points_without_a_value_fail_and_do_not_count(tmp_path, monkeypatch):
    train, seen = StubRunner.run, Counter()

    def diverge(self, point, report):
        seen["runs"] += 1
        if seen["runs"] in (2, 5):
            report(1, np.full((4 * search_stub.STEPS, 1), np.nan))
        train(self, point, report)

    monkeypatch.setattr(StubRunner, "run", diverge)
    chosen, table = choose(run(tmp_path, settings()), settings())
    assert chosen["trials"]["undefined"] == 2
    assert table["state"].isin(["complete", "pruned"]).sum() == 12
    assert table.loc[table["state"] == "undefined", "number"].tolist() == [1, 4]
    assert table.loc[table["state"] == "undefined", "value"].isna().all()


def test_a_search_where_nothing_has_a_value_says_so(tmp_path, monkeypatch):
    broken = np.full((4 * search_stub.STEPS, 1), np.nan)
    monkeypatch.setattr(StubRunner, "run", lambda self, point, report: report(1, broken))
    with pytest.raises(
        MedauditError, match="undefined at 4 points and defined at 0, for 3 trials: lower"
    ):
        run(tmp_path, settings(trials=3))


def test_best_trial_refuses_a_search_that_has_not_ended(tmp_path):
    output = run(tmp_path, settings())
    with pytest.raises(MedauditError, match="12 of 13 trials"):
        choose(output, settings(trials=13))


def test_best_trial_adds_up_and_finds_what_the_table_says(tmp_path):
    given = settings(trials=40)
    chosen, table = choose(run(tmp_path, given), given)
    complete = table[table["state"] == "complete"]
    assert chosen["value"] == complete["value"].max()
    first = complete[complete["value"] == chosen["value"]].iloc[0]
    assert chosen["point"]["mask"] == first["mask"]
    assert chosen["best"][-1] == chosen["value"]
    assert chosen["best"] == sorted(chosen["best"])
    assert chosen["epochs"] == {
        "run": table["epochs"].sum(),
        "lost": 0,
        "without_pruning": 160,
    }
    assert chosen["seconds"] == pytest.approx(table["seconds"].sum(), rel=1e-2, abs=1e-2)
    values = [value_of(p) for p in complete[["mask", "learning_rate"]].to_dict("records")]
    np.testing.assert_allclose(complete["value"], values, atol=0.011)


def test_a_bit_that_matters_is_stable_and_one_that_does_not_is_not():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (80, 3))
    value = bits[:, 0] + 0.1 * rng.random(80)
    order = np.argsort(-value)
    masks = ["".join(map(str, row)) for row in bits[order]]
    layout = {"units": ["a"], "components": ["norms", "attention", "mlp"]}
    found = describe_bits(masks, np.ones(80, bool), value[order], layout, "name")
    best = bits[order][:20]
    assert [bit["frequency"] for bit in found] == pytest.approx(best.mean(axis=0))
    assert found[0]["low"] == found[0]["high"] == 1
    assert all(0 < bit["low"] < bit["frequency"] < bit["high"] < 1 for bit in found[1:])
    assert found[0]["importance"] > 0.9
    assert max(bit["importance"] for bit in found[1:]) < 0.1


def test_signs_of_life(tmp_path, monkeypatch):
    with Leases(tmp_path) as own:
        other = Leases(tmp_path)
        with other:
            assert own.alive(other.token)
            path = tmp_path / f"{other.token}.json"
            os.utime(path, (0, 0))
            assert not own.alive(other.token)
            os.utime(path)
            lease = read_json(path)
            gone = subprocess.Popen(["true"])
            gone.wait()
            path.write_text(json.dumps({**lease, "process": gone.pid}))
            assert not own.alive(other.token)
            path.write_text(json.dumps({"machine": "elsewhere", "process": gone.pid}))
            assert own.alive(other.token)
        assert not own.alive(other.token)


LAYOUT = SimpleNamespace(units=tuple(range(12)), components=search_stub.COMPONENTS)
PLANTED = "000" * 6 + "010" + "011" + "101" * 2 + "110" * 2
"""Best of the masks of 12 blocks."""


def best_of(sampler: str, space: str, seed: int, trials: int = 50) -> float:
    """Return the best value of a search for the planted mask, without a journal."""
    given = {**settings()["entry"], "space": space, "sampler": sampler, "trials": trials}
    study = optuna.create_study(direction="maximize")
    for place in range(trials):
        study.sampler = make_sampler({**given, "seed": f"s{seed}"}, place)
        trial = study.ask()
        point = suggest_point(trial, given, LAYOUT)
        right = sum(a == b for a, b in zip(point["mask"], PLANTED, strict=True))
        study.tell(trial, right - abs(np.log10(point["learning_rate"]) + 3))
    return study.best_value


@pytest.mark.parametrize("space", ["blocks36", "depth_first36"])
def test_tpe_finds_better_points_than_chance_in_most_seeds(space):
    pairs = [(best_of("tpe", space, s), best_of("random", space, s)) for s in range(5)]
    assert sum(tpe > chance for tpe, chance in pairs) >= 4, pairs
