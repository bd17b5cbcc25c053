"""Tables and figures that a study requests: their content, what they need, what they refuse."""

import inspect
import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import synthetic_foundations as foundations
import synthetic_searches as searches
from medaudit.config import jobs
from medaudit.config.requests import (
    REGISTRIES,
    all_modules,
    modules_of,
    requestable,
    stages_of,
)
from medaudit.config.schema import read_schema
from medaudit.config.validation import check
from medaudit.core.audit_tables import DIALECTS
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import METRICS, read_table, write_array
from medaudit.report.figures.adaptation import stages_among
from medaudit.report.figures.sensitivity import lora_rank, rate_rows
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import replicates_of
from medaudit.report.studies.extras import gather_extras
from medaudit.report.studies.published import read_published
from medaudit.report.tables.dialects import _first_swaps, rankings
from report_context import changed, read_context, requested_figures, requested_tables
from shipped_config import SCHEMAS, edited, shipped
from synthetic_extras import add_extras, footer_of
from synthetic_study import TASKS, make_study

METHODS = ("zero_shot_clip", "linear", "lora_r4", "lora_r16", "full")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("study")
    study = make_study(
        folder,
        name="clip_nih",
        cohorts=("nih_6x200",),
        models=("clip_small", "medclip_vit"),
        methods=METHODS,
        too_few=None,
    )
    return add_extras(study, folder, requestable("tables"), requestable("figures"))


@pytest.fixture(scope="module")
def context(inputs) -> Context:
    return read_context(inputs)


@pytest.fixture(scope="module")
def made(context) -> dict:
    return requested_tables(context)


@pytest.fixture(scope="module")
def drawn(context) -> dict:
    return requested_figures(context)


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_each_name_of_the_registry_has_a_function_that_takes_a_context(kind):
    for output in REGISTRIES[kind].values():
        module, _, name = output.function.partition(":")
        assert module.startswith(f"{kind}.")
        function = getattr(import_module(f"medaudit.report.{module}"), name)
        assert inspect.get_annotations(function)["context"] is Context
        assert not (output.pooled and kind == "tables")


@pytest.mark.parametrize("kind", ["tables", "figures"])
def test_the_schema_takes_the_names_of_the_registry(kind):
    schema = read_schema(SCHEMAS, "studies")["properties"]
    assert schema[kind]["items"]["enum"] == requestable(kind)


def test_requested_outputs_are_made_under_their_names(made, drawn):
    own = tuple(name for kind in ("tables", "figures") for name in requestable(kind))
    own = tuple(name for name in own if name.startswith(("external_", "remed")))  # own studies
    for wanted, there, others in (
        (requestable("tables"), made, foundations.TABLES + searches.TABLES),
        (requestable("figures"), drawn, foundations.FIGURES + searches.FIGURES),
    ):
        assert list(there) == [name for name in wanted if name in there]
        assert set(wanted) - set(there) <= {*others, *own}


def test_a_study_depends_on_the_code_of_its_own_outputs_only():
    config = check(edited("studies/clip_nih/tables", ["rankings"]), SCHEMAS)
    config["studies"]["clip_nih"]["figures"] = []
    found = modules_of(config["studies"]["clip_nih"])
    assert "report.tables.dialects" in found and "report.figures.plane" in found
    assert "report.figures.masks" not in found and set(found) < set(all_modules())
    before = jobs.code(config, "compare", study="clip_nih")
    config["studies"]["clip_nih"]["figures"] = ["mask_frequencies"]
    assert jobs.code(config, "compare", study="clip_nih") != before


def test_zero_shot_and_fine_tuning_hold_each_run_once(made, inputs):
    assert set(made["zero_shot"].data["method"]) == {"zero_shot_clip"}
    assert set(made["fine_tuning"].data["method"]) == set(METHODS[1:])
    assert len(made["fine_tuning"].data) == 2 * 4
    for path in inputs["dialects"]:
        rows = read_table(path, DIALECTS)
        rows = rows[rows["seed"].eq("mean") & rows["measure"].eq("macro F1")].iloc[0]
        table = made["zero_shot" if rows["method"] == "zero_shot_clip" else "fine_tuning"].data
        own = table[table["model"].eq(rows["model"]) & table["method"].eq(rows["method"])]
        assert own["macro F1"].iloc[0] == rows["value"]


