"""Subset of the training images for a search on a large cohort."""

import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.metrics.attributes import read_attributes


def balanced_subset(
    train: pd.DataFrame, attribute: str | list[str], share: float, name: str
) -> np.ndarray:
    """Draw a fraction of the training images with equal numbers from each group.

    A group with fewer images than its part contributes all of them, and the other groups share the
    rest. Images of unknown group are left out. (Dutt et al. 2024 say "sensitive-attribute balanced"
    in section 4.1 and "maintaining the ratios" in appendix A.5; this is the former.)

    Parameters
    ----------
    train : pandas.DataFrame
        Training rows with ``a_<attribute>``.
    attribute : str or list of str
        The attribute, or the names of an intersection.
    share : float
        Fraction of all training images, in (0, 1].
    name : str
        Name of the cohort; it alone determines the draw, so that all trials and workers of a search
        use the same images.

    Returns
    -------
    numpy.ndarray
        Positions in `train`, ascending.
    """
    codes = read_attributes(train, np.ones(len(train), bool), [attribute])[1].codes
    total = round(share * len(train))
    rng = generator("subset", name)
    groups = [rng.permutation(np.flatnonzero(codes == g)) for g in np.unique(codes[codes >= 0])]
    chosen: list[np.ndarray] = []
    # Smallest group first: what it cannot contribute is divided among the larger ones.
    for number, group in enumerate(sorted(groups, key=len)):
        part = (total - sum(map(len, chosen))) // (len(groups) - number)
        chosen.append(group[:part])
    return np.sort(np.concatenate(chosen))
