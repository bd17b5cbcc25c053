"""Primary questions are a family of their own: what else is audited costs them no power."""

import numpy as np
import pandas as pd
import pytest

from medaudit.report.studies.evidence import gather
from medaudit.report.studies.facts import adjust_within_families, family_of, gather_facts
from medaudit.report.studies.multiple_testing import (
    EXPLORATORY,
    PRIMARY,
    PRIMARY_FAMILY,
    roles_of,
    step_down,
)
from synthetic_study import make_study

LEAD = (["auc"], "max_min")
QUESTIONS = {"answered": [], "gap": "max_min", "questions": True}


def facts_of(folder, models, **entry) -> tuple[pd.DataFrame, pd.DataFrame, object]:
    study = make_study(folder, models=models)
    study["settings"]["entry"] = study["settings"]["entry"] | entry
    evidence = gather(**{name: study[name] for name in ("settings", "metrics", "gaps", "cards")})
    facts = gather_facts(evidence)
    return facts, facts[facts["kind"] == "gap"], evidence


def test_without_questions_a_runs_answers_are_a_family_and_so_is_every_other_measure(tmp_path):
    facts, gaps, _ = facts_of(tmp_path, ("pixels", "vit_random"))
    assert facts["role"].isna().all()
    tested = gaps[gaps["p_value"].notna()]
    answered = tested["measure"].isin(["auc", "ece"]) & tested["gap"].eq("max_min")
    answered &= tested["task"].ne("mean_of_gaps")
    # AUC and ECE by three attributes; and one measure by three attributes of four runs.
    assert set(tested.loc[answered, "family_size"]) == {2 * 3}
    assert tested.loc[answered, "family"].nunique() == 4
    assert set(tested.loc[~answered, "family_size"]) == {4 * 3}


def test_questions_are_one_family_and_the_rest_is_exploratory(tmp_path):
    questions = [
        {"metric": "auc", "attribute": "sex", "models": ["pixels"]},
        {
            "metric": "f1",
            "attribute": ["sex", "age_group"],
            "methods": ["mlp"],
            "gap": "worst_rest",
        },
    ]
    facts, gaps, evidence = facts_of(tmp_path, ("pixels", "vit_random"), questions=questions)
    primary = gaps[gaps["role"] == PRIMARY]
    found = set(primary[["metric", "attribute", "gap", "model", "method"]].itertuples(index=False))
    expected = {("auc", "sex", "max_min", "pixels", m) for m in ("linear", "mlp")}
    models = ("pixels", "vit_random")
    expected |= {("f1", "sex & age_group", "worst_rest", m, "mlp") for m in models}
    assert {tuple(row) for row in found} == expected
    assert set(primary["family"]) == {PRIMARY_FAMILY} and set(primary["family_size"]) == {4}
    rest = gaps[gaps["role"] == EXPLORATORY]
    assert len(rest) == len(gaps) - 4
    answered = rest["measure"].isin(["auc", "ece"]) & rest["gap"].eq("max_min")
    answered &= rest["task"].ne("mean_of_gaps")
    assert rest.loc[~answered, "family"].str.startswith("exploratory; gap;").all()
    assert set(facts.loc[facts["kind"] != "gap", "role"]) == {EXPLORATORY}
    sizes = rest[answered].groupby("model")["family_size"].unique()
    # The question on AUC by sex of `pixels` is not in its family of answers.
    assert list(sizes["pixels"]) == [6 - 1] and list(sizes["vit_random"]) == [6]


def test_subjects_alone_make_their_leading_gaps_the_primary_questions(tmp_path):
    _, gaps, evidence = facts_of(tmp_path, ("pixels", "vit_random"), subjects=["vit_random"])
    primary = gaps[gaps["role"] == PRIMARY]
    assert set(primary["model"]) == {"vit_random"} and set(primary["measure"]) == {"auc"}
    assert set(primary["gap"]) == {"max_min"} and len(primary) == 2 * 3
    rows = evidence.gaps
    rows = rows[rows["model"].eq("vit_random") & rows["gap"].eq("max_min")]
    rows = rows[rows["measure"].isin(["auc", "ece"]) & rows["seed"].eq("mean")]
    rows = rows[rows["task"].eq("mean")]
    for method, own in rows.groupby("method"):
        drawn = evidence.permutations(own)
        centre, spread = drawn.mean(axis=1, keepdims=True), drawn.std(axis=1, keepdims=True)
        value = own["value"].to_numpy()[:, None]
        together = step_down(((value - 1e-6 - centre) / spread)[:, 0], (drawn - centre) / spread)
        together = np.maximum(together, own["p_value"].to_numpy())
        auc = own["measure"].eq("auc").to_numpy()
        expected = dict(zip(own["attribute"][auc], together[auc], strict=True))
        found = primary[primary["method"] == method].set_index("attribute")["p_adjusted"]
        assert found.to_dict() == pytest.approx(expected)


