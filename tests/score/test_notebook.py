"""The notebook API: against fairlearn and scikit-learn; paired comparisons; the notebook in docs."""

import ast
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from matplotlib.figure import Figure
from sklearn import metrics as sk

import medaudit
from checkout import ROOT
from medaudit.core.errors import MedauditError
from medaudit.score import score
from medaudit.score.audit_difference import same_patients
from medaudit.score.custom_metrics import CustomMetric


def people(n: int = 600, seed: int = 0, shift: float = 1.0) -> dict:
    """Return arrays of patients with two images each, of which ill women get low scores."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n // 2), 2)
    sex, site = (rng.choice(levels, n // 2)[patient] for levels in (["F", "M"], ["a", "b", "c"]))
    y = (rng.random(n) < 0.4).astype(int)
    raw = rng.normal(size=n) + 1.6 * y - shift * y * (sex == "F") - 0.8
    return {"y": y, "score": 1 / (1 + np.exp(-raw)), "sex": sex, "site": site, "patient": patient}


def run(data: dict, **options):
    options = {"metrics": ["auc", "recall", "accuracy"], "draws": 60, **options}
    groups = {"Sex": data["sex"], "site": data["site"]}
    return medaudit.audit(
        data["y"], data["score"], groups=groups, patients=data["patient"], **options
    )


@pytest.fixture(scope="module")
def data():
    return people()


@pytest.fixture(scope="module")
def found(data):
    return run(data)


def test_groups_differences_and_ratios_are_those_of_metric_frame(data, found):
    decided = data["score"] >= 0.5
    names = {"tpr": sk.recall_score, "accuracy": sk.accuracy_score}
    for attribute, values in (("Sex", data["sex"]), ("site", data["site"])):
        frame = MetricFrame(
            metrics=names, y_true=data["y"], y_pred=decided, sensitive_features=values
        )
        mine = found.by_group.loc[attribute, list(names)]
        np.testing.assert_allclose(mine, frame.by_group.loc[mine.index, list(names)])
        np.testing.assert_allclose(found.overall[list(names)], frame.overall[list(names)])
        for method in ("between_groups", "to_overall"):
            expected = frame.difference(method=method)[list(names)]
            mine = found.difference(attribute, method=method).loc[attribute, list(names)]
            np.testing.assert_allclose(mine, expected, atol=1e-12)
        expected = frame.ratio(method="between_groups")[list(names)]
        np.testing.assert_allclose(found.ratio(attribute).loc[attribute, list(names)], expected)


def test_the_numbers_are_those_of_a_file(data, found):
    frame = pd.DataFrame({"id": np.arange(600), "label": data["y"], "score": data["score"]})
    frame = frame.assign(patient=data["patient"], Sex=data["sex"], site=data["site"])
    other = score(frame, metrics=["auc", "tpr", "accuracy"], draws=60)
    for table in ("metrics", "gaps"):
        mine, theirs = getattr(found.result, table), getattr(other, table)
        pd.testing.assert_frame_equal(
            mine.drop(columns="cohort"), theirs.drop(columns="cohort"), check_dtype=False
        )


def test_the_worst_group_is_the_planted_one_and_its_gap_is_tested(found):
    row = found.worst("sex").loc[("Sex", "tpr")]
    assert row["group"] == "F" and row["p_adjusted"] <= 0.05 and row["low"] > 0
    gap = found.gaps.loc[("Sex", "max_min", "tpr")]
    assert gap["value"] == pytest.approx(found.difference().loc["Sex", "tpr"])
    assert (gap["n_estimable"], gap["n_groups"]) == (2, 2) and gap["smallest_detectable"] > 0


def test_a_function_gets_the_values_of_scikit_learn_and_the_patient_bootstrap(data):
    own = CustomMetric(sk.matthews_corrcoef, greater_is_better=True)
    metrics = [own, sk.recall_score, sk.brier_score_loss, "tpr"]
    found = run(data, metrics=metrics, draws=200)
    decided = data["score"] >= 0.5
    for group in ("F", "M"):
        mine = data["sex"] == group
        row = found.by_group.loc[("Sex", group)]
        expected = sk.matthews_corrcoef(data["y"][mine], decided[mine])
        assert row["matthews_corrcoef"] == pytest.approx(expected)
        expected = sk.brier_score_loss(data["y"][mine], data["score"][mine])
        assert row["brier_score_loss"] == pytest.approx(expected)
        assert row["recall_score"] == pytest.approx(row["tpr"])
    gap = found.gaps.loc[("Sex", "max_min", "matthews_corrcoef")]
    assert gap["null_status"] == "undefined:no_hypothesis" and np.isnan(gap["p_value"])
    assert 0 < gap["low"] < gap["value"] < gap["high"] and gap["worst"] == "F"
    # Its draws are those of the built-in metric, patient by patient.
    rows = found.result.metrics
    (built_in,), (custom,) = found.result.replicates.values(), found.custom.values()
    for group in ("F", "M"):
        place = [
            np.flatnonzero(
                (t["metric"] == name) & (t["group"] == group) & (t["seed"] == "mean")
            ).item()
            for t, name in ((rows, "tpr"), (custom.metrics, "recall_score"))
        ]
        np.testing.assert_allclose(custom.replicates[place[1]], built_in[place[0]], atol=1e-6)


def test_functions_that_cannot_be_called_say_why(data):
    with pytest.raises(MedauditError, match="not clear whether"):
        run(data, metrics=[sk.cohen_kappa_score])
    with pytest.raises(MedauditError, match="without a name"):
        run(data, metrics=[lambda y_true, y_pred: 0])

    def broken(y_true, y_pred):
        raise KeyError("x")

    with pytest.raises(MedauditError, match="broken' fails on all patients: KeyError"):
        run(data, metrics=[broken])


def test_two_models_on_the_same_patients_are_paired(data, found):
    better = {**data, "score": np.where(data["sex"] == "F", data["score"] ** 0.5, data["score"])}
    table = found.compare(run(better))
    assert table["paired"].all()
    row = table.loc[("Sex", "F", "tpr")]
    assert row["difference"] == pytest.approx(row["this"] - row["other"]) and row["high"] < 0
    same = table.loc[("Sex", "M")]
    assert (same["difference"] == 0).all() and (same["low"] == 0).all()
    # The rank of scores is kept within women, so their AUC is exactly the same.
    assert table.loc[("Sex", "F", "auc"), "difference"] == pytest.approx(0)
    assert table.loc[("Sex", "max_min", "tpr"), "low"] > 0


def test_audits_of_other_patients_are_not_paired(data, found):
    other = run(people(seed=7))
    assert not same_patients(found, other)
    table = found.compare(other)
    assert not table["paired"].any()
    row = table.loc[("all", "all", "accuracy")]
    rows = [a.estimates for a in (found, other)]
    rows = [r[(r["attribute"] == "all") & (r["metric"] == "accuracy")].iloc[0] for r in rows]
    widths = [r["high"] - r["low"] for r in rows]
    assert row["high"] - row["low"] == pytest.approx(np.hypot(*widths), rel=0.3)


def test_several_findings_classes_and_models(data):
    y = pd.DataFrame({"Edema": data["y"], "Mass": 1 - data["y"]})
    scores = pd.DataFrame({"Edema": data["score"], "Mass": data["score"]})
    groups = pd.DataFrame({"sex": data["sex"]})
    found = medaudit.audit(y, scores, groups=groups, metrics=["auc"], draws=20)
    auc = sk.roc_auc_score(data["y"], data["score"])
    assert found.overall["auc"] == pytest.approx(0.5)
    women = data["sex"] == "F"
    expected = sk.roc_auc_score(data["y"][women], data["score"][women])
    assert found.by_finding.loc[("Edema", "sex", "F"), "auc"] == pytest.approx(expected)
    models = {"first": data["score"], "second": 1 - data["score"]}
    found = medaudit.audit(data["y"], models, groups=groups, metrics=["auc"], draws=20)
    assert found.overall["auc"].to_dict() == pytest.approx({"first": auc, "second": 1 - auc})
    rng = np.random.default_rng(0)
    p, classes = rng.dirichlet(np.ones(3), 600), np.array(["a", "b", "c"])
    truth = rng.choice(classes, 600)
    found = medaudit.audit(
        truth, pd.DataFrame(p, columns=classes), groups=groups, metrics=["accuracy"], draws=20
    )
    expected = sk.accuracy_score(truth, classes[p.argmax(axis=1)])
    assert found.overall["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"groups": None}, "groups are needed"),
        ({"groups": {"sex": ["F"] * 10}}, "numbers of rows differ: y_true 600"),
        ({"y_score": None}, "give y_score or y_pred"),
        ({"attributes": ["sexx"]}, "did you mean 'sex'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(data, change, message):
    given = {"y_score": data["score"], "groups": {"sex": data["sex"]}, "draws": 20, **change}
    with pytest.raises(MedauditError, match=message):
        medaudit.audit(data["y"], **given)


def test_rows_of_another_order_are_refused(data):
    y = pd.Series(data["y"])
    groups = pd.DataFrame({"sex": data["sex"]}).sort_values("sex")
    with pytest.raises(MedauditError, match="different indexes"):
        medaudit.audit(y.sample(frac=1, random_state=0), data["score"], groups=groups, draws=20)


def test_it_shows_itself_in_a_notebook(found):
    html, text = found._repr_html_(), repr(found)
    assert "<table" in html and "women" not in text and "Sex" in html and "2 of 2" in html
    assert "600 images of 300 patients" in text and "adjusted p" in text
    assert max(map(len, repr(found.result).splitlines())) <= 120
    assert "Gaps between groups" in found.summary()
    for figure in (found.plot.roc("SEX"), found.plot.calibration(), found.plot.gaps("recall")):
        assert isinstance(figure, Figure) and figure.axes[0].lines


def test_the_roc_curve_of_a_group_is_its_own(data, found):
    curve = found.plot.roc("sex").axes[0].lines[1]
    mine = data["sex"] == "F"
    fpr, tpr, _ = sk.roc_curve(data["y"][mine], data["score"][mine])
    np.testing.assert_allclose(curve.get_xydata(), np.column_stack([fpr, tpr]))
    assert sk.auc(*curve.get_xydata().T) == pytest.approx(found.by_group.loc[("Sex", "F"), "auc"])


def test_writing_adds_the_functions_tables(data, tmp_path):
    found = run(data, metrics=["auc", sk.matthews_corrcoef], draws=20)
    page = found.write(tmp_path)
    assert page.name == "report.html" and page.exists()
    table = pd.read_csv(next((tmp_path / "custom").glob("*.metrics.csv")))
    assert set(table["metric"]) == {"matthews_corrcoef"}


def test_the_notebook_of_the_documentation_runs(monkeypatch):
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())["cells"]
    scope: dict = {}
    shown = []
    for cell in cells:
        if cell["cell_type"] == "code":
            body = ast.parse("".join(cell["source"])).body
            last = body.pop() if isinstance(body[-1], ast.Expr) else None
            exec(compile(ast.Module(body, []), "notebook", "exec"), scope)
            if last is not None:
                shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), scope))
    assert scope["found"].worst().loc[("sex", "tpr"), "group"] == "female"
    assert scope["found"].gaps.loc[("sex", "max_min", "tpr"), "p_adjusted"] <= 0.05
    assert set(scope["judged"].result.equivalence["equivalence"]) == {"unfair"}
    assert len(shown) == sum(cell["cell_type"] == "code" for cell in cells) - 1
    assert all(not cell.get("outputs") for cell in cells)


def test_importing_medaudit_is_quick_and_loads_nothing():
    code = "import sys, medaudit; print(*[m for m in ('numpy', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    heavy = "import sys, medaudit; medaudit.Audit; medaudit.audit; " + code.split("; ")[1]
    heavy = heavy.replace("'numpy'", "'snakemake'")
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
