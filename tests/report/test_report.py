"""The page and the record: sentences that do not overclaim, hostile names, no outside address."""

import base64
import gzip
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from medaudit.core.table_io import PREDICTIONS, read_json, write_table
from medaudit.report.answers.reasons import explain
from medaudit.report.answers.sentences import Setting, describe
from medaudit.report.answers.structure import GroupValue
from medaudit.report.compare import compare
from medaudit.report.page.model_cards import draw_curve, model_cards
from medaudit.report.page.packing import FEW, table_rows
from medaudit.report.page.rivals import explain_difference
from medaudit.report.page.run_record import describe_run
from medaudit.report.report import report
from medaudit.report.tables.table import Column, shown
from medaudit.report.verdicts import Verdict, judge_gap
from medaudit.report.wording import terms
from medaudit.report.wording.people import people
from report_config import HOSTILE, config_of
from synthetic_study import NOTE, gap_row, make_study

HEAD = {"headline": "auc", "gap": "max_min", "level": 0.95, "draws": 1000, "permutations": 1000}
GROUPS = {"all": ["all"], "sex": ["female", HOSTILE], "race": ["=1+1", "white"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("page")
    study = make_study(folder, models=("pixels",), tasks=("a", "b"), groups=GROUPS, too_few="white")
    study["settings"]["entry"]["title"] = HOSTILE
    compare(**study)
    predictions = folder / "predictions.parquet"
    row = {"image_id": "i", "split": "test", "task": "a", "seed": 0, "y": 1.0, "score": 0.5}
    write_table(
        pd.DataFrame([row]),
        predictions,
        PREDICTIONS,
        model="pixels",
        spec={"sha256": "ef" * 32},
        runs=[{"learning_rate": 0.1, "val_loss_curve": [0.1] * 100}],
    )
    arguments = {
        "compare": [study["output"]],
        "tables": [study["tables"]],
        "figures": [study["figures"]],
        "cards": study["cards"],
        "predictions": [predictions],
        "output": folder / "report.html",
        "run": folder / "run.json",
    }
    report({"config": config_of(study, HOSTILE)}, **arguments)
    return arguments


def unpacked(found: dict) -> bytes:
    return gzip.decompress(base64.b64decode(found["data-gzip"]))


class Page(HTMLParser):
    """Collects what a test asks of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.addresses, self.ids = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        self.addresses += [found[key] for key in ("src", "href", "action") if found.get(key)]
        self.ids += [found["id"]] if "id" in found else []


def test_the_page_asks_nothing_of_any_host(made):
    page = Page(made["output"].read_text())
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "default-src 'none'" in made["output"].read_text()
    assert made["output"].stat().st_size < 10 * 2**20


def test_semantic_page(made):
    page = Page(made["output"].read_text())
    assert len(page.ids) == len(set(page.ids))
    targets = {address[1:] for address in page.addresses if address.startswith("#")}
    assert targets <= set(page.ids)
    names = [tag for tag, _ in page.tags]
    assert names.count("main") == names.count("h1") == 1 and "nav" in names
    pictures = [found for tag, found in page.tags if tag == "img" and len(found) > 1]
    assert len(pictures) == 4 and all(len(found["alt"]) > 40 for found in pictures)
    assert all(int(found["width"]) > 300 and int(found["height"]) > 100 for found in pictures)
    assert all("scope" in found for tag, found in page.tags if tag == "th")


def test_hostile_names_stay_text(made):
    text = made["output"].read_text()
    page = Page(text)
    assert not [found for _, found in page.tags if any(key.startswith("on") for key in found)]
    assert html.escape(HOSTILE) in text or "&lt;img src=x onerror=alert(1)&gt;" in text
    sheets = [
        unpacked(found).decode()
        for tag, found in page.tags
        if tag == "a" and found.get("download", "").endswith(".csv")
    ]
    assert len(sheets) == 7 + 4
    assert any("'=1+1" in sheet for sheet in sheets)
    assert not [sheet for sheet in sheets if re.search(r"(^|,)[=@]", sheet, re.MULTILINE)]


def test_downloads_are_the_files_themselves(made):
    page = Page(made["output"].read_text())
    links = [found for tag, found in page.tags if tag == "a" and "data-gzip" in found]
    links = [link for link in links if not link["download"].endswith(".bib")]
    kinds = [link["download"].split(".")[-1] for link in links]
    assert (kinds.count("csv"), kinds.count("tex"), kinds.count("json")) == (7 + 4, 7, 1)
    folders = {**dict.fromkeys(("csv", "tex"), made["tables"][0]), "json": made["run"].parent}
    for link, kind in zip(links, kinds, strict=True):
        places = [folders[kind], made["figures"][0]]
        files = [folder / link["download"] for folder in places]
        found = [path for path in files if path.is_file()]
        if kind == "json":
            assert json.loads(unpacked(link)) == read_json(found[0])
        else:
            assert unpacked(link) in [path.read_bytes() for path in found]


def test_a_long_table_is_packed_with_every_cell_and_its_order(tmp_path):
    data = pd.DataFrame({"name": [f"r{k}" for k in range(FEW + 1)], "x": 0.0001234567})
    data.loc[3, "x"] = float("nan")
    columns = (Column("name", "Name"), Column("x", "X", "number"))
    data.to_csv(tmp_path / "t.csv", index=False)
    found = table_rows(tmp_path / "t.csv", columns)
    assert found["count"] == FEW + 1 and found["rows"] == []
    content = json.loads(unpacked({"data-gzip": found["gzip"]}))
    assert content["text"] == shown(data, columns).T.to_numpy().tolist()
    assert content["order"][0] is None and content["order"][1][:4] == [0.0001234567] * 3 + [""]
    data.head(FEW).to_csv(tmp_path / "t.csv", index=False)
    short = table_rows(tmp_path / "t.csv", columns)
    assert short["gzip"] is None and len(short["rows"]) == FEW
    assert short["rows"][3] == [("r3", "r3", columns[0]), ("–", "", columns[1])]


def test_phantom_is_on_the_page_and_a_caveat_is_said_once(made):
    text = made["output"].read_text()
    assert '<aside class="phantom"' in text and "@top-center" in text
    captions = re.findall(r'class="caption".*?</p>|<figcaption>.*?</figcaption>', text, re.DOTALL)
    assert len(captions) == 7 + 4
    assert not any(NOTE in caption for caption in captions)
    assert text.count(NOTE) == 2  # a warning, and the cohort's card, where every study links to
    assert 'href="#cohort-of-cells"' in text and 'id="cohort-of-cells"' in text


def test_real_data_of_two_cohorts_bear_no_phantom_mark(tmp_path):
    study = make_study(
        tmp_path,
        cohorts=("one", "two"),
        models=("pixels",),
        methods=("linear",),
        tasks=("a",),
        groups={"all": ["all"], "sex": ["female", "male"]},
        phantom=False,
    )
    compare(**study)
    places = {"output": tmp_path / "r.html", "run": tmp_path / "r.json", "predictions": []}
    inputs = {"compare": [study["output"]], "tables": [study["tables"]]}
    inputs |= {"figures": [study["figures"]], "cards": study["cards"]}
    report({"config": config_of(study, "Real")}, **inputs, **places)
    text = places["output"].read_text()
    assert "PHANTOM" not in text
    assert "On one" in text and "On two" in text and text.count("<figure") == 2 * 3
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))


def test_the_page_repeats_but_for_provenance(made, tmp_path):
    again = made | {"output": tmp_path / "again.html", "run": tmp_path / "again.json"}
    config = read_json(made["run"])["config"]
    report({"config": config}, **again)
    pages = [path.read_text() for path in (made["output"], again["output"])]
    parts = [re.sub(r'<section id="provenance".*?</section>', "", p, flags=re.S) for p in pages]
    assert parts[0] == parts[1]


def test_record_says_what_the_run_was_made_of(made):
    record = read_json(made["run"])
    assert record["config"]["run"] == ["demo"]
    assert record["tables"]["cells"]["labels"]["sha256"] == "ab" * 32
    assert record["runs"][0]["spec"]["sha256"] == "ef" * 32
    assert record["seeds"] == {"cells": 77}
    assert {"compare", "report"} <= set(record["code"]["stages"])
    assert "numpy" in record["environment"]["packages"]
    assert set(record["code"]["git"]) >= {"commit", "dirty"}
    assert "curve" not in str(describe_run(made["predictions"][0]))


SETTING = Setting(0.95, ("a", "b"), classes=False, threshold="at the chosen thresholds")


@pytest.mark.parametrize(
    ("changes", "verdict", "says", "never"),
    [
        ({}, Verdict.SHOWN, "p = 0.001, adjusted over 10 tests = 0.010): difference shown.", "no "),
        ({"p_adjusted": 0.06, "p_value": 0.02}, Verdict.HINT, "suggestive only", "proof"),
        (
            {"p_value": 0.3, "p_adjusted": 1.0},
            Verdict.NOT_SHOWN,
            "no difference shown, which is no proof of fairness; the smallest gap that this cohort "
            "finds in 80 of 100 samples is 0.060.",
            "suggestive",
        ),
        (
            {"p_value": float("nan")},
            Verdict.UNTESTED,
            "nothing is said about chance; judge the gap by its interval, which excludes 0",
            "no difference",
        ),
        (
            {"p_adjusted": 0.3, "family_size": 300},
            Verdict.HINT,
            "adjusted over 300 tests",
            "no difference",
        ),
        ({"low": 0.0}, Verdict.SHOWN, "Its interval reaches 0, so its size is very", "no proof"),
    ],
)
def test_a_gap_is_judged_by_its_reference(changes, verdict, says, never):
    row = gap_row(**changes)
    text = explain(row, judge_gap(row, 0.05), [], SETTING)
    assert judge_gap(row, 0.05) == verdict and says in text and never not in text


def group(attribute: str, name: str, value: float | None, noun: str = "patients") -> GroupValue:
    said = people(attribute, name, noun)
    return GroupValue(name, said, value, 0.6, 0.9, 50, 20, 50, "ok" if value else "too_few")


def test_age_groups_are_in_words_in_sentences():
    rows = [group("sex & age_group", "female & >=60", 0.7), group("age_group", "<60", 0.8)]
    said = describe("auc", "mean", rows, SETTING)
    assert "0.700 in female patients 60 and older (95\N{NARROW NO-BREAK SPACE}% CI" in said
    assert "0.800 in patients under 60 (0.600 to 0.900)." in said
    assert terms.group("<script>") == "<script>" and terms.group(">60") == "over 60"


def test_gap_sentences_carry_numbers_and_the_groups_without_a_value():
    said = explain(gap_row(), Verdict.SHOWN, ["male patients (too few: 9 images)"], SETTING)
    for part in ("0.100", "0.050 to 0.200", "0.040", "Not estimable: male patients (too few: 9"):
        assert part in said
    lost = gap_row(value=float("nan"), status="too_few")
    assert "estimated: too few." in explain(lost, judge_gap(lost, 0.05), [], SETTING)


@pytest.mark.parametrize(
    ("low", "high", "adjusted", "says"),
    [
        (-0.01, 0.03, 0.5, "no difference shown (compatible with chance)"),
        (0.01, 0.03, 0.001, "also after adjusting"),
        (0.001, 0.03, 0.2, "after adjusting for the 6 comparisons made: suggestive only"),
        (float("nan"), float("nan"), float("nan"), "so no difference is shown"),
    ],
)
def test_a_difference_is_claimed_only_where_it_is_shown(low, high, adjusted, says):
    row = {"value": 0.02, "low": low, "high": high, "p_adjusted": adjusted, "family_size": 6}
    assert says in explain_difference(pd.Series(row), HEAD)


def test_the_templates_belong_to_the_code_of_the_report(monkeypatch, tmp_path):
    from medaudit.core import code_version

    before = code_version.code_version("report.report")
    edited = tmp_path / "style.css"
    edited.write_text("body { color: red }")
    monkeypatch.setattr(
        code_version,
        "_templates",
        lambda module: [edited] if module == "medaudit.report.page" else [],
    )
    assert code_version.code_version("report.report") != before
    monkeypatch.undo()
    assert code_version.code_version("report.report") == before
    assert len(code_version._templates("medaudit.report.page")) >= 7


def test_a_model_card_joins_entry_lint_and_pretraining():
    entry = {"kind": "clip", "pretrained": "own", "licence": "MIT", "pretraining_data": ["NIH"]}
    curve = [{"epoch": k, "loss": loss} for k, loss in ((1, 4.0), (2, 3.0), (3, 2.0))]
    pretraining = {
        "weights_sha256": {"own.safetensors": "aa" * 32, "epoch_1.safetensors": "bb" * 32},
        "curve": curve,
        "epochs": 3,
    }
    findings = [
        {"check": "pretraining_overlap", "where": "m", "message": "m: saw it"},
        {"check": "pretraining_overlap", "where": "other", "message": "other: saw it"},
    ]
    cards = ([{"findings": findings}], [pretraining])
    models = {"m": entry, "e": {"kind": "ensemble", "members": ["m"]}}
    ensemble, member = model_cards({"models": models}, ["e"], *cards)
    assert ensemble["curve"] is None and ensemble["sha256"] is None
    assert member["sha256"] == "aa" * 32 and member["overlap"] == ["m: saw it"]
    assert member["curve"]["points"] == "0.0,0.0 300.0,100.0 600.0,200.0"
    for epochs, expected in ((1, "bb" * 32), (2, None), (3, "aa" * 32)):
        models["m"]["pretrained_epochs"] = epochs
        assert model_cards({"models": models}, ["m"], *cards)[0]["sha256"] == expected
    assert draw_curve(curve[:1]) is None
