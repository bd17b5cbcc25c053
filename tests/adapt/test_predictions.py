"""An external file becomes predictions on a cohort, or an error names what does not match."""

import numpy as np
import pandas as pd
import pytest

from medaudit.adapt.predictions import predictions
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table


def cohort() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ids = [f"{k:03d}.png" for k in range(60)]
    return pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": ids,
            "path": ids,
            "age": np.nan,
            "view": None,
            "split": np.repeat(["train", "val", "test"], 20),
            "y_Edema": rng.integers(0, 2, 60).astype(float),
            "y_Mass": rng.integers(0, 2, 60).astype(float),
            "a_sex": "female",
        }
    )


def scores() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "Image Index": cohort()["image_id"],
            "score_Edema": rng.random(60),
            "score_Mass": rng.random(60),
        }
    )


@pytest.fixture
def imported(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    write_table(cohort(), tmp_path / "c.parquet", COHORT)

    def run(frame: pd.DataFrame, **entry) -> pd.DataFrame:
        frame.to_csv(tmp_path / "theirs.csv", index=False)
        settings = {
            "cohort": "c",
            "model": "theirs",
            "method": "given",
            "tasks": ["Edema", "Mass"],
            "task_type": "multilabel",
            "entry": {"kind": "predictions", "file": "theirs.csv", **entry},
        }
        predictions(settings, cohort=tmp_path / "c.parquet", output=tmp_path / "out.parquet")
        return read_table(tmp_path / "out.parquet", PREDICTIONS)

    run.output = tmp_path / "out.parquet"
    return run


def test_scores_join_the_cohorts_splits_and_labels(imported):
    extra = pd.DataFrame({"Image Index": ["x"], "score_Edema": [0.5], "score_Mass": [0.5]})
    found = imported(pd.concat([scores().sample(frac=1, random_state=0), extra]))
    assert len(found) == 80 and set(found["split"]) == {"val", "test"}
    merged = found.merge(cohort(), on="image_id").merge(
        scores(), left_on="image_id", right_on="Image Index"
    )
    for task, rows in merged.groupby("task"):
        np.testing.assert_array_equal(rows["y"], rows[f"y_{task}"])
        np.testing.assert_allclose(rows["score"], rows[f"score_{task}"])
    assert (merged["split_x"] == merged["split_y"]).all()
    footer = read_metadata(imported.output)
    assert footer["unknown_ids"] == 1 and footer["file"] == "theirs.csv"


def test_long_files_with_models_logits_and_other_names(imported):
    long = scores().melt("Image Index", var_name="finding", value_name="logit")
    long["finding"] = (
        long["finding"].str.replace("score_Edema", "oedema").str.replace("score_M", "M")
    )
    long["logit"] = np.log(long["logit"] / (1 - long["logit"]))
    both = pd.concat([long.assign(model="theirs"), long.assign(model="other", logit=0.0)])
    found = imported(both, rename={"oedema": "Edema"})
    merged = found[found["task"] == "Edema"].merge(
        scores(), left_on="image_id", right_on="Image Index"
    )
    np.testing.assert_allclose(merged["score"], merged["score_Edema"])
    with pytest.raises(MedauditError, match="none named 'theirs'"):
        imported(both.assign(model=both["model"].replace("theirs", "mine")))
    with pytest.raises(MedauditError, match=r"no scores for the tasks \['Edema'\]"):
        imported(long)


def test_labels_in_the_file_are_compared_with_the_cohorts(imported):
    labelled = scores().assign(label_Edema=cohort()["y_Edema"], label_Mass=cohort()["y_Mass"])
    assert len(imported(labelled)) == 80
    labelled.loc[45, "label_Mass"] = 1 - labelled.loc[45, "label_Mass"]
    with pytest.raises(MedauditError, match="1 labels of Mass differ.*'045.png'"):
        imported(labelled)


def test_what_does_not_match_is_refused(imported):
    with pytest.raises(MedauditError, match="38 of 40 scores.*1 images have none, e.g. '059.png'"):
        imported(scores().iloc[:-1])
    with pytest.raises(MedauditError, match="no id of"):
        imported(scores().assign(**{"Image Index": [f"z{k}" for k in range(60)]}))
    with pytest.raises(MedauditError, match="missing"):
        imported(scores().assign(score_Mass=np.nan))
    with pytest.raises(MedauditError, match="cannot read"):
        imported(scores(), file="nowhere.csv")


def test_a_file_without_validation_rows_is_taken(imported):
    found = imported(scores().iloc[40:])
    assert set(found["split"]) == {"test"} and len(found) == 40
