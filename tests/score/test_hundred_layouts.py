"""The same 500 predictions in a hundred layouts: one result, or a refusal, never another number."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from medaudit.core.errors import MedauditError
from predictions_tables import labels_and_scores, read, truth_and_probability

N, LAYOUTS = 500, 100
IDS = ("image_id", "Image Index", "filename", "ImageID", "path", "dicom_id", "id")
TRUTHS = ("label", "y_true", "True Label", "ground_truth", "target", "groundTruth", "gt")
SCORES = ("score", "y_prob", "predicted_probability", "Probability", "pred_score", "P(malignant)")
DECISIONS = ("predicted_label", "y_pred", "Prediction", "pred_class")
SEXES = ("sex", "Sex", "PatientSex", "gender")
WORDS = (("0", "1"), ("no", "yes"), ("False", "True"), ("negative", "positive"), ("0.0", "1.0"))


def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p = truth_and_probability(N, seed=4)
    sex = np.random.default_rng(5).choice(["F", "M"], N)
    return y, p, sex


def table(rng: np.random.Generator) -> tuple[pd.DataFrame, str]:
    """Return the predictions in one of many layouts, and the name of the column of sex."""
    y, p, sex = truth()
    pick = lambda names: names[rng.integers(len(names))]  # noqa: E731
    negative, positive = pick(WORDS)
    label, names = np.where(y, positive, negative), pick(SEXES)
    columns = {pick(IDS): [f"s{k:03d}.png" for k in range(N)], names: sex}
    truth_name, kind = (
        pick(TRUTHS),
        pick(["plain", "logit", "softmax", "confidence", "wide", "bare"]),
    )
    if kind == "plain":
        columns |= {truth_name: label, pick(SCORES): p}
    elif kind == "logit":
        columns |= {truth_name: label, pick(["logit", "logits", "y_logit"]): np.log(p / (1 - p))}
    elif kind == "softmax":
        columns |= {
            truth_name: label,
            f"prob_{negative}": np.round(1 - p, 5),
            f"prob_{positive}": p,
        }
    elif kind == "confidence":
        columns |= {truth_name: label, "predicted_label": np.where(p >= 0.5, positive, negative)}
        columns |= {"confidence": np.maximum(p, 1 - p)}
    elif kind == "wide":
        columns |= {"label_Pleural Effusion": y, "prob_pleural_effusion": p}
    else:
        columns |= {"Edema": y, pick(["prob_Edema", "edema_score", "Edema_pred"]): p}
    decision = (p >= 0.5).astype(int)
    extras = {
        pick(DECISIONS): np.where(decision, positive, negative),
        "correct": decision == y,
        "outcome": np.where(decision == y, np.where(y, "TP", "TN"), np.where(y, "FN", "FP")),
        "risk_level": np.select([p < 0.2, p < 0.7], ["low", "middle"], "high"),
        "fold": np.arange(N) % 5,
        "Unnamed: 0": np.arange(N),
        "StudyDate": pd.date_range("2020-01-01", periods=N).strftime("%Y%m%d"),
        "entropy": -p * np.log(p) - (1 - p) * np.log(1 - p),
        "run": np.where(np.arange(N) % 2, "a", "b"),
        "age_at_exam": [">89" if k % 50 == 0 else str(20 + k % 60) for k in range(N)],
    }
    for name in rng.permutation(list(extras))[: rng.integers(0, 6)]:
        columns.setdefault(str(name), extras[str(name)])
    order = [str(name) for name in rng.permutation(list(columns))]
    frame = pd.DataFrame({name: columns[name] for name in order})
    return frame.iloc[rng.permutation(N)].reset_index(drop=True), names


def write(frame: pd.DataFrame, folder, rng: np.random.Generator):
    """Write the table in one of many forms and return its path."""
    kind = rng.integers(10)
    path = folder / "p.csv"
    if kind < 4:
        separator = [",", ";", "\t", "|"][kind]
        decimal = "," if separator == ";" else "."
        encoding = ["utf-8", "utf-8-sig", "utf-16", "cp1252"][rng.integers(4)]
        frame.to_csv(path, index=False, sep=separator, decimal=decimal, encoding=encoding)
        if rng.random() < 0.3 and encoding == "utf-8":
            path.write_text(f"sep={separator}\n" + path.read_text())
    elif kind == 4:
        path = folder / "p.parquet"
        frame.to_parquet(path)
    elif kind == 5:
        path = folder / "p.jsonl"
        frame.to_json(path, orient="records", lines=True)
    elif kind == 6:
        path = folder / "p.xlsx"
        frame.to_excel(path, index=False)
    elif kind == 7:
        path = folder / "p.csv.gz"
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    elif kind == 8:
        path = folder / "p.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("p.csv", frame.to_csv(index=False))
    else:
        text = frame.to_csv(index=False)
        path.write_text(
            text + "," * (frame.shape[1] - 1) + "\nTotal" + "," * (frame.shape[1] - 1) + "\n"
        )
    return path


@pytest.mark.parametrize("start", range(0, LAYOUTS, 10))
def test_every_layout_gives_the_same_result_or_is_refused(tmp_path, start):
    y, p, sex = truth()
    expected = roc_auc_score(y, p)
    refused = 0
    for seed in range(start, start + 10):
        rng = np.random.default_rng(seed)
        frame, name = table(rng)
        path = write(frame, tmp_path, rng)
        try:
            study = read(path)
        except MedauditError:
            refused += 1
            continue
        found, score = labels_and_scores(study)
        assert list(found) == list(y), (seed, list(frame))
        np.testing.assert_allclose(score, p, atol=1e-6, err_msg=f"{seed}: {list(frame)}")
        assert roc_auc_score(found, score) == pytest.approx(expected)
        groups = study.cohort.sort_values("image_id")[f"a_{name}"]
        assert list(groups) == list(sex)
        assert set(map(str, study.attributes)) <= {name, "age_group", "run"}, (seed, list(frame))
    assert refused <= 2
