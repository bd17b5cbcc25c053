"""Changes by adaptation against plain loops; planted levelling down is found, its absence not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medaudit.core.audit_tables import DIALECTS
from medaudit.core.table_io import METRICS, read_table, write_array, write_table
from medaudit.report.studies.evidence import gather, replicates_of
from medaudit.report.studies.extras import gather_extras
from medaudit.report.studies.facts import gather_facts
from medaudit.report.studies.levelling import (
    Levelling,
    find_changes,
    judge_levelling,
    starting_points,
)
from medaudit.report.tables.changes import answer
from synthetic_extras import add_extras
from synthetic_study import make_study, run_gaps, write_gaps

METHODS = ("zero_shot_clip", "zero_shot_gloria", "linear", "full")
EVIDENCE = ("settings", "metrics", "gaps", "cards")
EXTRAS = ("settings", "dialects", "parts", "probes", "predictions")


def read(study: dict) -> tuple:
    evidence = gather(**{name: study[name] for name in EVIDENCE})
    return evidence, gather_facts(evidence), gather_extras(**{name: study[name] for name in EXTRAS})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, models=("clip",), methods=METHODS, too_few=None)
    return add_extras(study, folder)


@pytest.fixture(scope="module")
def found(inputs) -> pd.DataFrame:
    return find_changes(*read(inputs))


def one(frame: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = frame[np.all([frame[name] == value for name, value in wanted.items()], axis=0)]
    assert len(rows) == 1
    return rows.iloc[0]


def path_of(paths: list[Path], method: str) -> Path:
    return next(path for path in paths if path.stem == method)


def drawn(path: Path, contract, **wanted: str) -> tuple[float, np.ndarray]:
    rows = read_table(path, contract)
    place = one(rows, **wanted).name
    return rows["value"][place], np.load(replicates_of(path))[place].astype(float)


def test_changes_of_accuracy_are_those_of_a_plain_loop(inputs, found):
    whole = {"seed": "mean", "task": "all", "attribute": "all", "group": "all"}
    whole |= {"metric": "accuracy"}
    assert set(found["method"]) == {"linear", "full"}
    for method in ("linear", "full"):
        before, first = drawn(path_of(inputs["metrics"], METHODS[0]), METRICS, **whole)
        after, second = drawn(path_of(inputs["metrics"], method), METRICS, **whole)
        row = one(found, method=method, quantity="accuracy")
        assert row["start"] == METHODS[0]
        assert (row["before"], row["after"]) == (before, after)
        assert row["change"] == pytest.approx(after - before)
        ends = np.percentile(second - first, [2.5, 97.5])
        np.testing.assert_allclose(row[["change_low", "change_high"]].astype(float), ends)


def test_changes_of_the_papers_gaps_are_those_of_a_plain_loop(inputs, found):
    names = {"seed": "mean", "dialect": "CLIP on NIH 6x200", "measure": "F1 delta sex"}
    before, first = drawn(path_of(inputs["dialects"], METHODS[0]), DIALECTS, **names)
    after, second = drawn(path_of(inputs["dialects"], "full"), DIALECTS, **names)
    quantity = "F1 delta sex (CLIP on NIH 6x200)"
    row = one(found, method="full", quantity=quantity)
    assert row["change"] == pytest.approx(after - before, abs=1e-5)
    ends = np.percentile(second - first, [2.5, 97.5])
    np.testing.assert_allclose(row[["change_low", "change_high"]].astype(float), ends, atol=1e-5)


def test_holm_is_over_the_methods_of_one_quantity(found):
    rows = found[found["quantity"] == "accuracy"].sort_values("p_value")
    p, adjusted, least = rows["p_value"].to_numpy(), rows["p_adjusted"].to_numpy(), 0.0
    assert len(p) == 2
    for k in range(2):
        least = max(least, min(1, p[k] * (2 - k)))
        assert adjusted[k] == pytest.approx(least)


def test_the_start_is_the_first_zero_shot_or_else_linear(inputs, tmp_path):
    evidence, _, extras = read(inputs)
    assert starting_points(evidence, extras) == {("cells", "clip"): "zero_shot_clip"}
    study = make_study(tmp_path, models=("pixels",), methods=("mlp", "linear"), too_few=None)
    evidence, facts, extras = read(add_extras(study, tmp_path))
    assert starting_points(evidence, extras) == {("cells", "pixels"): "linear"}
    assert set(find_changes(evidence, facts, extras)["method"]) == {"mlp"}


def test_levelling_by_hand():
    assert judge_levelling((-0.1, -0.02), (-0.12, -0.05), -0.02) == Levelling.DOWN
    assert judge_levelling((-0.1, -0.02), (-0.07, -0.01), 0.03) == Levelling.DOWN
    assert judge_levelling((-0.1, 0.01), (-0.12, -0.05), -0.02) == Levelling.HINT
    assert judge_levelling((-0.1, -0.02), (-0.12, 0.01), -0.02) == Levelling.HINT
    assert judge_levelling((-0.1, -0.02), (-0.03, -0.01), 0.07) == Levelling.UP
    assert judge_levelling((-0.1, -0.02), (0.02, 0.04), 0.12) == Levelling.UP
    assert judge_levelling((0.1, 0.2), (-0.2, -0.1), -0.3) == Levelling.WIDER
    assert judge_levelling((np.nan, np.nan), (-0.2, -0.1), -0.3) == Levelling.UNKNOWN


def planted(folder: Path, metric: str, before: tuple, after: tuple, method: str = "full") -> dict:
    """A study in which female and male have these values; draws scatter by .005 about them."""
    study = make_study(folder, models=("clip",), methods=METHODS, too_few=None)
    for name, values in ((METHODS[0], before), (method, after)):
        path = path_of(study["metrics"], name)
        rows, draws = read_table(path, METRICS), np.load(replicates_of(path))
        for group, value in zip(("female", "male"), values, strict=True):
            hit = rows["group"].eq(group) & rows["metric"].eq(metric)
            noise = np.random.default_rng(len(group)).normal(0, 0.005, draws.shape[1])
            rows.loc[hit, "value"] = value
            draws[np.flatnonzero(hit)] = value + noise
        write_table(rows, path, METRICS)
        write_array(draws, replicates_of(path))
        write_gaps(run_gaps(rows, draws), path_of(study["gaps"], name))
    return add_extras(study, folder)


@pytest.mark.parametrize(
    ("metric", "before", "after", "verdict"),
    [
        ("f1", (0.60, 0.80), (0.59, 0.65), Levelling.DOWN),
        ("f1", (0.60, 0.80), (0.78, 0.80), Levelling.UP),
        ("f1", (0.60, 0.80), (0.55, 0.80), Levelling.WIDER),
        ("ece", (0.20, 0.05), (0.20, 0.15), Levelling.DOWN),
        ("ece", (0.20, 0.05), (0.10, 0.05), Levelling.UP),
    ],
)
def test_planted_levelling_down_is_found_and_nothing_else(tmp_path, metric, before, after, verdict):
    evidence, facts, extras = read(planted(tmp_path, metric, before, after))
    if metric == "ece":
        from medaudit.report.studies import levelling

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(levelling, "MEASURES", ("ece",))
            rows = find_changes(evidence, facts, extras)
    else:
        rows = find_changes(evidence, facts, extras)
    row = one(rows[rows["attribute"] == "sex"], method="full", quantity=f"{NAMES[metric]} by sex")
    assert row["verdict"] == verdict
    assert row["best_group"] == "male" and row["worst_group"] == "female"
    assert row["best_change"] == pytest.approx(after[1] - before[1], abs=1e-5)
    assert row["worst_change"] == pytest.approx(after[0] - before[0], abs=1e-5)


NAMES = {"f1": "F1 gap", "ece": "ECE gap"}


def test_the_answer_counts_what_rose_and_what_is_shown():
    rows = [
        ("accuracy", "all", 0.1, 0.01, None),
        ("accuracy", "all", -0.1, 0.5, None),
        ("accuracy", "all", np.nan, np.nan, None),
        ("F1 delta sex (CLIP on NIH 6x200)", "sex & age_group", 0.02, 0.2, None),
        ("F1 gap by sex", "sex", -0.02, 0.2, Levelling.DOWN),
        ("F1 gap by age group", "age_group", -0.02, 0.2, Levelling.HINT),
    ]
    names = ["quantity", "attribute", "change", "p_adjusted", "verdict"]
    said = answer(pd.DataFrame(rows, columns=names), 0.05)
    assert "accuracy rose in 1 (1) and fell in 1 (0) of 2;" in said
    assert "F1 delta sex rose in 1 (0) and fell in 0 (0) of 1." in said
    assert "F1 gap" not in said
    assert said.endswith("Levelled down: 1 gap, and 1 suggestive only.")
