"""The method section: every hyperparameter is said, every work that is cited exists."""

import re

import pytest

from checkout import ROOT
from medaudit.core.errors import MedauditError
from medaudit.report.answers.structure import StudyAnswers
from medaudit.report.page import references
from medaudit.report.page.known import WORKFLOW, known_of
from medaudit.report.page.methods import in_words, methods_of
from medaudit.report.page.references import Bibliography, to_bibtex
from medaudit.report.page.render import render
from medaudit.report.wording.names import Names

TEMPLATE = ROOT / "src/medaudit/report/page/templates/methods.html"
FULL = {"kind": "finetune", "tune": "full", "epochs": 12, "batch_size": 64, "layer_decay": 0.75}
FULL |= {"learning_rates": [0.0003, 0.001], "weight_decay": 0.05, "seeds": 2, "select": "val_auc"}
FULL |= {"augmentation": {"flip": 0.5, "randaugment": {"magnitude": 6}}, "drop_path": None}
SEARCH = {"kind": "search", "space": "blocks36", "sampler": "tpe", "learning_rate": [1e-05, 0.01]}
SEARCH |= {"objective": {"metric": "auc_min", "attribute": "sex"}, "trials": 8, "seeds": 1}
SEARCH |= {"pruning": {"kind": "successive_halving", "factor": 4}, "training": "fscl"}
SEARCH |= {"fscl": {"temperature": 0.125}}
METHODS = {"full": {**FULL, "by_model": {"m": {"epochs": 99}, "other": {"epochs": 98}}}}
DRO = {**FULL, "training": "groupdro", "groupdro": {"step_size": 0.25}, "attribute": ["sex", "age"]}
METHODS |= {"dro": DRO}
METHODS |= {"searched": SEARCH, "linear": {"kind": "probe", "head": "linear", "seeds": 3}}


def test_works_are_numbered_in_the_order_of_use():
    found = Bibliography()
    assert found.cite("he2022") == [1] and found.cite("hu2022", "he2022") == [2, 1]
    assert [work["year"] for work in found.entries()] == [2022, 2022]
    assert found.entries()[0]["names"].startswith("K. He, X. Chen")
    assert found.bibtex().index("@misc{he2022,") < found.bibtex().index("@misc{hu2022,")
    with pytest.raises(MedauditError, match="no work 'nobody1900'"):
        found.cite("nobody1900")


def test_bibtex_escapes_what_tex_reads_as_a_command():
    work = {"authors": ["A, B", "others"], "title": "50% of R&D_x", "venue": "V", "year": 2020}
    text = to_bibtex("k", work)
    assert r"title = {{50\% of R\&D\_x}}," not in text.replace("{{", "{")
    assert r"50\% of R\&D\_x" in text and "author = {A, B and others}" in text
    assert text.count("{") == text.count("}")


def test_every_work_is_cited_somewhere_and_whole():
    works = Bibliography().works
    keys = set(re.findall(r'"([a-z]+[12]\d{3})"', TEMPLATE.read_text()))
    assert keys <= set(works)
    for key, work in works.items():
        assert set(work) - {"doi", "arxiv"} == {"authors", "title", "venue", "year"}, key
        assert key.endswith(str(work["year"])) and isinstance(work.get("arxiv", ""), str)
    assert references.FILE in [f"templates/{path.name}" for path in TEMPLATE.parent.iterdir()]


def section() -> str:
    study = {"name": "fairtune", "title": "T", "cohorts": ["c"], "models": ["m"]}
    study |= {"methods": list(METHODS), "question": None, "notes": [], "answers": []}
    study |= {"picture": None, "tables": [], "figures": [], "label": "T"}
    counts = [
        {"split": split, "attribute": "all", "group": "all", "n_images": n, "n_patients": n - 1}
        for split, n in (("train", 840), ("test", 241))
    ]
    card = {"name": "c", "dataset": "nih", "builder": "glocker", "task_type": "binary"}
    card |= {"tasks": ["a"], "attributes": ["sex", ["sex", "race"]], "seed": 5, "n_images": 1081}
    card |= {"n_patients": 900, "exclusions": [{"count": 7, "reason": "r"}], "counts": counts}
    card |= {"splits": ["train", "test"], "notes": [], "lost": {}, "findings": [], "balance": []}
    card |= {"flow": {"start": None, "steps": [], "splits": []}, "sheet": []}
    card |= {"images": None, "phantom": False, "age_threshold": None}
    config = {"methods": METHODS, "models": {"m": {"kind": "timm", "weights": "w.pth"}}}
    config |= {"datasets": {"nih": {"loader": "nih"}}}
    config |= {"studies": {"fairtune": {"tables": ["search_claims", "rank_tests"]}}}
    evaluation = {"metrics": ["auc"], "gaps": ["max_min"], "null": {"draws": 500}}
    evaluation |= {"bootstrap": {"draws": 2000, "level": 0.95}}
    config["evaluation"] = evaluation | {"threshold": {"rule": "youden"}}
    models = [{"name": "m", "entry": config["models"]["m"], "pretraining": None, "curve": None}]
    models[0] |= {"sha256": None, "overlap": [], "external": False}
    study["method"] = methods_of(study, config, [card], models)
    record = {"code": {"git": {"commit": "ab" * 20, "dirty": False}}, "time": "t", "tables": {}}
    record |= {"seeds": {}, "environment": {"python": "3", "platform": "p", "cores": 2}}
    record["environment"] |= {"devices": "cpu", "packages": {}}
    content = {"studies": [study], "model_cards": models, "cohorts": [card], "notes": []}
    content |= {"phantom": False, "config": config, "record": record, "packages": ["torch 2"]}
    study |= {"answered": StudyAnswers("fairtune", "T", 0.95, ("auc",), "", "", ("m",), ())}
    content |= {
        "summary_file": "",
        "explorer": None,
        "missed": [],
        "planted": [],
        "audit_card": None,
        "names": Names(),
    }
    content |= {"warnings": [], "known": known_of(config, ["m"], METHODS, [card], WORKFLOW)}
    page = render(content)
    found = page[page.index('<section id="methods"') :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[: found.index("</section>")]))


def test_the_section_says_what_was_done():
    text = section()
    for part in (
        "1 081 images of 900 patients from nih",
        "7 images were excluded",
        "train 840 images of 839 patients, test 241 images of 240 patients. Seed 5.",
        "by sex; by sex and race",
        "learning rates 0.0003 / 0.001",
        "pochs 12, batch size 64, layer decay 0.75",
        "augmentation (flip 0.5, randaugment (magnitude 6))",
        "For m: epochs 99.",
        "with Group DRO, which minimises the loss of the worst group",
        "(step size 0.25; groups of sex and age)",
        "2 seeds; epoch and learning rate by validation AUC",
        "the learning rate (1e-05 to 0.01) were searched on validation",
        "temperature 0.125",
        "best auc min by sex",
        "threshold (largest Youden index) selected on validation",
        "2 000 bootstrap draws",
        "500 permutations",
        "claims by Holm",
        "Friedman and Nemenyi",
        "commit abababababab",
    ):
        assert part in text, part
    assert "epochs 98" not in text and "None" not in text
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    assert numbers == set(range(1, len(numbers) + 1))


def test_settings_in_words():
    assert in_words({"a_b": 1, "c": None, "d": {"e": [0.5, 1]}, "f": True, "g": False}) == (
        "a b 1, d (e 0.5 / 1), f"
    )
