"""Tables, figures and claims of foundation models against plain loops and planted differences."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from medaudit.core.table_io import GAPS, METRICS, read_table
from medaudit.report.compare import compare
from medaudit.report.figures.balanced import balanced
from medaudit.report.figures.performance_fairness import fairness_score
from medaudit.report.page.how_fair_answers import answer_claims
from medaudit.report.studies import how_fair_models
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import replicates_of
from medaudit.report.studies.how_fair_claims import POOLED, find_claims
from medaudit.report.studies.published import read_published
from medaudit.report.tables.ensembles import ensembles
from medaudit.report.tables.pretraining import amounts, models
from medaudit.report.verdicts import Verdict, judge_difference
from report_context import changed, read_context, requested_figures, requested_tables
from synthetic_foundations import (
    BALANCED,
    ENSEMBLES,
    FIGURES,
    LOSS,
    METHODS,
    OWN,
    PLAIN,
    SAME_SIZE,
    SERIES,
    TABLES,
    TASKS,
    facts,
    make_foundations,
)

FULL = "full_layer_decay"
PUBLISHED = ("auc_published", "gap_sex_published", "gap_race_published")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    return make_foundations(tmp_path_factory.mktemp("foundations"))


@pytest.fixture(scope="module")
def context(study) -> Context:
    return read_context(study)


@pytest.fixture(scope="module")
def made(context) -> dict:
    return requested_tables(context)


@pytest.fixture(scope="module")
def claims(context) -> pd.DataFrame:
    return claims_of(context)


@pytest.fixture(scope="module")
def drawn(context) -> dict:
    return requested_figures(context)


def claims_of(context: Context) -> pd.DataFrame:
    return find_claims(context.evidence, context.extras)


@pytest.fixture(scope="module")
def measured(study) -> dict:
    """By run and (task, attribute, group): value and replicates, by a plain loop over the files."""
    found = {}
    for path in study["metrics"]:
        rows, draws = read_table(path, METRICS), np.load(replicates_of(path))
        for row, moved in zip(rows.to_dict("records"), draws.astype(float), strict=True):
            if row["seed"] == "mean":
                run = (row["cohort"], row["model"], row["method"])
                key = (row["task"], row["attribute"], row["group"])
                found.setdefault(run, {})[key] = (row["value"], moved)
    return found


def gap_of(run: dict, attribute: str, which: int) -> np.ndarray:
    """Largest less smallest value (0) or replicate (1) of an attribute's groups."""
    groups = [g for t, a, g in run if t == "mean" and a == attribute and g != "all"]
    values = [run["mean", attribute, group][which] for group in groups]
    return np.max(values, axis=0) - np.min(values, axis=0)


def test_everything_is_made(made, drawn):
    assert set(made) == set(TABLES)
    plain = {f"{name}-{PLAIN}" for name in FIGURES}
    assert set(drawn) == plain | {f"{n}-{BALANCED}" for n in FIGURES if n != "balanced"}


@pytest.mark.parametrize("name", [name for name in TABLES if name not in ("models", "claims")])
def test_numbers_are_those_of_metrics_and_gaps(name, made, measured, study):
    gaps = pd.concat([read_table(path, GAPS) for path in study["gaps"]])
    gaps = gaps[(gaps["seed"] == "mean") & (gaps["gap"] == "max_min")]
    assert len(made[name].data)
    for row in made[name].data.to_dict("records"):
        run = (row["cohort"], row["model"], row["method"])
        assert row["auc"] == pytest.approx(100 * measured[run]["mean", "all", "all"][0], rel=1e-5)
        for attribute in ("sex", "race"):
            own = gap_of(measured[run], attribute, 0)
            assert row[f"gap_{attribute}"] == pytest.approx(100 * own, rel=1e-4)
            for key, task in ((f"gap_{attribute}", "mean"), (f"mean_of_gaps_{attribute}", None)):
                same = gaps["attribute"].eq(attribute) & gaps["task"].eq(task or "mean_of_gaps")
                for axis, value in zip(("cohort", "model", "method"), run, strict=True):
                    same &= gaps[axis] == value
                (stored,) = gaps[same].to_dict("records")
                for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                    assert row[key + suffix] == pytest.approx(100 * stored[end])
            single = [
                np.ptp([measured[run][t, a, g][0] for t, a, g in measured[run] if (t, a) == (task, attribute) and g != "all"])
                for task in TASKS
            ]  # fmt: skip
            assert row[f"mean_of_gaps_{attribute}"] == pytest.approx(
                100 * np.mean(single), rel=1e-4
            )


