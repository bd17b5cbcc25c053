"""Trainings by group: what is refused before any job starts, and what their jobs depend on."""

import json

import pytest

from medaudit.config import jobs
from medaudit.config.trainings import BY_GROUP
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, shipped

COHORT, MODEL = "nih_6x200_small", "vit_random"
NAMES = {
    *("finetune_resampling", "finetune_reweighting", "finetune_balanced", "finetune_groupdro"),
    *("finetune_groupdro_adjusted", "finetune_domain_independent", "finetune_end", "finetune_lnl"),
    *("finetune_sam", "finetune_swad"),
}


def checked(method: dict, cohort: str = COHORT):
    """Return the shipped configuration with a study of one more method."""
    config = shipped()
    config["methods"]["mine"] = method
    config["studies"]["mine"] = {"cohorts": [cohort], "models": [MODEL], "methods": ["mine"]}
    config["studies"]["mine"] |= {"title": "T"}
    config["run"] = ["mine"]
    return check(config, SCHEMAS)


def settings_of(config, cohort: str = COHORT) -> dict:
    line = jobs.settings(config, "finetune", cohort=cohort, model=MODEL, method="mine", seed="0")
    return json.loads(line)["entry"]


def test_the_catalogue_has_every_training_and_the_default_run_none():
    config = check(shipped(), SCHEMAS)
    found = {n: e for n, e in config["methods"].items() if n.startswith("finetune_")}
    assert set(found) == NAMES
    assert {entry["training"] for entry in found.values()} == {*BY_GROUP, "sam", "swad"}
    assert len({entry["label"] for entry in found.values()}) == len(found)
    budget = ("epochs", "batch_size", "learning_rates", "seeds", "select", "augmentation")
    full = config["methods"]["full"]
    assert all(entry[key] == full[key] for entry in found.values() for key in budget)
    for name in config["run"]:
        assert not NAMES & set(json.dumps(config["studies"][name]).split('"'))


def test_the_attribute_is_the_cohorts_first_unless_it_is_named():
    assert settings_of(checked({"extends": "finetune_groupdro"}))["attribute"] == "sex"
    named = checked({"extends": "finetune_groupdro", "attribute": ["sex", "age_group"]})
    assert settings_of(named)["attribute"] == ["sex", "age_group"]
    for name in ("finetune_sam", "full"):
        assert "attribute" not in settings_of(checked({"extends": name}))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            {"extends": "finetune_groupdro", "attribute": "shoe_size"},
            "methods.mine.attribute: 'shoe_size' is not an attribute of nih_6x200_small",
        ),
        (
            {"extends": "finetune_sam", "attribute": "sex"},
            "methods.mine.attribute: training sam uses no groups",
        ),
        ({"extends": "full", "training": "groupdro"}, "'groupdro' is a required property"),
        ({"extends": "finetune_balanced", "class_weights": "balanced"}, "balance classes twice"),
        ({"extends": "search_full", "training": "swad"}, "'swad' is unknown"),
        ({"extends": "finetune_swad", "swad": {"tolerance": 0.9}}, "0.9 is less than"),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(method, message):
    with pytest.raises(MedauditError, match=message):
        checked(method)


def test_cells_of_an_image_with_several_tasks_are_refused():
    config = shipped()
    several = next(
        name for name, entry in config["cohorts"].items() if entry.get("task_type") == "multilabel"
    )
    with pytest.raises(MedauditError, match="needs one task or exclusive classes"):
        own = {"extends": "finetune_resampling", "resampling": {"balance": "group_and_class"}}
        checked(own, several)


def test_a_search_may_use_a_training_by_group():
    found = checked({"extends": "search_full", "training": "groupdro", "groupdro": {}})
    entry = settings_of(found)
    assert entry["groupdro"] == {"step_size": 0.01, "adjustment": 0.0}
    assert entry["objective"]["attribute"] == "sex"


def test_the_searches_of_the_paper_have_the_learning_rates_of_its_code():
    """FairTune's ``search_mask.py``: 1e-5 to 1e-3; the wide range has a name of its own."""
    methods = check(shipped("paper.yaml"), SCHEMAS)["methods"]
    searches = {n: e["learning_rate"] for n, e in methods.items() if e["kind"] == "search"}
    assert searches.pop("fairtune_wide_rates") == [1e-5, 1e-2]
    assert len(searches) > 8 and all(rates == [1e-5, 1e-3] for rates in searches.values()), searches


def test_a_job_depends_on_the_code_of_its_own_training():
    names = ("finetune_groupdro", "finetune_lnl", "full")
    config = check(shipped(), SCHEMAS)
    found = {n: jobs.code(config, "finetune", cohort=COHORT, model=MODEL, method=n) for n in names}
    assert len(set(found.values())) == 3
