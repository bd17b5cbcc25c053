"""Bands and quantiles: every number is in the group whose limits hold it."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.group_levels import age_group, cut_bands, cut_quantiles, group_of, name_bands


def test_bands_by_limits_and_by_names():
    ages = pd.Series([0, 39, 39.9, 40, 59, 60, 100, np.nan])
    found = cut_bands(ages, [40, 60])
    assert found.fillna("-").tolist() == ["<40"] * 3 + ["40-59"] * 2 + [">=60"] * 2 + ["-"]
    named = cut_bands(ages, {"old": 60, "young": 18, "middle": 40})
    assert named.fillna("-").tolist() == [
        "-",
        "young",
        "young",
        "middle",
        "middle",
        "old",
        "old",
        "-",
    ]


@pytest.mark.parametrize("bands", [[60, 40], [40, 40], {"a": 1, "b": 1}])
def test_bands_that_do_not_rise_are_refused(bands):
    with pytest.raises(MedauditError, match="bands must rise"):
        cut_bands(pd.Series([1.0]), bands)


def test_names_of_bands():
    assert name_bands([5, 6, 9]) == ["<5", "5", "6-8", ">=9"]
    assert name_bands([0.5, 1]) == ["<0.5", "0.5 to <1", ">=1"]
    assert name_bands([1, 2], whole=False) == ["<1", "1 to <2", ">=2"]


def test_age_bands_of_a_cohort_stand_before_its_threshold():
    ages = pd.Series([30.0, 50, 70])
    settings = {"age_threshold": 60, "age_rule": "ge"}
    assert age_group(ages, settings).tolist() == ["<60", "<60", ">=60"]
    assert age_group(ages, {**settings, "age_bands": [40, 65]}).tolist() == ["<40", "40-64", ">=65"]


def test_quantiles_are_of_equal_size_and_keep_the_order():
    values = pd.Series(np.random.default_rng(0).lognormal(size=1001))
    values.iloc[::50] = np.nan
    found, names = cut_quantiles(values, 5)
    sizes = found.value_counts()
    assert sizes.max() - sizes.min() <= 2 and sizes.sum() == values.notna().sum()
    tops = [values[found == name].max() for name in names]
    assert tops == sorted(tops)
    with pytest.raises(MedauditError, match="distinct numbers"):
        cut_quantiles(pd.Series([1.0, 1, 1, 2]), 4)


def test_an_intersection_of_three_lacks_a_group_where_one_part_does():
    frame = pd.DataFrame({"a_x": ["f", "m", "f"], "a_y": ["1", "2", None], "a_z": ["u", "v", "w"]})
    assert group_of(frame, ("x", "y", "z")).fillna("-").tolist() == ["f & 1 & u", "m & 2 & v", "-"]