def test_rows_of_amounts_differ_in_one_thing_and_rise(made):
    data = made["pretraining_data"].data
    assert data["model"].tolist() == ["mae_nih", "mae_chexpert", "mae_both"]
    assert data["data"].tolist() == ["nih", "chexpert", "chexpert nih"]
    assert made["pretraining_epochs"].data["epochs"].tolist() == [200, 800]
    assert made["pretraining_fraction"].data["fraction"].tolist() == [0.3, 1.0]
    assert set(made["pretraining_fraction"].data["model"]) == {"mae_30", "mae_chexpert"}


def test_models_that_differ_in_two_amounts_or_another_setting_are_no_series(context):
    extras = context.extras
    other = dict(extras.models["mae_200"])
    other["pretrained"] = {**other["pretrained"], "others": {"batch_size": 128}}
    both = dict(extras.models["mae_30"])
    both["pretrained"] = {**both["pretrained"], "epochs": 200}
    three = {"mae_chexpert": extras.models["mae_chexpert"], "other": other, "both": both}
    for factor in ("data", "epochs", "fraction"):
        assert amounts(changed(context, models=three).extras, list(three), factor).empty


def test_published_numbers_stand_beside_rows_of_the_same_content(made):
    epochs = made["pretraining_epochs"].data.set_index("epochs")
    assert epochs.loc[200, list(PUBLISHED)].tolist() == pytest.approx([79.2, 1.54, 3.56])
    assert epochs.loc[800, list(PUBLISHED)].tolist() == pytest.approx([79.9, 1.43, 3.03])
    data = made["pretraining_data"].data.set_index("data")
    assert data["auc_published"].tolist() == pytest.approx([79.97, 80.98, 81.38])
    fraction = made["pretraining_fraction"].data
    assert fraction["gap_race_published"].tolist() == pytest.approx([2.86, 2.85])
    ensembles = made["ensembles"].data.set_index("model")
    assert ensembles.loc["ensemble_masked", list(PUBLISHED)].tolist() == pytest.approx(
        [81.0, 1.21, 2.82]
    )
    assert ensembles.loc["ensemble_odd", list(PUBLISHED)].isna().all()
    probes = made["linear_against_full"].data.set_index(["model", "method"])
    assert probes.loc[("mae", "probe"), "auc_published"] == pytest.approx(66.7)
    assert probes.loc[("moco", FULL), "gap_race_published"] == pytest.approx(3.0)
    assert "does not state which reading of the gap it prints" in made["ensembles"].caption


def test_published_numbers_stay_away_from_other_images_and_balanced_training(context):
    for change in ({"dataset": "nih"}, {"balance": {"kind": "race_sex"}}):
        cards = {name: {**card, **change} for name, card in context.evidence.cards.items()}
        for table in requested_tables(changed(context, {"cards": cards})).values():
            assert not any("published" in column for column in table.data)


def test_the_transcript_holds_every_number_of_the_paper():
    printed = read_published("how_fair")
    sizes = {"pretraining_data": 9, "ensembles": 18, "pretraining_epochs": 9}
    sizes |= {"pretraining_fraction": 6, "linear_against_full": 12}
    assert printed["table"].value_counts().to_dict() == sizes
    auc = printed[printed["attribute"] == "all"]["value"]
    assert auc.between(0.66, 0.82).all()
    assert printed.loc[printed["attribute"] != "all", "value"].between(0.007, 0.04).all()


