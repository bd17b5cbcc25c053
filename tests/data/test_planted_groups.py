"""What a cohort card says is planted, counted again row by row."""

import pandas as pd

from medaudit.config.jobs import settings
from medaudit.data.groups.planted import count_planted
from shipped_config import shipped


def cohort() -> pd.DataFrame:
    rows = [
        ("test", "female", 70, "type 5", "types 4-6"),
        ("test", "female", 61, "type 1", "types 1-3"),
        ("test", "female", 40, "type 4", "types 4-6"),
        ("test", "male", 80, "type 6", "types 4-6"),
        ("test", "male", None, "type 2", "types 1-3"),
        ("train", "female", 90, "type 5", "types 4-6"),
    ]
    names = ["split", "a_sex", "age", "a_skin_type_detail", "a_skin_type"]
    frame = pd.DataFrame(rows, columns=names)
    return frame.assign(a_age_group=frame["age"].map(lambda a: ">60" if a > 60 else "<=60"))


def counts(rule: dict, *attributes: tuple[str, ...]) -> dict:
    (found,) = count_planted(cohort(), attributes, [rule])
    return {
        (part["attribute"], part["group"]): (part["n_planted"], part["n_images"])
        for part in found["groups"]
    }


def test_an_intersection_is_planted_and_its_parts_are_in_part():
    rule = {"where": {"sex": "female", "age_min": 61}, "visibility": 0.5}
    both = ("sex", "age_group")
    assert counts(rule, ("sex",), ("age_group",), both) == {
        ("sex", "female"): (2, 3),
        ("sex", "male"): (0, 2),
        ("age_group", "<=60"): (0, 2),
        ("age_group", ">60"): (2, 3),
        ("sex & age_group", "female & >60"): (2, 2),
        ("sex & age_group", "female & <=60"): (0, 1),
        ("sex & age_group", "male & >60"): (0, 1),
        ("sex & age_group", "male & <=60"): (0, 1),
    }


def test_levels_that_a_cohort_merges_are_those_of_the_dataset():
    rule = {"where": {"skin_type": ["type 4", "type 5"]}, "visibility": 0.5}
    assert counts(rule, ("skin_type",)) == {
        ("skin_type", "types 1-3"): (0, 2),
        ("skin_type", "types 4-6"): (2, 3),
    }


def test_the_stage_gets_the_rules_of_phantoms_only():
    config = shipped()
    assert '"planted": [{' in settings(config, "groups", cohort="nih_6x200")
    config["datasets"]["nih"]["phantom"]["planted"] = []
    assert "planted" not in settings(config, "groups", cohort="nih_6x200")
