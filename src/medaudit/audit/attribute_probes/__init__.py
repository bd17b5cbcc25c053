"""Stage `origin`: does the embedding itself tell the groups apart, before any head is trained?

A gap can enter with the encoder or with what is trained on top. This stage asks the first: can a
patient's group be read from the frozen embedding (probes), and do the groups lie apart on its
main axes (marginals)? `medaudit.audit.gap_decomposition` asks the second of the predictions.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.attribute_probes.marginals import (
    compare_marginals,
    compared_levels,
    projections,
)
from medaudit.audit.attribute_probes.probes import linear_shares, neighbour_shares
from medaudit.audit.patient_bootstrap import auc_draws, patient_weights, permuted_labels
from medaudit.core.audit_tables import MARGINALS, PROBES
from medaudit.core.seeds import derive_seed, generator
from medaudit.core.table_io import EMBEDDINGS, read_audited, read_table, write_table

TRAIN_IMAGES = 20_000


def attribute_probes(
    settings: dict,
    *,
    cohort: Path,
    embeddings: Path,
    output: Path,
    marginals: Path,
    groups: Path | None = None,
    threads: int = 1,
) -> None:
    """Probe a model's embeddings for each attribute and compare the groups' marginals.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model`` (names), ``attributes`` (intersections are passed over) and
        ``evaluation`` (its ``bootstrap``, ``null`` and ``minimum``).
    cohort, embeddings : Path
        Tables of that cohort and model.
    groups : Path, optional
        Groups of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table of `medaudit.core.audit_tables.PROBES`.
    marginals : Path
        Table of `medaudit.core.audit_tables.MARGINALS`.
    threads : int
        Not used.
    """
    table, vectors = _joined(cohort, groups, embeddings)
    attributes = [a for a in settings["attributes"] if isinstance(a, str)]
    identity = {"cohort": settings["cohort"], "model": settings["model"]}
    probed = probe_attributes(
        table, vectors, attributes, settings["cohort"], settings["evaluation"]
    )
    compared = marginal_tests(
        table, vectors, attributes, settings["cohort"], settings["evaluation"]["minimum"]["n"]
    )
    for frame, path, contract in ((probed, output, PROBES), (compared, marginals, MARGINALS)):
        write_table(
            frame.assign(**identity).reindex(columns=list(contract.columns)), path, contract
        )


def _joined(cohort: Path, groups: Path | None, embeddings: Path) -> tuple[pd.DataFrame, np.ndarray]:
    rows = read_table(embeddings, EMBEDDINGS)
    table = read_audited(cohort, groups).set_index("image_id").loc[rows["image_id"]].reset_index()
    return table, np.stack(rows["embedding"].to_numpy()).astype(np.float32)


def probe_attributes(
    table: pd.DataFrame,
    vectors: np.ndarray,
    attributes: list[str],
    cohort: str,
    evaluation: dict,
) -> pd.DataFrame:
    """Return how well each group can be told from the others by its embeddings.

    Parameters
    ----------
    table : pandas.DataFrame
        Cohort rows in the order of `vectors`.
    vectors : numpy.ndarray
        Embeddings ``[rows, d]``.
    attributes : list of str
        Attributes (``a_`` columns without the prefix); missing values are left out.
    cohort : str
        Seeds the draws: all models of a cohort share the patients drawn.
    evaluation : dict
        ``bootstrap`` (``draws``, ``level``), ``null`` (``draws``), ``minimum`` (``n``).

    Returns
    -------
    pandas.DataFrame
        One row an attribute, group and probe (``linear``, ``knn``): AUC on the test split of the
        group against all others, fitted on at most 20,000 training images; a patient-wise
        bootstrap interval; mean, 95 % quantile and one-sided p value under labels shuffled
        between patients. With two groups the first one stands for both. ``too_few`` where a
        group has fewer than the minimum of test rows or no training row.
    """
    rows = []
    for attribute in attributes:
        values = table[f"a_{attribute}"]
        shares, levels = _shares(table, vectors, values, cohort)
        test = (table["split"] == "test").to_numpy() & values.notna().to_numpy()
        scored = table.loc[test].assign(level=values[test])
        for group in compared_levels(values[test]):
            for probe, share in shares.items():
                column = levels.index(group) if group in levels else None
                score = None if column is None else share[:, column]
                found = _estimate(scored, score, group, (cohort, attribute), evaluation)
                rows.append({"attribute": attribute, "group": group, "probe": probe, **found})
    return pd.DataFrame(rows, columns=list(PROBES.columns))


def _shares(table, vectors, values: pd.Series, cohort: str) -> tuple[dict, list[str]]:
    known = values.notna().to_numpy()
    part = {s: np.flatnonzero(known & (table["split"] == s)) for s in ("train", "val", "test")}
    levels = sorted(values.iloc[part["train"]].unique())
    if len(levels) < 2 or not len(part["test"]):
        return dict.fromkeys(("linear", "knn"), np.empty((len(part["test"]), 0))), []
    part["train"] = _subset(part["train"], generator("origin", cohort, "train"))
    part["val"] = part["val"][values.iloc[part["val"]].isin(levels).to_numpy()]
    levels = sorted(values.iloc[part["train"]].unique())
    code = pd.Categorical(values, categories=levels).codes.astype(int)
    part["val"] = part["val"][code[part["val"]] >= 0]
    scaled = {s: _standard(vectors, part["train"], at) for s, at in part.items()}
    train, val, test = (scaled[s] for s in ("train", "val", "test"))
    own = code[part["train"]]
    linear = linear_shares(train, own, val, code[part["val"]], test)
    return {"linear": linear, "knn": neighbour_shares(train, own, test)}, levels


def _subset(rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if len(rows) <= TRAIN_IMAGES:
        return rows
    return np.sort(random.choice(rows, TRAIN_IMAGES, replace=False))


def _standard(vectors: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> np.ndarray:
    mean, spread = vectors[reference].mean(axis=0), vectors[reference].std(axis=0)
    return (vectors[rows] - mean) / np.where(spread > 0, spread, 1)


def _estimate(scored: pd.DataFrame, score, group: str, name: tuple, evaluation: dict) -> dict:
    positive = (scored["level"] == group).to_numpy()
    patients, sizes = scored["patient_id"].to_numpy(), (positive.sum(), (~positive).sum())
    counts = {
        "n": len(scored),
        "n_pos": int(sizes[0]),
        "n_patients": int(scored["patient_id"].nunique()),
    }
    if score is None or min(sizes) < max(1, evaluation["minimum"]["n"]):
        return {**counts, "status": "too_few"}
    one = np.ones((len(scored), 1))
    value = auc_draws(score, positive, one)[0]
    draws, level = evaluation["bootstrap"]["draws"], evaluation["bootstrap"]["level"]
    strata = scored["level"].to_numpy()
    weights = patient_weights(patients, strata, draws, generator("origin", *name, "bootstrap"))
    low, high = np.nanquantile(
        auc_draws(score, positive, weights), [(1 - level) / 2, (1 + level) / 2]
    )
    random = generator("origin", *name, group, "null")
    labels = permuted_labels(positive, patients, evaluation["null"]["draws"], random)
    null = auc_draws(score, labels, one)
    return {
        **counts,
        "value": value,
        "low": low,
        "high": high,
        "null_mean": np.nanmean(null),
        "null_q95": np.nanquantile(null, 0.95),
        "p_value": (1 + (null >= value).sum()) / (1 + np.isfinite(null).sum()),
        "status": "ok",
    }


def marginal_tests(
    table: pd.DataFrame, vectors: np.ndarray, attributes: list[str], cohort: str, minimum: int
) -> pd.DataFrame:
    """Return the tests of `compare_marginals` on one test image of each patient.

    The axes of the PCA are those of the training split (at most 20,000 images); t-SNE lays out at
    most 1,000 test patients. Which image stands for a patient is drawn from the cohort's seed.
    """
    random = generator("origin", cohort, "marginals")
    test = random.permutation(np.flatnonzero(table["split"] == "test"))
    one_each = test[~table["patient_id"].iloc[test].duplicated().to_numpy()]
    train = _subset(np.flatnonzero(table["split"] == "train"), generator("origin", cohort, "train"))
    projected = projections(
        _standard(vectors, train, train),
        _standard(vectors, train, one_each),
        derive_seed("origin", cohort, "tsne"),
    )
    levels = {a: table[f"a_{a}"].iloc[one_each] for a in attributes}
    found = compare_marginals(projected, levels, minimum)
    return found.reindex(columns=list(MARGINALS.columns))
