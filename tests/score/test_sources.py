"""Files as people have them give the same labels and scores, or an error that says what to do."""

import bz2
import gzip
import json
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from predictions_tables import base, labels_and_scores, read, truth_and_probability

Y, P = truth_and_probability()
N = len(Y)


def whole() -> pd.DataFrame:
    return base().assign(label=Y, score=P)


def same(study, y=Y, p=P, model=None) -> None:
    found, score = labels_and_scores(study, model=model)
    np.testing.assert_array_equal(found, y)
    np.testing.assert_allclose(score, p, atol=1e-9)
    assert "sex" in study.attributes


def notes(study) -> str:
    return " ".join(text for _, text in study.detected)


def open_document(frame: pd.DataFrame, path, sheets=("Sheet1",)) -> None:
    """Write the form that LibreOffice writes: typed cells, and an empty rest that is repeated."""
    rows = [list(frame.columns), *frame.values.tolist()]

    def cell(value) -> str:
        if isinstance(value, str):
            return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'
        return f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'

    empty = '<table:table-cell table:number-columns-repeated="16379"/>'
    body = "".join(
        f"<table:table-row>{''.join(map(cell, row))}{empty}</table:table-row>" for row in rows
    )
    body += f'<table:table-row table:number-rows-repeated="1048000">{empty}</table:table-row>'
    names = " ".join(
        f'xmlns:{k}="urn:oasis:names:tc:opendocument:xmlns:{k}:1.0"'
        for k in ("office", "table", "text")
    )
    tables = "".join(f'<table:table table:name="{name}">{body}</table:table>' for name in sheets)
    content = f'<?xml version="1.0"?><office:document-content {names} office:version="1.2"><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body></office:document-content>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", "<manifest/>")


def csv() -> bytes:
    return whole().to_csv(index=False).encode()


def zipped(path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)


