"""Stage `search`: one worker of the search for what to tune, beside any number of others.

All workers of a search share one Optuna journal, named after everything its trials depend on. A
worker may come and go at any time: the trial of one that was killed is given back, and a worker
that finds the search ended ends at once.
"""

import hashlib
import json
import shutil
import signal
from pathlib import Path

from medaudit.core.code_version import code_version
from medaudit.core.stage import run
from medaudit.core.table_io import write_json
from medaudit.models.weights.files import file_sha256, resolve_weights


def search(
    settings: dict, *, cohort: Path, images: Path, output: Path, worker: int, threads: int = 1
) -> None:
    """Run trials of a search until it has as many as it is to have.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``model_entry`` and ``entry`` (catalogue entries
        of model and method), ``tasks``, ``task_type``.
    cohort, images : Path
        The cohort's table and its image store.
    output : Path
        What this worker did (JSON), and the name of the journal, which lies beside it.
    worker : int
        Number of this worker; the trials do not depend on it.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The objective has no value on this validation split, or for too many points.
    """
    from medaudit.adapt.objective import direction_of
    from medaudit.search.journal import open_journal
    from medaudit.search.trials import open_study
    from medaudit.search.worker import Worker
    from medaudit.search.worker_leases import Leases

    def make_runner():
        from medaudit.search.trial_runner import TrialRunner

        return TrialRunner(settings, cohort=cohort, images=images, threads=threads, scratch=scratch)

    name = fingerprint(settings, cohort, images)
    journal = output.with_name(f"{name}.journal")
    scratch = journal.with_suffix(".scratch")
    storage, lock = open_journal(journal)
    signal.signal(signal.SIGTERM, lock.stop)
    direction = direction_of(settings["entry"]["objective"]["metric"])
    study = open_study(storage, lock, name, settings["entry"], direction)
    seed = " ".join(settings[key] for key in ("cohort", "model", "method"))
    with Leases(journal.with_suffix(".workers")) as leases:
        finished = Worker(study, lock, leases, {**settings, "seed": seed}, make_runner).work()
    shutil.rmtree(scratch, ignore_errors=True)
    write_json({"worker": worker, "trials": finished, "journal": journal.name}, output)


def fingerprint(settings: dict, cohort: Path, images: Path) -> str:
    """Return a hash of all that a search's trials depend on: settings, data, weights and code."""
    kind = settings["model_entry"]["kind"]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    modules = (
        "search.trial_runner",
        f"adapt.finetune.trainers.{settings['entry'].get('training', 'erm')}",
    )
    digest.update(code_version("search.search", *modules, f"models.kinds.{kind}").encode())
    for path in (cohort, images / "index.parquet", images / "card.json"):
        digest.update(file_sha256(path).encode())
    if settings["model_entry"].get("weights"):
        weights = resolve_weights({**settings["model_entry"], "name": settings["model"]})
        digest.update(file_sha256(weights).encode())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    run(search)
