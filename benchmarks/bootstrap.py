"""Bootstrap of AUC by group: the audit engine against loops over scikit-learn and fairlearn.

38,240 images x 14 labels x 12 groups x 1,000 replicates by patient (`cheXpert`-sized), and
1,000,000 images x 1 label x 6 groups x 1,000 replicates. The loops run on a slice and are
extrapolated; the slice of scikit-learn is checked to give the same numbers as the engine.

Run: ``python benchmarks/bootstrap.py [--threads 2] [--only small|large]``. Times are of compiled
code (numba compiles once for a machine and keeps it). The last line holds ``ratio=<x>``, the
ratio to scikit-learn for the first case.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from medaudit.metrics.attributes import Attribute, find_strata
from medaudit.metrics.engine import group_values
from medaudit.metrics.resampling import cut_blocks, draw_patients, run_blocks
from medaudit.metrics.sorted_scores import sort_images

DRAWS = 1000
CASES = {"small": (38_240, 12_866, 14, 12), "large": (1_000_000, 1_000_000, 1, 6)}


def simulate(images: int, patients: int, labels: int, groups: int):
    """Return patients, groups, strata, labels and scores drawn at random."""
    rng = np.random.default_rng(0)
    owner = np.append(np.arange(patients), rng.integers(0, patients, images - patients))
    group = rng.integers(0, groups, patients)[owner].astype(np.int32)
    attribute = Attribute("group", tuple(map(str, range(groups))), group)
    stratum = find_strata(owner, [attribute])
    y = rng.random((labels, images)) < 0.15
    score = 1 / (1 + np.exp(-rng.normal(1.2 * y, 1)))
    return owner, group, stratum, y, score


def bootstrap_engine(case, groups: int, threads: int) -> np.ndarray:
    """Return AUCs, shape (labels, groups, replicates)."""
    owner, group, stratum, y, score = case
    ones = np.ones(owner.size)
    same = {"unit": owner, "group": group, "n_groups": groups, "factor": ones, "bins": 15}
    tasks = [
        sort_images(positive=y[t], score=score[t], decision=None, **same) for t in range(len(y))
    ]
    found = np.empty((len(y), groups, DRAWS), np.float32)

    def compute(block: slice) -> None:
        weights = draw_patients(stratum, "benchmark", block)
        for t, scores in enumerate(tasks):
            found[t, :, block] = group_values(scores, ["auc"], weights)[0]

    run_blocks(compute, cut_blocks(DRAWS, stratum.size), threads)
    return found


def time_sklearn(case, groups: int, found: np.ndarray, calls: int) -> float:
    """Return seconds for all AUCs of the case, from a slice of `calls` groups and replicates."""
    from sklearn.metrics import roc_auc_score

    owner, group, stratum, y, score = case
    weights = draw_patients(stratum, "benchmark", slice(0, calls))
    members = [np.flatnonzero(group == g) for g in range(groups)]
    spent = 0.0
    for b in range(calls):
        g, t = b % groups, b % len(y)
        mine = members[g]
        start = time.process_time()
        rows = np.repeat(mine, weights[owner[mine], b])
        auc = roc_auc_score(y[t, rows], score[t, rows])
        spent += time.process_time() - start
        np.testing.assert_allclose(auc, found[t, g, b], rtol=1e-5)
    return spent / calls * groups * len(y) * DRAWS


def time_fairlearn(case, groups: int, draws: int) -> float:
    """Return seconds for all AUCs by `MetricFrame(n_boot=...)`, from one label and few draws."""
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import roc_auc_score

    _, group, _, y, score = case
    spent = []
    for n_boot in (1, 1 + draws):
        start = time.process_time()
        MetricFrame(
            metrics=roc_auc_score, y_true=y[0], y_pred=score[0], sensitive_features=group,
            n_boot=n_boot, ci_quantiles=[0.025, 0.975], random_state=0,
        )  # fmt: skip
        spent.append(time.process_time() - start)
    return (spent[1] - spent[0]) / draws * len(y) * DRAWS


def run_case(name: str, threads: int) -> dict:
    """Time the engine on one case in this process: seconds, CPU seconds, peak memory."""
    images, patients, labels, groups = CASES[name]
    case = simulate(images, patients, labels, groups)
    warm = [part[:200] for part in case[:2]] + [
        np.zeros(200, int),
        case[3][:1, :200],
        case[4][:1, :200],
    ]
    warm[0] = np.arange(200)
    bootstrap_engine(warm, groups, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    found = bootstrap_engine(case, groups, threads)
    result = {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "inputs_mib": before / 1024,
    }
    if name == "small":
        result["sklearn"] = time_sklearn(case, groups, found, 60)
        result["fairlearn"] = time_fairlearn(case, groups, 3)
    return result


def main() -> None:
    """Run each case in a process of its own, so that peak memory is its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=list(CASES))
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(run_case(options.case, options.threads)))
        return
    rows = {}
    for name in [options.only] if options.only else CASES:
        command = [sys.executable, __file__, "--case", name, "--threads", str(options.threads)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows[name] = json.loads(output.splitlines()[-1])
        images, _, labels, groups = CASES[name]
        one = rows[name]
        print(
            f"{name}: {images:,} images x {labels} labels x {groups} groups x {DRAWS:,} replicates,"
            f" {options.threads} threads: {one['seconds']:.2f} s, {one['cpu']:.2f} CPU s,"
            f" peak {one['peak_mib']:.0f} MiB (of which {one['inputs_mib']:.0f} before)"
        )
    table = pd.Series(rows.get("small", {}))
    if "sklearn" in table:
        cpu = table["cpu"]
        print(f"scikit-learn loop: {table['sklearn']:.0f} CPU s (extrapolated from 60 AUCs)")
        print(f"fairlearn MetricFrame: {table['fairlearn']:.0f} CPU s (extrapolated from 3 draws)")
        print(f"fairlearn ratio: {table['fairlearn'] / cpu:.0f}")
        print(f"ratio={table['sklearn'] / cpu:.0f}")


if __name__ == "__main__":
    main()
