"""Seeds derived from names, so that no result depends on the order in which jobs run."""

import hashlib

import numpy as np


def derive_seed(*parts: object) -> int:
    """Return a seed in [0, 2**32) that depends only on `parts`.

    Parameters
    ----------
    *parts : object
        What the random stream is for, e.g. ``("probe", cohort, model, method, 0)``. Parts are
        compared by their text, so ``1`` and ``"1"`` are the same.

    Returns
    -------
    int
        The first four bytes of the SHA-256 of the parts. They are joined by an unprintable
        separator, so that ``("ab", "c")`` and ``("a", "bc")`` differ.

    Examples
    --------
    >>> derive_seed("probe", "nih", 0) == derive_seed("probe", "nih", "0")
    True
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def generator(*parts: object) -> np.random.Generator:
    """Return a NumPy generator seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))
