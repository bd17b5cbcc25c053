"""Marginal distributions of groups along PCA and t-SNE axes.

After Glocker et al. 2023, "Algorithmic encoding of protected characteristics in chest X-ray
disease detection models": two-sample Kolmogorov-Smirnov tests, Benjamini-Yekutieli correction.
"""

import numpy as np
import pandas as pd

COMPONENTS = 4
TSNE_IMAGES = 1000
PERPLEXITY = 30


def projections(train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return the test rows on 4 PCA axes fitted to `train` and on 2 t-SNE axes.

    Parameters
    ----------
    train, test : numpy.ndarray
        Standardised embeddings; `test` has one row per patient. t-SNE takes its first
        `TSNE_IMAGES` rows, so shuffle them before.
    seed : int
        Seed of both.

    Returns
    -------
    dict of str to numpy.ndarray
        ``pca`` ``[test rows, <= 4]`` and ``tsne`` ``[<= 1000, 2]``; no ``tsne`` below 10 rows.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = min(COMPONENTS, *train.shape)
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(train)
    found = {"pca": pca.transform(test)}
    shown = test[:TSNE_IMAGES]
    if len(shown) >= 10:
        perplexity = min(PERPLEXITY, (len(shown) - 1) / 3)
        layout = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
        found["tsne"] = layout.fit_transform(shown)
    return found


def compare_marginals(
    projected: dict[str, np.ndarray], levels: dict[str, pd.Series], minimum: int
) -> pd.DataFrame:
    """Compare each group with all others along each axis.

    Parameters
    ----------
    projected : dict of str to numpy.ndarray
        See `projections`.
    levels : dict of str to pandas.Series
        Group of each projected row by attribute; a missing one is in no group. An attribute with
        two levels has one comparison, of the first with the second.
    minimum : int
        Fewest rows of a group (and of the others); below it the status is ``too_few``.

    Returns
    -------
    pandas.DataFrame
        attribute, group, projection, component (from 1), statistic (largest difference of the
        two distribution functions, in [0, 1]), p_value, p_adjusted (Benjamini-Yekutieli over all
        rows, because the tests depend on each other), n, n_rest, status.
    """
    rows = [
        {"attribute": attribute, "group": group, "projection": name, "component": axis + 1}
        | _test(points[:, axis], values.iloc[: len(points)], group, minimum)
        for attribute, values in levels.items()
        for group in compared_levels(values)
        for name, points in projected.items()
        for axis in range(points.shape[1])
    ]
    return _adjust(pd.DataFrame(rows))


def compared_levels(values: pd.Series) -> list[str]:
    """Return the levels to compare with the others: the first of two, each of more, none of one."""
    found = sorted(values.dropna().unique())
    return found[:1] if len(found) == 2 else found if len(found) > 2 else []


def _test(axis: np.ndarray, values: pd.Series, group: str, minimum: int) -> dict:
    from scipy.stats import ks_2samp

    own = (values == group).to_numpy(bool, na_value=False)
    rest = values.notna().to_numpy() & ~own
    sizes = {"n": int(own.sum()), "n_rest": int(rest.sum())}
    if min(sizes.values()) < max(minimum, 2):
        return {"statistic": np.nan, "p_value": np.nan, **sizes, "status": "too_few"}
    test = ks_2samp(axis[own], axis[rest], method="asymp")
    return {"statistic": test.statistic, "p_value": test.pvalue, **sizes, "status": "ok"}


def _adjust(table: pd.DataFrame) -> pd.DataFrame:
    from scipy.stats import false_discovery_control

    if table.empty:
        return table
    known = table["p_value"].notna()
    adjusted = np.full(len(table), np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(table.loc[known, "p_value"], method="by")
    table.insert(table.columns.get_loc("p_value") + 1, "p_adjusted", adjusted)
    return table
