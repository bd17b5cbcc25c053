"""Cells of the case mix: what is known of a patient besides the finding and the audited group."""

import numpy as np
import pandas as pd

from medaudit.core.intersections import split_name

AGES = (40.0, 60.0, 80.0)
"""Limits between age bands in years."""


def number_cells(frames: list[pd.DataFrame], attribute: str) -> tuple[list[np.ndarray], int]:
    """Number the case mix of the images of several tables alike.

    Parameters
    ----------
    frames : list of pandas.DataFrame
        Test rows of the home cohort and of the external one.
    attribute : str
        The audited attribute, or an intersection: its parts are no case mix.

    Returns
    -------
    cells : list of numpy.ndarray
        int ``[n]`` each: the combination of age band, view and the other attributes that all
        tables have. What is missing is a level of its own.
    count : int
        Number of combinations.
    """
    shared = set.intersection(*(set(frame.columns) for frame in frames))
    parts = {f"a_{name}" for name in split_name(attribute)}
    names = sorted(c for c in shared if c.startswith("a_") and c not in parts)
    if "a_age_group" in parts:
        names = [name for name in names if name != "a_age_group"]
    texts = []
    for frame in frames:
        bands = np.searchsorted(AGES, frame["age"].to_numpy(float), side="right").astype(str)
        text = pd.Series(np.where(frame["age"].isna(), "?", bands), frame.index)
        if "a_age_group" in parts:
            text = pd.Series("", frame.index)
        for name in ("view", *names):
            text = text + "|" + frame[name].astype("str").fillna("?")
        texts.append(text)
    codes, levels = pd.factorize(pd.concat(texts, ignore_index=True))
    return np.split(codes, np.cumsum([len(text) for text in texts])[:-1]), len(levels)
