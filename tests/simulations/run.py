"""Simulates audits with a known truth: ``python tests/simulations/run.py --cells 300/20``.

Counts of each chunk of samples are stored below ``--out``, by the version of the code that made
them, so that an interrupted run goes on where it was and more samples add to what is there.
The page ``docs/statistics_simulations.md`` is written if ``--page`` is given, with ``--stored`` of
what is there already.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # two processes, not two processes of two threads

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from cells import FIRST, Cell, all_cells  # noqa: E402
from medaudit.core.code_version import code_version  # noqa: E402
from medaudit.core.table_io import read_json, write_json  # noqa: E402
from outcomes import run_chunk  # noqa: E402

CHUNK = 50


def version() -> str:
    """Return a hash of the audited code and of what draws and counts samples."""
    digest = hashlib.sha256()
    modules = (
        "metrics.group_audit",
        "audit.disparity",
        "plan.population",
        "plan.audit_draw",
        "plan.worse",
    )
    digest.update(code_version(*modules).encode())
    for name in ("truths.py", "outcomes.py"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:12]


def path_of(cell: Cell, chunk: int, folder: Path) -> Path:
    """Return where the counts of one chunk of a cell are stored."""
    content = repr(cell).encode()
    if cell.kind == "planned":
        content += code_version("plan.planning").encode()
    return folder / f"{hashlib.sha256(content).hexdigest()[:16]}.{chunk}.json"


def make_chunk(cell: Cell, chunk: int, size: int, path: Path) -> float:
    """Simulate one chunk, store its counts and return its seconds."""
    start = chunk * CHUNK
    counts = run_chunk(cell, range(start, start + size))
    write_json({k: float(v) for k, v in counts.items()}, path)
    return counts["seconds"]


def simulate(cells: list[Cell], samples: int, processes: int, folder: Path) -> dict[str, Counter]:
    """Simulate what is not stored yet and return the counts by cell."""
    parts = [(cell, *part) for cell in cells for part in _chunks(cell, samples, folder)]
    lacking = [part for part in parts if not part[3].exists()]
    # Every case gets its first chunk before one gets its last.
    lacking.sort(key=lambda part: (part[0].topic not in FIRST, part[1]))
    with ProcessPoolExecutor(processes) as pool:
        jobs = {pool.submit(make_chunk, *parts): parts for parts in lacking}
        for done, job in enumerate(as_completed(jobs), 1):
            cell, chunk, size, _ = jobs[job]
            each = job.result() / size
            print(f"{done}/{len(jobs)} {cell.name} [{chunk}]: {each:.3f} s/sample", flush=True)
    return read_counts(cells, samples, folder)


def read_counts(cells: list[Cell], samples: int, folder: Path) -> dict[str, Counter]:
    """Return the counts that are stored, by cell; a cell that was not simulated has none."""
    return {
        cell.name: sum(
            (
                Counter(read_json(path))
                for _, _, path in _chunks(cell, samples, folder)
                if path.exists()
            ),
            Counter(),
        )
        for cell in cells
    }


def engine() -> str:
    """Return which code was simulated: its commit and its version."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"commit {found.stdout.strip() or 'unknown'}, code version {version()}"


def _chunks(cell: Cell, samples: int, folder: Path) -> list[tuple[int, int, Path]]:
    found = []
    for chunk in range(-(-samples // CHUNK)):
        size = min(CHUNK, samples - chunk * CHUNK)
        name = chunk if size == CHUNK else f"{chunk}of{size}"
        found.append((chunk, size, path_of(cell, name, folder)))
    return found


def main() -> None:
    """Run the cells that were asked for and print their tables."""
    from acceptance import check
    from page import render, summarise

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cells",
        nargs="+",
        default=["*"],
        metavar="PATTERN",
        help="parts of topics or names, e.g. 'Few positives' '300/20*'",
    )
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/simulations"))
    parser.add_argument("--page", type=Path, help="Markdown file to write")
    parser.add_argument(
        "--stored", action="store_true", help="simulate nothing, count what is stored"
    )
    parser.add_argument("--list", action="store_true", help="list the cells only")
    options = parser.parse_args()
    cells = [cell for cell in all_cells() if _wanted(cell, options.cells)]
    if not cells:
        parser.error(f"no case matches {options.cells}; --list lists them all")
    if options.list:
        print(*(f"{cell.topic}: {cell.name}" for cell in cells), sep="\n")
        return
    folder = options.out / version()
    if options.stored:
        counts = read_counts(cells, options.samples, folder)
    else:
        counts = simulate(cells, options.samples, options.processes, folder)
    lacking = [cell.name for cell in cells if not counts[cell.name]]
    cells = [cell for cell in cells if counts[cell.name]]
    checks = check(cells, counts)
    text = render(cells, counts, checks, engine(), lacking)
    (options.out / "page.md").write_text(text)
    table = [{**asdict(c), "se": c.se, "holds": c.holds} for c in checks]
    pd.DataFrame(table).to_csv(options.out / "checks.csv", index=False)
    print(summarise(cells, counts, checks), f"All shares: {options.out}/page.md, checks.csv")
    if options.page:
        options.page.write_text(text)


def _wanted(cell: Cell, patterns: list[str]) -> bool:
    texts = (cell.name, cell.topic)
    return any(fnmatch(text, f"*{pattern}*") for text in texts for pattern in patterns)


if __name__ == "__main__":
    main()
