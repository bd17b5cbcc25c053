"""The workflow used from another folder, as `module` and snakedeploy do it."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, Checkout

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]
SNAKEFILE = """
configfile: "config/config.yaml"

module medaudit:
    snakefile: {place!r}
    config: config

use rule * from medaudit
"""


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}


@pytest.fixture
def user(tmp_path) -> Path:
    """A folder of somebody who uses the workflow as a module, with a configuration of their own."""
    for name in ("config", "workflow"):
        (tmp_path / name).mkdir()
    place = str(ROOT / "workflow" / "Snakefile")
    (tmp_path / "workflow" / "Snakefile").write_text(SNAKEFILE.format(place=place))
    (tmp_path / "config" / "config.yaml").write_text((ROOT / "config" / "smoke.yaml").read_text())
    return tmp_path


def test_check_says_of_a_module_the_jobs_that_snakemake_plans_in_the_checkout(user):
    command = [sys.executable, "-m", "medaudit", "check"]
    done = subprocess.run(command, cwd=user, env=environment(user), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = Checkout.copy(user / "checkout").plan("--configfile", "config/smoke.yaml")
    assert f"{len(jobs)} jobs" in done.stdout
    for rule, count in Counter(rule for rule, _ in jobs).items():
        assert re.search(rf"^{rule} +{count} ", done.stdout, re.MULTILINE), rule
    assert "nih_6x200_small: 480 images, 1966080 bytes" in done.stdout
    assert not (user / "results").exists()


def test_a_catalogue_beside_the_users_configuration_wins(user):
    cohorts = yaml.safe_load((ROOT / "config" / "cohorts.yaml").read_text())
    cohorts["cohorts"]["nih_6x200_small"]["cell_size"] = 19
    (user / "config" / "cohorts.yaml").write_text(yaml.safe_dump(cohorts))
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    done = subprocess.run(command, cwd=user, env=environment(user), capture_output=True, text=True)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "cohorts.nih_6x200_small.split: 20 images in all, but cell_size is 19" in said
    assert "Traceback" not in said


def test_the_catalogue_of_workflows_finds_what_it_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True
    assert (ROOT / "workflow" / "Snakefile").is_file()
    readme = (ROOT / "config" / "README.md").read_text()
    for path in (ROOT / "config").glob("*.yaml"):
        assert path.name in readme, path.name
