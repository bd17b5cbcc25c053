"""Strata of the bootstrap: cells of the attributes, never a copy of a label."""

import numpy as np
import pytest

from evaluate_case import make_case, make_settings
from medaudit.metrics.attributes import Attribute, find_strata, fixes_label
from medaudit.metrics.sample import read_sample

RNG = np.random.default_rng(0)
LABEL = (RNG.random(600) < 0.3).astype(float)
SEX = RNG.integers(0, 2, 600).astype(np.int32)


def attribute(name: str, codes: np.ndarray) -> Attribute:
    return Attribute(name, tuple(map(str, range(codes.max() + 1))), codes.astype(np.int32))


def strata(*attributes: Attribute, y=LABEL[:, None]) -> np.ndarray:
    return find_strata(np.arange(600), list(attributes), y)


@pytest.mark.parametrize(
    "copy",
    [
        LABEL.astype(int),
        np.where(LABEL == 1, RNG.integers(1, 4, 600), 0),  # stages of the ill
        np.where(RNG.random(600) < 0.05, 1 - LABEL, LABEL).astype(int),  # with 5 % of errors
        np.where(RNG.random(600) < 0.1, -1, LABEL).astype(int),  # with missing ones
    ],
)
def test_a_copy_of_the_label_gives_no_strata(copy):
    assert fixes_label(copy.astype(np.int32), LABEL)
    np.testing.assert_array_equal(strata(attribute("copy", copy)), 0)
    both = strata(attribute("sex", SEX), attribute("copy", copy))
    np.testing.assert_array_equal(both, strata(attribute("sex", SEX)))
    other = np.column_stack([RNG.random(600) < 0.5, LABEL])
    np.testing.assert_array_equal(strata(attribute("copy", copy), y=other), 0)


@pytest.mark.parametrize(
    "codes",
    [
        SEX,
        np.where(LABEL == 1, RNG.random(600) < 0.7, RNG.random(600) < 0.3).astype(int),
        RNG.integers(0, 150, 600),  # many small levels explain a label by chance
    ],
)
def test_an_attribute_that_merely_goes_with_the_label_stays(codes):
    assert not fixes_label(codes.astype(np.int32), LABEL)


def test_a_rare_label_is_not_fixed_by_every_attribute():
    rare = (np.arange(600) < 6).astype(float)
    assert not fixes_label(SEX, rare)
    assert fixes_label(rare.astype(np.int32), rare)
    assert not fixes_label(SEX, np.zeros(600)) and not fixes_label(SEX, np.full(600, np.nan))


def test_declared_attributes_alone_are_strata():
    predictions, cohort = make_case()
    every = read_sample(predictions, cohort, make_settings()).stratum
    none = read_sample(predictions, cohort, make_settings(strata=[])).stratum
    sex = read_sample(predictions, cohort, make_settings(strata=["sex"])).stratum
    alone = read_sample(predictions, cohort, make_settings(attributes=["sex"])).stratum
    assert len(np.unique(every)) > len(np.unique(sex)) == 3 and not none.any()
    np.testing.assert_array_equal(sex, alone)
