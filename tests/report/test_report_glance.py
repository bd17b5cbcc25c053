"""The small picture of the first screen: every mark lies where its number says."""

import pandas as pd
import pytest

from medaudit.report.page.glance import glance
from medaudit.report.verdicts import Verdict

HEAD = {"headline": "auc", "gap": "max_min", "level": 0.95, "permutations": 500}
NAN = float("nan")


def facts(*, least: float = 0.6, gap: float = 0.1, headline: str = "auc") -> pd.DataFrame:
    common = {"cohort": "c", "measure": headline, "task": "mean", "status": "ok", "seed_sd": NAN}
    common |= dict.fromkeys(("null_mean", "null_q95", "p_value", "p_adjusted"), NAN)
    common |= dict.fromkeys(("smallest_detectable", "family_size"), NAN)
    runs = [("best", 0.8, 0.75, 0.85), ("other", least, NAN, NAN), ("lost", NAN, NAN, NAN)]
    rows = [
        {**common, "kind": "performance", "model": model, "method": "m", "value": value}
        | {"low": low, "high": high, "gap": "none", "attribute": "all"}
        for model, value, low, high in runs
    ]
    tested = {"null_q95": 0.05, "p_value": 0.001, "p_adjusted": 0.01, "null_mean": 0.02}
    for attribute, value, extra in (
        ("sex", gap, tested),
        ("race", 0.02, tested | {"p_value": 0.5, "p_adjusted": 1.0}),
        ("age_group", NAN, {"status": "too_few"}),
    ):
        row = {**common, "kind": "gap", "model": "best", "method": "m", "gap": "max_min"}
        row |= {"attribute": attribute, "value": value, "low": value / 2, "high": value * 2}
        rows.append(row | {"family_size": 3} | extra)
    return pd.DataFrame(rows)


def test_marks_lie_where_their_numbers_say():
    found = glance(facts(), HEAD, "c")
    auc, sex, race, age = found["rows"]
    assert found["run"] == "best + m" and found["level"] == "95"
    assert auc["ends"] == ("0.5", "1") and auc["others"] == [20.0]
    assert (auc["at"], auc["low"], auc["high"]) == (60.0, 50.0, 70.0)
    top = 0.2 * 1.05
    assert sex["at"] == pytest.approx(100 * 0.1 / top, abs=0.05)
    assert sex["chance"] == race["chance"] == pytest.approx(100 * 0.05 / top, abs=0.05)
    verdicts = (sex["verdict"], race["verdict"], age["verdict"])
    assert verdicts == (Verdict.SHOWN, Verdict.NOT_SHOWN, None)
    assert sex["value"] == "0.100" and sex["interval"] == "(0.050 to 0.200)"
    assert age["value"] == "not estimable: too few" and age["at"] is age["low"] is None


def test_an_axis_holds_every_mark_below_chance_and_above_one():
    auc = glance(facts(least=0.4), HEAD, "c")["rows"][0]
    assert auc["ends"] == ("0", "1") and auc["at"] == 80.0 and auc["others"] == [40.0]
    error = glance(facts(least=3.0, headline="ece"), HEAD | {"headline": "ece"}, "c")["rows"][0]
    assert error["ends"][1] == "3" and error["at"] == pytest.approx(26.7)


def test_nothing_is_drawn_where_nothing_is_known():
    table = facts()
    table.loc[table["kind"] == "performance", "value"] = NAN
    assert glance(table, HEAD, "c") is None
    without = facts().query("kind == 'performance'")
    assert len(glance(without, HEAD, "c")["rows"]) == 1
