"""The part of the training images that a search on a large cohort looks at."""

import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.metrics.attributes import read_attributes


def balanced_subset(
    train: pd.DataFrame, attribute: str | list[str], share: float, name: str
) -> np.ndarray:
    """Draw a share of the training images, equally many of each group.

    A group that has fewer images than its part gives all of them, and the others share the rest.
    Images whose group is not known take no part. (Dutt et al. 2024 say "sensitive-attribute
    balanced" in section 4.1 and "maintaining the ratios" in appendix A.5; this is the former.)

    Parameters
    ----------
    train : pandas.DataFrame
        Training rows with ``a_<attribute>``.
    attribute : str or list of str
        The attribute, or the names of an intersection.
    share : float
        Part of all training images, in (0, 1].
    name : str
        The cohort: the draw depends on it alone, so it is the same in all trials and workers.

    Returns
    -------
    numpy.ndarray
        Positions in `train`, ascending.
    """
    codes = read_attributes(train, np.ones(len(train), bool), [attribute])[1].codes
    wanted = round(share * len(train))
    rng = generator("subset", name)
    groups = [rng.permutation(np.flatnonzero(codes == g)) for g in np.unique(codes[codes >= 0])]
    chosen: list[np.ndarray] = []
    for number, group in enumerate(sorted(groups, key=len)):
        part = (wanted - sum(map(len, chosen))) // (len(groups) - number)
        chosen.append(group[:part])
    return np.sort(np.concatenate(chosen))
