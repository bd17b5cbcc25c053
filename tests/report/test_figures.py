"""Figures: the data behind them, their front, notes on their face, same bytes each time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from medaudit.report.figures.gaps import gaps
from medaudit.report.figures.groups import groups
from medaudit.report.figures.plane import pareto, plane
from medaudit.report.figures.style import style, write_files
from medaudit.report.figures.tasks import heatmap_rows, tasks
from medaudit.report.studies.context import Context
from report_context import changed, read_context
from synthetic_study import make_study

HOSTILE = {"all": ["all"], "sex": ["$\\frac{", "<script>&-->"], "race": ["=1+1", "x" * 90]}


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> Context:
    study = make_study(
        tmp_path_factory.mktemp("study"), models=("pixels",), tasks=("a", "b"), groups=HOSTILE
    )
    return replace(read_context(study), cohort="cells")


def test_pareto_front_is_that_of_a_plain_loop():
    random = np.random.default_rng(0)
    performance, gap = random.uniform(size=(2, 40)).round(1)
    performance[3] = np.nan
    front = pareto(performance, gap)
    for i in range(40):
        beaten = any(
            performance[j] >= performance[i]
            and gap[j] <= gap[i]
            and (performance[j] > performance[i] or gap[j] < gap[i])
            for j in range(40)
        )
        assert front[i] == (not beaten and i != 3)


def test_hostile_names_are_drawn_and_bytes_repeat(context, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        with style():
            files = write_files(gaps(context), folder)
    assert set(files) == {"pdf", "png", "svg", "csv"}
    for name in files.values():
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    picture = (tmp_path / "a" / files["svg"]).read_text()
    assert "<script>" not in picture and "PHANTOM PIXELS" in picture
    data = pd.read_csv(tmp_path / "a" / files["csv"])
    assert "'=1+1" in set(data["worst"]) | set(data["best"])


def test_data_of_the_figures_are_the_facts(context):
    evidence, facts = context.evidence, context.facts
    with style():
        points = plane(context).data
        dots = groups(context).data
        tiles = tasks(context).data
    own = facts[facts["kind"].eq("gap") & facts["gap"].eq("max_min") & facts["metric"].eq("auc")]
    assert sorted(points["gap"]) == sorted(own["value"])
    assert len(dots) == 2 * 5 and set(dots["measure"]) == {"auc"}
    best = facts[facts["kind"].eq("performance") & facts["metric"].eq("auc")]
    best = best.loc[best["value"].idxmax(), "method"]
    assert set(tiles["method"]) == {best}
    source = evidence.metrics
    for row in heatmap_rows(evidence, "cells", "pixels", best).itertuples():
        same = source[
            source["method"].eq(best)
            & source["seed"].eq("mean")
            & source["metric"].eq("auc")
            & source["task"].eq(row.task)
        ].set_index("group")["value"]
        assert row.delta == pytest.approx(same[row.group] - same["all"])


def test_no_heat_map_is_drawn_without_an_estimable_run(context):
    lost = context.facts.assign(value=np.nan)
    assert tasks(replace(context, facts=lost)) is None


def test_nothing_drawn_overlaps_the_notes(context):
    cards = {
        name: card | {"notes": ["note " * 60]} for name, card in context.evidence.cards.items()
    }
    with style():
        figure = plane(changed(context, {"cards": cards})).canvas
        figure.draw_without_rendering()
        above, foot = figure.subfigs
        note = foot.texts[0].get_window_extent()
        lowest = min(item.get_window_extent().y0 for item in (*above.axes, *above.legends))
    assert note.y1 <= lowest and note.y0 >= 0 and note.x1 <= figure.bbox.x1