def test_models_are_described_and_procedural_images_are_not_called_natural(context, made):
    data = made["models"].data.set_index("model")
    assert set(data.index) == {*OWN, *SERIES}
    assert data.loc["scratch_vit", ["method", "objective", "datasets"]].tolist() == [
        "from scratch",
        "none",
        "none",
    ]
    assert data.loc["bit", ["images", "datasets"]].tolist() == ["natural", "ImageNet-1K"]
    entry = {"algorithm": "mae", "procedural": {"images": 9}, "cohorts": []}
    mae = facts("vit", "masked", "natural", pretrained=entry)
    procedural = changed(context, models={**context.extras.models, "mae": mae})
    data = models(procedural).data.set_index("model")
    assert data.loc["mae", "images"] == "procedural"
    found = claims_of(procedural)
    assert set(found.query("claim == 'domain'")["second"]) == {"natural or procedural"}
    parts = set(found.query("claim == 'objective'")["part"])
    assert "ViT, natural or procedural" in parts and "ViT, natural" not in parts


def contrast(measured: dict, quantity: str, first: list[tuple], second: list[tuple], which: int):
    """Mean of first less mean of second, by a plain loop."""
    sides = []
    for runs in (first, second):
        found = []
        for run in runs:
            if quantity == "AUC":
                found.append(measured[run]["mean", "all", "all"][which])
            else:
                found.append(gap_of(measured[run], quantity.removeprefix("gap by "), which))
        sides.append(np.mean(found, axis=0))
    return sides[0] - sides[1]


@pytest.mark.parametrize(
    ("claim", "pairs"),
    [
        ("domain", [("mae_medical", "mae"), ("moco_medical", "moco")]),
        ("objective", [("mae", "moco"), ("mae_medical", "moco_medical")]),
        ("balance", [(name, name) for name in OWN]),
    ],
)
@pytest.mark.parametrize("quantity", ["AUC", "gap by sex", "gap by race"])
def test_a_pooled_claim_is_the_mean_of_its_pairs_over_paired_draws(
    claim, pairs, quantity, claims, measured
):
    row = claims[claims["claim"].eq(claim) & claims["quantity"].eq(quantity)]
    (row,) = row[row["family"] == POOLED].to_dict("records")
    assert row["cohort"] == PLAIN and row["n_pairs"] == len(pairs)
    left = BALANCED if claim == "balance" else PLAIN
    assert row["against_cohort"] == left
    value, draws = (
        np.mean(
            [
                contrast(measured, quantity, [(left, a, FULL)], [(PLAIN, b, FULL)], which)
                for a, b in pairs
            ],
            axis=0,
        )
        for which in (0, 1)
    )
    assert row["value"] == pytest.approx(100 * value, rel=1e-4, abs=1e-6)
    ends = np.percentile(100 * draws, [2.5, 97.5])
    assert [row["low"], row["high"]] == pytest.approx(ends, rel=1e-4)
    side = min((draws <= 0).sum(), (draws >= 0).sum())
    assert row["p_value"] == pytest.approx(min(1, 2 * (side + 1) / (len(draws) + 1)))


def test_women_less_men_is_a_paired_difference_of_groups(claims, measured):
    rows = claims[claims["claim"] == "sex"]
    for row in rows[rows["family"] != POOLED].to_dict("records"):
        run = measured[PLAIN, row["part"], FULL]
        women, men = (run["mean", "sex", group] for group in ("female", "male"))
        assert row["value"] == pytest.approx(100 * (women[0] - men[0]), rel=1e-4)
        ends = np.percentile(100 * (women[1] - men[1]), [2.5, 97.5])
        assert [row["low"], row["high"]] == pytest.approx(ends, rel=1e-4)
    assert len(rows) == 1 + len(OWN)


def test_planted_differences_are_found_and_none_where_none_is(claims):
    pooled = claims[claims["family"] == POOLED].set_index(["claim", "quantity"])
    found = {key: pooled.loc[key] for key in pooled.index}
    assert found["domain", "AUC"]["low"] < 4 < found["domain", "AUC"]["high"]
    extra = 100 * (LOSS["medical"] - LOSS["natural"])
    assert found["domain", "gap by sex"]["low"] < extra < found["domain", "gap by sex"]["high"]
    assert found["domain", "gap by sex"]["low"] > 0
    assert found["balance", "gap by race"]["high"] < 0
    assert found["sex", "AUC"]["high"] < 0
    for key in (("objective", "gap by sex"), ("objective", "gap by race"), ("balance", "AUC")):
        assert found[key]["verdict"] == Verdict.NOT_SHOWN


