"""What a run from the current folder would do: its configuration and its jobs (a dry run)."""

import re
import subprocess
import sys
from pathlib import Path

from medaudit.config.validation import check, load
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError

SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
Job = tuple[str, dict[str, str]]
"""Rule and wildcards."""

_RULE = re.compile(r"^(?:local)?rule (\w+):$\n((?:^ +.*\n?)*)", re.MULTILINE)
_WILDCARDS = re.compile(r"^    wildcards: (.*)$", re.MULTILINE)


def read_config(overlays: list[Path]) -> Config:
    """Return the checked configuration of a run from the current folder.

    Parameters
    ----------
    overlays : list of Path
        Files that the run gets by ``--configfile``, in order.

    Raises
    ------
    MedauditError
        There is no workflow here, a file cannot be read, or the configuration is not valid.
    """
    own = checkout()
    here = Path("config", "config.yaml")
    found = [own / here, *filter(Path.is_file, [here])]
    config = load(own.joinpath, [*found, *overlays], {})
    return check(config, own / "workflow" / "schemas")


def checkout() -> Path:
    """Return the folder of the workflow: the current one, or the checkout that holds this package.

    Raises
    ------
    MedauditError
        Neither has the workflow.
    """
    for folder in (Path(), Path(__file__).parents[3]):
        if (folder / "workflow" / "schemas").is_dir():
            return folder
    raise MedauditError(
        "there is no medaudit workflow here, and this package was not installed from a checkout: "
        "run from the checkout, or install the package from it (pip install -e)"
    )


def planned_jobs(overlays: list[Path]) -> list[Job]:
    """Return the jobs that a run from the current folder would do.

    This runs Snakemake's own dry run in a subprocess, which writes nothing but its metadata.

    Raises
    ------
    MedauditError
        There is no Snakefile here, or the dry run fails; its last lines are repeated.
    """
    if not any(Path(name).is_file() for name in SNAKEFILES):
        raise MedauditError(
            f"there is no Snakefile in {Path.cwd()}: run from the checkout, or from a folder whose "
            "Snakefile uses the workflow as a module"
        )
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    command += ["--configfile", *map(str, overlays)] if overlays else []
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise MedauditError(f"Snakemake's dry run failed with status {done.returncode}:\n{last}")
    return parse_jobs(done.stdout)


def parse_jobs(output: str) -> list[Job]:
    """Return the jobs in the text of a dry run, in its order, without ``all``."""
    jobs: list[Job] = []
    for rule, body in _RULE.findall(output):
        found = _WILDCARDS.search(body)
        pairs = found[1].split(", ") if found else []
        jobs.append((rule, dict(pair.split("=", 1) for pair in pairs)))
    return [job for job in jobs if job[0] != "all"]
