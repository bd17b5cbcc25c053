"""The workflow as a command sees it: its configuration as merged, and the jobs a run would do."""

import re
import subprocess
import sys
from pathlib import Path

from medaudit.config.validation import CATALOGUES, check, load
from medaudit.core.errors import MedauditError

SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
_RULE = re.compile(r"^(?:local)?rule (\w+):$\n((?:^ +.*\n?)*)", re.MULTILINE)
_WILDCARDS = re.compile(r"^    wildcards: (.*)$", re.MULTILINE)


def read_config(overlays: list[Path]) -> dict:
    """Return the checked configuration of a run from the current folder.

    Parameters
    ----------
    overlays : list of Path
        What the run gets by ``--configfile``, in order.

    Raises
    ------
    MedauditError
        There is no workflow, a file cannot be read, or the configuration is not valid.
    """
    own = checkout()
    names = [*CATALOGUES, "config"]
    here = [Path("config", f"{name}.yaml") for name in names]
    found = [
        *(path if path.is_file() else own / path for path in here[:-1]),
        own / here[-1],
        *filter(Path.is_file, here[-1:]),
    ]
    return check(load([*found, *overlays], {}), own / "workflow" / "schemas")


def checkout() -> Path:
    """Return the folder of the workflow: the current one, or the checkout that holds this package.

    Raises
    ------
    MedauditError
        Neither holds it.
    """
    for folder in (Path(), Path(__file__).parents[3]):
        if (folder / "workflow" / "schemas").is_dir():
            return folder
    raise MedauditError(
        "there is no medaudit workflow here, and this package was not installed from a checkout: "
        "run from the checkout, or install the package from it (pip install -e)"
    )


def planned_jobs(overlays: list[Path]) -> list[tuple[str, dict[str, str]]]:
    """Return rule and wildcards of each job that a run from the current folder would do.

    It is Snakemake's own dry run, in a process of its own; nothing is written but its metadata.

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
        raise MedauditError(f"Snakemake's dry run ended with {done.returncode}:\n{last}")
    return parse_jobs(done.stdout)


def parse_jobs(output: str) -> list[tuple[str, dict[str, str]]]:
    """Return rule and wildcards, in their order, of each job in the text of a dry run."""
    jobs = []
    for rule, body in _RULE.findall(output):
        found = _WILDCARDS.search(body)
        pairs = found[1].split(", ") if found else []
        jobs.append((rule, dict(pair.split("=", 1) for pair in pairs)))
    return [job for job in jobs if job[0] != "all"]