def test_pairs_that_differ_in_more_than_the_claim_stand_alone(claims):
    rows = claims[claims["claim"].eq("domain") & claims["part"].str.startswith("ResNet")]
    assert len(rows) == 3 and not rows["family"].eq(POOLED).any()
    assert set(rows["part"]) == {"ResNet, contrastive (medical) against supervised (natural)"}


def test_holm_is_over_pooled_claims_and_over_the_pairs_of_a_claim(claims):
    for family, rows in claims.groupby("family"):
        expected = multipletests(rows["p_value"].to_numpy(), method="holm")[1]
        np.testing.assert_allclose(rows["p_adjusted"].astype(float), expected)
        assert set(rows["family_size"]) == {len(rows)}
        assert family == POOLED or rows["claim"].nunique() == 1
    assert (claims["family"] == POOLED).sum() == 10


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((1.0, 0.2, 1.8, 0.04), Verdict.SHOWN),
        ((1.0, 0.2, 1.8, 0.05), Verdict.SHOWN),
        ((1.0, 0.2, 1.8, 0.2), Verdict.HINT),
        ((1.0, 0.0, 1.8, 0.01), Verdict.NOT_SHOWN),
        ((-1.0, -1.8, 0.1, 0.2), Verdict.NOT_SHOWN),
        ((np.nan, np.nan, np.nan, np.nan), Verdict.UNKNOWN),
        ((1.0, np.nan, np.nan, np.nan), Verdict.UNKNOWN),
    ],
)
def test_a_verdict_needs_interval_and_holm(numbers, verdict):
    row = dict(zip(("value", "low", "high", "p_adjusted"), numbers, strict=True))
    assert judge_difference(row, 1 - 0.95) == verdict


def test_cohorts_with_other_test_sets_are_not_paired(tmp_path):
    own = {name: OWN[name] for name in ("mae", "mae_medical")}
    study = make_foundations(tmp_path, own, {PLAIN: "t", BALANCED: "other"})
    context = read_context(study)
    assert how_fair_models.balanced_pairs(context.evidence) == []
    assert "balance" not in set(claims_of(context)["claim"])
    assert balanced(replace(context, cohort=PLAIN)) is None


