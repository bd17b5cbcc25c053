"""Kill a small but whole audit again and again: does the same command end with the same bytes?

An undisturbed run is the reference. Then, from an empty folder, the same command is started, hit at
random moments (delay, victim and kind are drawn), and started again, until every stage has been hit
as often as asked for and the audit has ended; then from an empty folder again. After each end all
results are compared with the reference's, byte for byte, but for what `VOLATILE` lists.

``python benchmarks/survive.py FOLDER [--kills 100] [--seed 1] [--reference RESULTS]``. It needs
Linux. The last line holds ``kills=<n> completed=<n> different=<n>``; exit code 1 if any differ.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

ROOT = Path(__file__).parents[1]
OVERLAY = ROOT / "benchmarks" / "survive.yaml"
COHORT = "survive"
TASKS = ("Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation")
VOLATILE = {
    "log/**/*": "times of day",
    "benchmark/**/*": "wall time and memory",
    "search/**/*": "Optuna's journal: times, processes, trials that were killed",
    "tables/*/search.*": "what searches cost: hours, and epochs lost with killed trials",
    "report.html": "when it was made, and the table of costs",
    "**/.snakemake_timestamp": "Snakemake's, empty",
}
"""Files that differ from run to run by their nature, and why."""
COLUMNS = ("seconds", "processor_seconds", "worker")
"""What is left out of ``best_trial``: what a trial cost, and who ran it; so are trials that were lost."""
KEYS = ("seconds", "processor_seconds", "lost", "time", "dirty")
"""What is left out of JSON, with the hashes of inputs that hold one of these."""
KINDS = {
    "SIGKILL job": "the kernel's out-of-memory killer takes a job's Python",
    "SIGTERM job": "somebody ends a job politely",
    "memory limit": "a job cannot allocate any more",
    "SIGKILL all": "the machine dies",
    "SIGKILL Snakemake": "its jobs go on as orphans",
    "SIGTERM Snakemake": "the session is ended",
}
WEIGHTS = (5, 3, 2, 5, 3, 2)


@dataclass
class Audit:
    """One folder in which the command is run.

    Parameters
    ----------
    folder : Path
        Made if it is not there; it gets ``config``, ``workflow`` and so on by links.
    overlays : list of str
        Configuration files.
    targets : list of str
        None: the whole audit.
    environment : dict of str to str
        Further variables.
    root : Path
        The checkout whose code runs.
    """

    folder: Path
    overlays: list[str]
    targets: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    root: Path = ROOT

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("workflow", "config", "profiles"):
            if not (self.folder / name).exists():
                (self.folder / name).symlink_to(self.root / name)

    def start(self, *options: str, prefix: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start the command, perhaps under another; its output is appended to ``log``."""
        command = [*prefix, sys.executable, "-m", "snakemake", "--configfile", *self.overlays]
        command += ["--cores", "2", *options, "--", *self.targets]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(self.root / "src")}
        environment |= {"MEDAUDIT_DATA": str(self.folder.parent / "data"), "OMP_NUM_THREADS": "1"}
        environment |= {"MEDAUDIT_CHECKPOINT_SECONDS": "0", **self.environment}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )

    @property
    def log(self) -> Path:
        """What Snakemake says, beside the folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def run(self) -> int:
        """Run the command to its end; return its exit code."""
        return self.start().wait()

    def clear(self) -> None:
        """Empty the folder."""
        for name in ("results", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def processes(self) -> Iterator[psutil.Process]:
        """Yield every process that works here."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd() == str(self.folder) and process.pid != os.getpid():
                    yield process

    def jobs(self) -> list[tuple[str, psutil.Process]]:
        """Return the jobs that run: stage and process."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                words = process.cmdline()
                if words[1:2] == ["-m"] and words[2].startswith("medaudit."):
                    found.append((words[2].rpartition(".")[2], process))
        return found


def main() -> None:
    """Run the reference, then kill; the last line is for machines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--each", type=int, default=2, help="hits of a stage before a run may end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reference", type=Path, help="results of an undisturbed run, made before")
    parser.add_argument("--configfile", nargs="+", default=[str(OVERLAY)])
    parser.add_argument("--targets", nargs="*", default=[])
    options = parser.parse_args()
    reference = options.reference or run_reference(options)
    audit = Audit(options.folder / "a run", options.configfile, options.targets)
    sys.exit(survive(audit, reference, options))