def test_published_numbers_stand_beside_the_same_model_and_method_alone(made):
    table = made["fine_tuning"].data
    own = table["model"].eq("medclip_vit") & table["method"].eq("full")
    assert table.loc[own, "accuracy_published"].tolist() == [0.596]
    assert table.loc[~own, "accuracy_published"].isna().all()
    assert table.loc[own, "F1 delta sex_published"].tolist() == [0.126]
    listed = made["published"].data
    assert len(listed) == len(read_published("clip_nih")) == 6
    assert (listed["ours"].notna() == listed["ran"].eq("yes")).all() and listed["ours"].any()
    assert "its own images" in made["fine_tuning"].caption
    assert any("PHANTOM" in note for note in notes(made))
    assert read_published("another").empty and read_published("../clip_nih").empty


def notes(made) -> list[str]:
    from medaudit.report.wording.disclaimers import notes_of
    from synthetic_study import card

    return notes_of([card("nih_6x200", {}, phantom=True)])


def test_f1_tables_are_the_metrics(made, inputs):
    rows = pd.concat([read_table(path, METRICS) for path in inputs["metrics"]])
    rows = rows[rows["metric"].eq("f1") & rows["seed"].eq("mean")]
    of = {"class_f1": ("task", TASKS), "group_f1": ("group", ("female", "male & >=60"))}
    for name, (axis, heads) in of.items():
        for record in made[name].data.to_dict("records"):
            run = rows[rows["model"].eq(record["model"]) & rows["method"].eq(record["method"])]
            kept = run["group"].eq("all") if axis == "task" else run["task"].eq("mean")
            values = run[kept].drop_duplicates(axis).set_index(axis)["value"]
            assert all(record[head] == values[head] for head in heads)


def test_a_planted_change_of_ranking_is_found(context):
    rows = context.extras.dialects
    rows = rows[rows["attribute"].eq("sex") & rows["method"].eq("full") & rows["seed"].eq("mean")]
    first = rows["measure"].eq("gap AUC")
    second = rows["measure"].eq("PQD")
    rows = rows[first | second].copy()
    rows["value"] = [
        {("clip_small", "gap AUC"): 0.01, ("medclip_vit", "gap AUC"): 0.2}.get(key, value)
        for key, value in zip(
            zip(rows["model"], rows["measure"], strict=True),
            [{"clip_small": 0.5, "medclip_vit": 0.9}[m] for m in rows["model"]],
            strict=True,
        )
    ]
    table = rankings(changed(context, dialects=rows)).data
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["tau"], row["n_swapped"]) == (-1, 1)
    assert row["which"] == "clip_small / full > medclip_vit / full"
    assert row["fairest_by_first"] == "clip_small / full"
    assert row["fairest_by_second"] == "medclip_vit / full"
    rows.loc[rows["measure"] == "PQD", "better"] = "lower"
    assert rankings(changed(context, dialects=rows)).data.empty


def test_a_long_list_of_swaps_is_cut():
    assert _first_swaps("a > b") == "a > b"
    assert _first_swaps("; ".join("abcde")) == "a; b; c; and 2 more"


def test_waterfall_bars_start_where_the_stage_before_ended(drawn, context):
    data = drawn["adaptation"].data
    for _, rows in data.groupby(["model", "quantity"], sort=False):
        assert rows["method"].tolist() == list(METHODS)
        assert np.isnan(rows["before"].iloc[0])
        assert rows["before"].tolist()[1:] == rows["value"].tolist()[:-1]
    gaps = data[data["quantity"] == "gap in accuracy by sex"]
    facts = context.facts
    facts = facts[facts["kind"].eq("gap") & facts["measure"].eq("accuracy")]
    facts = facts[facts["gap"].eq("max_min") & facts["attribute"].eq("sex")]
    assert sorted(gaps["value"]) == sorted(facts["value"])


def test_stages_follow_the_study_and_hold_one_prompt_format(context):
    kinds = {"zero_shot_a": {"kind": "zero_shot"}, "zero_shot_b": {"kind": "zero_shot"}}
    entry = {"methods": ["zero_shot_b", "zero_shot_a", "linear", "full"]}
    seen = pd.Series(["full", "linear", "zero_shot_a", "zero_shot_b"])
    other = changed(context, {"entry": entry}, methods=kinds)
    assert stages_among(other, seen) == ["zero_shot_b", "linear", "full"]


