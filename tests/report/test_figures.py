"""Figures: the data behind them, their front, notes on their face, same bytes each time."""

import numpy as np
import pandas as pd
import pytest

from medaudit.report.figures.gaps import gap_bands
from medaudit.report.figures.groups import group_dots
from medaudit.report.figures.heatmap import heatmap_rows, task_heatmap
from medaudit.report.figures.plane import fairness_plane, pareto
from medaudit.report.figures.style import style, write_files
from medaudit.report.studies.evidence import gather
from medaudit.report.studies.facts import gather_facts
from medaudit.report.wording.disclaimers import PHANTOM
from synthetic_study import make_study

HOSTILE = {"all": ["all"], "sex": ["$\\frac{", "<script>&-->"], "race": ["=1+1", "x" * 90]}


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple:
    study = make_study(
        tmp_path_factory.mktemp("study"), models=("pixels",), tasks=("a", "b"), groups=HOSTILE
    )
    evidence = gather(**{name: study[name] for name in ("settings", "metrics", "gaps", "cards")})
    return evidence, gather_facts(evidence)


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


def test_hostile_names_are_drawn_and_bytes_repeat(parts, tmp_path):
    evidence, facts = parts
    for folder in (tmp_path / "a", tmp_path / "b"):
        with style():
            figure = gap_bands(evidence, facts, "cells", [PHANTOM], "")
            files = write_files(figure, folder)
    assert set(files) == {"pdf", "png", "svg", "csv"}
    for name in files.values():
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    picture = (tmp_path / "a" / files["svg"]).read_text()
    assert "<script>" not in picture and "PHANTOM PIXELS" in picture
    data = pd.read_csv(tmp_path / "a" / files["csv"])
    assert "'=1+1" in set(data["worst"]) | set(data["best"])


def test_data_of_the_figures_are_the_facts(parts):
    evidence, facts = parts
    with style():
        plane = fairness_plane(evidence, facts, "cells", [], "").data
        dots = group_dots(evidence, "cells", [], "").data
        tiles = task_heatmap(evidence, facts, "cells", [], "").data
    gaps = facts[facts["kind"].eq("gap") & facts["gap"].eq("max_min") & facts["metric"].eq("auc")]
    assert sorted(plane["gap"]) == sorted(gaps["value"])
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


def test_nothing_drawn_overlaps_the_notes(parts):
    evidence, facts = parts
    with style():
        figure = fairness_plane(evidence, facts, "cells", [PHANTOM, "note " * 60], "").canvas
        figure.draw_without_rendering()
        above, foot = figure.subfigs
        note = foot.texts[0].get_window_extent()
        lowest = min(item.get_window_extent().y0 for item in (*above.axes, *above.legends))
    assert note.y1 <= lowest and note.y0 >= 0 and note.x1 <= figure.bbox.x1