def run_reference(options: argparse.Namespace) -> Path:
    """Run the audit undisturbed and return its results."""
    audit = Audit(options.folder / "reference", options.configfile, options.targets)
    if OVERLAY.samefile(options.configfile[0]):
        write_scores(options)
    began = time.monotonic()
    if audit.run():
        sys.exit(f"the undisturbed run failed: {audit.log}")
    print(f"reference: {time.monotonic() - began:.0f} s", flush=True)
    return audit.folder / "results"


def write_scores(options: argparse.Namespace) -> None:
    """Draw the scores of the model that is a stranger's file."""
    path = options.folder / "data" / "stranger.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    cohort = f"results/cohort/{COHORT}.parquet"
    audit = Audit(options.folder / "scores", options.configfile, [cohort])
    if audit.run():
        sys.exit(f"the cohort could not be made: {audit.log}")
    frame = pd.read_parquet(audit.folder / cohort, columns=["image_id", "split"])
    kept = frame.loc[frame["split"] != "train", "image_id"].tolist()
    scores = np.random.default_rng(0).dirichlet(np.ones(len(TASKS)), len(kept))
    table = pd.DataFrame(scores, columns=[f"score_{task}" for task in TASKS])
    table.insert(0, "image_id", kept)
    table.to_csv(path, index=False)


@dataclass
class Tally:
    """What has been hit."""

    kinds: Counter = field(default_factory=Counter)
    stages: Counter = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        """How many kills there were."""
        return sum(self.kinds.values())

    def add(self, kind: str, hit: list[str]) -> None:
        """Count one kill and the stages that were running when it came."""
        self.kinds[kind] += 1
        self.stages.update(hit)
        print(f"{self.kills:4d} {kind}: {', '.join(sorted(hit))}", flush=True)


def survive(audit: Audit, reference: Path, options: argparse.Namespace) -> int:
    """Kill until enough; return 1 if any completed run differs from the reference."""
    drawn, tally = random.Random(options.seed), Tally()
    stages = sorted(
        {path.parts[0].removesuffix(".log") for path in files_of(reference / "log", {})}
    )
    completed = different = starts = 0
    print(f"seed {options.seed}, stages: {', '.join(stages)}", flush=True)
    while tally.kills < options.kills or not completed:
        audit.clear()
        quota, code = tally.stages.copy(), 1
        for stage in stages:
            quota[stage] += options.each
        calm = 0
        while code:
            starts, before = starts + 1, tally.kills
            enough = before >= options.kills
            code = disturb(audit, drawn, tally, Counter() if enough else quota)
            calm = calm + 1 if tally.kills == before else 0
            if code and calm == 3:
                sys.exit(f"failed three times undisturbed: {audit.log}")
        problems = compare(reference, audit.folder / "results")
        completed, different = completed + 1, different + bool(problems)
        print(f"ended after {starts} starts; differing: {problems or 'none'}", flush=True)
    print("\n".join(f"{kind:18} {tally.kinds[kind]:4d}" for kind in KINDS))
    print("\n".join(f"{stage:18} {tally.stages[stage]:4d}" for stage in stages))
    print(f"kills={tally.kills} starts={starts} completed={completed} different={different}")
    return int(different > 0)


