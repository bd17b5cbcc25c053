"""Files in every form give the numbers of scikit-learn; unusable ones give a clear error."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from medaudit.core.audit_tables import CONDITIONAL, DIALECTS, SENSITIVITY
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, GAPS, METRICS, PREDICTIONS, read_json, read_table
from medaudit.score import score

FAST = {"draws": 20, "metrics": ("auc", "accuracy", "tpr", "fpr")}


def table(n: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    return pd.DataFrame(
        {
            "image_id": [f"{k:05d}" for k in range(n)],
            "patient_id": [f"p{k // 2}" for k in range(n)],
            "label": y,
            "score": np.round(1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * y - 0.5))), 4),
        }
    )


def people(n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    patients = [f"p{k}" for k in range(n // 2)]
    return pd.DataFrame(
        {
            "patient_id": patients,
            "sex": rng.choice(["F", "M"], n // 2),
            "age": rng.integers(20, 91, n // 2),
            "site": rng.choice(["a", "b", "c"], n // 2),
        }
    )


def whole() -> pd.DataFrame:
    return table().merge(people(), on="patient_id")


def value(result, attribute="all", group="all", metric="auc", **where) -> float:
    rows = result.metrics
    where = {"seed": "mean", **where}
    for column, wanted in {
        "attribute": attribute,
        "group": group,
        "metric": metric,
        **where,
    }.items():
        rows = rows[rows[column] == wanted]
    return rows["value"].item()


def check(result, frame: pd.DataFrame) -> None:
    """The audit's AUCs are scikit-learn's on the merged table."""
    assert value(result) == pytest.approx(roc_auc_score(frame["label"], frame["score"]))
    for sex, part in frame.groupby("sex"):
        expected = roc_auc_score(part["label"], part["score"])
        assert value(result, "sex", sex) == pytest.approx(expected)
    old = frame[frame["age"] >= 60]
    found = value(result, "age_group", ">=60", "tpr")
    assert found == pytest.approx((old["score"] >= 0.5)[old["label"] == 1].mean())


def write(frame: pd.DataFrame, path, kind: str):
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "semicolons":
        frame.to_csv(path, sep=";", decimal=",", index=False, encoding="utf-8-sig")
    elif kind == "utf16":
        frame.to_csv(path, sep="\t", index=False, encoding="utf-16")
    else:
        frame.to_csv(path, sep={"csv": ",", "tsv": "\t", "bars": "|"}[kind], index=False)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "bars", "semicolons", "utf16", "parquet"])
def test_every_form_of_file_gives_the_same_numbers(tmp_path, kind):
    name = "p.parquet" if kind == "parquet" else "p.txt"
    path = write(table(), tmp_path / name, kind)
    groups = write(people(), tmp_path / name.replace("p", "g", 1), kind)
    result = score(path, groups, **FAST)
    check(result, whole())
    assert result.study.cohort["image_id"].iloc[0] == "00000"
    assert result.study.attributes == ["sex", "site", "age_group"]


def test_groups_in_the_same_file_and_intersections():
    result = score(whole(), attributes=["sex", "age_group", "sex & age_group"], **FAST)
    check(result, whole())
    assert set(result.gaps["attribute"]) == {"sex", "age_group", "sex & age_group"}
    frame = whole()
    cell = frame[(frame["sex"] == "F") & (frame["age"] < 60)]
    expected = roc_auc_score(cell["label"], cell["score"])
    assert value(result, "sex & age_group", "F & <60") == pytest.approx(expected)


def test_age_threshold():
    result = score(whole(), age_threshold=70, **FAST)
    rows = result.metrics[result.metrics["attribute"] == "age_group"]
    young = rows[(rows["group"] == "<70") & (rows["metric"] == "auc")]["n"].iloc[0]
    assert young == (whole()["age"] < 70).sum()


def test_ages_in_bands_numbers_by_quarters_and_intersections_of_three():
    frame = whole().assign(dose=np.linspace(0, 1, len(whole()))[::-1], site=["a", "b"] * 120)
    wanted = ["dose", "sex & age_group & site"]
    result = score(frame, age_threshold=[65, 40], attributes=wanted, **FAST)
    rows = result.metrics[result.metrics["metric"] == "auc"].drop_duplicates(["attribute", "group"])
    counts = rows.set_index(["attribute", "group"])["n"]
    counts = counts.drop(index="all", level="group")
    assert list(counts["dose"]) == [60] * 4
    three = counts["sex & age_group & site"]
    for group, n in three.items():
        sex, band, site = group.split(" & ")
        low, high = {"<40": (0, 40), "40-64": (40, 65), ">=65": (65, 200)}[band]
        inside = (frame["age"] >= low) & (frame["age"] < high)
        assert n == (inside & (frame["sex"] == sex) & (frame["site"] == site)).sum()
    assert three.sum() == frame[["age", "sex"]].notna().all(axis=1).sum()


def test_named_columns():
    odd = whole().rename(
        columns={"image_id": "a1", "patient_id": "a2", "label": "a3", "score": "a4"}
    )
    with pytest.raises(MedauditError, match="no label and no score"):
        score(odd, **FAST)
    given = {"id": "a1", "patient": "a2", "label": "a3", "score": "a4"}
    check(score(odd, columns=given, **FAST), whole())


def wide() -> pd.DataFrame:
    one, two = whole(), table(seed=5)
    return one.rename(columns={"label": "y_edema", "score": "score_edema"}).assign(
        y_mass=two["label"], score_mass=two["score"]
    )


def long_tasks() -> pd.DataFrame:
    base = whole()
    two = table(seed=5)[["label", "score"]]
    return pd.concat([base.assign(finding="edema"), base.assign(finding="mass", **two)])


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (wide, None),
        (long_tasks, None),
        (
            lambda: wide().rename(columns={"y_edema": "edema_label", "score_edema": "edema_prob"}),
            None,
        ),
        (
            lambda: wide().rename(columns={"y_edema": "q", "score_edema": "r"}),
            {"label": ["q", "y_mass"], "score": ["r", "score_mass"]},
        ),
    ],
)
def test_tasks_wide_and_long(make, given):
    result = score(make(), columns=given, **FAST)
    tasks = result.study.tasks
    assert result.study.task_type == "multilabel" and len(tasks) == 2
    for task, seed in zip(tasks, (0, 5), strict=True):
        frame = table(seed=seed)
        expected = roc_auc_score(frame["label"], frame["score"])
        assert value(result, task=task) == pytest.approx(expected)


def test_models_in_a_column_and_side_by_side():
    other = table(seed=0).assign(score=table(seed=0)["score"] ** 2)["score"][::-1].to_numpy()
    stacked = pd.concat([whole().assign(model="m1"), whole().assign(model="m2", score=other)])
    side_by_side = whole().rename(columns={"score": "score_m1"}).assign(score_m2=other)
    for frame in (stacked, side_by_side):
        result = score(frame, **FAST)
        assert [model for model, _ in result.study.predictions] == ["m1", "m2"]
        expected = roc_auc_score(whole()["label"], other)
        assert value(result, model="m2") == pytest.approx(expected)
        check(
            type(result)(
                **{
                    **vars(result),
                    "metrics": result.metrics[result.metrics["model"] == "m1"],
                }
            ),
            whole(),
        )
        assert (result.rankings["n_runs"] == 2).all()


def classes(n: int = 300) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[truth]
    names = np.array(["edema", "mass", "none"])
    frame = pd.DataFrame(
        {"id": np.arange(n), "label": names[truth], "sex": rng.choice(["f", "m"], n)}
    )
    return frame, logits, truth


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_classes_are_softmaxed_and_decided_by_the_largest(kind):
    frame, logits, truth = classes()
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = logits if kind == "logits" else share
    for k, name in enumerate(("edema", "mass", "none")):
        frame[f"prob_{name}"] = given[:, k]
    result = score(frame, **FAST)
    assert result.study.task_type == "multiclass"
    right = share.argmax(axis=1) == truth
    assert value(result, metric="accuracy", task="all") == pytest.approx(right.mean())
    own = (frame["sex"] == "f").to_numpy()
    found = value(result, "sex", "f", "accuracy", task="all")
    assert found == pytest.approx(right[own].mean())
    assert any(f"scores are {kind}" in text for _, text in result.study.detected)


def test_two_classes_side_by_side_are_one_binary_task():
    frame = whole().rename(columns={"score": "prob_1"})
    frame["prob_0"] = 1 - frame["prob_1"]
    check(score(frame, **FAST), whole())


def test_logits_are_found_by_their_range_and_can_be_forced():
    frame = whole()
    logit = np.log(frame["score"] / (1 - frame["score"]))
    result = score(frame.assign(score=logit), **FAST)
    check(result, whole())
    assert any("logits, through a sigmoid" in text for _, text in result.study.detected)
    with pytest.raises(MedauditError, match="no score of label is below 0.5"):
        score(frame, scores="logits", **FAST)
    forced = score(frame, scores="logits", yes=True, **FAST)
    assert value(forced, metric="fpr") == 1.0
    assert value(score(frame, **FAST), metric="fpr") < 1.0


def test_words_as_labels_and_their_polarity():
    words = whole().assign(label=whole()["label"].map({1: "Yes", 0: "No"}))
    result = score(words, **FAST)
    check(result, whole())
    assert any("1 is ['Yes'], 0 is ['No']" in text for _, text in result.study.detected)
    odd = whole().assign(label=whole()["label"].map({1: "sick", 0: "well"}))
    with pytest.raises(MedauditError, match="--positive"):
        score(odd, **FAST)
    check(score(odd, positive="sick", **FAST), whole())
    turned = score(odd, positive="well", **FAST)
    assert value(turned) == pytest.approx(1 - value(result))
    assert (turned.lint["check"] == "label_polarity").any()


def test_blank_labels_are_left_out_of_that_task():
    frame = whole()
    frame["label"] = frame["label"].astype(object).where(frame.index > 20, None)
    kept = whole().iloc[21:]
    result = score(frame, **FAST)
    assert value(result) == pytest.approx(roc_auc_score(kept["label"], kept["score"]))


def test_thresholds_come_from_validation_where_there_is_one():
    frame = whole()
    fixed = score(frame, **FAST)
    assert fixed.evaluation["threshold"] == {"rule": "fixed", "value": 0.5}
    half = len(frame) // 2
    frame["split"] = np.where(np.arange(len(frame)) < half, "validation", "test")
    result = score(frame, **FAST)
    assert result.evaluation["threshold"] == {"rule": "best_f1"}
    val, test = frame[:half], frame[half:]
    cuts = np.unique(val["score"])

    def f1(cut):
        chosen = val["score"] >= cut
        return 2 * (chosen & (val["label"] == 1)).sum() / (chosen.sum() + val["label"].sum())

    best = max(cuts, key=lambda cut: (f1(cut), cut))
    positive = test[test["label"] == 1]
    assert value(result, metric="tpr") == pytest.approx((positive["score"] >= best).mean())
    assert value(result) == pytest.approx(roc_auc_score(test["label"], test["score"]))


def test_seeds_and_unicode_names():
    frame = whole().assign(
        model="modèle α/β", site=whole()["site"].map({"a": "Zürich", "b": "東京", "c": "c"})
    )
    both = pd.concat([frame.assign(seed=7), frame.assign(seed=9, score=frame["score"] ** 2)])
    result = score(both, attributes=["site"], **FAST)
    assert set(result.metrics["seed"]) == {"0", "1", "mean"}
    assert "東京" in set(result.metrics["group"])


def test_missing_groups_are_counted_and_in_no_group():
    groups = people()
    groups.loc[:9, "sex"] = None
    result = score(table(), groups.iloc[:-5], **FAST)
    frame = table().merge(groups.iloc[:-5], on="patient_id", how="left")
    for sex in "FM":
        rows = result.metrics[
            (result.metrics["group"] == sex) & (result.metrics["metric"] == "auc")
        ]
        assert (rows["n"] == (frame["sex"] == sex).sum()).all()
    missing = result.lint[result.lint["check"] == "attribute_missing"].set_index("where")["count"]
    assert missing["sex"] == 30 and missing["site"] == 10


def test_gaps_are_compared_at_equal_values_of_a_column_that_is_no_attribute(tmp_path):
    frame = whole().assign(view=np.tile(["PA", "AP", "PA"], 80), sex=lambda d: d["sex"])
    path = tmp_path / "preds.csv"
    frame.to_csv(path, index=False)
    result = score(path, attributes=["sex"], control=["age_group", "view"], **FAST)
    assert set(result.metrics["attribute"]) == {"all", "sex"}
    rows = result.conditional[result.conditional["metric"] == "accuracy"]
    rows = rows[rows["kind"] == "value"].set_index(["stratum", "group"])["value"]
    old = (frame["age"] >= 60).map({True: ">=60", False: "<60"}) + " & " + frame["view"]
    share = old.value_counts(normalize=True)
    right = (frame["score"] >= 0.5) == (frame["label"] == 1)
    for sex in ("F", "M"):
        cells = right[frame["sex"] == sex].groupby(old).mean()
        assert rows["standardised", sex] == pytest.approx(share @ cells.loc[share.index])
        assert rows["crude", sex] == pytest.approx(right[frame["sex"] == sex].mean())
    result.write(tmp_path / "out")
    name = "preds/model/given.csv"
    written = read_table(tmp_path / "out/conditional_gaps" / name, CONDITIONAL)
    assert len(written) == len(result.conditional)
    read_table(tmp_path / "out/sensitivity" / name, SENSITIVITY)
    for table_name in ("conditional_gaps", "sensitivity", "target_population"):
        assert (tmp_path / f"out/tables/preds/{table_name}.csv").is_file()
    with pytest.raises(MedauditError, match="nothing left to compare at equal sex"):
        score(frame, attributes=["sex"], control=["sex"], **FAST)
    with pytest.raises(MedauditError, match="no attribute"):
        score(frame, attributes=["sex"], control=["scanner"], **FAST)


def test_written_folder_holds_the_workflows_tables(tmp_path):
    frame = pd.concat([whole().assign(model="a/b"), whole().assign(model="a b")])
    path = tmp_path / "my file.csv"
    frame.to_csv(path, index=False)
    result = score(path, **FAST)
    report = result.write(tmp_path / "out")
    out = tmp_path / "out"
    assert "my_file" in report.read_text(encoding="utf-8")
    read_table(out / "cohort/my_file.parquet", COHORT)
    assert read_json(out / "cohort/my_file.json")["n_images"] == 240
    names = sorted(p.parent.name for p in (out / "evaluate/my_file").glob("*/given.csv"))
    assert names == ["a_b", "a_b_2"]
    for name, model in zip(names, ("a/b", "a b"), strict=True):
        assert set(read_table(out / f"evaluate/my_file/{name}/given.csv", METRICS)["model"]) == {
            model
        }
        read_table(out / f"disparity/my_file/{name}/given.csv", GAPS)
        read_table(out / f"predictions/my_file/{name}/given.parquet", PREDICTIONS)
    assert len(read_table(out / "dialects/my_file.csv", DIALECTS)) == len(result.dialects)
    for made in (
        "lint/my_file.json",
        "run.json",
        "tables/my_file/index.json",
        "figures/my_file/index.json",
    ):
        assert (out / made).is_file()


def with_score(bad) -> pd.DataFrame:
    frame = whole()
    frame["score"] = frame["score"].astype(object)
    frame.loc[7, "score"] = bad
    return frame


def with_duplicate_rows() -> pd.DataFrame:
    return pd.concat([whole(), whole().iloc[:3]])


def with_a_duplicate_column() -> pd.DataFrame:
    frame = whole()
    return pd.concat([frame, frame[["sex"]]], axis=1)


def two_splits() -> pd.DataFrame:
    frame = whole().assign(split="test")
    frame.loc[0, "split"] = "val"
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (whole().iloc[:0], "no rows"),
        (with_score(None), "1 of 240 scores in score are missing"),
        (with_score(float("inf")), "infinite"),
        (with_score("high"), "1 values of the score score are not numbers, e.g. 'high'"),
        (with_score(97.0), "neither probabilities nor clearly logits"),
        (with_duplicate_rows(), "rows share model, image and task"),
        (with_a_duplicate_column(), r"duplicate columns \['sex'\]"),
        (whole().assign(label=whole()["label"] * 2), r"labels in label must be 0 and 1.*'2'"),
        (whole().assign(split="holdout2"), "known splits"),
        (whole().assign(split="train"), "no test row"),
        (two_splits(), "patient_overlap"),
        (whole().drop(columns=["sex", "age", "site"]), "no column gives groups"),
        (whole()[["image_id", "sex", "label"]], "no score column"),
        (whole()[["image_id", "sex", "score"]], "no label column"),
        (whole().assign(image_id=None), "240 rows have no id"),
        (
            whole().drop(columns="image_id").assign(model=["m", "n"] * 120),
            "no image id",
        ),
    ],
)
def test_garbage_is_refused_with_what_and_where(frame, message):
    with pytest.raises(MedauditError, match=message):
        score(frame, **FAST)


def test_an_incomplete_model_and_labels_that_disagree():
    frame = pd.concat([whole().assign(model="a"), whole().assign(model="b")])
    with pytest.raises(MedauditError, match="model b / given has 239 of 240 scores"):
        score(frame.iloc[:-1], **FAST)
    frame = frame.reset_index(drop=True)
    frame.loc[300, "label"] = 1 - frame.loc[300, "label"]
    with pytest.raises(MedauditError, match="differ between models"):
        score(frame, **FAST)


def test_class_probabilities_must_sum_to_one():
    frame, logits, _ = classes()
    for k, name in enumerate(("edema", "mass", "none")):
        frame[f"prob_{name}"] = 1 / (1 + np.exp(-logits[:, k]))
    with pytest.raises(MedauditError, match="do not sum to 1"):
        score(frame, **FAST)


def test_groups_that_do_not_fit():
    with pytest.raises(MedauditError, match="no id of the groups"):
        score(table(), people().assign(patient_id=lambda t: "x" + t["patient_id"]), **FAST)
    again = pd.concat([people(), people().iloc[:2].assign(site="d")])
    with pytest.raises(
        MedauditError, match="2 ids have several rows that differ in site, e.g. 'p0'"
    ):
        score(table(), again, attributes=["sex", "site"], **FAST)
    found = score(table(), again, **FAST)
    check(found, whole())
    assert found.study.attributes == ["sex", "age_group"]
    assert any(
        "differ between the rows of one patient_id: site" in t for _, t in found.study.detected
    )
    with pytest.raises(MedauditError, match="no attribute"):
        score(whole(), attributes=["race"], **FAST)
    with pytest.raises(MedauditError, match="at most 20"):
        score(whole().assign(place=[f"p{k}" for k in range(240)]), attributes=["place"], **FAST)


def test_one_value_small_groups_one_row_and_one_class_have_a_status():
    result = score(whole().assign(site="only"), attributes=["site"], **FAST)
    assert (result.lint["message"].str.contains("nothing to compare")).any()
    assert set(result.gaps["status"]) != {"ok"} and result.gaps["value"].isna().all()
    rare = whole()
    rare["site"] = np.where(rare.index < 2, "rare", "common")
    result = score(rare, attributes=["site"], **FAST)
    rows = result.metrics[result.metrics["group"] == "rare"]
    assert set(rows["status"]) <= {"too_few", "undefined:one_class"} and rows["value"].isna().all()
    for frame in (whole().iloc[:1], whole().assign(label=1)):
        result = score(frame, attributes=["sex"], **FAST)
        auc = result.metrics[result.metrics["metric"] == "auc"]
        assert auc["value"].isna().all()
        assert set(auc["status"]) <= {"too_few", "undefined:one_class"}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("p.csv", b"", "is empty"),
        ("p.parquet", b"", "is empty"),
        ("p.csv", b"\n \n", "is empty"),
        ("p.parquet", b"PAR1 but not really", "cannot read"),
        ("p.csv", b"id,label,score\n1,0\n", "cannot read"),
        ("p.csv", b"id,label,label,score\n1,0,0,.5\n", r"duplicate columns \['label'\]"),
        ("p.csv", b"\x00\x01\x02" * 100, "not text, a spreadsheet"),
        ("p.csv", b"id,label,score\n", "no rows"),
    ],
)
def test_broken_files(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MedauditError, match=message):
        score(tmp_path / name, **FAST)
    with pytest.raises(MedauditError, match="cannot read"):
        score(tmp_path / "nowhere.csv", **FAST)


def test_names_of_another_encoding_are_read_and_said(tmp_path):
    frame = whole().assign(site=whole()["site"].map({"a": "Zürich", "b": "Genève", "c": "c"}))
    frame.to_csv(tmp_path / "p.csv", index=False, encoding="cp1252")
    result = score(tmp_path / "p.csv", **FAST)
    assert "Genève" in set(result.metrics["group"])
    assert any("Windows-1252" in text for _, text in result.study.detected)


@pytest.mark.parametrize("scale", [30, 100, 1e6])
def test_large_logits_rank_as_given(scale):
    frame = whole()
    logits = np.log(frame["score"] / (1 - frame["score"])) * scale
    result = score(frame.assign(score=logits), scores="logits", **FAST)
    assert value(result) == pytest.approx(roc_auc_score(frame["label"], logits), abs=1e-12)
    serious = result.lint[result.lint["severity"] != "info"]
    assert not set(serious["check"]) & {"score_range", "resampled_duplicates"}


def split_frame() -> pd.DataFrame:
    frame = whole()
    return frame.assign(split=np.where(np.arange(len(frame)) // 2 % 3 == 0, "val", "test"))


def shown(result) -> str:
    from rich.console import Console

    from medaudit.score.summary import show

    console = Console(record=True, width=200, file=StringIO())
    show(result, console)
    return " ".join(console.export_text().split())


def test_the_terminal_says_where_no_threshold_could_be_chosen():
    frame = split_frame()
    text = shown(score(frame, **FAST))
    assert "Thresholds were chosen on the validation rows (largest F1)." in text
    assert "for these thresholds as chosen" in text and "undefined:" not in text
    one_class = frame[(frame["split"] == "test") | (frame["label"] == 0)]
    result = score(one_class, **FAST)
    text = shown(result)
    assert "No threshold could be chosen (largest F1)" in text
    assert "Thresholds were chosen" not in text and "undefined:" not in text
    finding = result.lint[result.lint["check"] == "threshold_choice"].iloc[0]
    assert finding["severity"] == "warning" and "no threshold can be chosen" in finding["message"]


def test_only_named_attributes_are_strata():
    """A column that repeats the label must not narrow the interval of a rate."""
    frame = whole().drop(columns=["age", "site"])
    copied = frame.assign(biopsy=np.where(frame["label"] == 1, "positive", "negative"))
    kwargs = {"draws": 200, "metrics": ("selection_rate",)}
    plain, found, named = (
        score(frame, **kwargs),
        score(copied, **kwargs),
        score(copied, attributes=["sex", "biopsy"], **kwargs),
    )
    assert found.study.declared == [] and named.study.declared == ["sex", "biopsy"]

    def draws(result):
        rows = result.metrics.reset_index()
        row = rows[(rows["attribute"] == "all") & (rows["seed"] == "mean")]
        row = row[row["metric"] == "selection_rate"].index[0]
        return result.replicates["model", "given"][row]

    np.testing.assert_array_equal(draws(plain), draws(found))
    only_sex = score(frame, attributes=["sex"], **kwargs)
    np.testing.assert_array_equal(draws(named), draws(only_sex))


def test_a_small_group_is_described_in_words():
    frame = whole()
    frame.loc[:3, "site"] = "tiny"
    message = score(frame, **FAST).lint.set_index("check").loc[["small_group"], "message"].iloc[0]
    assert "below the minimum (10 images, 3 positives, 3 negatives)" in message
    assert "1 tasks" not in message and "{" not in message
