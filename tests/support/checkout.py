"""A copy of the checkout that a test may run and edit, in a folder with a space in its name."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout that is tested."""


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's files in `folder`."""

    folder: Path

    @classmethod
    def copy(cls, folder: Path) -> "Checkout":
        """Copy what git knows of, and what is new and not ignored."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            source, target = ROOT / name, folder / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        return cls(folder)

    def environment(self) -> dict[str, str]:
        """Return an environment in which this copy's package is the one imported."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        cache = self.folder.parent / "cache"
        return {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(self.folder / "src"),
            "XDG_CACHE_HOME": str(cache),
        }

    def snakemake(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess:
        """Run Snakemake here; standard error is in ``stdout``."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )

    def plan(self, *arguments: str) -> list[tuple[str, dict[str, str]]]:
        """Return the jobs of a dry run: rule and wildcards."""
        done = self.snakemake("-n", *arguments)
        assert done.returncode == 0, done.stdout
        return parse_jobs(done.stdout)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace `old`, which must stand once in the file `name`."""
        path = self.folder / name
        text = path.read_text()
        assert text.count(old) == 1, (name, old, text.count(old))
        path.write_text(text.replace(old, new))


def parse_jobs(output: str) -> list[tuple[str, dict[str, str]]]:
    """Return rule and wildcards of each job that Snakemake's log names."""
    jobs = []
    for block in re.split(r"\n(?=(?:local)?rule \w+:\n)", output):
        head = re.match(r"(?:local)?rule (\w+):\n", block)
        if head and head[1] != "all":
            found = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
            pairs = [pair.split("=", 1) for pair in found[1].split(", ")] if found else []
            jobs.append((head[1], dict(pairs)))
    return jobs
