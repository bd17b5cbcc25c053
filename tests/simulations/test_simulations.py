"""The simulations know the truth, notice what breaks a limit, and find that nothing does (slow)."""

from collections import Counter

import numpy as np
import pytest

from acceptance import LIMITS, Check, check
from cells import Cell, all_cells
from medaudit.core.seeds import generator
from medaudit.plan.audit_draw import audit_tables, evaluation_of
from medaudit.plan.population import Group, Population, as_tables, draw, group_of_auc
from outcomes import compare_metrics, run_chunk
from page import render
from run import simulate
from truths import Calibrated, truth_of

METRICS = ["auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "tpr", "fpr"]
METRICS += ["ppv", "npv", "selection_rate", "brier", "ece"]
POPULATIONS = {
    "binormal": Population((Group(60_000, 0.3, 0.85, 0.2), Group(60_000, 0.1, 0.7, 0.1, (0.7, 1.5)))),
    "calibrated": Population((Calibrated(60_000, 0.15), Calibrated(60_000, 0.5, 1.0))),
    "images of a patient": Population(
        (group_of_auc(60_000, 0.35, 0.9),) * 2, (1, 3), 0.5, label_correlation=0.5
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", POPULATIONS)
def test_truth_is_what_a_large_sample_has(case):
    population, truth = POPULATIONS[case], truth_of(POPULATIONS[case])
    drawn = draw(population, generator("truth", case))
    evaluation = evaluation_of(METRICS, ["max_min", "worst_rest"], 2, 2)
    metrics, gaps = audit_tables(*as_tables(drawn, case), case, evaluation)
    rows = metrics[(metrics["attribute"] == "group") & (metrics["group"] != "all")]
    assert len(rows) == 2 * len(METRICS)
    for row in rows.itertuples():
        # Four and more standard errors of a share of the 6,000 positives of the rarest case.
        true = truth.groups[int(row.group[1:])][row.metric]
        assert row.value == pytest.approx(true, abs=0.025 if row.metric == "ppv" else 0.02), row
    for row in gaps.itertuples():
        true = truth.gap(row.gap, row.metric, (True, True))
        assert row.value == pytest.approx(true, abs=0.03), row


def test_which_hypotheses_are_true():
    alike = Population((group_of_auc(10, 0.3, 0.9), group_of_auc(99, 0.3, 0.9)))
    assert truth_of(alike).nulls == {"separation": True, "calibration": True, "parity": True}
    prevalence = Population((group_of_auc(10, 0.1, 0.9), group_of_auc(10, 0.5, 0.9)))
    assert truth_of(prevalence).nulls == {
        "separation": True, "calibration": False, "parity": False,
    }  # fmt: skip
    calibrated = Population((Calibrated(10, 0.15), Calibrated(10, 0.5)))
    assert truth_of(calibrated).nulls == {
        "separation": False, "calibration": True, "parity": False,
    }  # fmt: skip
    shifted = Population((Calibrated(10, 0.15), Calibrated(10, 0.5, 1.0)))
    assert not any(truth_of(shifted).nulls.values())
    assert truth_of(shifted).groups[1]["ece"] == pytest.approx(0.171, abs=0.005)
    assert truth_of(shifted).groups[0]["ece"] == pytest.approx(0, abs=1e-4)


CELL = Cell("two groups", "none", Population((Group(200, 0.4, 0.9, 0.1), Group(9, 0.4, 0.9, 0.1))))


def planted(**changes) -> Counter:
    """Return the counts of 500 samples in which everything is as it should be, with changes."""
    counts = {"samples": 500, "seconds": 1}
    for group, patients in (("g00", 80), ("g01", 4)):
        counts |= {f"patients/{group}/{w}": 500 * patients for w in ("pos", "neg")}
        counts |= {f"metric/tpr/{group}/{w}": 475 for w in ("ok", "covered")}
        counts[f"metric/tpr/{group}/covered"] = 451
    counts |= {"gap/tpr/max_min/ok": 475, "gap/tpr/max_min/covered": 455}
    counts |= {"gap/tpr/max_min/tested": 475, "gap/tpr/max_min/p05": 24}
    counts |= {"gap/tpr/max_min/excludes": 24, "gap/tpr/max_min/no_gap": 475}
    return Counter(counts | {name.replace("__", "/"): value for name, value in changes.items()})


def broken(counts: Counter, cell: Cell = CELL) -> list[tuple[str, str, bool]]:
    checks = check([cell], {cell.name: counts})
    render([cell], {cell.name: counts}, checks)
    return [(c.what, c.where, c.clearly_broken) for c in checks if not c.holds]


def test_limits_are_checked_where_groups_are_large_enough():
    assert broken(planted()) == []
    assert broken(planted(metric__tpr__g00__covered=430)) == [("coverage", "g00", False)]
    assert broken(planted(metric__tpr__g00__covered=380)) == [("coverage", "g00", True)]
    assert broken(planted(metric__tpr__g00__covered=475)) == [("coverage", "g00", True)]
    assert broken(planted(metric__tpr__g01__covered=200)) == []  # 4 patients: no limit
    assert broken(planted(metric__tpr__g01__zero=1)) == [("zero width", "g01", False)]
    assert broken(planted(gap__tpr__max_min__p05=200)) == []
    large = {f"patients__g01__{word}": 500 * 40 for word in ("pos", "neg")}
    assert broken(planted(**large)) == []
    assert broken(planted(**large, gap__tpr__max_min__p05=200)) == [("p <= .05", "max_min", True)]
    assert broken(planted(**large, gap__tpr__max_min__p05=2)) == [("p <= .05", "max_min", True)]
    assert broken(planted(**large, gap__tpr__max_min__excludes=90)) == [
        ("interval excludes 0", "max_min", True)
    ]
    powered = Cell("two groups", "none", CELL.population, power={"tpr": (0.76, 0.84)})
    assert broken(planted(), powered) == [("power", "max_min", True)]
    assert broken(planted(gap__tpr__max_min__p05=380), powered) == []


def test_no_sample_is_no_success():
    assert not Check("a", "tpr", "equivalent", "max_min", float("nan"), 0, 0, 0.055).holds
    assert all(0 <= low <= high <= 1 for low, high in LIMITS.values())


def test_an_interval_that_is_too_short_is_counted():
    cell = next(cell for cell in all_cells() if cell.name == "300/20, AUC 0.8")
    drawn = draw(cell.population, generator("planted"))
    evaluation = evaluation_of(["tpr", "auc"], ["max_min"], 20, 20)
    metrics, _ = audit_tables(*as_tables(drawn, "x"), "x", evaluation)
    truth = truth_of(cell.population)
    metrics["low"] = metrics["high"] = metrics["value"]
    counts = compare_metrics(metrics, truth)
    assert counts["metric/auc/g00/zero"] == 1 and counts["metric/auc/g00/covered"] == 0
    metrics["low"], metrics["high"] = 0.0, 1.0
    counts = compare_metrics(metrics, truth)
    assert counts["metric/auc/g00/covered"] == 1 and counts["metric/auc/g00/zero"] == 0


def test_samples_depend_on_names_alone_and_add_up(tmp_path):
    cell = next(cell for cell in all_cells() if cell.name.startswith("10 positives"))
    parts = run_chunk(cell, range(0, 2)) + run_chunk(cell, range(2, 3))
    whole = run_chunk(cell, range(0, 3))
    parts["seconds"] = whole["seconds"] = 1
    assert {k: pytest.approx(v) for k, v in whole.items() if v} == {
        k: v for k, v in parts.items() if v
    }
    first = simulate([cell], 3, 1, tmp_path)[cell.name]
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert simulate([cell], 3, 1, tmp_path)[cell.name] == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    assert (
        first["samples"] == 3 and first["metric/auc/g01/covered"] == whole["metric/auc/g01/covered"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("topic", sorted({cell.topic for cell in all_cells()}))
def test_what_the_documentation_promises_holds(topic, tmp_path):
    """500 samples a case; a share may be outside its limits by two standard errors of chance."""
    cells = [cell for cell in all_cells() if cell.topic == topic]
    checks = check(cells, simulate(cells, 500, 2, tmp_path))
    assert [c for c in checks if c.clearly_broken] == []
    assert np.mean([c.holds for c in checks]) > 0.9
