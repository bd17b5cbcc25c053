"""Tables, tests, claims and figures of studies of searches against plain loops and planted truths."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import friedmanchisquare, studentized_range

from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.table_io import METRICS, read_json, read_table
from medaudit.report.figures.curves import curve_rows, trajectory_rows
from medaudit.report.figures.masks import frequency_rows, stability_rows
from medaudit.report.page.fairtune_answers import TOGETHER, answer_searches
from medaudit.report.studies.context import Context
from medaudit.report.studies.contrasts import Estimate
from medaudit.report.studies.evidence import replicates_of
from medaudit.report.studies.fairtune_claims import find_search_claims
from medaudit.report.studies.fairtune_comparisons import arm_of, comparisons
from medaudit.report.studies.fairtune_outcomes import QUANTITIES, Outcomes, mean_over_cohorts
from medaudit.report.studies.published import read_published
from medaudit.report.studies.rank_tests import cliques, critical_difference, rank_rows, rank_test
from medaudit.report.tables import fairtune
from medaudit.report.tables.search import search
from medaudit.report.verdicts import Verdict
from report_context import changed, read_context, requested_figures, requested_tables
from shipped_config import SCHEMAS, edited, shipped
from synthetic_searches import (
    CROSSED,
    EPOCHS,
    FIGURES,
    GROUPS,
    METHODS,
    TABLES,
    TRIALS,
    VARIANTS,
    make_searches,
    searched,
)

COHORTS = ("fitzpatrick17k_skin_type", "ham10000_age", "ham10000_sex")
COHORTS += ("papila_age", "ol3i_age", "oasis_age")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    return make_searches(tmp_path_factory.mktemp("searches"), COHORTS)


@pytest.fixture(scope="module")
def context(study) -> Context:
    return read_context(study, facts=False)


@pytest.fixture(scope="module")
def made(context) -> dict:
    return requested_tables(context)


@pytest.fixture(scope="module")
def drawn(context) -> dict:
    return requested_figures(context)


@pytest.fixture(scope="module")
def claims(made) -> pd.DataFrame:
    return made["search_claims"].data


@pytest.fixture(scope="module")
def measured(study) -> dict:
    """By run and group: AUC and its replicates, by a plain loop over the files."""
    found = {}
    for path in study["metrics"]:
        rows, draws = read_table(path, METRICS), np.load(replicates_of(path))
        for row, moved in zip(rows.to_dict("records"), draws.astype(float), strict=True):
            if row["seed"] == "mean" and (row["attribute"] == "all") == (row["group"] == "all"):
                run = (row["cohort"], row["model"], row["method"])
                found.setdefault(run, {})[row["group"]] = (row["value"], moved)
    return found


def worst(run: dict, which: int) -> np.ndarray:
    return np.min([parts[which] for group, parts in run.items() if group != "all"], axis=0)


def test_everything_is_made(made, drawn):
    assert list(made) == list(TABLES)
    whole = {"critical_difference", "mask_frequencies"}
    each = {f"{name}-{cohort}" for name in FIGURES[2:] for cohort in (*COHORTS, *CROSSED)}
    assert set(drawn) == whole | each


@pytest.mark.parametrize("name", ["results", "masked_pretraining", "overlapping", "ablation"])
def test_rows_are_the_metrics_in_per_cent(name, made, measured):
    data = made[name].data
    assert len(data)
    for row in data.to_dict("records"):
        run = measured[row["cohort"], row["model"], row["method"]]
        values = [parts[0] for group, parts in run.items() if group != "all"]
        assert len(values) == len(GROUPS[row["attribute"]])
        assert row["auc"] == pytest.approx(100 * run["all"][0], rel=1e-5)
        assert row["min_auc"] == pytest.approx(100 * min(values), rel=1e-5)
        assert row["gap_auc"] == pytest.approx(100 * (max(values) - min(values)), abs=2e-4)
        for key in ("auc", "min_auc", "gap_auc", "eoddsd", "dpd"):
            assert row[f"{key}_low"] <= row[key] <= row[f"{key}_high"]
            assert row[f"{key}_status"] == "ok"


def test_each_table_holds_its_runs(made):
    data = made["results"].data
    assert len(data) == len(COHORTS) * (len(METHODS) + 1)
    assert set(data["model"]) == {"vit", "vit_scratch"}
    masked = made["masked_pretraining"].data
    assert set(masked["model"]) == {"vit_mae", "vit_scratch"}
    assert set(made["overlapping"].data["cohort"]) == set(CROSSED)
    arms = {"full", "fairtune", "random_masks", "fairtune_36_overall", "fairtune_depth_first"}
    arms |= {"fairtune_12_attention", "fairtune_12_layernorm"}
    assert set(made["ablation"].data["arm"]) == arms


def test_published_numbers_stand_beside_the_same_training_pretraining_and_images(made, context):
    data = made["results"].data.set_index(["cohort", "arm"])
    names = ["auc_published", "min_auc_published", "gap_auc_published", "eoddsd_published"]
    age = data.loc["ham10000_age"]
    assert age.loc["fairtune", names].tolist() == pytest.approx([94.0, 90.1, 4.9, 10.1])
    assert age.loc["scratch", names].tolist() == pytest.approx([74.3, 66.3, 10.1, 11.5])
    assert age.loc["random_masks", names].isna().all()
    masked = made["masked_pretraining"].data.set_index(["cohort", "arm"])
    assert masked.loc[("oasis_age", "full"), "min_auc_published"] == pytest.approx(53.7)
    crossed = made["overlapping"].data.set_index(["model", "arm"])
    assert crossed.loc[("vit_mae", "full"), "eoddsd_published"] == pytest.approx(21.84)
    ablation = made["ablation"].data.set_index(["cohort", "arm"])
    assert ablation.loc[("papila_age", "fairtune_36_overall"), "auc_published"] == 88.2
    averages = made["averages"].data.set_index(["comparison", "arm"])
    assert averages.loc[("results", "fairtune"), "min_auc_published"] == pytest.approx(83.1)
    assert averages.loc[("results", "full"), "dpd_rank_published"] == 3.6
    assert averages.loc[("ablation", "full"), "gap_auc_published"] == pytest.approx(3.7)
    cards = {name: {**card, "dataset": "mine"} for name, card in context.evidence.cards.items()}
    moved = fairtune.results(changed(context, {"cards": cards})).data
    assert not any("published" in column for column in moved)


def test_the_transcript_is_the_papers_tables():
    printed = read_published("fairtune")
    assert len(printed) == 1315
    sizes = {"results": 640, "masked_pretraining": 480, "overlapping": 60, "ablation": 135}
    assert printed["table"].value_counts().to_dict() == sizes
    ranks = printed["row"].str.startswith("rank")
    assert printed.loc[ranks, "value"].between(1, 8).all()
    assert printed.loc[~ranks, "value"].between(0, 1).all()
    for table in ("results", "masked_pretraining"):
        own = printed[printed["table"] == table]
        mean = own["row"].str.startswith("average")
        single = own[~mean & ~own["row"].str.startswith("rank")]
        computed = single.groupby(["method", "measure"])["value"].mean()
        assert len(single) == 14 * len(computed)
        for row in own[mean].to_dict("records"):
            key = (row["method"], row["measure"])
            assert row["value"] == pytest.approx(computed[key], abs=0.00051)


def test_arms_follow_from_what_is_trained_not_from_names():
    assert arm_of(searched("linear")) == "linear"
    assert arm_of(searched("full", training="fscl")) == "fscl"
    assert arm_of(searched("blocks36")) == "fairtune"
    assert arm_of(searched("blocks36", sampler="random")) == "random_masks"
    assert arm_of(searched("attention12")) == "fairtune_12_attention"
    overall, dpd = ({"metric": name} for name in ("auc", "dpd"))
    assert arm_of(searched("blocks36", objective=overall)) == "fairtune_36_overall"
    assert arm_of(searched("blocks36", objective=dpd)) == "fairtune dpd"
    assert arm_of(searched("attention12", objective=overall)) == "fairtune_12_attention auc"


def test_averages_and_ranks_are_those_of_a_plain_loop(made):
    data, rows = made["averages"].data, made["results"].data
    own = data[data["comparison"] == "results"].set_index("label")
    assert set(own.index) == {*METHODS, "scratch"} and set(own["n"]) == {len(COHORTS)}
    for key, sign in (("auc", 1), ("min_auc", 1), ("gap_auc", -1), ("dpd", -1)):
        ranks = {label: [] for label in own.index}
        for _, part in rows.groupby("cohort"):
            order = sorted(part[key] * -sign)
            for row in part.to_dict("records"):
                ranks[row["label"]].append(1 + order.index(-sign * row[key]))
        for label, part in rows.groupby("label"):
            assert own.loc[label, key] == pytest.approx(part[key].mean(), rel=1e-6)
            assert (
                own.loc[label, f"{key}_low"] <= own.loc[label, key] <= own.loc[label, f"{key}_high"]
            )
            assert own.loc[label, f"{key}_rank"] == pytest.approx(np.mean(ranks[label]))


def test_only_complete_datasets_count(context):
    rows = context.extras.dialects
    lost = rows["cohort"].eq("papila_age") & rows["method"].eq("fscl")
    rows = rows.assign(value=rows["value"].mask(lost), status=rows["status"].mask(lost, "too_few"))
    poorer = changed(context, dialects=rows)
    data = fairtune.averages(poorer).data
    assert set(data.loc[data["comparison"] == "results", "n"]) == {len(COHORTS) - 1}
    assert set(data.loc[data["comparison"] == "ablation", "n"]) == {len(COHORTS)}
    tests = fairtune.rank_tests(poorer).data
    own = tests[tests["comparison"].eq("Results") & tests["quantity"].eq("Worst group's AUC")]
    assert own["verdict"].tolist() == [
        "4 complete datasets and 9 methods: too few for a test (it needs at least 5 and 3)"
    ]
    assert own["nemenyi_p"].isna().all()
    shown = fairtune.results(poorer)
    text = shown.data[shown.data["cohort"].eq("papila_age") & shown.data["arm"].eq("fscl")]
    assert text["min_auc_status"].tolist() == ["too_few"] and text["min_auc"].isna().all()


def test_a_method_that_ran_on_some_cohorts_is_shown_but_not_averaged(context):
    rows = context.evidence.metrics
    kept = ~rows["method"].isin(["fscl", "fairtune_auc"]) | rows["cohort"].eq("ham10000_age")
    fewer = changed(context, {"metrics": rows[kept]})
    results = fairtune.results(fewer).data
    assert results.loc[results["arm"] == "fscl", "cohort"].tolist() == ["ham10000_age"]
    averages = fairtune.averages(fewer).data
    own = averages[averages["comparison"] == "results"]
    assert set(own["label"]) == {*METHODS, "scratch"} - {"fscl"} and set(own["n"]) == {len(COHORTS)}
    only = averages.loc[averages["comparison"] == "ablation", "label"]
    assert set(only) == {"search_full", "random_masks", "fairtune", *VARIANTS} - {"fairtune_auc"}


def test_rank_tests_have_datasets_as_blocks(made):
    rows = made["results"].data
    blocks = rows.groupby(["dataset", "label"])["min_auc"].mean().unstack()
    assert len(blocks) == 5 < rows["cohort"].nunique()
    statistic, p = friedmanchisquare(*blocks.to_numpy().T)
    tests = made["rank_tests"].data
    own = tests[tests["comparison"].eq("Results") & tests["quantity"].eq("Worst group's AUC")]
    assert len(own) == 9 * 8 / 2
    assert set(own["datasets"]) == {5}
    np.testing.assert_allclose(own["friedman"], statistic)
    np.testing.assert_allclose(own["friedman_p"], p)
    ranks = blocks.rank(axis=1, ascending=False).mean()
    for row in own.to_dict("records"):
        apart = ranks[row["first"]] - ranks[row["second"]]
        assert row["difference"] == pytest.approx(apart)
        q = abs(apart) / np.sqrt(9 * 10 / (6 * 5)) * np.sqrt(2)
        expected = studentized_range.sf(q, 9, np.inf)
        assert row["nemenyi_p"] == pytest.approx(expected, abs=1e-3)
        assert (row["verdict"] == Verdict.SHOWN) == (abs(apart) > row["critical"])


def test_ranks_are_a_plain_loops_and_the_critical_difference_demsars():
    values = pd.DataFrame(
        np.random.default_rng(3).normal([0, 0.5, 1, 3], 1, (14, 4)), columns=list("abcd")
    )
    values.iloc[0, :2] = 0.0
    found = rank_test(values, 1)
    ranks = [
        [
            sum(other > value for other in row) + 1 + (list(row).count(value) - 1) / 2
            for value in row
        ]
        for row in values.to_numpy()
    ]
    assert found.ranks.tolist() == pytest.approx(np.mean(ranks, axis=0).tolist())
    # Demsar (2006), section 3.2.2: 14 datasets, 4 classifiers, q = 2.569
    assert found.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=0.001)
    assert found.critical == critical_difference(4, 14)
    turned = rank_test(-values, -1)
    pd.testing.assert_series_equal(turned.ranks, found.ranks)
    few = rank_test(values[["a", "b"]], 1)
    assert "too few" in few.reason and np.isnan(few.p_value)
    same = rank_test(pd.DataFrame(np.ones((6, 3))), 1)
    assert same.reason == "all ranks are tied"
    assert rank_rows(pd.DataFrame([[1.0, np.nan], [2.0, 1.0]]), 1).to_numpy().tolist() == [[1, 2]]


def test_bars_join_what_lies_within_the_critical_difference():
    ranks = pd.Series([1.0, 1.8, 2.9, 4.3])
    assert cliques(ranks, 1.2) == [(1.0, 1.8), (1.8, 2.9)]
    assert cliques(ranks, 5) == [(1.0, 4.3)]
    assert cliques(ranks, 0.1) == []


def test_cohorts_of_a_dataset_widen_the_mean_and_datasets_narrow_it():
    draws = np.random.default_rng(0).normal(size=(2, 4000))
    same = mean_over_cohorts([("a", Estimate(1.0, draws[0])), ("a", Estimate(3.0, draws[1]))])
    apart = mean_over_cohorts([("a", Estimate(1.0, draws[0])), ("b", Estimate(3.0, draws[0]))])
    assert same.value == apart.value == 2.0
    assert same.draws.std() == pytest.approx(1, abs=0.05)
    assert apart.draws.std() == pytest.approx(np.sqrt(0.5), abs=0.05)
    lost = Estimate(np.nan, np.array([np.nan]), "too_few")
    assert mean_over_cohorts([("a", same), ("b", lost)]).status == "too_few"
    assert mean_over_cohorts([]).status == "missing"


def test_differences_are_paired_over_the_same_patients(claims, measured):
    own = claims[claims["comparison"].eq("results") & claims["quantity"].eq("worst group's AUC")]
    single = own[own["cohort"].isin(COHORTS) & own["second"].isin(METHODS)]
    assert len(single) == len(COHORTS) * (len(METHODS) - 1)
    for row in single.to_dict("records"):
        first, second = (measured[row["cohort"], "vit", row[side]] for side in ("first", "second"))
        value = worst(first, 0) - worst(second, 0)
        assert row["difference"] == pytest.approx(100 * value, rel=1e-4, abs=1e-4)
        ends = np.quantile(100 * (worst(first, 1) - worst(second, 1)), [0.025, 0.975])
        assert [row["difference_low"], row["difference_high"]] == pytest.approx(ends, rel=1e-4)
    pooled = own[own["cohort"].eq("all") & own["second"].eq("search_full")].iloc[0]
    mean = single.loc[single["second"] == "search_full", "difference"].mean()
    assert pooled["difference"] == pytest.approx(mean)
    assert (pooled["n_cohorts"], pooled["n_datasets"]) == (6, 5)
    assert pooled["difference_low"] > 0 and pooled["difference"] == pytest.approx(7, abs=0.7)


def test_no_difference_is_claimed_where_the_interval_holds_zero_or_holm_says_no(claims):
    holds = (claims["difference_low"] <= 0) & (claims["difference_high"] >= 0)
    assert holds.any() and (~holds).any()
    assert set(claims.loc[holds, "verdict"]) == {Verdict.NOT_SHOWN}
    shown = claims.loc[~holds, "p_adjusted"] <= 0.05
    expected = np.where(shown, Verdict.SHOWN, Verdict.HINT)
    assert (claims.loc[~holds, "verdict"] == expected).all()
    for _, family in claims.groupby("family"):
        p = family["p_value"].sort_values().to_numpy()
        stepped = np.maximum.accumulate(p * np.arange(len(p), 0, -1)).clip(max=1)
        assert sorted(family["p_adjusted"]) == pytest.approx(sorted(stepped))
        assert set(family["family_size"]) == {len(family)}


def test_pairs_stand_once_and_against_the_same_model(claims):
    key = ["cohort", "quantity", "first", "second"]
    assert not claims[claims["comparison"] != "overlapping"].duplicated([*key, "comparison"]).any()
    ablation = claims[claims["comparison"] == "ablation"]
    assert set(ablation["second"]) == set(VARIANTS)
    crossed = claims[claims["comparison"] == "overlapping"]
    for first, second in crossed[["first", "second"]].drop_duplicates().to_numpy():
        assert first.split(", ")[1] == second.split(", ")[1]


def test_sentences_say_what_is_shown_and_no_more(claims):
    head = {"level": 0.95, "draws": 200}
    found = answer_searches(claims, head)
    assert set(found) == {TOGETHER, *COHORTS, *CROSSED}
    told = " ".join(text for part in found[TOGETHER] for text in part.sentences)
    assert "Fairtune minus search_full (mean over 6 cohorts of 5 datasets)" in told
    assert "With 200 draws no difference can be significant" in told
    assert "suggestive only, not significant after adjusting" in told
    assert [part.question for part in found[TOGETHER]][0] == "In short"
    for cohort in COHORTS:
        own = claims[claims["cohort"].eq(cohort) & claims["comparison"].eq("results")]
        kept = own[own["against"].isin(["full", "random_masks"])]
        text = " ".join(s for part in found[cohort] for s in part.sentences)
        assert text.count("no difference shown") == kept["verdict"].eq(Verdict.NOT_SHOWN).sum()
        assert text.count("suggestive") == kept["verdict"].eq(Verdict.HINT).sum()
    none = claims.assign(verdict=Verdict.NOT_SHOWN)
    text = " ".join(s for p in answer_searches(none, head).values() for a in p for s in a.sentences)
    assert "does better" not in text and "does worse" not in text and "fairer" not in text
    certain = claims.assign(verdict=Verdict.SHOWN)
    assert "the worst group does better" in str(answer_searches(certain, head)[TOGETHER])


def test_the_search_table_has_the_planted_drop_and_cost(made, study):
    data = made["search"].data
    assert len(data) == len(study["searches"])
    plain = data[data["objective"] == "auc_min"]
    np.testing.assert_allclose(plain["drop"], 5.0, atol=0.01)
    np.testing.assert_allclose(plain["best"] - plain["test"], plain["drop"])
    np.testing.assert_allclose(plain["best"] - plain["refits"], 3.5, atol=0.01)
    np.testing.assert_allclose(plain["drop_low"], plain["best"] - plain["test_high"])
    np.testing.assert_allclose(plain["drop_high"], plain["best"] - plain["test_low"])
    other = data[data["objective"] == "auc"].iloc[0]
    whole = made["ablation"].data
    same = whole["cohort"].eq(other["cohort"]) & whole["method"].eq("fairtune_auc")
    assert other["test"] == whole.loc[same, "auc"].iloc[0]
    table = pd.read_csv(study["searches"][0].with_suffix(".csv"))
    ran = table["epochs"].sum()
    assert set(data["epochs"]) == {ran}
    assert set(data["epochs_share"].round(6)) == {round(100 * ran / (TRIALS * EPOCHS), 6)}
    hours = table["processor_seconds"].sum() / 3600
    np.testing.assert_allclose(data["processor_hours"], hours)
    costs = made["search_costs"].data.set_index(["model", "method"])
    assert costs.loc[("vit", "fscl"), "processor_hours"] == pytest.approx(len(COHORTS) * hours)
    assert costs.loc[("vit", "fairtune"), "searches"] == len(COHORTS) + 1


def test_mask_frequencies_are_counts_of_the_best_masks(context, study):
    rows = frequency_rows(context.evidence, context.extras)
    assert set(rows["method"]) == {"fairtune", "random_masks", "fairtune_auc"}
    found = [read_json(path) for path in study["searches"]]
    masks = [s["point"]["mask"] for s in found if (s["model"], s["method"]) == ("vit", "fairtune")]
    own = rows[rows["method"] == "fairtune"].reset_index(drop=True)
    n, z = len(masks), 1.959964
    assert set(own["n"]) == {n} and own.loc[0, ["unit", "component"]].tolist() == [
        "blocks.0",
        "norms",
    ]
    for k, row in own.iterrows():
        share = np.mean([mask[k] == "1" for mask in masks])
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        assert row["frequency"] == pytest.approx(share)
        assert [row["low"], row["high"]] == pytest.approx([middle - half, middle + half], abs=1e-5)
    assert own.loc[0, "frequency"] == 0


def test_stability_shows_only_bits_that_are_searched(context):
    rows = stability_rows(context.extras, "ham10000_age")
    counts = rows.groupby("search").size()
    assert counts["fairtune_attention12, vit"] == counts["fairtune_layernorm12, vit"] == 12
    assert counts["fairtune, vit"] == counts["fairtune, vit_mae"] == 36
    assert set(rows.loc[rows["method"] == "fairtune_layernorm12", "component"]) == {"norms"}
    assert stability_rows(context.extras, "elsewhere").empty


def test_curves_are_the_footers(context):
    footers = context.extras.footers
    rows = curve_rows(footers, "ham10000_age")
    assert set(rows["method"]) == {"search_full", "fairtune"}
    one = rows[rows["run"].eq("fairtune, vit") & rows["seed"].eq(1)]
    (footer,) = [
        f
        for f in footers
        if (f["cohort"], f["model"], f["method"]) == ("ham10000_age", "vit", "fairtune")
    ]
    groups = footer["runs"]["chosen"][1]["groups"]
    assert len(one) == 2 * 2 * EPOCHS
    for row in one.to_dict("records"):
        assert row["auc"] == groups[row["epoch"] - 1][row["split"]][row["group"]]
        assert row["kept"] == (row["epoch"] == EPOCHS - 1)
    gap = rows.groupby(["split", "group"])["auc"].mean().unstack()
    assert gap.loc["val", ">60"] - gap.loc["val", "<=60"] > 0.05
    assert abs(gap.loc["train", ">60"] - gap.loc["train", "<=60"]) < 0.02


def test_trajectories_are_the_best_whole_trial_so_far(context, study):
    rows = trajectory_rows(context.extras.searches, "ham10000_age")
    for path in study["searches"]:
        found = read_json(path)
        if found["cohort"] != "ham10000_age":
            continue
        own = rows[rows["model"].eq(found["model"]) & rows["method"].eq(found["method"])]
        expected = [np.nan if v is None else v for v in found["best"]]
        np.testing.assert_allclose(own["best"], expected, rtol=1e-5)
        assert own["minutes"].iloc[-1] == pytest.approx(found["processor_seconds"] / 60)
        assert own["minutes"].is_monotonic_increasing
    falling = dict(context.extras.searches[0])
    falling["objective"] = {"metric": "dpd", "direction": "minimize"}
    rows = trajectory_rows([falling], falling["cohort"])
    whole = rows["value"].where(rows["state"] == "complete")
    assert rows["best"].iloc[-1] == whole.min()


def test_outcomes_of_what_did_not_run_are_missing(context):
    evidence, run = context.evidence, ("ham10000_age", "vit", "no")
    found = Outcomes(evidence, context.extras).get(run, "age_group", QUANTITIES[1])
    assert np.isnan(found.value) and found.status == "missing"
    nothing = changed(context, methods={}).extras
    assert list(comparisons(evidence, nothing)) == []
    assert find_search_claims(evidence, nothing).empty
    assert search(changed(context, searches=[])) is None


def test_compare_is_given_the_searches_it_asks_for_and_no_others():
    config = check(edited("studies/clip_nih/figures", ["search_trajectories"]), SCHEMAS)
    config["studies"]["clip_nih"]["tables"] = []
    config["studies"]["clip_nih"]["methods"] = ["linear", "search_full", "random_masks"]
    config["studies"]["clip_nih"]["models"] = ["pixels", "vit_random"]
    runs = jobs.runs_needing(config, "clip_nih", "best_trial")
    assert [(run["model"], run["method"]) for run in runs] == [
        ("vit_random", "search_full"),
        ("vit_random", "random_masks"),
    ]
    config["studies"]["clip_nih"]["figures"] = []
    assert jobs.runs_needing(config, "clip_nih", "best_trial") == []


def test_noting_groups_reruns_no_search():
    config = check(shipped(), SCHEMAS)
    names = {"cohort": "ham10000_age_small", "model": "vit_random", "method": "fairtune"}
    given = {
        noted: {
            stage: jobs.settings(config, stage, **names, **more)
            for stage, more in (
                ("search", {"worker": "0"}),
                ("best_trial", {}),
                ("finetune", {"seed": "0"}),
            )
            if config["methods"]["fairtune"].update(group_curves=noted) is None
        }
        for noted in (False, True)
    }
    assert given[False]["search"] == given[True]["search"]
    assert given[False]["best_trial"] == given[True]["best_trial"]
    assert given[False]["finetune"] != given[True]["finetune"]


def test_all_pairs_of_methods_are_tested(made):
    tests = made["rank_tests"].data
    own = tests[tests["comparison"].eq("Results") & tests["quantity"].eq("AUC")]
    labels = [*METHODS, "scratch"]
    assert set(zip(own["first"], own["second"], strict=True)) == set(combinations(labels, 2))
