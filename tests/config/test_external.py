"""External cohorts in the configuration: what a pair becomes, and what is refused before a run."""

import json
from copy import deepcopy

import pytest

from medaudit.config import jobs
from medaudit.config.external import pairs_of
from medaudit.config.runs import runs
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, shipped

HOME, AWAY = "chexpert_glocker_small", "nih_external_small"
PAIR = f"{HOME}_to_{AWAY}"
TASKS = {"Pleural Effusion": "Effusion"}
STUDY = {
    "title": "Elsewhere",
    "cohorts": [HOME],
    "models": ["pixels", "resnet_small"],
    "methods": ["linear", "full_layer_decay_small"],
}


def configured(*external, **changes) -> dict:
    config = shipped()
    config["studies"]["elsewhere"] = {**STUDY, **changes, "external": list(external)}
    config["run"] = ["elsewhere"]
    return config


def checked(*external, **changes):
    return check(configured(*external, **changes), SCHEMAS)


def test_a_pair_is_a_cohort_with_the_names_of_home_and_the_runs_of_home():
    config = checked({"cohort": AWAY, "tasks": TASKS})
    entry = config["cohorts"][PAIR]
    assert entry["tasks"] == ["Cardiomegaly", "Edema", "Atelectasis", "Pleural Effusion"]
    assert entry["task_names"]["Pleural Effusion"] == "Effusion"
    assert entry["unmatched_tasks"] == ["No Finding", "Lung Opacity", "Support Devices"]
    assert entry["attributes"] == ["sex"]
    assert entry["unmatched_attributes"] == ["race"]
    assert pairs_of(config, "elsewhere") == [(HOME, PAIR)]
    found = [(run["model"], run["method"]) for run in runs(config, "elsewhere")]
    assert found[:3] == found[3:] and len(found) == 6


def test_an_external_cohort_changes_the_settings_of_no_training():
    plain, external = checked(), checked({"cohort": AWAY, "tasks": TASKS})
    for stage, names in (
        ("probe", {"cohort": HOME, "model": "pixels", "method": "linear"}),
        (
            "finetune",
            {
                "cohort": HOME,
                "model": "resnet_small",
                "method": "full_layer_decay_small",
                "seed": "0",
            },
        ),
        ("embed", {"cohort": HOME, "model": "resnet_small"}),
    ):
        assert jobs.settings(plain, stage, **names) == jobs.settings(external, stage, **names)
        assert jobs.code(plain, stage, **names) == jobs.code(external, stage, **names)


def test_the_external_job_gets_the_settings_of_the_training_at_home():
    config = checked({"cohort": AWAY, "tasks": TASKS})
    given = json.loads(
        jobs.settings(config, "transfer", cohort=PAIR, model="pixels", method="linear")
    )
    assert (given["home"], given["cohort"]) == (HOME, PAIR)
    assert given["tasks"] == config["cohorts"][HOME]["tasks"]
    assert given["kept"] == config["cohorts"][PAIR]["tasks"]


@pytest.mark.parametrize(
    ("external", "said"),
    [
        (
            "nih_externl",
            "external.0.cohort: 'nih_externl' is unknown (did you mean 'nih_external_s",
        ),
        (
            {"cohort": AWAY, "tasks": {"Effusion": "Effusion"}},
            "tasks: 'Effusion' of chexpert_glock",
        ),
        (
            {"cohort": AWAY, "tasks": {"Edema": "Oedema"}},
            "tasks: 'Oedema' of nih_external_small is",
        ),
        ({"cohort": AWAY, "attributes": {"race": "rase"}}, "attributes: 'rase' of nih_external_sm"),
        ({"cohort": AWAY, "levels": {"rase": {}}}, "levels: 'rase' of chexpert_glocker_small is u"),
        ({"cohort": AWAY, "home": ["nih_6x200"]}, "home: 'nih_6x200' is not a cohort of the study"),
        ({"cohort": AWAY, "from": [HOME]}, "key 'from' is unknown"),
        (HOME, "'chexpert_glocker_small' cannot be external to itself"),
        ("chexpert_glocker", "image_size is 256 for chexpert_glocker and 64 for chexpert_glocker_"),
        ("ham10000_age_small", "share no task; name them in `tasks`, as home: external"),
        ("fitzpatrick17k_skin_type_small", "share no attribute; name them in `attributes`"),
    ],
)
def test_a_wrong_external_cohort_is_refused(external, said):
    with pytest.raises(MedauditError) as error:
        checked(external)
    assert said in str(error.value)


def test_classes_must_all_have_a_counterpart():
    with pytest.raises(MedauditError, match="lacks Pneumothorax, Consolidation; name them"):
        checked(AWAY, cohorts=["nih_6x200"])


def test_a_model_pretrained_on_the_external_dataset_is_refused():
    with pytest.raises(MedauditError, match="medical_resnet_small is pretrained on nih, so it may"):
        checked(AWAY, models=["medical_resnet_small"])


def test_two_studies_may_share_a_pair_but_not_map_it_in_two_ways():
    config = configured({"cohort": AWAY, "tasks": TASKS})
    config["studies"]["again"] = deepcopy(config["studies"]["elsewhere"])
    check(deepcopy(config), SCHEMAS)
    config["studies"]["again"]["external"] = [AWAY]
    with pytest.raises(MedauditError, match="is mapped in two ways"):
        check(config, SCHEMAS)


def leaving_out(attribute="view_position", levels=("AP", "PA"), **changes):
    config = configured(**changes)
    config["datasets"]["chexpert"]["attributes"].append("view_position")
    config["studies"]["elsewhere"] |= {"leave_out": {"attribute": attribute, "levels": [*levels]}}
    return check(config, SCHEMAS)


def test_each_level_is_left_out_once():
    config = leaving_out(models=["pixels"], methods=["linear"])
    assert config["studies"]["elsewhere"]["cohorts"] == [f"{HOME}_without_AP", f"{HOME}_without_PA"]
    pairs = pairs_of(config, "elsewhere")
    assert pairs == [
        (f"{HOME}_without_{v}", f"{HOME}_without_{v}_to_{HOME}_at_{v}") for v in ("AP", "PA")
    ]
    entry = config["cohorts"][pairs[0][1]]
    assert entry["same_dataset"] and entry["attributes"] == ["sex", "race", ["sex", "race"]]
    given = json.loads(jobs.settings(config, "cohort", cohort=f"{HOME}_at_AP"))
    assert given["rows"] == {"attribute": "view_position", "level": "AP", "keep": True}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"attribute": "site"}, "leave_out.attribute: 'site' of chexpert_glocker_small is unknown"),
        ({"models": ["medical_resnet_small"]}, "has seen the sites that are left out"),
        ({"levels": ["a b", "a-b"]}, "give the same name"),
    ],
)
def test_a_wrong_leave_out_is_refused(given, said):
    with pytest.raises(MedauditError) as error:
        leaving_out(**given)
    assert said in str(error.value)
