from copy import deepcopy

import pytest
import yaml

from medaudit.config.renamed import RENAMED
from medaudit.config.schema import unknown
from medaudit.config.selection import selected
from medaudit.config.validation import check, check_files, check_writable
from medaudit.core.errors import MedauditError
from shipped_config import SCHEMAS, edited, shipped


def test_the_shipped_configuration_is_valid_and_complete():
    config = check(shipped(), SCHEMAS)
    check_files(config)
    small = config["cohorts"]["chexpert_balanced_small"]
    assert small["balance"] == "race_sex"
    assert small["builder"] == "glocker"
    assert "extends" not in small
    assert config["evaluation"]["ece_bins"] == 15
    assert config["evaluation"]["control"] == []
    assert config["evaluation"]["sensitivity"]["flagged"] == [0.5, 2]


@pytest.mark.parametrize("overlay", ["smoke.yaml", "paper.yaml"])
def test_overlays_are_valid(overlay):
    check(shipped(overlay), SCHEMAS)


def test_the_selection_follows_the_studies_to_run():
    config = check(edited("run", ["clip_nih"]), SCHEMAS)
    used = selected(config)
    assert used["datasets"] == ["nih"]
    assert "pixels" in used["models"]


def test_the_users_dictionary_is_left_alone():
    config = shipped()
    before = deepcopy(config)
    check(config, SCHEMAS)
    assert config == before


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("unknown", 1, "config: key 'unknown' is unknown"),
        ("evaluation/bootstraps", 1, "'bootstraps' is unknown (did you mean 'bootstrap'?)"),
        ("evaluation/bootstrap/draws", 3, "evaluation.bootstrap.draws: 3 is less than"),
        ("evaluation/metrics", ["auk"], "'auk' is unknown (did you mean 'auc'?); known: a"),
        ("evaluation/metrics", ["sensitivty"], "(did you mean 'sensitivity', which is 'tpr'?)"),
        ("evaluation/metrics", ["tpr", "recall"], "'tpr' is listed more than once"),
        ("studies/clip_nih/lead", ["specificity"], "lead: 'tnr' is not among evaluation.metrics"),
        ("studies/clip_nih/controls", ["pixel"], "controls: 'pixel' is unknown (did you mean 'pix"),
        ("evaluation/control", ["rase"], "evaluation.control: no audited cohort has 'rase'; cont"),
        ("evaluation/sensitivity", {"prevalence": {"A": 1.0}}, "prevalence.A: 1.0 is greater"),
        ("evaluation/sensitivity", {"flagged": [2, 0.5]}, "sensitivity.flagged: 2 is not below"),
        ("evaluation/reference", {"sex": "male"}, "evaluation.reference has no effect"),
        ("evaluation/gaps", ["reference"], "name a reference group, e.g. sex: male"),
        ("evaluation/sensitivity", {"label": 1}, "key 'label' is unknown"),
        ("run", ["clip_nhi"], "'clip_nhi' is unknown (did you mean 'clip_nih'?)"),
        ("run", [], "run: [] should be non-empty"),
        ("studies/clip_nih/models", ["pixel"], "did you mean 'pixels'?"),
        ("studies/clip_nih/methods", ["linaer"], "did you mean 'linear'?"),
        ("models/pixels/kind", "pixel", "models.pixels.kind: 'pixel' is unknown"),
        ("models/pixels/depth", 3, "models.pixels: key 'depth' is unknown"),
        ("methods/linear/learning_rates", [], "methods.linear.learning_rates: []"),
        ("cohorts/nih_6x200/dataset", "nhi", "did you mean 'nih'?"),
        ("cohorts/nih_6x200/attributes", ["race"], "attributes: 'race' is unknown"),
        ("cohorts/nih_6x200/cell_size", 60, "50 images in all, but cell_size is 60"),
        ("cohorts/chexpert_glocker/split/test", 0.4, "the shares sum to"),
        ("cohorts/nih_6x200/extends", "nih_6x200", "extends itself"),
        ("cohorts/nih_6x200/extends", "nothing", "'nothing' is unknown"),
        ("datasets/ol3i/window", [200, -200], "datasets.ol3i.window: 200 is not below -200"),
        ("datasets/ol3i/window", [5, 5], "datasets.ol3i.window: 5 is not below 5"),
        ("pretrainings/mae_small/augmentation", {"scale": [0.9, 0.2]}, "scale: 0.9 is not below"),
        ("models/vit_random/input/std", [0.0], "std.0: 0.0 is less than or equal to"),
        ("studies/clip_nih/tables", ["origin"], "renamed: write 'attribute_probes'); known: ab"),
        ("studies/clip_nih/figures", ["origin"], "renamed: write 'attribute_probes'); known: ad"),
        ("datasets/nih/phantom/planted", [{"where": {}}], "datasets.nih.phantom.planted.0"),
        ("evaluation/threshold", {"rule": "sensitivity"}, "the rule sensitivity needs `value`"),
        ("evaluation/threshold", {"rule": "fixed"}, "the rule fixed needs `value`"),
        ("evaluation/threshold", {"rule": "fixed", "value": {"Edma": 0.3}}, "'Edma' is unknown"),
        ("evaluation/threshold", {"rule": "fixed", "value": {"Edema": 3}}, "value.Edema: 3 is"),
        ("evaluation/threshold", {"rule": "fixed", "value": {"Edema": 0.3}}, "of the cohort"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_is_known(path, value, said):
    with pytest.raises(MedauditError) as caught:
        check(edited(path, value), SCHEMAS)
    assert said in str(caught.value)


def test_metrics_may_have_any_of_their_names():
    config = edited("evaluation/metrics", ["ROC AUC", "sensitivity", "false-alarm rate", "f1"])
    config["evaluation"]["margins"] = {"Recall": 0.1}
    config["studies"]["clip_nih"] |= {
        "lead": ["sensitivity"],
        "questions": [{"metric": "AUROC", "attribute": "sex"}],
    }
    found = check(config, SCHEMAS)
    assert found["evaluation"]["metrics"] == ["auc", "tpr", "fpr", "f1"]
    assert found["evaluation"]["margins"] == {"tpr": 0.1}
    study = found["studies"]["clip_nih"]
    assert study["lead"] == ["tpr"] and study["questions"][0]["metric"] == "auc"


def test_a_control_is_no_subject_and_may_be_left_out_by_an_overlay():
    config = edited("studies/clip_nih/controls", ["vit_random"])
    assert check(config, SCHEMAS)["studies"]["clip_nih"]["controls"] == ["vit_random"]
    config["studies"]["clip_nih"] |= {"controls": ["clip_small"], "subjects": ["clip_small"]}
    with pytest.raises(MedauditError, match="'clip_small' is among its subjects too"):
        check(config, SCHEMAS)


def test_every_problem_is_listed_at_once():
    config = edited("models/pixels/dimension", 0)
    config["methods"]["linear"]["seeds"] = "three"
    with pytest.raises(MedauditError) as caught:
        check(config, SCHEMAS)
    assert "models.pixels.dimension" in str(caught.value)
    assert "methods.linear.seeds" in str(caught.value)


def test_a_missing_folder_and_missing_weights_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    config = edited("datasets/nih/folder", "CXR8")
    config["models"]["scratch_resnet_small"]["weights"] = "vit.safetensors"
    with pytest.raises(MedauditError) as caught:
        check_files(check(config, SCHEMAS))
    assert str(tmp_path / "CXR8") in str(caught.value)
    assert str(tmp_path / "vit.safetensors") in str(caught.value)
    (tmp_path / "CXR8").mkdir()
    (tmp_path / "vit.safetensors").write_bytes(b"x")
    check_files(check(config, SCHEMAS))


def test_data_that_only_a_pretraining_reads_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    config = edited("datasets/chexpert/folder", "CheXpert")
    study = {"cohorts": ["nih_6x200_small"], "models": ["clip_small"], "methods": ["linear"]}
    config["studies"] = {"one": {**study, "title": "One"}}
    config["run"] = ["one"]
    check_files(check(config, SCHEMAS))
    config["pretrainings"]["clip_small"]["cohorts"].append("chexpert_all")
    with pytest.raises(MedauditError, match="CheXpert"):
        check_files(check(config, SCHEMAS))


def test_schemas_are_strict_at_every_level():
    def objects(schema):
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                yield schema
            for part in schema.values():
                yield from objects(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from objects(part)

    # entries are checked by their own schema; `arguments` are another library's
    loose = {"type": "object"}
    for path in SCHEMAS.glob("*.yaml"):
        for schema in objects(yaml.safe_load(path.read_text())):
            strict = schema.get("additionalProperties") is not None
            assert strict or schema == loose or schema.get("default") == {}, (
                f"{path.name}: {schema}"
            )


def test_a_place_that_cannot_be_written_to_is_found(tmp_path, monkeypatch):
    check_writable(tmp_path / "results" / "deeper")
    (tmp_path / "file").write_text("")
    with pytest.raises(MedauditError, match="cannot write results to .*file"):
        check_writable(tmp_path / "file")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(MedauditError, match="is not a folder that you may write to"):
        check_writable(tmp_path / "results")


def test_options_of_another_algorithm_are_refused():
    config = edited("pretrainings/mae_small/options", {"momentum": 0.9})
    with pytest.raises(
        MedauditError, match="pretrainings.mae_small.options: key 'momentum' is unk"
    ):
        check(config, SCHEMAS)


def test_a_renamed_name_is_offered_where_its_new_name_is_known():
    for old, new in RENAMED.items():
        assert f"it was renamed: write {new!r}" in unknown(old, [new, old + "s"])
        assert "renamed" not in unknown(old, [old + "s"])
