"""Warnings of the first screen: each is there where it is planted, and absent where it is not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from medaudit.core.table_io import write_array
from medaudit.data.datasets.chexpert_race import draw_race
from medaudit.report.answers.structure import (
    AttributeAnswer,
    Caution,
    RunAnswer,
    StudyAnswers,
)
from medaudit.report.answers.study import answer_study
from medaudit.report.page.summary import summarise
from medaudit.report.page.training_cautions import training_cautions
from medaudit.report.page.warnings import collect_warnings
from medaudit.report.studies.evidence import gather
from medaudit.report.studies.facts import best_run, gather_facts
from medaudit.report.wording.names import Names
from synthetic_study import make_study

RUN = RunAnswer("c", "m", "linear", "M + linear", "subject", True, "", (), ())
FALLING, FLAT = [0.9, 0.8, 0.7], [0.9, 0.7, 0.8]


def footer(rates: list[float], chosen: float, curve: list[float], **changes) -> dict:
    one = {"learning_rate": chosen, "seed": 0, "epoch": 3, "val_loss_by_epoch": curve}
    runs = {"learning_rates": rates, "chosen": [one], "select": "val_loss"}
    return {"cohort": "c", "model": "m", "method": "linear", "runs": runs} | changes


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (footer([0.1, 0.2, 0.3], 0.3, FLAT), ["learning_rate_at_edge"]),
        (footer([0.1, 0.2, 0.3], 0.1, FALLING), ["learning_rate_at_edge", "loss_still_falling"]),
        (footer([0.1, 0.2, 0.3], 0.2, FLAT), []),
        (footer([0.1], 0.1, FLAT), []),
        (footer([0.1, 0.2], 0.1, FLAT, model="another"), []),
        ({"cohort": "c", "model": "m", "method": "linear"}, []),
        ({"cohort": "c", "model": "m", "method": "linear", "runs": None}, []),
    ],
)
def test_training_that_should_go_on_is_said(found, kinds):
    assert [one.kind for one in training_cautions(RUN, [found])] == kinds


def test_trials_of_fine_tuning_are_a_grid_and_a_searched_rate_is_none():
    trials = [{"learning_rate": rate, "curve": FALLING, "epoch": 3} for rate in (3e-4, 1e-3)]
    runs = {"chosen": [trials[0]], "trials": trials, "point": None, "select": "val_loss"}
    own = {"cohort": "c", "model": "m", "method": "linear"}
    edge, falling = training_cautions(RUN, [{**own, "runs": runs}])
    assert "smallest learning rate of its grid, 0.0003: a smaller one may be better" in edge.text
    assert falling.kind == "loss_still_falling" and "last of 3 epochs" in falling.text
    searched = {**runs, "point": {"learning_rate": 3e-4}}
    (only,) = training_cautions(RUN, [{**own, "runs": searched}])
    assert only.kind == "loss_still_falling"


def answered(**changes) -> StudyAnswers:
    given = {"study": "s", "title": "S", "level": 0.95, "lead": ("auc",), "lead_reason": ""}
    given |= {"decisions": "", "subjects": ("m",), "controls": (), "runs": (RUN,)}
    return StudyAnswers(**given | changes)


def collected(study: StudyAnswers, cards=(), findings=(), footers=()) -> list[dict]:
    part = {"answered": study, "tables": [{"name": "performance"}, {"name": "groups"}]}
    lint = [{"cohort": "c", "findings": list(findings)}]
    return collect_warnings([part], list(cards), lint, list(footers), ["m"])


def test_a_drawn_race_is_a_warning_that_leads_to_its_cohort():
    _, note = draw_race(pd.Series(["p1", "p2"]))
    cards = [{"name": "c", "notes": ["Ages are capped.", note]}]
    (found,) = collected(answered(), cards)
    assert found["text"] == note and found["href"] == "#cohort-1" and found["kind"] == "drawn"
    assert collected(answered(), [{"name": "c", "notes": ["Ages are capped."]}]) == []


def test_contamination_leads_to_the_model_and_other_findings_are_counted():
    overlap = {"severity": "warning", "check": "pretraining_overlap", "where": "m"}
    small = {"severity": "warning", "check": "small_group", "message": "few", "where": "x"}
    info = {"severity": "info", "check": "threshold_source", "message": "ok", "where": ""}
    found = collected(
        answered(), [{"name": "c"}], [overlap | {"message": "NIH was seen."}, small, small, info]
    )
    assert [one["text"] for one in found] == [
        "NIH was seen.",
        "The protocol lint has 2 further warnings.",
    ]
    assert [one["href"] for one in found] == ["#model-1", "#cohort-1"]


def test_images_that_a_model_has_seen_are_said_in_full_next_to_the_model():
    seen = {"severity": "warning", "check": "pretraining_images", "where": "m"}
    found = collected(answered(), [{"name": "c"}], [seen | {"message": "m has seen 3 of 9."}])
    assert [(one["text"], one["href"]) for one in found] == [("m has seen 3 of 9.", "#model-1")]


def test_an_inverted_score_is_said_once():
    finding = {"severity": "warning", "check": "label_polarity", "message": "low", "where": "x"}
    assert [one["text"] for one in collected(answered(), [{"name": "c"}], [finding])] == ["low"]
    caution = Caution("auc_below_half", "AUC is low.", "table:performance")
    run = RunAnswer(**{**RUN.__dict__, "cautions": (caution,)})
    (found,) = collected(answered(runs=(run,)), [{"name": "c"}], [finding])
    assert found["text"] == "AUC is low." and found["href"] == "#table-1-1-title"


def test_runs_that_are_not_on_the_first_screen_are_counted():
    caution = Caution("degenerate_threshold", "x", "")
    others = [
        RunAnswer(**{**RUN.__dict__, "first": False, "name": name, "cautions": (caution,)})
        for name in ("A", "B")
    ]
    (found,) = collected(answered(runs=(RUN, *others)))
    assert found["text"] == "Degenerate threshold in 2 further runs: A, B."


def test_the_summary_has_the_warnings_of_the_page():
    caution = Caution("degenerate_threshold", "Everybody is called ill.", "")
    study = answered(runs=(RunAnswer(**{**RUN.__dict__, "cautions": (caution,)}),))
    overlap = {"severity": "warning", "check": "pretraining_overlap", "where": RUN.model}
    elsewhere = overlap | {"where": "another", "message": "not of this study"}
    cards = [{"name": "c", "notes": []}]
    page = collected(study, cards, [overlap | {"message": "NIH was seen."}, elsewhere])
    part = {"answered": study, "title": "T", "question": "", "cohorts": ["c"], "answers": []}
    (summary,) = summarise([part], cards, Names(), page)["studies"]
    texts = [one["text"] for one in summary["warnings"]]
    assert texts == ["Everybody is called ill.", "NIH was seen."] and summary["unsaid"] == 0


def evidence_of(folder, better: str, by: float, **entry):
    """Two models on one cohort, of which one has a higher AUC in every draw."""
    study = make_study(folder, methods=("linear",), **{"models": ("pixels", "vit_random")})
    for path in study["metrics"]:
        frame = pd.read_csv(path)
        auc = frame["metric"].eq("auc")
        shift = 0.7 + (by if better in str(path) else 0.0)
        for name in ("value", "low", "high"):
            frame[name] = frame[name].where(~auc, shift + (frame[name] - frame["value"]))
        frame.to_csv(path, index=False)
        noise = np.random.default_rng(0).normal(0, 0.01, (len(frame), 200))
        own = np.random.default_rng(len(str(path))).normal(0, 0.01, (len(frame), 200))
        draws = np.where(auc.to_numpy()[:, None], shift + noise + own, 0.5 + noise)
        write_array(draws.astype(np.float32), path.with_suffix(".replicates.npy"))
    study["settings"]["entry"] = study["settings"]["entry"] | entry
    return gather(**{name: study[name] for name in ("settings", "metrics", "gaps", "cards")})


@pytest.mark.parametrize(
    ("better", "by", "kinds"),
    [
        ("pixels", 0.1, ["worse_than_control"]),
        ("pixels", 0.001, ["not_better_than_control"]),
        ("vit_random", 0.1, []),
    ],
)
def test_a_subject_must_beat_the_control(tmp_path, better, by, kinds):
    evidence = evidence_of(tmp_path, better, by, controls=["pixels"])
    facts = gather_facts(evidence)
    found = answer_study(evidence, facts)
    assert found.subjects == ("vit_random",) and found.controls == ("pixels",)
    first = [run for run in found.runs if run.first]
    assert [run.model for run in first] == ["vit_random"]
    assert [one.kind for one in first[0].cautions] == kinds
    assert all(not run.cautions for run in found.runs if run.role == "control")
    best = best_run(facts, "auc", "cells", evidence.entry)
    assert best["model"] == "vit_random"


def test_without_a_declared_control_the_best_is_the_best(tmp_path):
    evidence = evidence_of(tmp_path, "pixels", 0.1)
    facts = gather_facts(evidence)
    found = answer_study(evidence, facts)
    assert set(found.subjects) == {"pixels", "vit_random"}
    assert not any(one.kind.endswith("control") for run in found.runs for one in run.cautions)
    assert best_run(facts, "auc", "cells", evidence.entry)["model"] == "pixels"


def test_where_only_controls_were_run_they_are_answered(tmp_path):
    evidence = evidence_of(tmp_path, "pixels", 0.1, controls=["pixels", "vit_random"])
    found = answer_study(evidence, gather_facts(evidence))
    assert set(found.subjects) == {"pixels", "vit_random"} and found.controls == ()


def test_leading_measures_are_those_of_the_study(tmp_path):
    evidence = evidence_of(tmp_path, "pixels", 0.1, lead=["f1"], lead_reason="Both errors count.")
    found = answer_study(evidence, gather_facts(evidence))
    assert found.lead == ("f1",) and found.lead_reason == "Both errors count."
    measures = found.runs[0].attributes[0].measures
    assert [one.metric for one in measures] == ["f1", "ece"]


def test_the_longest_study_that_can_be_shortened_is_shortened():
    """A study of nothing but long answers does not keep the others from fitting."""
    attribute = AttributeAnswer("sex", "sex", "suggestive only", "HINT", "x" * 1000, ())
    firm = replace(attribute, attribute="race", label="race", kind="SHOWN", sentence="y" * 20_000)
    runs = [replace(RUN, cohort=name, attributes=(attribute,)) for name in "abc"]
    studies = [
        {"answered": answered(runs=(replace(RUN, attributes=(firm,)),)), "cohorts": ["c"]},
        {"answered": answered(runs=tuple(runs)), "cohorts": ["c"]},
    ]
    studies = [{**study, "title": "T", "question": "", "answers": []} for study in studies]
    first, second = summarise(studies, [], Names())["studies"]
    assert [one.label for one in first["blocks"][0].loud] == ["race"]
    assert len(second["blocks"]) == 1 and second["left"] == 2
    assert second["blocks"][0].loud == []
    assert second["blocks"][0].quiet == ["suggestive only: by sex"]
