"""An external cohort in the workflow: what is planned when it is added to a finished audit."""

import pytest
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]
SMOKE = "config/smoke.yaml"
HOME, AWAY = "chexpert_balanced_smoke", "nih_external_small"
TRAINING = {"pretrain", "probe", "finetune", "search", "best_trial", "merge_seeds"}


def test_an_external_cohort_is_predicted_without_training_again(finished):
    external = [{"cohort": AWAY, "tasks": {"Pleural Effusion": "Effusion"}}]
    change = {"studies": {"how_fair": {"external": external}}}
    (finished.folder / "config" / "change.yaml").write_text(yaml.safe_dump(change))
    jobs = finished.plan("--configfile", SMOKE, "config/change.yaml")
    planned = {(rule, names.get("cohort")) for rule, names in jobs}
    assert not {rule for rule, _ in planned} & TRAINING
    pair = f"{HOME}_to_{AWAY}"
    assert {("cohort", pair), ("transfer", pair), ("evaluate", pair), ("embed", AWAY)} <= planned
    assert ("embed", HOME) not in planned and ("evaluate", HOME) not in planned
