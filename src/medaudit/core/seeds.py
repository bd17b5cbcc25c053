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


def seed_ranges(seeds: int, per_job: int) -> list[str]:
    """Return the names of the jobs that share the seeds 0 to ``seeds - 1``: at most `per_job` each.

    Examples
    --------
    >>> seed_ranges(3, 1), seed_ranges(5, 2)
    (['0', '1', '2'], ['0-1', '2-3', '4'])
    """
    starts = range(0, seeds, per_job)
    ends = [min(start + per_job, seeds) - 1 for start in starts]
    return [f"{a}-{b}" if b > a else f"{a}" for a, b in zip(starts, ends, strict=True)]


def seeds_of(name: str | int) -> list[int]:
    """Return the seeds of a job of `seed_ranges`, e.g. 2, 3 of ``2-3``."""
    first, _, last = str(name).partition("-")
    return list(range(int(first), int(last or first) + 1))