FILES = {
    "p.csv.gz": lambda path: path.write_bytes(gzip.compress(csv())),
    "p.csv.bz2": lambda path: path.write_bytes(bz2.compress(csv())),
    "p.csv.xz": lambda path: path.write_bytes(lzma.compress(csv())),
    "p.zip": lambda path: zipped(path, p__csv=csv()),
    "q.zip": lambda path: zipped(path, p__csv=csv(), readme__md=b"read me"),
    "p.xlsx": lambda path: whole().to_excel(path, index=False),
    "p.ods": lambda path: open_document(whole(), path),
    "p.jsonl": lambda path: whole().to_json(
        path, orient="records", lines=True, double_precision=15
    ),
    "p.jsonl.gz": lambda path: whole().to_json(
        path, orient="records", lines=True, compression="gzip"
    ),
    "p.json": lambda path: whole().to_json(path, orient="records", double_precision=15),
    "pretty.json": lambda path: path.write_text(json.dumps(whole().to_dict("records"), indent=2)),
    "columns.json": lambda path: path.write_text(json.dumps(whole().to_dict("list"))),
    "p.parquet": lambda path: whole().to_parquet(path),
    "indexed.parquet": lambda path: whole().set_index("image_id").to_parquet(path),
    "utf16le.csv": lambda path: path.write_bytes(csv().decode().encode("utf-16-le")),
    "sep.csv": lambda path: path.write_text(
        "sep=;\n" + whole().to_csv(index=False, sep=";", decimal=",")
    ),
    "quoted_sep.csv": lambda path: path.write_text('"sep=,"\r\n' + csv().decode()),
    "comments.csv": lambda path: path.write_text("# model v2, 3 May\n# seed 0\n" + csv().decode()),
    "hash.csv": lambda path: path.write_text("#" + csv().decode()),
    "old_mac.csv": lambda path: path.write_bytes(csv().replace(b"\n", b"\r")),
    "blank_lines.csv": lambda path: path.write_text("\n\n" + csv().decode() + "\n\n"),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_read(tmp_path, name):
    FILES[name](tmp_path / name)
    same(read(tmp_path / name))


def test_spreadsheets_with_several_tables_are_questioned(tmp_path):
    with pd.ExcelWriter(tmp_path / "p.xlsx") as book:
        whole().assign(score=P[::-1]).to_excel(book, sheet_name="fold 1", index=False)
        whole().to_excel(book, sheet_name="test", index=False)
        pd.DataFrame({"made by": []}).to_excel(book, sheet_name="notes", index=False)
    open_document(whole(), tmp_path / "p.ods", ("train", "test"))
    for name in ("p.xlsx", "p.ods"):
        with pytest.raises(MedauditError, match=r"has the sheets .*'test'; name one: --sheet"):
            read(tmp_path / name)
        same(read(tmp_path / name, columns={"sheet": "test"}))
        with pytest.raises(MedauditError, match="has no sheet 'val'"):
            read(tmp_path / name, columns={"sheet": "val"})


def test_a_hostile_document_is_refused(tmp_path):
    open_document(whole(), tmp_path / "p.ods")
    with zipfile.ZipFile(tmp_path / "p.ods") as archive:
        content = archive.read("content.xml").decode()
    for old, new in (
        ("<table:table-cell office:value-type", '<table:table-cell table:number-columns-repeated="9999999" office:value-type'),
        ("<table:table-row>", '<table:table-row table:number-rows-repeated="9999999">'),
    ):  # fmt: skip
        zipped(tmp_path / "q.ods", mimetype=b"application/vnd.oasis.opendocument.spreadsheet", content__xml=content.replace(old, new, 3).encode())  # fmt: skip
        with pytest.raises(MedauditError, match="is repeated"):
            read(tmp_path / "q.ods")
    zipped(tmp_path / "two.zip", a__csv=csv(), b__csv=csv())
    with pytest.raises(MedauditError, match=r"holds 2 tables \(a.csv, b.csv\)"):
        read(tmp_path / "two.zip")
    (tmp_path / "cut.csv.xz").write_bytes(lzma.compress(csv())[:-20])
    with pytest.raises(MedauditError, match="cannot unpack"):
        read(tmp_path / "cut.csv.xz")


def test_percentages_and_an_index_of_ids(tmp_path):
    percent = whole().assign(score=100 * P)
    with pytest.raises(MedauditError, match="--scores percentages or --scores logits"):
        read(percent)
    same(read(percent, scores="percentages"))
    whole().set_index("image_id").rename_axis(None).to_csv(tmp_path / "p.csv")
    study = read(tmp_path / "p.csv")
    same(study)
    assert study.cohort["image_id"].iloc[0] == "img_0000.png"


def test_nested_columns(tmp_path):
    lists = whole().assign(features=[[0.1, 0.2, k] for k in range(N)], meta=[{"a": 1}] * N)
    lists.to_parquet(tmp_path / "p.parquet")
    study = read(tmp_path / "p.parquet")
    same(study)
    assert "features is left out: it holds lists" in notes(study)
    both = base().assign(label=Y, probs=[[1 - p, p] for p in P])
    both.to_parquet(tmp_path / "q.parquet")
    same(read(tmp_path / "q.parquet"))
    both.to_json(tmp_path / "q.jsonl", orient="records", lines=True, double_precision=15)
    same(read(tmp_path / "q.jsonl"))


def test_leftovers_of_spreadsheets(tmp_path):
    frame = whole()
    frame.to_csv(tmp_path / "p.csv")  # with pandas' index
    study = read(tmp_path / "p.csv")
    same(study)
    assert "only number the rows" in notes(study)
    head, *rows = frame.to_csv(index=False).splitlines()
    tail = [",,,", f"Total,,{Y.sum()},{P.sum():.3f}", f"Mean,,{Y.mean():.3f},{P.mean():.3f}"]
    (tmp_path / "q.csv").write_text("\n".join([head, *rows[:50], head, ",,,", *rows[50:], *tail]))
    study = read(tmp_path / "q.csv")
    same(study)
    for text in (
        "blank rows left out: 2",
        "repeat the header left out: 1",
        "totals at the end left out: 2",
    ):
        assert text in notes(study)
    named = frame.assign(image_id=[f"Total {k:04d}" for k in range(N)])
    same(read(named))


def parts(tmp_path, names, frames):
    for name, frame in zip(names, frames, strict=True):
        frame.to_csv(tmp_path / name, index=False)
    return [tmp_path / name for name in names]


def test_folds_in_files_are_one_test_set(tmp_path):
    cut = np.arange(N) % 5
    names = [f"fold{k}.csv" for k in range(5)]
    paths = parts(tmp_path, names, [whole()[cut == k] for k in range(5)])
    for given in (paths, tmp_path / "fold*.csv", str(tmp_path / "fold*.csv")):
        study = read(given)
        same(study)
        assert study.attributes == ["sex"] and len(study.files) == 5
    study = read(whole().assign(fold=cut))
    same(study)
    assert study.attributes == ["sex"]


def test_sites_readers_and_seeds_in_files(tmp_path):
    half = np.arange(N) < N / 2
    sites = parts(tmp_path, ["bern.csv", "zurich.csv"], [whole()[half], whole()[~half]])
    study = read(sites)
    same(study)
    assert set(study.cohort["a_site"]) == {"bern", "zurich"}
    p2 = truth_and_probability(seed=7)[1]
    readers = parts(tmp_path, ["anna.csv", "ben.csv"], [whole(), whole().assign(score=p2)])
    study = read(readers)
    same(study, model="anna")
    same(study, p=p2, model="ben")
    seeds = parts(tmp_path, ["seed1.csv", "seed2.csv"], [whole(), whole().assign(score=p2)])
    (rows,) = read(seeds).predictions.values()
    assert set(rows["seed"]) == {0, 1}
    some = parts(tmp_path, ["a.csv", "b.csv"], [whole()[:100], whole()[50:]])
    with pytest.raises(MedauditError, match="share some of their images"):
        read(some)
    other = parts(
        tmp_path, ["a.csv", "b.csv"], [whole(), whole().rename(columns={"score": "prob"})]
    )
    with pytest.raises(MedauditError, match=r"differ in the columns \['prob', 'score'\]"):
        read(other)
    with pytest.raises(MedauditError, match="no file matches"):
        read(tmp_path / "none*.csv")


def test_repeated_folds_are_seeds():
    p2 = truth_and_probability(seed=7)[1]
    twice = pd.concat([whole().assign(fold=0), whole().assign(fold=1, score=p2)])
    (rows,) = read(twice).predictions.values()
    assert set(rows["seed"]) == {0, 1}
    np.testing.assert_allclose(rows[rows["seed"] == 1].sort_values("image_id")["score"], p2)


def test_labels_of_a_second_file():
    truth = whole()[["image_id", "label"]].iloc[::-1]
    scores = whole().drop(columns="label")
    same(read(scores, labels=truth))
    same(read(scores, labels=truth.rename(columns={"label": "pneumonia"})))
    same(read(scores.assign(label=(P >= 0.5).astype(int)), labels=truth))
    with pytest.raises(MedauditError, match="no labels for 3 of 160 rows"):
        read(scores, labels=truth.iloc[3:])
    with pytest.raises(MedauditError, match="no id of"):
        read(scores, labels=truth.assign(image_id="x"))
    with pytest.raises(MedauditError, match="several rows that differ"):
        read(scores, labels=pd.concat([truth, truth.iloc[:1].assign(label=1 - truth["label"])]))


def test_a_challenge_has_the_same_columns_in_both_files():
    rng = np.random.default_rng(2)
    kind = rng.integers(0, 3, N)
    logits = rng.normal(size=(N, 3)) + 2 * np.eye(3)[kind]
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = ["MEL", "NV", "BCC"]
    scores = base().assign(**{name: share[:, k] for k, name in enumerate(names)})
    truth = base()[["image_id"]].assign(
        **{n: (kind == k).astype(float) for k, n in enumerate(names)}
    )
    study = read(scores, labels=truth)
    assert study.task_type == "multiclass" and study.tasks == names
    for k, name in enumerate(names):
        y, score = labels_and_scores(study, name)
        np.testing.assert_array_equal(y, kind == k)
        np.testing.assert_allclose(score, share[:, k])


@pytest.mark.parametrize("separator", ["|", "; ", ","])
def test_labels_in_one_column_are_spread(separator):
    y2, p2 = truth_and_probability(seed=7)
    lists = []
    for first, second in zip(Y, y2, strict=True):
        named = ["Pleural Effusion"] * first + ["Mass"] * second
        lists.append(separator.join(named) or "No Finding")
    frame = base().assign(prob_Mass=p2, prob_Pleural_Effusion=P)
    study = read(frame.assign(**{"Finding Labels": lists}))
    assert study.attributes == ["sex"] and set(study.tasks) == {"Mass", "Pleural_Effusion"}
    for task, y, p in (("Mass", y2, p2), ("Pleural_Effusion", Y, P)):
        found, score = labels_and_scores(study, task)
        np.testing.assert_array_equal(found, y)
        np.testing.assert_allclose(score, p)


def survival() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    time = np.round(rng.exponential(np.where(Y, 300, 900)), 1)
    lost = np.round(rng.exponential(1500, N), 1)
    event, seen = (time <= lost).astype(int), np.minimum(time, lost)
    frame = base().assign(event=event, time_to_event=seen, risk=P)
    return frame, event, seen


def test_times_to_an_event_need_a_horizon():
    frame, event, seen = survival()
    with pytest.raises(MedauditError, match="--event event --time time_to_event --horizon"):
        read(frame)
    with pytest.raises(MedauditError, match="also need --horizon"):
        read(frame, columns={"event": "event", "time": "time_to_event"})
    study = read(frame, columns={"event": "event", "time": "time_to_event", "horizon": 365})
    y, score = labels_and_scores(study)
    known = (seen > 365) | (event == 1)
    expected = (event == 1) & (seen <= 365)
    np.testing.assert_array_equal(y, expected[known])
    np.testing.assert_allclose(score, P[known])
    assert f"{int((~known).sum())} rows censored before it are left out" in notes(study)
    assert study.attributes == ["sex"]
    with pytest.raises(MedauditError, match="choose another --horizon"):
        read(frame, columns={"event": "event", "time": "time_to_event", "horizon": 1e6})


def test_what_was_read_can_be_read_again(tmp_path):
    from medaudit.score.reading import write_reading

    frame = base().assign(
        truth_of_it=Y, predicted=(P >= 0.5).astype(int), conf=np.maximum(P, 1 - P)
    )
    study = read(frame.assign(finding="x", dose=np.arange(N) % 3))
    write_reading(study.settings, "p.csv", tmp_path / "columns.yaml")
    again = read(
        frame.assign(finding="x", dose=np.arange(N) % 3), columns=tmp_path / "columns.yaml"
    )
    pd.testing.assert_frame_equal(again.cohort, study.cohort)
    same(again)
    assert again.settings == study.settings
    (tmp_path / "c.yaml").write_text("lable: x\n")
    with pytest.raises(MedauditError, match=r"unknown roles of columns \['lable'\]"):
        read(frame, columns=tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("label: {a: 1}\n")
    with pytest.raises(MedauditError, match="names as text"):
        read(frame, columns=tmp_path / "c.yaml")


def test_groups_of_images_are_joined_by_patient():
    predictions = pd.DataFrame({"patient_id": [f"p{k}" for k in range(N)], "label": Y, "score": P})
    sex = base()["sex"]
    twice = pd.DataFrame(
        {
            "Path": [f"v{k}.png" for k in range(2 * N)],
            "patient_id": np.repeat(predictions["patient_id"], 2),
            "sex": np.repeat(sex, 2),
            "view": np.tile(["PA", "lateral"], N),
        }
    )
    study = read(predictions, twice)
    assert study.attributes == ["sex"] and "differ between the rows" in notes(study)
    assert list(study.cohort["a_sex"]) == list(sex)
    same(read(predictions, twice, attributes=["sex"]), *_ordered(study))
    with pytest.raises(MedauditError, match="160 ids have several rows that differ in view"):
        read(predictions, twice, attributes=["sex", "view"])


def _ordered(study):
    return labels_and_scores(study)
