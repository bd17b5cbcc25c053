"""Stage `attribute_probes`: does the frozen embedding itself tell the groups apart?

A gap can enter with the encoder or with what is trained on top. This stage looks at the encoder:
can a patient's group be predicted from the frozen embedding (probes), and are the groups apart on
its main axes (marginals)? `medaudit.audit.gap_decomposition` looks at the predictions.
"""

from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from medaudit.audit.attribute_probes.marginals import (
    compare_marginals,
    compared_levels,
    projections,
)
from medaudit.audit.attribute_probes.probes import linear_shares, neighbour_shares
from medaudit.core.audit_tables import MARGINALS, PROBES
from medaudit.core.entry_types import Evaluation
from medaudit.core.seeds import derive_seed, generator
from medaudit.core.table_io import EMBEDDINGS, read_audited, read_table, write_table
from medaudit.metrics.engine import group_values
from medaudit.metrics.rank_auc import rank_auc
from medaudit.metrics.resampling import draw_rows, permute_labels
from medaudit.metrics.sorted_scores import sort_images

TRAIN_IMAGES = 20_000


class ProbeSettings(TypedDict, total=False):
    """Settings of the stage: names, attributes, and of the evaluation the draws and the minimum."""

    cohort: str
    model: str
    attributes: list[str | list[str]]
    evaluation: Evaluation


def attribute_probes(
    settings: ProbeSettings,
    *,
    cohort: Path,
    groups: Path | None = None,
    embeddings: Path,
    output: Path,
    marginals: Path,
) -> None:
    """Probe a model's embeddings for each attribute and compare the groups' marginals.

    Parameters
    ----------
    settings : ProbeSettings
        ``cohort``, ``model`` (names), ``attributes`` (intersections are skipped) and
        ``evaluation``: ``bootstrap`` (``draws``, ``level``), ``null`` (``draws``), ``minimum``
        (``n``).
    cohort, embeddings : Path
        Tables of that cohort and model.
    groups : Path, optional
        Groups of the cohort's images (`medaudit.core.table_io.read_audited`).
    output : Path
        Table `medaudit.core.audit_tables.PROBES`.
    marginals : Path
        Table `medaudit.core.audit_tables.MARGINALS`.
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
    evaluation: Evaluation,
) -> pd.DataFrame:
    """Return how well the embeddings tell each group from the others.

    Parameters
    ----------
    table : pandas.DataFrame
        Cohort rows in the order of `vectors`.
    vectors : numpy.ndarray
        Embeddings ``[rows, d]``.
    attributes : list of str
        Attributes (``a_`` columns without the prefix); rows with a missing value are left out.
    cohort : str
        Seeds the draws: all models of a cohort share the draws of patients.
    evaluation : Evaluation
        ``bootstrap`` (``draws``, ``level``), ``null`` (``draws``), ``minimum`` (``n``).

    Returns
    -------
    pandas.DataFrame
        One row per attribute, group and probe (``linear``, ``knn``): AUC on the test split of the
        group against all others, fitted on at most 20,000 training images; a patient-wise
        bootstrap interval; mean, 95 % quantile and one-sided p-value under labels permuted
        between patients. With two groups only the first is listed: the second has the same AUC.
        ``too_few`` where a group has fewer test rows than the minimum, or no training row.
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


def _shares(
    table: pd.DataFrame, vectors: np.ndarray, values: pd.Series, cohort: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return P(level) of each test row by both probes, and the levels, which training rows have."""
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


def _estimate(
    scored: pd.DataFrame,
    score: np.ndarray | None,
    group: str,
    name: tuple[str, str],
    evaluation: Evaluation,
) -> dict:
    """Return the AUC of one group's score, its interval and its permutation test.

    `name`, cohort and attribute, names the random streams.
    """
    positive = (scored["level"] == group).to_numpy()
    patients, sizes = scored["patient_id"].to_numpy(), (positive.sum(), (~positive).sum())
    counts = {
        "n": len(scored),
        "n_pos": int(sizes[0]),
        "n_patients": int(scored["patient_id"].nunique()),
    }
    if score is None or min(sizes) < max(1, evaluation["minimum"]["n"]):
        return {**counts, "status": "too_few"}
    value = float(rank_auc(score, positive))
    bootstrap = evaluation["bootstrap"]
    stream = " ".join(("attribute probes", *name))
    weights = draw_rows(patients, scored["level"].to_numpy(), stream, bootstrap["draws"])
    tails = [(1 - bootstrap["level"]) / 2, (1 + bootstrap["level"]) / 2]
    low, high = np.nanquantile(_drawn_auc(score, positive, weights), tails)
    streams = ("attribute probes", *name, group)
    labels = permute_labels(positive, patients, streams, evaluation["null"]["draws"])
    null = rank_auc(score, labels)
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


def _drawn_auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUC of each draw of the rows, ``[draws]``; NaN where a class is not drawn."""
    rows = sort_images(
        unit=np.arange(score.size),
        group=np.zeros(score.size, int),
        n_groups=1,
        positive=positive,
        score=score,
        decision=None,
        factor=np.ones(score.size),
        bins=1,
    )
    return group_values(rows, ["auc"], weights)[0, 0]


def marginal_tests(
    table: pd.DataFrame, vectors: np.ndarray, attributes: list[str], cohort: str, minimum: int
) -> pd.DataFrame:
    """Return the tests of `compare_marginals` on one test image per patient.

    The PCA is fitted to the training split (at most 20,000 images); t-SNE shows at most 1,000 test
    patients. The image of each patient is drawn at random, from the cohort's seed.
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