def test_more_models_leave_the_primary_p_values_as_they_are(tmp_path):
    entry = {"subjects": ["pixels"]}
    more = ("pixels", "vit_random", *(f"copy_{k}" for k in range(3)))
    few, many = (
        facts_of(tmp_path / str(len(models)), models, **entry)[1] for models in (("pixels",), more)
    )
    key = ["model", "method", "attribute", "metric", "gap"]
    first, second = (f[f["role"] == PRIMARY].set_index(key)["p_adjusted"] for f in (few, many))
    pd.testing.assert_series_equal(first, second)


MODELS, ATTRIBUTES, METRICS, DRAWS = 9, ("sex", "race", "age_group"), ("auc", "tpr"), 199


def simulate(rng: np.random.Generator, effect: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Gaps of a subject and eight near-identical models; only the subject's AUC by sex is real.

    Gaps of one attribute are correlated over models (.98) and metrics (.5), as are their
    permutations; those of different attributes are independent.
    """
    rows, drawn = [], []
    for attribute in ATTRIBUTES:
        sample = rng.normal(size=1 + DRAWS)
        by_metric = {m: (sample + rng.normal(size=1 + DRAWS)) / np.sqrt(2) for m in METRICS}
        for metric, model in ((t, m) for t in METRICS for m in range(MODELS)):
            own = rng.normal(size=1 + DRAWS)
            z = np.sqrt(0.98) * by_metric[metric] + np.sqrt(0.02) * own
            real = effect if (attribute, metric, model) == ("sex", "auc", 0) else 0
            value, null = z[0] + real, z[1:]
            p = (1 + (null >= value).sum()) / (1 + DRAWS)
            rows.append(("gap", "c", metric, "max_min", "mean", f"m{model}", attribute, value, p))
            drawn.append(null)
    names = ["kind", "cohort", "measure", "gap", "task", "model", "attribute", "value", "p_value"]
    return pd.DataFrame(rows, columns=names).assign(method="x"), np.array(drawn)


def primary_p(gaps: pd.DataFrame, drawn: np.ndarray, entry: dict) -> pd.DataFrame:
    gaps = gaps.assign(role=roles_of(gaps, entry, LEAD))
    gaps = gaps.assign(family=family_of(gaps, **QUESTIONS))
    return adjust_within_families(gaps, lambda rows: drawn[rows.index])


def test_the_primary_family_keeps_its_level_and_copies_cost_the_subject_no_power():
    entry = {
        "questions": [
            {"metric": metric, "attribute": attribute, "models": ["m0"]}
            for metric in METRICS
            for attribute in ATTRIBUTES
        ]
    }
    rng, size = np.random.default_rng(7), 300
    false, found, alone = 0, 0, 0
    for _ in range(size):
        gaps, drawn = simulate(rng, effect=0.0)
        adjusted = primary_p(gaps, drawn, entry)
        primary = adjusted[adjusted["role"] == PRIMARY]
        assert len(primary) == 6
        false += (primary["p_adjusted"] <= 0.05).any()
        gaps, drawn = simulate(rng, effect=4.0)
        real = gaps["model"].eq("m0") & gaps["attribute"].eq("sex") & gaps["measure"].eq("auc")
        found += (primary_p(gaps, drawn, entry)["p_adjusted"][real] <= 0.05).sum()
        own = gaps["model"] == "m0"
        single = primary_p(gaps[own].reset_index(drop=True), drawn[own], entry)
        alone += (single["p_adjusted"].to_numpy()[real[own]] <= 0.05).sum()
    # The standard error of a share of .05 over 300 samples is .0126.
    assert false / size <= 0.05 + 2.5 * 0.0126
    assert found == alone and found / size >= 0.8
