"""Stage `search`: one worker of a search for the parameters to tune; any number may run at once.

All workers of a search share one Optuna journal, named after everything that its trials depend on. A
worker may start and stop at any time: the trial of a killed worker is requeued, and a worker that
starts after the search has ended exits at once.
"""

import hashlib
import json
import shutil
import signal
from pathlib import Path

from medaudit.adapt.finetune_settings import FinetuneSettings
from medaudit.core.code_version import code_version
from medaudit.core.stage import run
from medaudit.core.table_io import write_json
from medaudit.models.weights.files import file_sha256, resolve_weights


def search(
    settings: FinetuneSettings,
    *,
    cohort: Path,
    images: Path,
    output: Path,
    worker: int,
    threads: int = 1,
) -> None:
    """Run trials until the search has as many as its method asks for.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``model_entry`` and ``entry`` (entries of model
        and method in the catalogue), ``tasks``, ``task_type``.
    cohort, images : Path
        The cohort's table and its image store.
    output : Path
        JSON: how many trials this worker finished, and the name of the journal, which is in the
        same folder.
    worker : int
        Number of this worker; the trials do not depend on it.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The objective is undefined on this validation split, or at too many points.
    """
    from medaudit.adapt.objective import direction_of
    from medaudit.search.journal import open_journal
    from medaudit.search.trials import open_study
    from medaudit.search.worker import Worker
    from medaudit.search.worker_leases import Leases

    def make_runner():
        # Late: a worker that starts after the end of the search does not import torch.
        from medaudit.search.trial_runner import TrialRunner

        return TrialRunner(settings, cohort=cohort, images=images, threads=threads, scratch=scratch)

    name = fingerprint(settings, cohort, images)
    journal = output.with_name(f"{name}.journal")
    scratch = journal.with_suffix(".scratch")
    storage, lock = open_journal(journal)
    signal.signal(signal.SIGTERM, lock.handle_sigterm)
    direction = direction_of(settings["entry"]["objective"]["metric"])
    study = open_study(storage, lock, name, settings["entry"], direction)
    with Leases(journal.with_suffix(".workers")) as leases:
        finished = Worker(study, lock, leases, settings, make_runner).work()
    shutil.rmtree(scratch, ignore_errors=True)
    write_json({"worker": worker, "trials": finished, "journal": journal.name}, output)


def fingerprint(settings: FinetuneSettings, cohort: Path, images: Path) -> str:
    """Return a hash of everything that the trials depend on: settings, data, weights and code.

    The code includes modules that `code_version` cannot find by following imports, because they
    are chosen by name at run time: the trainer and the kind of model.
    """
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
