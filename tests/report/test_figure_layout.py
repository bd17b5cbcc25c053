"""Every figure on awkward inputs: nothing is cut off, nothing looks alike, every axis has a name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import synthetic_foundations as foundations
import synthetic_searches as searches
from canvas_check import (
    labels_overlap,
    leaves_its_axes,
    leaves_the_canvas,
    looks_twice,
    nameless_axes,
)
from medaudit.config.requests import FIGURES, requestable
from medaudit.report.figures import fitting
from medaudit.report.figures.style import colour, lay_out, marker, style
from medaudit.report.outputs import make_figures
from medaudit.report.studies.context import Context
from medaudit.report.wording.names import Names
from report_context import read_context
from synthetic_extras import METHODS, add_extras
from synthetic_study import GROUPS, make_study

LONG = "mae_small_chexpert_pretrained_{}_epochs_full_layer_decay_small"
SIX = {
    **GROUPS,
    "race": ["American Indian or Alaska Native", "Asian", "Black or African American", "White"],
    "insurance": ["Medicaid", "Medicare", "private"],
    "body_mass_index_at_the_examination": ["<25", "25-30", ">=30"],
    "hospital_and_department_of_the_examination": ["A" * 60, "A" * 59 + "B"],
}


def study_of(folder: Path, models, methods, tasks, groups, cohort="a_cohort_with_a_long_name_" * 4):
    study = make_study(
        folder, cohorts=(cohort,), models=models, methods=methods, tasks=tasks, groups=groups
    )
    return read_context(add_extras(study, folder, (), requestable("figures")))


def many(folder: Path) -> Context:
    models = tuple(LONG.format(k) for k in range(20))
    return study_of(folder, models, ("linear",), ("Enlarged cardiomediastinum",), SIX)


def crossed(folder: Path) -> Context:
    tasks = tuple(f"A finding with a long name, number {k}" for k in range(6))
    models = ("pixels", LONG.format(1), LONG.format(2))
    groups = {"all": ["all"], "sex": ["female", "male"]}
    return study_of(folder, models, tuple(METHODS), tasks, groups)


def single(folder: Path) -> Context:
    groups = {"all": ["all"], "sex": ["female", "male"]}
    return study_of(folder, ("m",), ("linear",), ("Effusion",), groups, "c")


def many_foundations(folder: Path) -> Context:
    kinds = list(foundations.OWN.values())
    own = {LONG.format(k): kinds[k % len(kinds)] for k in range(20)}
    return read_context(foundations.make_foundations(folder, own))


def all_foundations(folder: Path) -> Context:
    return read_context(foundations.make_foundations(folder))


def all_searches(folder: Path) -> Context:
    return read_context(searches.make_searches(folder, tuple(searches.COHORTS)[:5]))


STUDIES = [many, crossed, single, many_foundations, all_foundations, all_searches]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict:
    """All figures that the studies can have, by study and name."""
    made = {}
    for study in STUDIES:
        context = study(tmp_path_factory.mktemp("study"))
        with style():
            figures = make_figures(context, FIGURES.values())
            for figure in figures:
                lay_out(figure.canvas)
        made |= {(study.__name__, figure.name): figure for figure in figures}
    return made


def faults(drawn: dict, check) -> dict:
    return {name: found for name, figure in drawn.items() if (found := check(figure.canvas))}


def test_nothing_leaves_the_canvas(drawn):
    assert faults(drawn, leaves_the_canvas) == {}


def test_no_limit_of_an_axis_cuts_data_off(drawn):
    assert faults(drawn, leaves_its_axes) == {}


def test_nothing_looks_or_reads_like_another(drawn):
    assert faults(drawn, looks_twice) == {}


def test_labels_of_an_axis_do_not_lie_over_each_other(drawn):
    assert faults(drawn, labels_overlap) == {}


def test_every_axis_with_numbers_has_a_name(drawn):
    assert faults(drawn, nameless_axes) == {}


def test_every_figure_of_the_registry_is_drawn_by_one_of_the_studies(drawn):
    own = {name for name in FIGURES if name.startswith(("external_", "remed"))}
    few = {"critical_difference"}  # left out where there are too few datasets for a test
    assert {name.partition("-")[0] for _, name in drawn} == set(FIGURES) - few - own


def test_the_checks_find_what_is_cut_off_or_alike():
    canvas = Figure(figsize=(3, 2))
    FigureCanvasAgg(canvas)
    panel = canvas.subplots()
    lines = [panel.plot([0, 2], [0, 1], color="C0", label="a")[0] for _ in range(2)]
    panel.set_xlim(0, 1)
    panel.text(5, 0, "far away")
    panel.legend(handles=lines)
    canvas.draw_without_rendering()
    assert leaves_the_canvas(canvas) and leaves_its_axes(canvas)
    assert len(looks_twice(canvas)) == 2 and len(nameless_axes(canvas)) == 2


def test_labels_differ_where_names_differ():
    names = [LONG.format(k) for k in range(200)] + [
        "x" * 300,
        "x" * 299 + "y",
        "x" * 150 + "y" * 150,
    ]
    shown = fitting.labels(names, 1.2)
    assert len(set(shown)) == len(names)
    widths = [fitting.text_width(line) for text in shown for line in text.split("\n")]
    assert max(widths) <= 1.2 + 1e-9 and max(text.count("\n") for text in shown) <= 1
    assert fitting.labels(["short"], 1.2) == ["short"]


def test_64_items_have_their_own_colour_and_shape():
    assert len({(colour(k), marker(k)) for k in range(64)}) == 64


def test_display_names_are_used_and_distinct(tmp_path):
    context = single(tmp_path)
    named = replace(
        context, names=Names({"m": "Our model"}, {"linear": "linear probe"}, {"c": "Clinic"})
    )
    with style():
        texts = {
            text
            for figure in make_figures(named, FIGURES.values())
            for text in (item.get_text() for item in figure.canvas.findobj(match=_is_text))
        }
    joined = "\n".join(texts)
    assert "Our model" in joined and "Clinic" in joined
    assert not np.isin(["m", "c", "linear"], list(texts)).any()


def _is_text(item) -> bool:
    return hasattr(item, "get_text") and isinstance(item.get_text(), str)