def disturb(audit: Audit, drawn: random.Random, tally: Tally, quota: Counter) -> int:
    """Start the command once and hit jobs of stages below their quota; return its exit code."""
    running, due, squeezed = audit.start(), {}, {}
    while running.poll() is None:
        time.sleep(0.03)
        jobs = audit.jobs()
        settle(squeezed, jobs, tally)
        for stage, job in jobs:
            if job not in due and tally.stages[stage] < quota[stage]:
                due[job] = time.monotonic() + drawn.uniform(0, drawn.choice((0.5, 3, 8)))
            if job in due and job not in squeezed and time.monotonic() >= due[job]:
                kind = drawn.choices(list(KINDS), WEIGHTS)[0]
                hit(audit, running, kind, (stage, job), jobs, tally, squeezed)
                if "job" not in kind and kind != "memory limit":
                    return running.wait() or 1
                due[job] = float("inf")
    settle(squeezed, [], tally)
    return running.returncode


def hit(audit, running, kind, victim, jobs, tally, squeezed) -> None:
    """Do what `kind` says; a squeezed job counts when it is gone."""
    stage, job = victim
    with suppress(psutil.NoSuchProcess):
        if kind == "memory limit":
            used = job.memory_info().vms
            resource.prlimit(job.pid, resource.RLIMIT_AS, (used, used))
            words = job.cmdline()
            squeezed[job] = stage, audit.folder / words[words.index("--output") + 1]
            return
        if kind in ("SIGKILL job", "SIGTERM job"):
            job.send_signal(getattr(signal, kind.split()[0]))
            tally.add(kind, [stage])
            return
    alive = [name for name, process in jobs if process.is_running()]
    running.send_signal(signal.SIGTERM if kind == "SIGTERM Snakemake" else signal.SIGKILL)
    if kind == "SIGKILL all":
        kill_all(audit, running)
    if alive:
        tally.add(kind, alive)


def kill_all(audit: Audit, running: subprocess.Popen) -> None:
    """Kill every process that works in a folder, also what a dying one still starts."""
    while left := list(audit.processes()):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.poll()


def settle(squeezed: dict, jobs: list, tally: Tally) -> None:
    """Count squeezed jobs that have ended without a result; others needed no more memory."""
    alive = {process for _, process in jobs}
    for job in [job for job in squeezed if job not in alive]:
        stage, output = squeezed.pop(job)
        if not output.exists():
            tally.add("memory limit", [stage])


def compare(reference: Path, results: Path) -> list[str]:
    """Return the files that are in one folder alone, or differ."""
    ours, theirs = files_of(results, VOLATILE), files_of(reference, VOLATILE)
    alone = [str(path) for path in sorted(ours ^ theirs)]
    return alone + [
        str(path)
        for path in sorted(ours & theirs)
        if contents(results / path) != contents(reference / path)
    ]


def contents(path: Path) -> object:
    """Return a file's bytes; of a few files what is left without times and costs."""
    if path.parts[-4:-3] == ("best_trial",) and path.suffix == ".csv":
        trials = pd.read_csv(path, dtype=str).drop(columns=list(COLUMNS))
        return trials[trials["state"] != "lost"].to_csv(index=False)
    if path.suffix == ".json" and (
        path.name in ("run.json",) or path.parts[-4:-3] == ("best_trial",)
    ):
        return without(json.loads(path.read_text()), KEYS)
    if path.name.endswith(".made.json"):
        record = json.loads(path.read_text())
        record["inputs"] = {k: v for k, v in record["inputs"].items() if "/best_trial/" not in k}
        return record
    return path.read_bytes()


def without(value: object, keys: tuple[str, ...]) -> object:
    """Return a JSON value without some keys, at any depth."""
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    return [without(part, keys) for part in value] if isinstance(value, list) else value


def files_of(folder: Path, volatile: dict[str, str]) -> set[Path]:
    """Return the files below a folder, relative to its parent's results, but for volatile ones."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    left_out = {path.relative_to(folder) for pattern in volatile for path in folder.glob(pattern)}
    return found - left_out


if __name__ == "__main__":
    main()
