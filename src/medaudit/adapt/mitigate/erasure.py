"""LEACE: remove the group from embeddings, so that no linear probe finds it in the training rows."""

import numpy as np
from scipy.linalg import eigh

RANK = 1e-7
"""Eigenvalues below this share of the largest one count as 0."""


class Eraser:
    """The affine map of least change after which groups and embeddings are uncorrelated.

    Belrose et al. 2023, "LEACE: perfect linear concept erasure in closed form" (arXiv 2306.03819),
    the least-squares concept eraser: x - W+ P W (x - mean of x), with the whitening W = (cov x)^(-1/2), its
    pseudo-inverse W+, and the orthogonal projection P onto the columns of W cov(x, groups).

    The package `concept-erasure` is by the paper's authors; it needs torch and has had no release
    since January 2024, so the formula is here.

    Parameters
    ----------
    x : numpy.ndarray
        ``[n, d]``.
    group : numpy.ndarray
        ``[n]``, whole numbers from 0.

    Attributes
    ----------
    back, forth : numpy.ndarray
        ``[d, k]`` for at most k = groups - 1 directions; W+ P W is ``back @ forth.T``.
    mean : numpy.ndarray
        ``[d]``.
    """

    def __init__(self, x: np.ndarray, group: np.ndarray) -> None:
        x = x.astype(float)
        self.mean = x.mean(axis=0)
        centred = x - self.mean
        member = (group[:, None] == np.unique(group)).astype(float)
        member -= member.mean(axis=0)
        basis, root = _spread(centred / np.sqrt(len(x)))
        whitened = (basis / root).T @ (centred.T @ member / len(x))  # in the basis of `basis`
        left, size, _ = np.linalg.svd(whitened, full_matrices=False)
        left = left[:, size > RANK * max(1.0, size.max(initial=0))]
        self.back, self.forth = (basis * root) @ left, (basis / root) @ left

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return rows ``[n, d]`` without the groups' linear trace, in the type of `x`."""
        return (x - (x - self.mean) @ self.forth @ self.back.T).astype(x.dtype)


def _spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal axes ``[d, r]`` of centred rows, and the deviations ``[r]`` along them."""
    if len(x) <= x.shape[1]:
        _, root, axes = np.linalg.svd(x, full_matrices=False)
        values, vectors = root**2, axes.T
    else:
        values, vectors = eigh(x.T @ x)
    kept = values > RANK * values.max(initial=0)
    return vectors[:, kept], np.sqrt(values[kept])
