"""The audit card: what is read, and how its mistakes are told."""

import pytest

from medaudit.cli import main
from medaudit.config.audit_card import fields, margins_of, read_card, text_of
from medaudit.config.validation import _missing_files
from medaudit.core.errors import MedauditError


def read(folder, text):
    path = folder / "card.yaml"
    path.write_text(text, encoding="utf-8")
    return read_card(path)


def test_values_stay_as_they_are_written(tmp_path):
    card = read(
        tmp_path,
        "model: {version: 1.10, release_date: 2024-01-05, name: yes}\n"
        "setting:\n  sites: [Köln, 'A: B']\n  dates:\nstudy:\nethics: {approval: ' not given '}\n",
    )
    assert card == {
        "model": {"version": "1.10", "release_date": "2024-01-05", "name": "yes"},
        "setting": {"sites": ["Köln", "A: B"]},
    }
    assert text_of(card, "setting.sites") == "Köln; A: B"
    assert text_of(card, "setting.dates") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model:\n  nmae: x\n",
            r"line 2: model\.nmae: this key is unknown \(did you mean 'name'\?\)",
        ),
        (
            "ethics:\n\nfunding: me\n",
            r"line 3: funding: .*; it belongs in the section transparency",
        ),
        ("intended_uses:\n  users: x\n", r"line 1: intended_uses: .*did you mean 'intended_use'"),
        ("model:\n  name: {a: b}\n", r"line 2: model\.name: .* is not text or a list"),
        ("model:\n  name: a\n  name: b\n", r"line 3: model\.name is already in line 2"),
        ("model:\n  name: [a, {b: c}]\n", r"line 2: model\.name\.1: "),
        ("model: text\n", r"line 1: model: 'text' is not a mapping"),
        ("- a\n", r"line 1: the card: .* is not a mapping"),
        ("model: &a {name: x}\nstudy: *a\n", r"alias \*a"),
        ("model: {name: x\n", r"cannot read the audit card"),
        ("[" * 500, r"cannot read the audit card .*levels deep"),
        ("model:\n  spam: 1\n  name: {a: 1}\n", r"line 2: .*\n- line 3: "),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, message):
    with pytest.raises(MedauditError, match=message):
        read(tmp_path, text)


def test_an_empty_card_gives_nothing(tmp_path):
    for text in ("", "# only a comment\n", "model:\n", "model: {}\n"):
        card = read(tmp_path, text)
        assert card == {} and all(field.text is None for field in fields(card))


def test_margins_are_numbers(tmp_path):
    card = read(tmp_path, "fairness: {margins: {tpr: 0.1, auc: {sex: 0.05, default: 0.1}}}\n")
    assert margins_of(card) == {"tpr": 0.1, "auc": {"sex": 0.05, "default": 0.1}}
    with pytest.raises(MedauditError, match=r"fairness\.margins\.tpr: '10 %' is not a number"):
        margins_of(read(tmp_path, "fairness: {margins: {tpr: 10 %}}\n"))


def test_the_drafted_card_is_empty_and_kept(tmp_path):
    path = tmp_path / "audit_card.yaml"
    main(["dossier", "--new", str(path)])
    assert read_card(path) == {}
    with pytest.raises(SystemExit, match="exists"):
        main(["dossier", "--new", str(path)])


def test_a_wrong_card_stops_a_run_before_its_first_job(tmp_path):
    path = tmp_path / "card.yaml"
    path.write_text("ethisc: {approval: x}\n")
    problem = next(_missing_files({"audit_card": str(path)}))
    assert "line 1: ethisc: this key is unknown (did you mean 'ethics'?)" in problem
    problem = next(_missing_files({"audit_card": str(tmp_path / "none.yaml")}))
    assert "cannot read the audit card" in problem
