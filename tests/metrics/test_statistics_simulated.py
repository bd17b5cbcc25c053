"""Coverage of intervals and level of permutation tests, over simulated cohorts.

Slow: ``pytest -m slow tests/metrics/test_statistics_simulated.py -s`` prints the numbers of
``docs/statistics.md``.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from medaudit.audit.disparity import find_gaps
from medaudit.metrics.group_audit import audit

pytestmark = pytest.mark.slow
RUNS = 400
TASKS = ("A", "B", "C")


def simulate(rng, patients, groups, signal, tasks=1, prevalence=None):
    """One cohort of patients with 1 to 4 images; scores of a patient and of tasks are dependent.

    `signal[g]` is how far positives of group g lie above negatives, in standard deviations.
    """
    images = rng.choice([1, 1, 2, 3, 4], patients)
    owner = np.repeat(np.arange(patients), images)
    group = rng.integers(0, groups, patients)[owner]
    base = np.full(groups, 0.35) if prevalence is None else np.asarray(prevalence)
    illness = rng.normal(size=patients)[owner]
    cohort = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(owner.size)],
            "patient_id": [f"p{p:05d}" for p in owner],
            "split": "test",
            "a_group": [f"g{g:02d}" for g in group],
        }
    )
    rows = []
    effect, shared = rng.normal(size=patients)[owner], rng.normal(size=owner.size)
    for task in TASKS[:tasks]:
        logit = np.log(base / (1 - base))[group] + illness
        y = (rng.random(owner.size) < expit(logit)).astype(float)
        noise = 0.6 * effect + 0.5 * shared + 0.62 * rng.normal(size=owner.size)
        score = expit(noise + np.asarray(signal)[group] * y - 0.7)
        keys = {"image_id": cohort["image_id"], "split": "test", "task": task, "seed": 0}
        rows.append(pd.DataFrame({**keys, "y": y, "score": score}))
    return pd.concat(rows, ignore_index=True), cohort


def settings_of(run, metrics, gaps, draws=50, null=50, method="percentile"):
    return {
        "cohort": f"run{run}", "model": "m", "method": "x", "task_type": "multilabel",
        "attributes": ["group"],
        "evaluation": {
            "metrics": metrics, "gaps": gaps, "threshold": {"rule": "fixed", "value": 0.5},
            "bootstrap": {"draws": draws, "level": 0.95, "method": method},
            "null": {"draws": null}, "minimum": {"n": 2, "n_pos": 1, "n_neg": 1},
        },
    }  # fmt: skip


def audit_run(predictions, cohort, settings):
    metrics, replicates = audit(predictions, cohort, settings)
    gaps, _ = find_gaps(predictions, cohort, settings, metrics, replicates)
    return metrics[metrics["seed"] == "0"], gaps[gaps["seed"] == "0"]


def covers(frame, truth):
    """Share of rows whose interval holds the truth; no interval counts as a miss."""
    return float(((frame["low"] <= truth + 1e-9) & (frame["high"] >= truth - 1e-9)).mean())


METRICS = ["auc", "average_precision", "tpr", "fpr", "ppv", "f1", "selection_rate", "brier", "ece"]


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_of_metrics_cover(method):
    signal = [1.6, 1.1]
    rng = np.random.default_rng(11)
    truth = {}
    big = simulate(rng, 400_000, 2, signal)
    frame, _ = audit(*big, settings_of(0, METRICS, ["max_min"]))
    for row in frame[frame["seed"] == "0"].itertuples():
        truth[row.attribute, row.group, row.metric] = row.value
    found = []
    for run in range(RUNS):
        predictions, cohort = simulate(rng, 400, 2, signal)
        settings = settings_of(run, METRICS, [], draws=1000, method=method)
        metrics, _ = audit(predictions, cohort, settings)
        found.append(metrics[(metrics["seed"] == "0") & (metrics["metric"] != "threshold")])
    found = pd.concat(found)
    found = found[found["attribute"] == "group"]
    shares = {}
    for (group, metric), part in found.groupby(["group", "metric"]):
        shares[group, metric] = covers(part, truth["group", group, metric])
        print(f"coverage {method} {group} {metric}: {shares[group, metric]:.4f}")
    off = {
        key: share
        for key, share in shares.items()
        if not (0.90 if key[1] == "ece" else 0.92) <= share <= (1 if key[1] == "ece" else 0.975)
    }
    assert not off


CASES = {
    "2 groups, no gap": [1.4, 1.4],
    "2 groups, gap": [1.8, 0.9],
    "4 groups, no gap": [1.4] * 4,
    "4 groups, one worse": [1.6, 1.6, 1.6, 0.8],
    "8 groups, no gap": [1.4] * 8,
    "8 groups, small spread": [1.2, 1.25, 1.3, 1.35, 1.4, 1.45, 1.5, 1.55],
    "8 groups, one worse": [1.6] * 7 + [0.6],
}


@pytest.mark.parametrize("case", CASES)
def test_intervals_of_gaps_cover(case):
    signal = CASES[case]
    kinds = ["max_min", "worst_rest", "ratio", "std", "es", "dto"]
    rng = np.random.default_rng(12)
    size = 100_000 * len(signal)
    _, true = audit_run(*simulate(rng, size, len(signal), signal), settings_of(0, ["auc"], kinds))
    exact = dict(zip(true["gap"], true["value"], strict=True))
    if len(set(signal)) == 1:
        exact.update({"max_min": 0, "worst_rest": 0, "ratio": 1, "std": 0})
    found = []
    for run in range(RUNS):
        predictions, cohort = simulate(rng, 120 * len(signal), len(signal), signal)
        _, gaps = audit_run(predictions, cohort, settings_of(run, ["auc"], kinds, draws=1000))
        found.append(gaps)
    shares = {}
    for gap, part in pd.concat(found).groupby("gap"):
        shares[gap] = covers(part, exact[gap])
        width = (part["high"] - part["low"]).mean()
        print(f"gap coverage [{case}] {gap} {exact[gap]:.4f}: {shares[gap]:.4f} width {width:.3f}")
    assert not {gap: share for gap, share in shares.items() if share < 0.92}


@pytest.mark.parametrize("groups", [2, 4, 12])
def test_fair_models_are_rejected_at_the_level(groups):
    prevalence = np.linspace(0.2, 0.5, groups)
    rng = np.random.default_rng(13)
    found = []
    for run in range(RUNS):
        predictions, cohort = simulate(
            rng, 60 * groups + 120, groups, [1.4] * groups, 3, prevalence
        )
        settings = settings_of(
            run, ["auc", "tpr", "fpr", "selection_rate"], ["max_min", "worst_rest"], null=399
        )
        found.append(audit_run(predictions, cohort, settings)[1])
    found = pd.concat(found)
    found["over"] = found["task"].where(~found["task"].isin(TASKS), "single")
    off = {}
    for key, part in found.groupby(["metric", "gap", "over"]):
        share = (part["p_value"] <= 0.05).mean()
        print(f"rejected at 5 %, {groups} groups, {' '.join(key)}: {share:.4f}")
        low, high = (0.03, 0.07) if key[2] == "single" else (0.02, 0.09)
        if not low <= share <= high:
            off[key] = share
    assert not off
