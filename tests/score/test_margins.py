"""Margins and gates of ``medaudit score``, from the command line to the report."""

import numpy as np
import pandas as pd
import pytest

from medaudit.cli import main
from medaudit.core.errors import MedauditError
from medaudit.report.equivalence import Equivalence
from medaudit.score import score
from medaudit.score.margins import check_margins, parse_margins


def planted(n: int = 900) -> pd.DataFrame:
    """Half of the ill women are missed, as in no other group; sites do not differ."""
    rng = np.random.default_rng(5)
    sex = rng.choice(["female", "male"], n)
    y = (rng.random(n) < 0.4).astype(int)
    missed = (sex == "female") & (y == 1) & (rng.random(n) < 0.5)
    found = np.where(y == 1, ~missed & (rng.random(n) < 0.9), rng.random(n) < 0.1)
    score = np.clip(0.25 + 0.5 * found + rng.uniform(-0.2, 0.2, n), 0, 1)
    frame = pd.DataFrame({"image_id": range(n), "patient_id": range(n), "label": y, "sex": sex})
    return frame.assign(score=np.round(score, 4), site=rng.choice(["a", "b"], n))


@pytest.fixture(scope="module")
def audited():
    return score(planted(), draws=200, margins={"tpr": 0.15, "ppv": {"sex": 0.3}})


def test_a_planted_gap_is_unfair_and_its_margin_metric_is_computed(audited):
    verdicts = audited.equivalence.set_index(["metric", "attribute", "gap"])["equivalence"]
    assert verdicts["tpr", "sex", "max_min"] == Equivalence.UNFAIR
    assert verdicts["tpr", "sex", "worst_rest"] == Equivalence.UNFAIR
    assert verdicts["tpr", "site", "max_min"] in (Equivalence.FAIR, Equivalence.UNDECIDED)
    assert ("ppv", "sex", "max_min") in verdicts.index
    assert ("ppv", "site", "max_min") not in verdicts.index  # no margin was declared for it
    assert set(audited.metrics["metric"]) >= {"ppv", "auc", "tpr"}


def test_without_margins_there_are_no_verdicts():
    assert score(planted(200), draws=20).equivalence.empty


@pytest.mark.parametrize(
    ("margins", "said"),
    [
        ({"tprr": 0.1}, "'tprr' is no metric (did you mean 'tpr'?)"),
        ({"tpr": 1.0}, "the margin 1.0 of tpr is not between 0 and 1"),
        ({"tpr": 0}, "the margin 0 of tpr is not between 0 and 1"),
        ({"tpr": True}, "the margin True of tpr"),
        ({"tpr": {"sxe": 0.1}}, "'sxe' is no attribute (did you mean 'sex'?)"),
    ],
)
def test_a_wrong_margin_is_refused(margins, said):
    with pytest.raises(MedauditError) as caught:
        check_margins(margins, ["sex", "site"])
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["tpr", "tpr=", "tpr=x", "=0.1x", "tpr=nan"])
def test_a_margin_that_is_no_number_is_refused(text):
    with pytest.raises(MedauditError, match="write METRIC=MARGIN"):
        parse_margins([text])


def test_a_margin_given_twice_is_refused():
    with pytest.raises(MedauditError, match="given twice"):
        parse_margins(["tpr:sex=0.1", "tpr:sex=0.2"])
    assert parse_margins(["tpr:sex=0.1", "tpr=0.2"]) == {"tpr": {"sex": 0.1, "default": 0.2}}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--margin", "tpr=0.15", "--gate"], 3),
        (["--margin", "tpr=0.15", "--gate", "unfair"], 3),
        (["--margin", "tpr=0.9", "--gate"], None),
        (["--margin", "tpr=0.15"], None),
        (["--gate"], 1),
    ],
)
def test_the_command_ends_with_3_after_the_report_is_written(tmp_path, capsys, options, code):
    planted(600).to_csv(tmp_path / "p.csv", index=False)
    arguments = ["score", str(tmp_path / "p.csv"), "--draws", "100", "--attributes", "sex"]
    arguments += ["--output", str(tmp_path / "out"), *options]
    if code is None:
        main(arguments)
    else:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        # A message as the code: Python shows it and exits with 1.
        found = caught.value.code
        assert (1 if isinstance(found, str) else found) == code
    out, err = capsys.readouterr()
    if code == 1:
        assert "--gate needs a margin" in str(found) and not (tmp_path / "out").exists()
        return
    assert "fair within the margin" in out or "unfair" in out
    assert "no gap is called fair" not in out
    table = pd.read_csv(tmp_path / "out" / "tables" / "p" / "equivalence.csv")
    assert len(table) == 2 and set(table["margin"]) == {float(options[1].partition("=")[2])}
    if code == 3:
        assert "- unfair: model / given on p, TPR by sex" in err


def test_the_terminal_says_what_was_tested_and_calls_nothing_fair(tmp_path, capsys):
    planted(300).to_csv(tmp_path / "p.csv", index=False)
    main(["score", str(tmp_path / "p.csv"), "--draws", "40", "--output", str(tmp_path / "out")])
    out = " ".join(capsys.readouterr().out.split())
    assert "No margin was declared (--margin), so no gap is called fair." in out
    assert "2 of 2" in out and "adj. p: adjusted" in out and "separation:" in out
    assert "fair within" not in out and "if fair" not in out