def test_balance_is_compared_at_equal_size_and_says_the_sizes(tmp_path):
    own = {name: OWN[name] for name in ("mae", "mae_medical")}
    study = make_foundations(tmp_path, own, {PLAIN: "t", BALANCED: "t", SAME_SIZE: "t"})
    for path in study["cards"]:
        known = json.loads(path.read_text())
        for row in known["counts"]:
            if row["attribute"] == "all" and row["split"] == "train" and path.stem != PLAIN:
                row["n_images"] = 534
        path.write_text(json.dumps(known))
    context = read_context(study)
    rows = claims_of(context)
    rows = rows[rows["claim"] == "balance"]
    assert set(rows["first"]) == {"balanced (534 training images)"}
    assert set(rows["second"]) == {"unbalanced (534 training images)"}
    metrics = context.evidence.metrics
    mean = metrics[metrics["task"].eq("mean") & metrics["seed"].eq("mean")]
    mean = mean[mean["metric"].eq("auc") & mean["attribute"].eq("all")]
    value = mean.set_index(["cohort", "model"])["value"]
    single = rows[rows["family"].ne(POOLED) & rows["quantity"].eq("AUC")].set_index("part")
    for name in own:
        expected = 100 * (value[BALANCED, name] - value[SAME_SIZE, name])
        assert single.loc[name, "value"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert set(balanced(replace(context, cohort=PLAIN)).data["cohort"]) == {BALANCED, SAME_SIZE}


def test_what_is_not_estimable_is_said_in_claims_and_sentences(context):
    metrics = context.evidence.metrics
    lost = metrics["model"].eq("moco") & metrics["attribute"].eq("race")
    metrics = metrics.assign(status=metrics["status"].mask(lost, "too_few"))
    found = claims_of(changed(context, {"metrics": metrics}))
    rows = found[found["quantity"].eq("gap by race") & found["claim"].eq("domain")]
    (pooled,) = rows[rows["family"] == POOLED].to_dict("records")
    assert pooled["verdict"] == Verdict.UNKNOWN and np.isnan(pooled["value"])
    assert pooled["status"] == "too_few"
    assert rows[rows["part"] == "ViT, masked"]["verdict"].item() != Verdict.UNKNOWN
    renamed = {"value": "difference", "low": "difference_low", "high": "difference_high"}
    told = found.rename(columns={**renamed, "status": "difference_status"})
    text = " ".join(answer_claims(told, {"level": 0.95}, PLAIN)[0].sentences)
    assert "gap by race not estimable: too few" in text


def test_sentences_say_what_is_shown_and_what_is_not(made):
    data = made["claims"].data.copy()
    row = data["claim"].eq("domain") & data["family"].eq(POOLED) & data["quantity"].eq("gap by sex")
    data.loc[row, ["p_value", "p_adjusted", "verdict"]] = [0.001, 0.01, Verdict.SHOWN]
    head = {"level": 0.95, "draws": 2000}
    first, second, third, fourth = answer_claims(data, head, PLAIN)
    assert first.question == "Pretrained on medical or on natural images?"
    assert "larger gap, less fair with medical images;" in first.sentences[0]
    hint = "higher with medical images; suggestive only, not significant after adjusting"
    assert hint in first.sentences[0]
    assert "ResNet, contrastive (medical)" in " ".join(first.sentences)
    assert "no difference shown, because the interval includes 0" in second.sentences[0]
    assert third.sentences[1].startswith("Model by model, AUC is higher in")
    assert "lower in women" in fourth.sentences[0]
    assert "Holm's correction is over the 10 claims" in first.sentences[-1]
    assert "raise" not in first.sentences[-1]
    few = answer_claims(data, {**head, "draws": 200}, PLAIN)[0].sentences[-1]
    assert "With 200 draws no difference can be significant" in few
    assert answer_claims(data, head, BALANCED) == []


def test_fairness_score_follows_the_paper():
    gaps = np.array([1.5, 3.0, 0.5])
    assert fairness_score(gaps).tolist() == [max(gaps) + 1 - gap for gap in gaps]
    assert fairness_score(np.array([2.0, np.nan])).tolist()[0] == 1.0
    assert np.isnan(fairness_score(np.array([np.nan]))).all()


def test_scores_are_derived_from_the_gaps_of_the_models_drawn(drawn, measured):
    data = drawn[f"performance_fairness-{PLAIN}"].data
    assert set(data["model"]) == set(OWN)
    for attribute in ("sex", "race"):
        rows = data[data["attribute"] == attribute]
        gaps = [100 * gap_of(measured[PLAIN, name, FULL], attribute, 0) for name in rows["model"]]
        np.testing.assert_allclose(rows["gap"], gaps, rtol=1e-4)
        np.testing.assert_allclose(rows["value"], max(gaps) + 1 - np.array(gaps), rtol=1e-4)
        for row in rows.to_dict("records"):
            assert row["high"] - row["value"] == pytest.approx(row["gap"] - row["gap_low"])
            assert row["value"] - row["low"] == pytest.approx(row["gap_high"] - row["gap"])
    assert list(data.drop_duplicates("model")["model"]) == [
        *("scratch_vit", "mae", "moco", "mae_medical", "moco_medical"),
        *("scratch_resnet", "bit", "remedis"),
    ]


def test_the_balanced_figure_has_each_model_twice(drawn):
    data = drawn[f"balanced-{PLAIN}"].data
    assert data.groupby("cohort")["model"].nunique().to_dict() == {PLAIN: 8, BALANCED: 8}
    rows = data[data["attribute"] == "sex"]
    np.testing.assert_allclose(rows["value"] + rows["gap"], rows["gap"].max() + 1)


@pytest.mark.parametrize("name", ["relative_to_average", "disease_by_group"])
def test_groups_are_compared_with_the_average_over_paired_draws(name, drawn, measured):
    data = drawn[f"{name}-{PLAIN}"].data
    tasks = ("mean",) if name == "relative_to_average" else TASKS
    assert len(data) == len(OWN) * 5 * len(tasks)
    for row in data.iloc[::7].to_dict("records"):
        run = measured[PLAIN, row["model"], FULL]
        own, whole = (run[row["task"], row["attribute"], g] for g in (row["group"], "all"))
        assert row["value"] == pytest.approx(100 * (own[0] - whole[0]), rel=1e-3, abs=1e-5)
        ends = np.percentile(100 * (own[1] - whole[1]), [2.5, 97.5])
        assert [row["low"], row["high"]] == pytest.approx(ends, rel=1e-3, abs=1e-4)


def test_a_study_that_knows_nothing_of_its_models_makes_no_claims(context):
    blank = changed(context, models={})
    assert set(claims_of(blank)["claim"]) <= {"sex", "balance"}
    assert models(blank) is None
    assert ensembles(blank) is None


def test_without_auc_there_is_nothing_to_show(context):
    metrics = context.evidence.metrics.assign(measure="accuracy", metric="accuracy")
    other = changed(context, {"metrics": metrics})
    other = replace(other, facts=context.facts.assign(measure="accuracy"))
    assert claims_of(other).empty
    assert list(requested_tables(other)) == ["models"]
    assert requested_figures(other) == {}


def test_main_method_is_declared_not_picked(context):
    evidence, extras = context.evidence, context.extras
    assert how_fair_models.main_method(evidence, extras) == FULL
    both = changed(context, {"entry": {**evidence.entry, "methods": ["probe", FULL]}}).evidence
    assert how_fair_models.main_method(both, extras) == FULL
    none = changed(context, methods={FULL: {}, "probe": METHODS["probe"]}).extras
    assert how_fair_models.main_method(both, none) == "probe"
    assert (
        how_fair_models.identity(extras, "ensemble_masked")
        == "vit/masked/medical vit/masked/natural"
    )
    assert all(how_fair_models.is_ensemble(extras, name) for name in ENSEMBLES)


def test_the_stage_writes_all_and_the_page_shows_the_claims_first(tmp_path):
    from medaudit.report.page.content import read_studies

    own = {name: OWN[name] for name in ("scratch_vit", "mae", "mae_medical")}
    study = make_foundations(tmp_path, own)
    compare(**study)
    index = json.loads((study["figures"] / "index.json").read_text())
    assert {f"{name}-{PLAIN}" for name in FIGURES} <= {item["name"] for item in index["figures"]}
    config = {"run": ["how_fair"]}
    (page,) = read_studies(config, [study["output"]], [study["tables"]], [study["figures"]])
    questions = [item.question for item in page["answers"][0]["answers"]]
    assert questions[:3] == [
        "Pretrained on medical or on natural images?",
        "Does balanced fine-tuning help?",
        "Does the model perform equally well in women and men?",
    ]
    assert "In short" in questions


@pytest.mark.parametrize(("gaps", "coverage"), [((0.0, 0.0), 0.95), ((3.0, 3.0), 0.95)])
def test_equal_gaps_are_told_apart_no_more_often_than_stated(gaps, coverage):
    """Also the measured coverage of differences of gaps, see docs/statistics.md."""
    from medaudit.report.studies.contrasts import Estimate, difference_of_means, summarise

    random, held, cohorts = np.random.default_rng(3), 0, 150
    for _ in range(cohorts):
        shared = random.normal(0, 1, 3), random.normal(0, 1, (3, 300))
        sides = []
        for gap in gaps:
            centre = np.array([-gap, 0, 0]) + shared[0] + random.normal(0, 0.5, 3)
            moved = centre[:, None] + shared[1] + random.normal(0, 0.5, (3, 300))
            sides.append(Estimate(float(np.ptp(centre)), np.ptp(moved, axis=0)))
        found = summarise(difference_of_means([sides[0]], [sides[1]]), 0.95)
        held += found["low"] <= 0 <= found["high"]
    assert held / cohorts >= coverage - 0.03