@pytest.mark.parametrize("method", ["linear", "full"])
def test_learning_rates_come_from_the_footers_of_probes_and_of_fine_tuning(method):
    best = {0: [1.2, 0.9, 1.1], 1: [1.0, None, 1.3]}
    runs = footer_of(method, {0: best[0], 1: [1.0, 2.0, 1.3]})
    if method == "full":
        runs["trials"][4]["criterion"] = None
    else:
        runs["chosen"][1]["best_by_learning_rate"][1] = None
    footer = {"cohort": "c", "model": "m", "method": method, "runs": runs}
    rows = rate_rows([footer, {**footer, "cohort": "other"}, {**footer, "runs": None}], "c")
    assert len(rows) == 6
    assert rows["learning_rate"].tolist() == [0.001, 0.003, 0.01] * 2
    expected = [np.nan if v is None else v for v in best[0] + best[1]]
    np.testing.assert_array_equal(rows["criterion"], expected)
    assert rows.loc[rows["chosen"], "learning_rate"].tolist() == [0.003, 0.001]


def test_validation_auc_is_shown_as_it_is():
    runs = {"select": "val_auc", "learning_rates": [0.1], "chosen": []}
    runs["chosen"] = [{"seed": 0, "learning_rate": 0.1, "best_by_learning_rate": [-0.8]}]
    footer = {"cohort": "c", "model": "m", "method": "x", "runs": runs}
    assert rate_rows([footer], "c")["criterion"].tolist() == [0.8]


def test_lora_rank_needs_two_ranks(context, drawn):
    assert sorted(drawn["lora_rank"].data["rank"].unique()) == [4, 16]
    methods = {k: v for k, v in context.extras.methods.items() if k != "lora_r4"}
    one = changed(context, methods=methods)
    assert lora_rank(replace(one, cohort="nih_6x200")) is None


def test_a_study_makes_run_what_its_tables_and_figures_need():
    config = check(edited("studies/clip_nih/tables", []), SCHEMAS)
    config["studies"]["clip_nih"]["figures"] = []
    for stage in ("dialects", "attribute_probes", "gap_decomposition", "footers"):
        assert jobs.runs_needing(config, "clip_nih", stage) == []
    config = check(edited("studies/clip_nih/tables", ["rankings", "attribute_probes"]), SCHEMAS)
    config["studies"]["clip_nih"]["figures"] = []
    assert stages_of(config["studies"]["clip_nih"]) == {
        *("dialects", "attribute_probes", "conditional_gaps")
    }
    assert jobs.runs_needing(config, "clip_nih", "dialects") == jobs.runs(config, "clip_nih")
    with pytest.raises(MedauditError, match="did you mean 'rankings'"):
        check(edited("studies/clip_nih/tables", ["ranking"]), SCHEMAS)


def test_models_of_which_there_are_predictions_alone_have_no_origin():
    config = check(edited("studies/clip_nih/tables", ["attribute_probes", "dialects"]), SCHEMAS)
    entry = {"kind": "ensemble", "members": ["pixels"], "mean": "probability"}
    config["models"]["both"] = entry
    config["studies"]["clip_nih"]["models"] = ["pixels", "both"]
    models = {
        stage: [run["model"] for run in jobs.runs_needing(config, "clip_nih", stage)]
        for stage in ("attribute_probes", "dialects")
    }
    assert set(models["attribute_probes"]) == {"pixels", "efficientnet_lite0_small"}
    assert set(models["dialects"]) == {"pixels", "both", "efficientnet_lite0_small"}


def test_compare_sees_the_kinds_of_methods_and_no_training_settings():
    config = check(shipped(), SCHEMAS)
    given = json.loads(jobs.settings(config, "compare", study="clip_nih"))
    assert given["methods"]["linear"] == {
        "kind": "probe",
        "head": "linear",
        "label": "linear probe",
    }


def test_replicates_that_do_not_fit_are_refused(inputs, tmp_path):
    path = tmp_path / "zero_shot_clip.csv"
    path.write_bytes(inputs["dialects"][0].read_bytes())
    write_array(np.zeros((3, 200), np.float32), replicates_of(path))
    with pytest.raises(MedauditError, match=r"has shape \(3, 200\)"):
        gather_extras(inputs["settings"], [path], [], [], [])
